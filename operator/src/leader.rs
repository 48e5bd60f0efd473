//! Whether this operator leads.

use fundbond_lease::Leadership;
use tokio::sync::watch;

/// The word of the election, as it stands at any moment.
#[derive(Clone, Debug)]
pub(crate) struct Leader(watch::Receiver<Option<Leadership>>);

impl Leader {
    pub(crate) fn new(told: watch::Receiver<Option<Leadership>>) -> Self {
        Self(told)
    }

    /// Whether it leads now.
    pub(crate) fn leads(&self) -> bool {
        self.0.borrow().is_some_and(|leadership| leadership.holds())
    }

    /// Comes back once it leads.
    pub(crate) async fn begins(&mut self) {
        while !self.leads() {
            self.change().await;
        }
    }

    /// Comes back once it does not lead, or leads anew.
    pub(crate) async fn ends(&mut self) {
        let token = |leadership: Option<Leadership>| leadership.filter(Leadership::holds).map(|it| it.token);
        let held = token(*self.0.borrow_and_update());
        while held.is_some() && token(*self.0.borrow_and_update()) == held {
            self.change().await;
        }
    }

    /// The election speaks of every change. Once it is over, nothing changes any more.
    async fn change(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
