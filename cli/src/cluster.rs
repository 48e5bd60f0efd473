//! A Kubernetes API server, as the commands about FundClusters ask it.
//!
//! Flow: [`ClusterArgs`] -> [`Cluster::connect`] (a kubeconfig, or the pod this runs in) -> one function a question. Each is
//! asked once, within [`ANSWER`], and whatever goes wrong becomes a [`ClusterError`] that names the object, the right that is
//! missing or the chart that is not installed. Nothing here writes, and no Secret's content is ever asked for.

mod error;
mod questions;

use std::{fmt::Debug, time::Duration};

use fundbond_crds::FundCluster;
use kube::{
    Client, Config,
    api::ApiResource,
    config::{KubeConfigOptions, Kubeconfig},
};

pub use error::{ClusterError, Question};

use crate::args::cluster::ClusterArgs;

/// A server in reach takes a connection within milliseconds; a cold VPN within seconds.
const CONNECT: Duration = Duration::from_secs(10);

/// One question. The API server itself gives up on a list after a minute.
const ANSWER: Duration = Duration::from_secs(30);

/// A connection on which nothing came for so long is cut: longer than a watch is quiet, which the server ends after 290 s.
const SILENCE: Duration = Duration::from_mins(5);

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In all namespaces.
    All,
    /// In one.
    Namespace(String),
}

impl Scope {
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
        format!("{}{}", crate::program::name(), self.flags)
    }

    /// The options that lead to it, each behind a space.
    pub fn flags(&self) -> String {
        self.flags.clone()
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
