//! Fingers on a phone: the whole cinema is in sight at first, a tap or a pinch comes closer, and a finger moves the map.

use seatwire_loadtest::launcher::{Stack, StackOptions};
use serde_json::Value;

use super::axe::is_accessible;
use super::driver::Driver;
use super::window::{Size, Window};
use super::{ARENA, CINEMA_ON_SALE, find_show, two_free_seats, watch};

/// The least that a finger can aim at (WCAG 2.2, 2.5.8).
const FINGER_PX: f64 = 24.0;

/// Where an element is: left, top, width, height.
async fn place(window: &Window, selector: &str) -> [f64; 4] {
    let script = format!(
        "(({{ x, y, width, height }}) => [x, y, width, height])(document.querySelector({selector:?}).getBoundingClientRect())"
    );
    serde_json::from_value(window.value(&script).await).unwrap()
}

async fn middle(window: &Window, selector: &str) -> (f64, f64) {
    let [x, y, width, height] = place(window, selector).await;
    (x + width / 2.0, y + height / 2.0)
}

async fn tap(window: &Window, at: (f64, f64)) {
    window.touch(&[vec![at]]).await;
}

/// One finger goes from here to there.
async fn drag(window: &Window, from: (f64, f64), to: (f64, f64)) {
    let step = |k: f64| (from.0 + (to.0 - from.0) * k / 8.0, from.1 + (to.1 - from.1) * k / 8.0);
    let steps: Vec<_> = (0..=8_u8).map(|k| vec![step(f64::from(k))]).collect();
    window.touch(&steps).await;
}

/// Two fingers around a place go from one distance between them to another, one above the other.
async fn pinch(window: &Window, (x, y): (f64, f64), from: f64, to: f64) {
    let fingers = |spread: f64| vec![(x, y - spread / 2.0), (x, y + spread / 2.0)];
    let mut steps = vec![vec![(x, y - from / 2.0)]];
    steps.extend((0..=10_u8).map(|k| fingers(from + (to - from) * f64::from(k) / 10.0)));
    window.touch(&steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_shows_the_whole_cinema_and_fingers_come_closer() {
    let Some(driver) = Driver::start().await else { return };
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let phone = Window::open(&driver, &stack.addresses().gateway, "phone", Size::Phone).await;
    let show = find_show(&phone, CINEMA_ON_SALE).await;
    watch(&phone, show).await;
    let all_in_sight = "(({ left, right }) => left >= 0 && right <= innerWidth && [...document.querySelectorAll('g.seat')] \
        .every((seat) => (({ x, width }) => x >= left && x + width <= right)(seat.getBoundingClientRect()))) \
        (document.querySelector('.seat-map-svg').getBoundingClientRect())";
    phone.until(all_in_sight).await;
    phone.until("!document.querySelector('.tap-hint').hidden").await;
    phone.picture("touch-whole").await;

    // The first tap on seats that are too small to aim at comes closer, and takes none.
    let labels = two_free_seats(&phone).await;
    let seat = format!("g.seat[data-label='{}']", labels[0]);
    assert!(place(&phone, &seat).await[2] < FINGER_PX);
    tap(&phone, middle(&phone, &seat).await).await;
    phone.until("document.querySelector('.tap-hint').hidden").await;
    assert_eq!(phone.value("document.querySelectorAll('g.seat[data-status=chosen]').length").await, 0);
    let [_, _, width, height] = place(&phone, &seat).await;
    assert!(width >= FINGER_PX && height >= FINGER_PX, "{width} × {height} px");
    // The second one means the seat; so does one beside it.
    for label in &labels {
        let seat = format!("g.seat[data-label='{label}']");
        tap(&phone, middle(&phone, &seat).await).await;
    }
    phone.sees_seats(&labels, "chosen").await;
    phone.picture("touch-near").await;
    is_accessible(&phone, "a map that came closer").await;

    // A finger takes the map along, and does not choose; the page stays where it is.
    let scrolled = phone.value("scrollY").await;
    let before = middle(&phone, &seat).await;
    drag(&phone, before, (before.0 + 60.0, before.1 + 30.0)).await;
    let moved = format!("document.querySelector({seat:?}).getBoundingClientRect().x > {}", before.0 + 20.0);
    phone.until(&moved).await;
    phone.sees_seats(&labels, "chosen").await;
    assert_eq!(phone.value("scrollY").await, scrolled);

    // Fingers that come together show the whole house again, and fingers that part come closer, up or down the screen
    // too, where one finger alone would scroll the page.
    let map = middle(&phone, ".seat-map-svg").await;
    pinch(&phone, map, 220.0, 40.0).await;
    phone.until(all_in_sight).await;
    pinch(&phone, map, 60.0, 200.0).await;
    phone.until(&format!("document.querySelector({seat:?}).getBoundingClientRect().width > {FINGER_PX}")).await;
    assert_eq!(phone.value("[scrollY, visualViewport.scale]").await, serde_json::json!([scrolled, 1]));
    phone.sees_seats(&labels, "chosen").await;
    phone.click("#zoom-fit").await;
    phone.until(all_in_sight).await;

    // With nothing to pan one finger scrolls the page, even from the map.
    phone.run("scrollTo(0, 0)").await;
    let map = middle(&phone, ".seat-map-svg").await;
    drag(&phone, map, (map.0, map.1 - 150.0)).await;
    phone.until("scrollY > 50").await;

    // The large house knows fingers as well.
    let arena = find_show(&phone, ARENA).await;
    watch(&phone, arena).await;
    phone.until("document.querySelector('.seat-map-canvas').dataset.drawn === 'true'").await;
    phone.until("document.querySelector('#minimap').hidden").await;
    pinch(&phone, middle(&phone, ".seat-canvas").await, 60.0, 240.0).await;
    phone.until("!document.querySelector('#minimap').hidden").await;
    phone.picture("touch-arena").await;
    pinch(&phone, middle(&phone, ".seat-canvas").await, 260.0, 30.0).await;
    phone.until("document.querySelector('#minimap').hidden").await;
    tap(&phone, middle(&phone, ".seat-canvas").await).await;
    phone.until("document.querySelector('.tap-hint').hidden").await;
    assert_eq!(phone.value("document.querySelectorAll('.chosen-list li').length").await, 0);
    assert_eq!(phone.complaints().await, Vec::<String>::new());
    let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    assert_eq!(phone.value(fits).await, Value::Bool(true));
    phone.close().await;
    stack.shutdown().await;
}
