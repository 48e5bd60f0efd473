//! `/`: the table as a page, for whoever looks at a gateway with a browser.

use std::sync::Arc;

use axum::{extract::State, response::Html};
use maud::{DOCTYPE, Markup, html};

use super::{EndpointView, RouteView, TableView, view};
use crate::{gateway::Gateway, role::Role};

/// How often a browser asks again, in seconds.
const REFRESH: u32 = 5;

/// Colours follow the browser's; nothing is fetched from anywhere.
const STYLE: &str = "
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; }
nav a { margin-right: 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: .35rem .75rem .35rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
ul { list-style: none; margin: 0; padding: 0; }
.ok::before, .bad::before { content: '●'; margin-right: .4em; }
.ok::before { color: #2da44e; } .bad::before { color: #d1242f; }
.note { opacity: .7; }
";

pub(super) async fn page(State(gateway): State<Arc<Gateway>>) -> Html<String> {
    Html(render(gateway.config.role, &view(&gateway)).into_string())
}

fn render(role: Role, table: &TableView) -> Markup {
    let (name, next) = match role {
        Role::Gateway => ("gateway", "cluster"),
        Role::ClusterProxy => ("cluster proxy", "pod"),
    };
    let ready = table.routes.iter().filter(|route| route.endpoints.iter().any(|one| one.ready)).count();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta http-equiv="refresh" content=(REFRESH);
                title { "Fundbond " (name) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "Fundbond " (name) }
                p {
                    (table.routes.len()) @if table.routes.len() == 1 { " route, " } @else { " routes, " } (ready) " with a ready " (next) "; table "
                    (table.generation) "."
                }
                nav {
                    a href="readyz?verbose" { "readiness" }
                    a href="routes" { "routes as JSON" }
                    a href="explain" { "explain a request" }
                    a href="metrics" { "metrics" }
                }
                @if let Some(error) = &table.last_error {
                    h2 { "The last table was refused" }
                    p class="bad" { code { (error) } }
                }
                @if !table.refused.is_empty() {
                    h2 { "Not as asked for" }
                    table {
                        @for (object, why) in &table.refused {
                            tr { td class="bad" { code { (object) } } td { (why) } }
                        }
                    }
                }
                h2 { "Routes" }
                @if table.routes.is_empty() {
                    p class="note" { "None yet: every request is answered 404." }
                } @else {
                    table {
                        tr { th { "Route" } th { "Requests" } th { "Strategy" } th { "Leads to" } }
                        @for route in &table.routes { (row(route)) }
                    }
                }
            }
        }
    }
}

fn row(route: &RouteView) -> Markup {
    html! {
        tr {
            td { (route.name) @if route.default { " " span class="note" { "(default)" } } }
            td { code { (route.header) ": " (route.value) } br; code { (route.path_prefix) } }
            td { (route.strategy) }
            td {
                @if route.endpoints.is_empty() { span class="bad" { "nobody" } }
                ul { @for endpoint in &route.endpoints { (item(endpoint)) } }
            }
        }
    }
}

fn item(endpoint: &EndpointView) -> Markup {
    let serves = endpoint.ready && endpoint.breaker == "closed";
    html! {
        li class=(if serves { "ok" } else { "bad" }) {
            (endpoint.name) " "
            span class="note" {
                @if let Some(group) = &endpoint.group { "group " (group) ", " }
                @if !endpoint.ready { "not ready, " }
                @if endpoint.breaker != "closed" { "breaker " (endpoint.breaker) ", " }
                (endpoint.under_way) " under way"
            }
        }
    }
}
