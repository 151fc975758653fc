//! How fast the page is, printed: `make bench-page`. No test by itself, because figures of a busy machine prove nothing;
//! see docs/BENCHMARKS.md. The product is real and so are the changes: customers hold and release seats.

mod trace;

use std::time::Duration;

use seatwire_loadtest::client::{ClientOptions, ViewerClient, guest, new_key};
use seatwire_loadtest::launcher::{Service, Stack, StackOptions};
use seatwire_protocol::ShowId;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use self::trace::{Trace, main_thread};
use super::driver::Driver;
use super::window::{Size, Window};
use super::{ARENA, CINEMA_ON_SALE, LIVE, find_show, watch};

const SEATS: u32 = 20_000;
const CUSTOMERS: u32 = 20;
/// Each holds five seats and releases them, twice a second: 200 changes a second from twenty customers.
const SEATS_A_HOLD: u32 = 5;
const PACE: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(20);
const REPEATS: usize = 12;

/// Notes when the map was first on screen, since navigation began.
const FIRST_MAP: &str = "(() => { const look = () => { \
    const drawn = document.querySelector('[data-seat][data-status], .seat-map-canvas[data-drawn=true]'); \
    if (drawn && document.querySelector('#seat-map')?.dataset.live === 'true') \
        setTimeout(() => (window.firstMapMs ??= performance.now())); else requestAnimationFrame(look); }; \
    requestAnimationFrame(look); })()";

/// From each click until its seat is marked, and until that is painted, by the browser's own event timing. The map takes a click
/// when the pointer is let go.
const CLICKS: &str = "(() => { window.clicks = []; window.painted = []; \
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => \
        entry.name === 'pointerup' && window.painted.push(entry.duration))).observe({ type: 'event', durationThreshold: 16 }); \
    addEventListener('pointerup', (event) => { \
        const seat = document.elementFromPoint(event.clientX, event.clientY)?.closest('[data-seat]'); \
        if (seat) new MutationObserver((_, me) => { window.clicks.push(performance.now() - event.timeStamp); me.disconnect(); }) \
            .observe(seat, { attributes: true, attributeFilter: ['data-status'] }); }, true); })()";

/// When a seat next takes a status, in milliseconds since 1970, by the clock that windows share.
const NOTE_SEEN: &str = "(() => { const [seat, status] = arguments; window.seenAt = null; \
    const node = document.querySelector(`[data-seat='${seat}']`); \
    new MutationObserver((_, me) => { if (node.dataset.status !== status) return; \
        window.seenAt = performance.timeOrigin + performance.now(); me.disconnect(); }) \
        .observe(node, { attributes: true, attributeFilter: ['data-status'] }); arguments[arguments.length - 1](true); })";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make bench-page: measures for a minute, and prints"]
async fn page_figures() {
    let Some(driver) = Driver::start().await else { return };
    let limits = ["SEATWIRE_CUSTOMER_HOLDS", "SEATWIRE_CUSTOMER_COMMANDS_PER_SECOND"];
    let options = limits.iter().fold(StackOptions::new(), |options, limit| options.env(Service::Core, *limit, 0));
    let stack = Stack::start(options).await.unwrap();
    let gateway = stack.addresses().gateway;
    let window = Window::open(&driver, &gateway, "figures", Size::Desk).await;
    let cinema = find_show(&window, CINEMA_ON_SALE).await;
    let arena = find_show(&window, ARENA).await;

    window.before_each(FIRST_MAP).await;
    for (name, show) in [("200 seats", cinema), ("20,000 seats", arena)] {
        let mut times = Vec::new();
        for _ in 0..REPEATS {
            // Another document each time: an address that differs after the # alone would be the same one.
            window.leave().await;
            window.visit(&format!("/#/show/{show}")).await;
            window.until("window.firstMapMs !== undefined").await;
            times.push(window.value("window.firstMapMs").await.as_f64().unwrap());
        }
        print(&format!("navigation to first seat map, {name}"), times);
    }
    clicks(&driver, &window, &gateway, cinema).await;

    let mut customers = JoinSet::new();
    for number in 0..CUSTOMERS {
        let token = guest(&gateway).await.unwrap().token;
        let client = ViewerClient::open(ClientOptions::new(&gateway, &token)).await.unwrap();
        customers.spawn(hold_and_release(client, ShowId::new(arena).unwrap(), number));
    }
    watch(&window, arena).await;
    window.until("document.querySelector('.seat-map-canvas').dataset.drawn === 'true'").await;
    let short = MEASURED / 2;
    for (name, motion, length) in [
        ("whole house, at rest", "", MEASURED),
        ("near, at rest", "near()", short),
        ("near, dragged all the time", "drag()", short),
        ("zoomed all the time", "wheel()", short),
    ] {
        window.run(&format!("{MOTIONS}; {motion}")).await;
        let trace = Trace::start(&window.devtools_url()).await;
        window.run(COUNT).await;
        let began = Instant::now();
        sleep(length).await;
        let changes = window.value("window.changes").await.as_f64().unwrap() / began.elapsed().as_secs_f64();
        let frames = main_thread(&trace.end().await);
        println!("{name}: {changes:.0} changes/s, {} frames of 1/60 s", frames.wall.len());
        println!("  main thread, CPU of a frame  {}", figures(frames.cpu));
        println!("  main thread, time of a frame {}", figures(frames.wall));
        println!(
            "  CPU in all: script {:.0} ms, the rest (style, paint, raster, commit) {:.0} ms",
            frames.script, frames.rest
        );
        window.run("clearInterval(window.motion)").await;
    }
    customers.shutdown().await;
    assert_eq!(window.complaints().await, Vec::<String>::new());
    window.close().await;
    stack.shutdown().await;
}

/// What moves the map, by the events that a hand would cause.
const MOTIONS: &str = "const canvas = document.querySelector('.seat-canvas'); \
    const at = (type, x, y, more) => canvas.dispatchEvent(new (type === 'wheel' ? WheelEvent : PointerEvent)(type, \
        { bubbles: true, cancelable: true, pointerId: 1, clientX: canvas.getBoundingClientRect().left + x, \
          clientY: canvas.getBoundingClientRect().top + y, ...more })); \
    const near = () => { for (let i = 0; i < 4; i += 1) document.querySelector('#zoom-in').click(); }; \
    let step = 0; \
    const drag = () => { canvas.setPointerCapture = () => {}; at('pointerdown', 300, 200); window.motion = setInterval(() => { \
        step += 0.1; at('pointermove', 300 + 200 * Math.cos(step), 200 + 150 * Math.sin(step * 1.3)); }, 16); }; \
    const wheel = () => { at('pointerup', 0, 0); window.motion = setInterval(() => { step += 1; \
        at('wheel', 300, 200, { deltaY: Math.floor(step / 40) % 2 ? 40 : -40 }); }, 16); }";

/// Counts the seats that frames from the gateway change.
const COUNT: &str = "window.changes = 0; if (!window.counting) { window.counting = true; const real = JSON.parse; \
    JSON.parse = (text) => { const value = real(text); if (value?.t === 'delta') window.changes += value.seats.length; \
    return value; }; }";

async fn hold_and_release(client: ViewerClient, show: ShowId, number: u32) {
    // Customers stay in parts of the house of their own, so that none is refused.
    let part = SEATS / CUSTOMERS;
    let mut ticks = interval(PACE);
    sleep(PACE / CUSTOMERS * number).await;
    loop {
        ticks.tick().await;
        let first = number * part + rand::random_range(0..part - SEATS_A_HOLD);
        let seats: Vec<u32> = (first..first + SEATS_A_HOLD).collect();
        // Some seats are not for sale.
        let Ok(hold) = client.hold(show, &new_key(), &seats).await else { continue };
        sleep(PACE / 2).await;
        drop(client.release(show, hold.hold).await);
    }
}

/// One window clicks, chooses and holds; another one sees it.
async fn clicks(driver: &Driver, window: &Window, gateway: &str, cinema: u64) {
    let other = Window::open(driver, gateway, "other", Size::Desk).await;
    watch(window, cinema).await;
    watch(&other, cinema).await;
    window.run(CLICKS).await;
    window
        .run(
            "addEventListener('click', (event) => (window.clickedAt = performance.timeOrigin + event.timeStamp), true)",
        )
        .await;
    let mut seen = Vec::new();
    let free = "[...document.querySelectorAll('[data-seat][data-status=available]')].map((seat) => seat.dataset.seat)";
    let Value::Array(seats) = window.value(free).await else { panic!("seats") };
    for seat in seats.iter().step_by(7).take(REPEATS) {
        let seat = seat.as_str().unwrap();
        window.click(&format!("[data-seat='{seat}']")).await;
        window.until(&format!("document.querySelector(\"[data-seat='{seat}']\").dataset.status === 'chosen'")).await;
        other.ask(&format!("({NOTE_SEEN})(...arguments)"), vec![json!(seat), json!("held")]).await;
        window.click("#hold-button").await;
        other.until("window.seenAt !== null").await;
        let [clicked, shown] = [window.value("window.clickedAt").await, other.value("window.seenAt").await];
        seen.push(shown.as_f64().unwrap() - clicked.as_f64().unwrap());
        window.click("#release-button").await;
        window.until(&format!("{LIVE} && !document.querySelector('#hold-card')")).await;
    }
    let list = |value: Value| value.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    print("click to the mark drawn", list(window.value("window.clicks").await));
    print("click to the next paint (browser's event timing)", list(window.value("window.painted").await));
    print("click on Hold to the mark in the other window", seen);
    other.close().await;
}

fn print(name: &str, times: Vec<f64>) {
    println!("{name}: {}", figures(times));
}

/// Median, p99 and maximum.
fn figures(mut times: Vec<f64>) -> String {
    assert!(!times.is_empty(), "nothing was measured");
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    format!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms ({})", at(50), at(99), at(100), times.len())
}
