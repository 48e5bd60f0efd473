//! What all requests and all edits of one gateway share.

use std::{
    collections::HashSet,
    error::Error,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use fundbond_service_runtime::exit::chain;
use tokio::time::timeout;

use crate::{
    config::Config,
    decide::{Carried, RouteTable},
    limits::{Most, Total},
    live::Live,
    record::Ledger,
};

/// A swap waits this long for first probes: as long as one may take.
const MAKE_TIME: Duration = crate::probe::PROBE_TIMEOUT;

/// One gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) ledger: Arc<Ledger>,
    /// What all routes have under way together.
    pub(crate) total: Arc<Total>,
    last_error: Mutex<Option<String>>,
    reload_failures: AtomicU64,
}

impl Gateway {
    pub(crate) fn new(config: Config, live: Arc<ArcSwap<Live>>, ledger: Arc<Ledger>) -> Self {
        ledger.metrics.reloads.inc();
        let total = Total::new(Most { requests: config.max_requests, streams: config.max_streams });
        let (last_error, reload_failures) = (Mutex::default(), AtomicU64::new(0));
        Self { config, live, ledger, total, last_error, reload_failures }
    }

    fn error_slot(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the latest edit was refused, if it was.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.error_slot().clone()
    }

    /// How many edits were refused since the start.
    pub(crate) fn reload_failures(&self) -> u64 {
        self.reload_failures.load(Relaxed)
    }

    /// Swaps in `table`. Requests that began before go on with the table they began with.
    ///
    /// Make before break: where a route that is served now would have nothing but endpoints that nobody
    /// asked yet, the swap waits for their first probes.
    pub(crate) async fn apply(&self, table: RouteTable) {
        let previous = self.live.load_full();
        let live = Live::new(table, Some(&previous), &self.config);
        let news = live.news().clone();
        let mut heard = news.listen();
        let made = async { while live.not_made_yet(&previous).is_some() && heard.changed().await.is_ok() {} };
        if timeout(MAKE_TIME, made).await.is_err()
            && let Some(route) = live.not_made_yet(&previous)
        {
            tracing::warn!(route = %route.name, "applied although no endpoint of the route has answered yet");
        }
        tracing::info!(
            generation = live.table.generation(),
            routes = live.table.routes().len(),
            endpoints = live.endpoint_count(),
            "route table applied"
        );
        let live = Arc::new(live);
        self.live.store(live.clone());
        self.forget_removed(&previous, &live);
        self.ledger.metrics.reloads.inc();
        *self.error_slot() = None;
        // A table without the endpoint that readiness waited for is news, too.
        news.tell();
    }

    /// Takes the routes of `previous` that `live` has not out of the metrics.
    fn forget_removed(&self, previous: &Live, live: &Live) {
        let carried = Carried::between(&previous.table, &live.table);
        let names: HashSet<&str> = carried.new_ones().map(|at| &*live.table.routes()[at].name).collect();
        for at in carried.left() {
            let (route, state) = (&previous.table.routes()[at], &previous.states[at]);
            if !names.contains(&*route.name) {
                // First, so that what ends from now on brings no series back.
                state.retire();
                self.ledger.metrics.forget(&route.name);
            }
        }
    }

    /// Keeps the table there is, and says why.
    pub(crate) fn reload_failed(&self, error: &(dyn Error + 'static)) {
        let text = chain(error);
        let generation = self.live.load().table.generation();
        tracing::error!(error = text, generation, "route edit refused; the table before stays");
        self.ledger.metrics.reload_failures.inc();
        self.reload_failures.fetch_add(1, Relaxed);
        *self.error_slot() = Some(text);
    }
}
