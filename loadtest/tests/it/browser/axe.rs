//! WCAG 2.2 AA as far as axe-core can judge it, in whatever state a window is.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::window::Window;

/// Seats of one status and price are alike: two of each stand for the others, or each look would take seconds.
const LOOK: &str = "const [kind, rules, done] = arguments; \
    const seen = new Map(); \
    const others = [...document.querySelectorAll('[data-status]:not(.sample)')].filter((seat) => { \
        const alike = ['class', 'data-status', 'aria-pressed', 'tabindex'].map((name) => seat.getAttribute(name)).join(); \
        seen.set(alike, (seen.get(alike) ?? 0) + 1); \
        return seen.get(alike) > 2; }); \
    axe.run({ exclude: others }, { runOnly: { type: kind, values: rules }, resultTypes: ['violations'] }).then( \
        ({ violations, passes }) => done({ passes: passes.length, violations: violations.map(({ id, help, nodes }) => \
            `${id}: ${help}: ` + nodes.slice(0, 3).map(({ target }) => target.join(' ')).join(', ')) }), \
        (error) => done({ passes: 0, violations: [String(error)] }))";

const ALL: [&str; 6] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/// The script, or `None` where it can't be had; then the reason was told.
async fn script() -> Option<&'static str> {
    static SCRIPT: OnceCell<Option<String>> = OnceCell::const_new();
    let fetch = async || {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let output = Command::new(project.join(".ci/client-tools")).arg("page").stderr(Stdio::inherit()).output();
        let found = output.await.expect("the script runs").status.success();
        found.then(|| {
            let file = project.join("gateway/assets/node_modules/axe-core/axe.min.js");
            std::fs::read_to_string(file).expect("axe-core")
        })
    };
    SCRIPT.get_or_init(fetch).await.as_deref()
}

/// Nothing that axe finds fault with in this state of the page: by day, and at night without motion, where only the colours
/// differ.
pub(crate) async fn is_accessible(window: &Window, state: &str) {
    let Some(script) = script().await else { return };
    if window.value("typeof axe === 'undefined'").await == Value::Bool(true) {
        window.run(script).await;
    }
    let found = window.ask(LOOK, vec![json!("tag"), json!(ALL)]).await;
    assert_eq!(found["violations"], json!([]), "{state}");
    assert!(found["passes"].as_u64() > Some(10), "axe looked at nothing: {state}: {found}");

    window.prefer(&[("prefers-color-scheme", "dark"), ("prefers-reduced-motion", "reduce")]).await;
    let found = window.ask(LOOK, vec![json!("rule"), json!(["color-contrast"])]).await;
    assert_eq!(found["violations"], json!([]), "{state}, at night");
    assert_eq!(found["passes"], json!(1), "axe looked at nothing: {state}, at night: {found}");
    assert_eq!(window.value("document.getAnimations().length").await, json!(0), "something moves: {state}");
    window.picture(&format!("night-{}", state.replace(' ', "-"))).await;
    window.prefer(&[]).await;
}
