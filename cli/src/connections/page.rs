//! An HTML page that needs nothing beside itself, light or dark as the reader's system is.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Colours and type that all pages and pictures share. Every colour has a light and a dark value;
/// text keeps a contrast of 4.5 to 1 in both.
pub(crate) const COLOURS: &str = "\
:root{--paper:#fff;--ink:#1d2733;--faint:#5c6b7a;--line:#d5dce4;--field:#f4f6f9;--all:#1a7f4b;--all-field:#ddf3e6;\
--some:#1f5fbf;--some-field:#e1ecfb;--lost:#b3261e;--world:#8a5300;--world-field:#fdf0dc}\
@media (prefers-color-scheme:dark){:root{--paper:#12171d;--ink:#e3e9f0;--faint:#96a4b3;--line:#323d49;--field:#1b222b;\
--all:#5fd398;--all-field:#15372a;--some:#84b6ff;--some-field:#17304f;--lost:#ff8a80;--world:#f0b45c;--world-field:#3a2a10}}";

const PAGE: &str = "\
body{margin:2rem;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\
h1{font-size:1.3rem;margin:0 0 .3rem}p{color:var(--faint);margin:.2rem 0 1.2rem;max-width:70ch}\
.wide{overflow-x:auto}";

/// A page with this title, styles of its own, and content.
pub(crate) fn page(title: &str, style: &str, content: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(COLOURS)) (PreEscaped(PAGE)) (PreEscaped(style)) }
            }
            body { (content) }
        }
    };
    page.into_string()
}
