//! Whether an endpoint takes requests: what probes and refused connections say. Pure.

/// An endpoint leaves after this many failed probes in a row: one lost probe is no outage, and two take no
/// longer than two intervals.
pub(crate) const FAILURES_TO_UNREADY: u32 = 2;

/// What is known of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    ready: bool,
    failures: u32,
    answered: bool,
    asked: bool,
}

impl Readiness {
    /// Whether requests go there. Nothing is sent before the first probe succeeded.
    pub(crate) fn is_ready(self) -> bool {
        self.ready
    }

    /// Whether it ever was ready.
    pub(crate) fn has_answered(self) -> bool {
        self.answered
    }

    /// Whether a probe ended, either way; before that nothing is known.
    pub(crate) fn was_asked(self) -> bool {
        self.asked
    }

    /// Failed probes in a row.
    pub(crate) fn failures(self) -> u32 {
        self.failures
    }

    /// A probe ended. One success is enough to come back: a service that says it is ready is believed.
    pub(crate) fn probed(&mut self, ok: bool) {
        if ok {
            *self = Self { ready: true, failures: 0, answered: true, asked: true };
        } else {
            self.asked = true;
            self.failures = self.failures.saturating_add(1);
            self.ready = self.ready && self.failures < FAILURES_TO_UNREADY;
        }
    }

    /// A connection was refused: nobody listens, which needs no second opinion until the next probe.
    pub(crate) fn refused(&mut self) {
        self.ready = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_failures_in_a_row_take_out_and_one_success_brings_back() {
        let mut state = Readiness::default();
        assert!(!state.is_ready());
        state.probed(true);
        state.probed(false);
        assert!(state.is_ready());
        state.probed(true);
        state.probed(false);
        assert!(state.is_ready());
        state.probed(false);
        assert!(!state.is_ready());
        state.probed(true);
        assert!(state.is_ready());
    }

    #[test]
    fn a_refused_connection_takes_out_at_once_and_stays_known() {
        let mut state = Readiness::default();
        state.probed(true);
        state.refused();
        assert!(!state.is_ready() && state.has_answered());
        state.probed(false);
        assert!(!state.is_ready());
        state.probed(true);
        assert!(state.is_ready());
    }

    proptest! {
        #[test]
        fn ready_means_a_success_and_fewer_than_two_failures_since(probes in prop::collection::vec(any::<bool>(), 0..40)) {
            let mut state = Readiness::default();
            for ok in &probes {
                state.probed(*ok);
            }
            let failures = probes.iter().rev().take_while(|ok| !**ok).count();
            prop_assert_eq!(state.is_ready(), probes.contains(&true) && failures < 2);
            prop_assert_eq!(state.has_answered(), probes.contains(&true));
        }
    }
}
