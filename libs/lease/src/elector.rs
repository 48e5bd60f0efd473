//! Does what [`decide`] says.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use crate::{Action, LeaseError, LeaseStore, Timing, Token, View, decide};

/// The word that this process leads, and until when it holds without being said again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// To check everything the leader changes against.
    pub token: Token,
    /// When the last claim was sent that succeeded: until then, nobody else has led since this leadership began.
    pub renewed: Instant,
    /// From here on somebody else may lead.
    pub until: Instant,
}

impl Leadership {
    /// Whether it holds now. To be asked before every step: the process may have been stopped since the last one.
    pub fn holds(&self) -> bool {
        Instant::now() < self.until
    }
}

/// One candidate.
pub struct Elector {
    store: Arc<dyn LeaseStore>,
    view: View,
    timing: Timing,
    /// The beginning of the view's time.
    origin: Instant,
    leadership: watch::Sender<Option<Leadership>>,
    /// What is wrong, as it was said.
    trouble: Option<String>,
}

impl std::fmt::Debug for Elector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elector").field("view", &self.view).finish_non_exhaustive()
    }
}

impl Elector {
    /// A candidate by the name of `me`, which must be another one after each start of the process, and where it says
    /// whether it leads.
    pub fn new(
        me: impl Into<String>,
        timing: Timing,
        store: Arc<dyn LeaseStore>,
    ) -> (Self, watch::Receiver<Option<Leadership>>) {
        let (leadership, told) = watch::channel(None);
        let view = View::new(me, timing);
        (Self { store, view, timing, origin: Instant::now(), leadership, trouble: None }, told)
    }

    /// Stands for election until `shutdown`, then gives back what it has, so that the next need not wait.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = self.stand() => {}
            () = shutdown => {}
        }
        self.view.retire();
        self.publish();
        // Long enough for one attempt; who cannot be reached will find out by the time.
        if timeout(self.timing.attempt, self.stand()).await.is_err() {
            tracing::warn!(holder = self.view.me(), "left without giving the lease back; it expires");
        }
    }

    /// Comes back only once the candidate has retired.
    async fn stand(&mut self) {
        loop {
            match decide(&self.view, self.now()) {
                Action::Rest => return,
                Action::Wait(until) => self.wait(self.origin + until).await,
                action => self.attempt(action).await,
            }
            self.publish();
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Waits, and not a moment longer than the leadership lasts.
    async fn wait(&self, until: Instant) {
        let lapses = self.leadership.borrow().map(|leadership| leadership.until);
        sleep_until(lapses.map_or(until, |lapses| until.min(lapses))).await;
    }

    /// Makes one attempt. Where it is dropped half way, the view knows that it was sent and nothing more.
    async fn attempt(&mut self, action: Action) {
        let sent = self.now();
        self.view.sent(action, sent);
        let answer = {
            let (store, me) = (self.store.clone(), self.view.me().to_owned());
            let asking = async move {
                match action {
                    Action::Look => store.read().await.map(Answer::Looked),
                    Action::Claim(expected) => {
                        store.write(Some(&me), expected).await.map(|w| Answer::Claimed(expected, w))
                    }
                    Action::GiveBack(version) => {
                        store.write(None, crate::Expected::Version(version)).await.map(Answer::GaveBack)
                    }
                    Action::Wait(_) | Action::Rest => unreachable!("no attempt"),
                }
            };
            self.in_time(asking).await
        };
        let now = self.now();
        match answer {
            Ok(answer) => {
                if self.trouble.take().is_some() {
                    tracing::info!(holder = self.view.me(), "attempts on the lease succeed again");
                }
                match answer {
                    Answer::Looked(found) => self.view.looked(found, now),
                    Answer::Claimed(expected, written) => self.view.claimed(expected, written, sent, now),
                    Answer::GaveBack(written) => self.view.gave_back(written, now),
                }
            }
            Err(error) => self.complain(&error),
        }
    }

    /// An attempt has its time; while it is under way, a leadership that lapses is said to be over.
    async fn in_time(
        &self,
        asking: impl Future<Output = Result<Answer, LeaseError>>,
    ) -> Result<Answer, LeaseError> {
        let lapses = self.leadership.borrow().map(|leadership| leadership.until);
        let lapsed = async {
            match lapses {
                Some(lapses) => sleep_until(lapses).await,
                None => std::future::pending().await,
            }
        };
        let mut attempt = std::pin::pin!(timeout(self.timing.attempt, asking));
        let answer = tokio::select! {
            biased;
            answer = &mut attempt => answer,
            () = lapsed => {
                self.publish();
                attempt.await
            }
        };
        answer
            .unwrap_or_else(|_| Err(LeaseError(format!("no answer within {:?}", self.timing.attempt).into())))
    }

    /// Tells the others in this process, if something changed.
    fn publish(&self) {
        let leads = self.view.leads(self.now());
        let word = leads.map(|(token, until)| {
            let until = self.origin + until;
            Leadership { token, renewed: until - self.timing.lead, until }
        });
        self.leadership.send_if_modified(|known| {
            let was = known.map(|leadership| leadership.token);
            let is = word.map(|leadership| leadership.token);
            match (was, is) {
                (before, Some(token)) if before != Some(token) => {
                    tracing::info!(holder = self.view.me(), token = token.0, "leads");
                }
                (Some(token), None) => {
                    tracing::info!(holder = self.view.me(), token = token.0, "leads no more");
                }
                _ => {}
            }
            std::mem::replace(known, word) != word
        });
    }

    fn complain(&mut self, error: &LeaseError) {
        let trouble = Some(error.with_causes());
        // Said once, and again where something else is wrong: what is missing next is another fix.
        if self.trouble != trouble {
            self.trouble = trouble;
            tracing::warn!(
                holder = self.view.me(),
                error = error as &dyn std::error::Error,
                "an attempt on the lease failed; trying again"
            );
        }
    }
}

/// What an attempt brought.
enum Answer {
    Looked(Option<crate::Stored>),
    Claimed(crate::Expected, crate::Written),
    GaveBack(crate::Written),
}

#[cfg(test)]
mod tests;
