//! A Kubernetes API server, as the commands about FundClusters ask it.
//!
//! Flow: [`ClusterArgs`] -> [`Cluster::connect`] (a kubeconfig, or the pod this runs in) -> one function a question. Each is
//! asked once, within [`ANSWER`], and whatever goes wrong becomes a [`ClusterError`] that names the object, the right that is
//! missing or the chart that is not installed. Nothing here writes, and no Secret's content is ever asked for.

mod error;

use std::{fmt::Debug, time::Duration};

use fundbond_crds::FundCluster;
use http::{Request, Response};
use k8s_openapi::{
    api::{
        core::v1::{Event, Secret},
        discovery::v1::{Endpoint, EndpointSlice},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::version::Info,
};
use kube::{
    Api, Client, Config, Resource,
    api::{ApiResource, DynamicObject, ListParams},
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::de::DeserializeOwned;

pub use error::{ClusterError, Question};

use crate::args::cluster::ClusterArgs;

/// A server in reach takes a connection within milliseconds; a cold VPN within seconds.
const CONNECT: Duration = Duration::from_secs(10);

/// One question. The API server itself gives up on a list after a minute.
const ANSWER: Duration = Duration::from_secs(30);

/// A connection on which nothing came for so long is cut: longer than a watch is quiet, which the server ends after 290 s.
const SILENCE: Duration = Duration::from_mins(5);

/// So many objects of a list come at once.
const PAGE: u32 = 500;

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In all namespaces.
    All,
    /// In one.
    Namespace(String),
}

impl Scope {
    /// ` -n funds`, or ` -A`.
    pub fn flag(&self) -> String {
        match self {
            Self::All => " -A".to_owned(),
            Self::Namespace(namespace) => format!(" -n {namespace}"),
        }
    }

    /// `in namespace funds`, or `in any namespace`.
    pub fn words(&self) -> String {
        match self {
            Self::All => "in any namespace".to_owned(),
            Self::Namespace(namespace) => format!("in namespace {namespace}"),
        }
    }
}

/// An API server that is spoken to.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    server: String,
    namespace: String,
    flags: String,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Cluster {
    /// That of the kubeconfig, or of the pod this runs in. Nobody is asked yet.
    ///
    /// # Errors
    /// There is none, or it cannot be spoken to as its configuration says.
    pub async fn connect(args: &ClusterArgs) -> Result<Self, ClusterError> {
        let config = match (&args.kubeconfig, &args.context) {
            (None, None) => Config::infer().await.map_err(|error| ClusterError::Nowhere(Box::new(error)))?,
            (file, context) => named(file.as_deref(), context.as_deref()).await?,
        };
        Self::of(config, args)
    }

    fn of(mut config: Config, args: &ClusterArgs) -> Result<Self, ClusterError> {
        // By default a request is made fifteen times over nearly three minutes: a person wants to know now.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)
            .map_err(|source| ClusterError::Client { server: server.clone(), source: Box::new(source) })?;
        Ok(Self { client, server, namespace, flags: args.flags() })
    }

    /// Its address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The namespace that is meant where none is named.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// [`Cluster::namespace`], as a place to look.
    pub fn here(&self) -> Scope {
        Scope::Namespace(self.namespace.clone())
    }

    /// What speaks to it, for watches.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How `kubectl` reaches the same server.
    pub fn kubectl(&self) -> String {
        format!("kubectl{}", self.flags)
    }

    /// How this program reaches the same server.
    pub fn program(&self) -> String {
        format!("fundctl{}", self.flags)
    }

    /// The options that lead to it, each behind a space.
    pub fn flags(&self) -> String {
        self.flags.clone()
    }

    /// The FundClusters, as they are: with fields that this version does not know, and without a look at any.
    ///
    /// # Errors
    /// Those of every question: see [`ClusterError`].
    pub async fn fund_clusters(&self, scope: &Scope) -> Result<Vec<DynamicObject>, ClusterError> {
        self.list_as(scope, &fund_cluster_resource(), "").await
    }

    /// A FundCluster of [`Cluster::namespace`], as it is.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn fund_cluster(&self, name: &str) -> Result<DynamicObject, ClusterError> {
        let api = Api::namespaced_with(self.client.clone(), &self.namespace, &fund_cluster_resource());
        let question = self.question("get", &fund_cluster_resource(), &self.here()).named(name);
        self.ask(question, api.get(name)).await
    }

    /// The endpoints of the Services of a FundCluster of [`Cluster::namespace`], ready or not.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn endpoints(&self, cluster: &str) -> Result<Vec<Endpoint>, ClusterError> {
        let labels = format!(
            "{}={},{}={cluster}",
            fundbond_crds::labels::PART_OF,
            fundbond_crds::labels::FUNDBOND,
            fundbond_crds::labels::INSTANCE
        );
        let slices: Vec<EndpointSlice> = self.list(&self.here(), &labels).await?;
        Ok(slices.into_iter().flat_map(|slice| slice.endpoints).collect())
    }

    /// The events about an object of [`Cluster::namespace`].
    ///
    /// # Errors
    /// Those of every question.
    pub async fn events_about(&self, kind: &str, name: &str) -> Result<Vec<Event>, ClusterError> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let question = self.question("list", &ApiResource::erase::<Event>(&()), &self.here());
        let params = ListParams::default().fields(&fields).limit(PAGE);
        Ok(self.ask(question, api.list(&params)).await?.items)
    }

    /// All objects of a kind that Kubernetes has, with such labels (all, where there are none).
    ///
    /// # Errors
    /// Those of every question.
    pub async fn list<K>(&self, scope: &Scope, labels: &str) -> Result<Vec<K>, ClusterError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let objects = self.list_as(scope, &ApiResource::erase::<K>(&()), labels).await?;
        let typed = objects.into_iter().map(DynamicObject::try_parse);
        typed.collect::<Result<_, _>>().map_err(|source| ClusterError::Unreadable {
            question: Box::new(self.question("list", &ApiResource::erase::<K>(&()), scope)),
            source: source.into(),
        })
    }

    /// The same, for a kind that is only known by name.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn list_as(
        &self,
        scope: &Scope,
        resource: &ApiResource,
        labels: &str,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let api: Api<DynamicObject> = match scope {
            Scope::All => Api::all_with(self.client.clone(), resource),
            Scope::Namespace(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
        };
        let mut params = ListParams::default().labels(labels).limit(PAGE);
        let mut objects = Vec::new();
        loop {
            let page = self.ask(self.question("list", resource, scope), api.list(&params)).await?;
            objects.extend(page.items.into_iter().map(|object| typed(object, resource)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(objects),
            }
        }
    }

    /// An object of a kind that Kubernetes has.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn get<K>(&self, namespace: &str, name: &str) -> Result<K, ClusterError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let question = self.question("get", &resource, &Scope::Namespace(namespace.to_owned())).named(name);
        let object = self.ask(question.clone(), api.get(name)).await?;
        object.try_parse().map_err(|source| ClusterError::Unreadable {
            question: Box::new(question),
            source: source.into(),
        })
    }

    /// The definition of that name, where there is one.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn definition(&self, name: &str) -> Result<Option<CustomResourceDefinition>, ClusterError> {
        let resource = ApiResource::erase::<CustomResourceDefinition>(&());
        let question = self.question("get", &resource, &Scope::All).named(name);
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        self.ask(question, api.get_opt(name)).await
    }

    /// Whether there is such a Secret. What is in it is not asked for.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn has_secret(&self, namespace: &str, name: &str) -> Result<bool, ClusterError> {
        let place = Scope::Namespace(namespace.to_owned());
        let question = self.question("get", &ApiResource::erase::<Secret>(&()), &place).named(name);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        Ok(self.ask(question, api.get_metadata_opt(name)).await?.is_some())
    }

    /// A page of the admin port of a pod, through the API server.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn admin_of_pod(
        &self,
        namespace: &str,
        pod: &str,
        port: i32,
        page: &str,
    ) -> Result<String, ClusterError> {
        let question = Question::of("get", "", "pods/proxy", Some(namespace.to_owned())).named(pod);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{page}");
        Ok(self.text(question, &path).await?.1)
    }

    /// A page of the admin port of one of the pods behind a Service, through the API server.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn admin_of_service(
        &self,
        namespace: &str,
        service: &str,
        page: &str,
    ) -> Result<String, ClusterError> {
        let question = Question::of("get", "", "services/proxy", Some(namespace.to_owned())).named(service);
        let path = format!("/api/v1/namespaces/{namespace}/services/{service}:admin/proxy{page}");
        Ok(self.text(question, &path).await?.1)
    }

    /// Which version the server has, and what time it is there.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn version(&self) -> Result<(Info, Option<String>), ClusterError> {
        let question = Question::of("get", "", "version", None);
        let (date, text) = self.text(question.clone(), "/version").await?;
        let info = serde_json::from_str(&text).map_err(|source| ClusterError::Unreadable {
            question: Box::new(question),
            source: source.into(),
        })?;
        Ok((info, date))
    }

    /// The answer to a GET of `path`, with the server's `Date`. `question` is what it is in words.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn text(
        &self,
        question: Question,
        path: &str,
    ) -> Result<(Option<String>, String), ClusterError> {
        let request = Request::get(path).body(Body::empty());
        let request = request.map_err(|error| ClusterError::Unreadable {
            question: Box::new(question.clone()),
            source: error.into(),
        })?;
        self.ask(question, async {
            let response = self.client.send(request).await?;
            let date = response.headers().get(http::header::DATE);
            let date = date.and_then(|date| date.to_str().ok()).map(str::to_owned);
            Ok((date, whole(response).await?))
        })
        .await
    }

    /// What is asked, as errors tell it.
    pub fn question(&self, verb: &'static str, resource: &ApiResource, scope: &Scope) -> Question {
        let namespace = match scope {
            Scope::All => None,
            Scope::Namespace(namespace) => Some(namespace.clone()),
        };
        Question::of(verb, &resource.group, &resource.plural, namespace)
    }

    /// Waits for the answer to `question`, within bounds.
    async fn ask<T>(
        &self,
        question: Question,
        answer: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ClusterError> {
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(question, error)),
            Err(_) => Err(ClusterError::Slow {
                server: self.server.clone(),
                question: Box::new(question),
                after: ANSWER,
            }),
        }
    }

    /// Why there is no answer to `question`.
    pub fn failed(&self, question: Question, error: kube::Error) -> ClusterError {
        ClusterError::of(&self.server, &self.flags, question, error)
    }
}

/// FundClusters, as an API server calls them.
pub fn fund_cluster_resource() -> ApiResource {
    ApiResource::erase::<FundCluster>(&())
}

/// Items of a list do not say what they are.
fn typed(mut object: DynamicObject, resource: &ApiResource) -> DynamicObject {
    object.types.get_or_insert_with(|| kube::api::TypeMeta {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
    });
    object
}

/// The body of a good answer; a bad one as the error it is.
async fn whole(response: Response<Body>) -> kube::Result<String> {
    let status = response.status();
    let bytes = response.into_body().collect_bytes().await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if status.is_success() {
        return Ok(text);
    }
    let said = serde_json::from_str(&text).unwrap_or_else(|_| {
        kube::core::Status::failure(text.trim(), "NotAStatus").with_code(status.as_u16())
    });
    Err(kube::Error::Api(said.boxed()))
}

/// The configuration of a kubeconfig that is named, or of one of its contexts.
async fn named(file: Option<&std::path::Path>, context: Option<&str>) -> Result<Config, ClusterError> {
    let read = match file {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    let shown = || file.map_or_else(|| "the kubeconfig".to_owned(), |file| file.display().to_string());
    let kubeconfig =
        read.map_err(|source| ClusterError::Kubeconfig { file: shown(), source: Box::new(source) })?;
    if let Some(context) = context {
        let known: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        if !known.iter().any(|known| known == context) {
            return Err(ClusterError::Context { context: context.to_owned(), file: shown(), known });
        }
    }
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.map_err(|source| ClusterError::Kubeconfig { file: shown(), source: Box::new(source) })
}
