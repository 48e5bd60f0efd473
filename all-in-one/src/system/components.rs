//! Parts that serve until they are told to stop, in layers that stop one after the other.

use fundbond_pod_service::PodService;
use fundbond_service_runtime::Shutdown;
use futures::future::{BoxFuture, FutureExt, select_all};
use tokio::task::JoinHandle;

/// A part of the system that ended when it should not have, or not in order.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A pod broke.
    #[error("{name} ended")]
    Pod {
        /// Which.
        name: String,
        /// Why.
        source: fundbond_pod_service::RunError,
    },
    /// A hop broke.
    #[error("{name} ended")]
    Proxy {
        /// Which.
        name: String,
        /// Why.
        source: fundbond_gateway::RunError,
    },
    /// A part ended in order, but nobody had asked it to.
    #[error("{0} ended by itself")]
    Early(String),
    /// A defect.
    #[error("{name} panicked")]
    Panic {
        /// Which.
        name: String,
        /// Where.
        source: tokio::task::JoinError,
    },
}

/// A part, bound and not yet serving.
pub(super) struct Component {
    name: String,
    serve: Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, Result<(), Failure>> + Send>,
}

impl Component {
    /// A pod.
    pub(super) fn pod(pod: PodService) -> Self {
        let name = pod.display_id();
        let of = name.clone();
        let serve = |shutdown| {
            async move { pod.serve(shutdown).await.map_err(|source| Failure::Pod { name: of, source }) }
                .boxed()
        };
        Self { name, serve: Box::new(serve) }
    }

    /// A gateway or a cluster proxy.
    pub(super) fn proxy(name: String, bound: fundbond_gateway::Bound) -> Self {
        let of = name.clone();
        let serve = |shutdown| {
            async move { bound.serve(shutdown).await.map_err(|source| Failure::Proxy { name: of, source }) }
                .boxed()
        };
        Self { name, serve: Box::new(serve) }
    }
}

/// Parts that stop together.
#[derive(Default)]
pub(super) struct Layer {
    shutdown: Shutdown,
    waiting: Vec<Component>,
    serving: Vec<(String, JoinHandle<Result<(), Failure>>)>,
}

impl Layer {
    /// Takes in a part.
    pub(super) fn add(&mut self, component: Component) {
        self.waiting.push(component);
    }

    /// Lets every part serve.
    pub(super) fn spawn(mut self) -> Self {
        for Component { name, serve } in std::mem::take(&mut self.waiting) {
            self.serving.push((name, tokio::spawn(serve(self.shutdown.child()))));
        }
        self
    }

    /// Completes when a part ends; never for a layer without parts.
    pub(super) async fn failed(&mut self) -> Failure {
        if self.serving.is_empty() {
            return std::future::pending().await;
        }
        let (result, index, _) = select_all(self.serving.iter_mut().map(|(_, handle)| handle)).await;
        let (name, _) = self.serving.swap_remove(index);
        match ended(&name, result) {
            Ok(()) => Failure::Early(name),
            Err(failure) => failure,
        }
    }

    /// Asks every part to stop and waits for all of them.
    pub(super) async fn shutdown(self) -> Result<(), Failure> {
        self.shutdown.begin();
        let mut first = Ok(());
        for (name, handle) in self.serving {
            first = first.and(ended(&name, handle.await));
        }
        first
    }
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.serving.iter().map(|(name, _)| name)).finish()
    }
}

fn ended(name: &str, result: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    result.unwrap_or_else(|source| Err(Failure::Panic { name: name.to_owned(), source }))
}
