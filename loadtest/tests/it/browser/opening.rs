//! A sale that opens under everybody's eyes, and the house of twenty thousand seats.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seatwire_loadtest::client::Http;
use seatwire_loadtest::launcher::{Stack, StackOptions};
use serde_json::{Value, json};

use super::axe::is_accessible;
use super::driver::Driver;
use super::window::{Size, Window};
use super::{ARENA, BEFORE_SALE, LIVE, find_show, hold, two_free_seats, watch};

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_opens_in_two_windows_at_once() {
    let Some(driver) = Driver::start().await else { return };
    let options = StackOptions::new().opening_in(Duration::from_secs(1_800));
    let stack = Stack::start(options).await.unwrap();
    let at = stack.addresses();
    let gateway = at.gateway.clone();
    let desk = Window::open(&driver, &gateway, "desk", Size::Desk).await;
    let phone = Window::open(&driver, &gateway, "phone", Size::Phone).await;
    let show = find_show(&desk, BEFORE_SALE).await;
    for window in [&desk, &phone] {
        watch(window, show).await;
        window.sees("#sale-title", "The sale opens in").await;
        window.until("/^[23][0-9]:[0-9]{2}$/.test(document.querySelector('#opening-countdown').textContent)").await;
        window.picture("before-sale").await;
        // When the page itself hears of it.
        let watch = "new MutationObserver(() => { window.openedAt ??= Date.now() }).observe( \
            document.querySelector('.opening'), { attributes: true, attributeFilter: ['hidden'] })";
        window.run(watch).await;
    }
    let seats = two_free_seats(&desk).await;
    desk.click_seats(&seats[..1]).await;
    desk.sees("#notices", "has not opened").await;
    is_accessible(&phone, "before the sale").await;

    let opens_in = async |wait: Duration| {
        let then = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + wait;
        let url = format!("{}/admin/shows/{show}/sale", at.core_http);
        let bearer = format!("Bearer {}", at.secrets.admin);
        let body = json!({ "state": "before", "opens_at_ms": then.as_millis() });
        let reply = Http::default().post(&url, &[("authorization", &bearer)], &body).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    // It is put off, and both windows count down to the new time at once; the list of shows hears of it when it is read.
    let list = Window::open(&driver, &gateway, "list", Size::Desk).await;
    list.visit("/").await;
    let card = format!("document.querySelector('.show-card[data-show=\"{show}\"] .sale').textContent");
    list.until(&format!("/ [23][0-9]:[0-9]{{2}}$/.test({card})")).await;
    opens_in(Duration::from_secs(2 * 3_600)).await;
    let later = "/^(2:00|1:59):[0-9]{2}$/.test(document.querySelector('#opening-countdown').textContent)";
    for window in [&desk, &phone] {
        window.until(later).await;
        window.sees("#notices", "The sale was put off. It opens in 2 hours.").await;
        window.until(LIVE).await;
    }
    phone.picture("put-off").await;
    is_accessible(&phone, "a sale put off").await;
    // What it shows is no older than the gateway's copy, two seconds; a page that is looked at again reads anew.
    let look = "(Date.now() > (window.lookAt ?? 0) && (window.lookAt = Date.now() + 500, \
        document.dispatchEvent(new Event('visibilitychange'))), true)";
    list.until(&format!("{look} && / (2:00|1:59):[0-9]{{2}}$/.test({card})")).await;

    // Both are ready: now it may open by itself, in a moment.
    opens_in(Duration::from_millis(1_500)).await;
    let opened = "document.querySelector('.opening').hidden && !document.querySelector('.choice').hidden \
        && document.querySelector('#notices').textContent.includes('The sale is open')";
    tokio::join!(desk.until(opened), phone.until(opened));
    let (first, second) = (desk.value("window.openedAt").await, phone.value("window.openedAt").await);
    let apart = first.as_u64().unwrap().abs_diff(second.as_u64().unwrap());
    println!("the two windows opened {apart} ms apart");
    assert!(apart < 60_000, "not one event, but two: {apart} ms apart");
    hold(&phone, &seats).await;
    desk.sees_seats(&seats, "held").await;
    list.until(&format!("{look} && {card} === 'On sale'")).await;
    for window in [desk, phone, list] {
        assert_eq!(window.complaints().await, Vec::<String>::new());
        window.close().await;
    }
    stack.shutdown().await;
}

/// The states of the row that the list shows, by label.
const LISTED: &str = "Object.fromEntries([...document.querySelectorAll('.seat-button')].map((button) => \
    [button.dataset.label, button.dataset.status]))";

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_seats_are_on_the_map_and_in_the_list() {
    let Some(driver) = Driver::start().await else { return };
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let gateway = stack.addresses().gateway;
    let desk = Window::open(&driver, &gateway, "desk", Size::Desk).await;
    let phone = Window::open(&driver, &gateway, "phone", Size::Phone).await;
    let arena = find_show(&phone, ARENA).await;
    for window in [&desk, &phone] {
        watch(window, arena).await;
        window.until("document.querySelector('.seat-map-canvas').dataset.drawn === 'true'").await;
        window.until("document.querySelector('#minimap').hidden").await;
        window.picture("arena").await;
    }
    is_accessible(&desk, "a large house").await;

    // By the list, for whom the map is of no use.
    phone.click("#as-list").await;
    phone.until("document.querySelectorAll('#list-section option').length > 20").await;
    phone.click("#list-section option:nth-of-type(9)").await;
    phone.click("#list-row option:nth-of-type(4)").await;
    phone.until("document.querySelectorAll('.seat-button').length > 20").await;
    let Value::Object(row) = phone.value(LISTED).await else { panic!("a row") };
    let free: Vec<&String> = row.iter().filter(|(_, status)| *status == "available").map(|(label, _)| label).collect();
    let [first, second] = [free[0], free[1]];
    for label in [first, second] {
        let button = format!(".seat-button[data-label=\"{label}\"]");
        // The card with the choice stands at the bottom, over the page.
        phone.run(&format!("document.querySelector('{button}').scrollIntoView({{ block: 'center' }})")).await;
        phone.click(&button).await;
        phone.until(&format!("{LISTED}['{label}'] === 'chosen'")).await;
    }
    phone.picture("arena-list").await;
    is_accessible(&phone, "seats chosen in the list").await;
    phone.click("#hold-button").await;
    phone.until(&format!("{LISTED}['{first}'] === 'mine' && {LISTED}['{second}'] === 'mine'")).await;

    // The other one sees it in the list, and on the map: the keyboard's cursor says what is under it.
    desk.click("#as-list").await;
    desk.click("#list-section option:nth-of-type(9)").await;
    desk.click("#list-row option:nth-of-type(4)").await;
    desk.until(&format!("{LISTED}['{first}'] === 'held' && {LISTED}['{second}'] === 'held'")).await;
    desk.click("#as-map").await;
    desk.click("#best-button").await;
    desk.sees("#hold-card", " and ").await;
    // What was found is brought near, and the minimap tells where that is.
    desk.until("!document.querySelector('#minimap').hidden").await;
    desk.until("document.querySelector('.seat-map-canvas').dataset.drawn === 'true'").await;
    desk.picture("arena-held").await;
    desk.click("#release-button").await;
    desk.until(&format!("{LIVE} && !document.querySelector('#hold-card')")).await;

    for place in ["/", "/#/bookings", &format!("/#/show/{arena}")] {
        phone.visit(place).await;
        phone.until("!document.querySelector('main .loading')").await;
        let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(phone.value(fits).await, Value::Bool(true), "something sticks out on a phone: {place}");
    }
    for window in [desk, phone] {
        assert_eq!(window.complaints().await, Vec::<String>::new());
        window.close().await;
    }
    stack.shutdown().await;
}
