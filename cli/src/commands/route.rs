//! `route`: asks a gateway, and then whoever it would send the request to.

use std::io::{self, Write as _};

use fundbond_crds::{GatewayRoute, labels};
use http::Method;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;

use crate::{
    admin::{Explanation, RouteTable},
    args::{Format, Global, cluster::RouteArgs},
    client::{Answer, Client, ClientError, ServerUrl, call_name, refusal},
    cluster::{Cluster, Scope},
    error::{Error, Exit},
    output,
    render::Style,
    route::{self, Asked, Hop, Way},
};

/// How the port of admin pages is called, on every Service that has one.
const ADMIN: &str = "admin";

/// Gateway, cluster proxy: nobody else passes requests on.
const MOST_HOPS: usize = 2;

/// Follows a request that is never made.
pub(super) async fn run(global: Global, args: RouteArgs) -> Result<Exit, Error> {
    let asked = Asked {
        cluster: global.cluster.as_ref().map(ToString::to_string),
        method: args.method.to_string(),
        path: args.path.clone(),
        user: args.user.clone(),
        ip: args.ip.map(|ip| ip.to_string()),
        headers: args.headers.clone(),
    };
    let way = if args.is_kubernetes() {
        let cluster = Cluster::connect(&args.cluster).await?;
        through_the_api_server(&cluster, &args, asked).await?
    } else {
        directly(&global, &args, asked).await?
    };
    let mut out = io::stdout().lock();
    match global.output {
        Format::Table => {
            write!(out, "{}", route::text(&way, output::width(), Style::of_stdout()))?;
        }
        format => output::document(&mut out, format, &way)?,
    }
    Ok(way.exit())
}

/// From one admin server to the next, by the addresses that they know of each other.
async fn directly(global: &Global, args: &RouteArgs, asked: Asked) -> Result<Way, Error> {
    let first = match &args.admin {
        Some(admin) => admin.clone(),
        None => global.server.admin().ok_or_else(|| {
            Error::Usage(format!(
                "the admin port of {} is not known: its own port and 10,000 is more than there are; give --admin",
                global.server
            ))
        })?,
    };
    let mut hops: Vec<Hop> = Vec::new();
    let mut lost = None;
    let (mut admin, mut question) = (first, asked.clone());
    while hops.len() < MOST_HOPS {
        let client = Client::new(admin.clone(), None);
        let told: Explanation = match get(&client, &question.page()).await {
            Ok(told) => told,
            // Only who passes requests on explains: what is behind a proxy is a pod.
            Err(ClientError::Foreign { status, .. }) if status == 404 && !hops.is_empty() => break,
            Err(ClientError::Problem { problem, .. }) if problem.status == 404 && !hops.is_empty() => break,
            Err(source) if hops.is_empty() => return Err(not_explained(source, &admin)),
            Err(error) => {
                lost = Some(error.to_string());
                break;
            }
        };
        // Only for what is shown beside it.
        let table = get::<RouteTable>(&client, "/routes").await.unwrap_or_default();
        let hop = Hop::new(format!("{} {admin}", name(hops.len(), args.admin.is_some())), told, Some(&table));
        let next = next_admin(&hop.told, &table);
        question = question.behind(&hop.told);
        hops.push(hop);
        match next {
            Some(next) if args.admin.is_none() => admin = next,
            _ => break,
        }
    }
    Ok(Way::new(asked, hops, lost))
}

fn name(hop: usize, was_named: bool) -> &'static str {
    match hop {
        _ if was_named => "admin server",
        0 => "gateway",
        _ => "cluster proxy",
    }
}

/// Where the endpoint that was chosen has its admin port.
fn next_admin(told: &Explanation, table: &RouteTable) -> Option<ServerUrl> {
    let (route, endpoint) = (told.route.as_ref()?, told.endpoint.as_ref()?);
    let route = table.routes.iter().find(|known| known.name == *route)?;
    let endpoint = route.endpoints.iter().find(|known| known.name == *endpoint)?;
    endpoint.admin_address.parse().ok()
}

async fn get<T: serde::de::DeserializeOwned>(client: &Client, page: &str) -> Result<T, ClientError> {
    client.call(Method::GET, page, None).await
}

fn not_explained(source: ClientError, admin: &ServerUrl) -> Error {
    let (what, next) = match &source {
        // In a sentence that names what is missing.
        ClientError::Foreign { status, what, .. } if *status == 400 => {
            let why = what.rsplit_once(": ").map_or(what.as_str(), |(_, why)| why);
            (
                format!("{admin} does not take the question: {why}"),
                "correct it, or give what is missing (--ip, --path)",
            )
        }
        _ => (
            format!("{admin} does not explain routes: {source}"),
            "name the admin port of a gateway with --admin, or look in Kubernetes with --kubernetes",
        ),
    };
    Error::NotSo { what, next: next.to_owned(), exit: Exit::Error }
}

/// From a gateway to the proxy of its FundCluster, each reached by its Service.
async fn through_the_api_server(cluster: &Cluster, args: &RouteArgs, asked: Asked) -> Result<Way, Error> {
    let (namespace, service) = gateway(cluster, args).await?;
    let first = hop(cluster, "gateway", &namespace, &service, &asked).await?;
    let behind = asked.behind(&first.told);
    let goes_on = first.told.decision == "forward";
    let mut hops = vec![first];
    let mut lost = None;
    if goes_on {
        match proxy(cluster, args, &hops[0].told).await? {
            Some((namespace, service)) => {
                match hop(cluster, "cluster proxy", &namespace, &service, &behind).await {
                    Ok(hop) => hops.push(hop),
                    Err(error) => lost = Some(error.to_string()),
                }
            }
            None => {
                lost = Some(format!(
                    "no GatewayRoute has the value {}",
                    hops[0].told.route.as_deref().unwrap_or_default()
                ));
            }
        }
    }
    Ok(Way::new(asked, hops, lost))
}

async fn hop(
    cluster: &Cluster,
    what: &str,
    namespace: &str,
    service: &str,
    asked: &Asked,
) -> Result<Hop, Error> {
    let text = cluster.admin_of_service(namespace, service, &asked.page()).await?;
    let told: Explanation = parsed(&text, service)?;
    // Only for what is shown beside it.
    let table = cluster.admin_of_service(namespace, service, "/routes").await.ok();
    let table: Option<RouteTable> = table.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Hop::new(format!("{what} {namespace}/{service}"), told, table.as_ref()))
}

fn parsed(text: &str, service: &str) -> Result<Explanation, Error> {
    serde_json::from_str(text).map_err(|_| {
        let answer = Answer {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: text.to_owned().into(),
        };
        Error::Call {
            action: "have the route explained",
            source: refusal(call_name(&Method::GET, &format!("/explain of {service}")), &answer),
        }
    })
}

/// The Service of the gateway's admin port.
async fn gateway(cluster: &Cluster, args: &RouteArgs) -> Result<(String, String), Error> {
    if let Some(named) = &args.gateway {
        return Ok(named.clone());
    }
    let labels = format!("{},{}=gateway", labels::of_the_product(), labels::NAME);
    let services: Vec<Service> = cluster.list(&Scope::All, &labels).await?;
    let with_admin = services.iter().filter(|service| {
        let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        ports.into_iter().any(|port| port.name.as_deref() == Some(ADMIN))
    });
    let found: Vec<_> = with_admin.map(|it| (it.namespace().unwrap_or_default(), it.name_any())).collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::NotSo {
            what: "there is no Service of a gateway with a port `admin` in any namespace".to_owned(),
            next: format!(
                "name it with --gateway NAMESPACE/SERVICE; `{} doctor` tells what is installed",
                cluster.program()
            ),
            exit: Exit::Error,
        }),
        many => {
            let names: Vec<_> = many.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
            Err(Error::NotSo {
                what: format!("there are several gateways: {}", names.join(", ")),
                next: "name one of them with --gateway NAMESPACE/SERVICE".to_owned(),
                exit: Exit::Error,
            })
        }
    }
}

/// The Service of the proxy that a gateway sends requests of its route to.
async fn proxy(
    cluster: &Cluster,
    args: &RouteArgs,
    told: &Explanation,
) -> Result<Option<(String, String)>, Error> {
    let scope = if args.cluster.namespace.is_some() { cluster.here() } else { Scope::All };
    let mut routes: Vec<GatewayRoute> = cluster.list(&scope, "").await?;
    routes.retain(|route| Some(&route.spec.matching.value) == told.route.as_ref());
    // Of two that want the same requests the older has them.
    routes.sort_by_key(|route| (route.creation_timestamp().map(|time| time.0), route.namespace()));
    let first = routes.into_iter().next();
    Ok(first.map(|route| (route.namespace().unwrap_or_default(), route.spec.proxy.name)))
}
