//! A report as one page for a browser: everything inline, no script, light and dark, wide and narrow. With another run of
//! the same scenario beside it, each figure has that run's next to it, and each drawing its outline.
//!
//! The parts are in the order in which they are asked for: does the run count, what happened, how fast, what broke.

mod audit;
mod chart;
mod faults;
mod goals;
mod histogram;
mod number;
mod outcomes;
mod over_time;
mod setting;
mod summary;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;

/// Two runs, or one.
#[derive(Debug, Clone, Copy)]
struct Runs<'a> {
    new: &'a Report,
    old: Option<&'a Report>,
}

impl Runs<'_> {
    /// A figure of both.
    fn both<T>(&self, of: impl Fn(&Report) -> T) -> (T, Option<T>) {
        (of(self.new), self.old.map(of))
    }
}

impl Report {
    /// The whole page. `old`: an earlier run, to be shown beside it.
    #[must_use]
    pub fn page(&self, old: Option<&Self>) -> String {
        let runs = Runs { new: self, old };
        let title = format!("{}, seed {}: {}", self.scenario, self.seed, summary::verdict(self));
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    // Nothing is asked of any server, not even an icon.
                    link rel="icon" href="data:,";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (summary::header(runs))
                    main {
                        (summary::tiles(runs))
                        (goals::part(runs))
                        (over_time::part(runs))
                        (histogram::part(runs))
                        (outcomes::part(runs))
                        (faults::part(runs))
                        (audit::part(runs))
                        (setting::part(runs))
                    }
                }
            }
        };
        page.into_string()
    }
}

/// A part of the page, with a word on how to read it.
fn section(name: &str, title: &str, hint: &str, content: &Markup) -> Markup {
    html! {
        section id=(name) {
            h2 { (title) }
            @if !hint.is_empty() { p.hint { (hint) } }
            (content)
        }
    }
}

/// A table that scrolls by itself where the page is narrow. Columns whose name begins with `#` are figures; a
/// narrow page goes without those with `~`.
fn table(columns: &[&str], rows: &Markup) -> Markup {
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        @for column in columns {
                            th class=[kind(column)] { (column.trim_start_matches(['#', '~'])) }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}

fn kind(column: &str) -> Option<&'static str> {
    match column.chars().next() {
        Some('#') => Some("n"),
        Some('~') => Some("why"),
        _ => None,
    }
}

const STYLE: &str = include_str!("page/style.css");
