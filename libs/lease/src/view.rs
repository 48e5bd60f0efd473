//! What a candidate knows, and what follows from it.
//!
//! Times are measured on one monotonic clock, from any beginning.

use std::time::Duration;

use crate::{Expected, Stored, Timing, Token, Version, Written};

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Nothing until then.
    Wait(Duration),
    /// See what stands there.
    Look,
    /// Write one's own name, to lead or to go on leading.
    Claim(Expected),
    /// Write nobody's name.
    GiveBack(Version),
    /// Nothing ever again: the candidate has retired.
    Rest,
}

/// What a candidate knows of the lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    me: String,
    timing: Timing,
    /// What stood there when it was last known, and since when by this clock.
    seen: Option<Seen>,
    held: Option<Held>,
    /// When the last attempt was sent.
    sent: Option<Duration>,
    /// Claims of a lease that is not there, sent and never answered: each may be done at any time yet.
    creations: u32,
    /// The lease bears this candidate's name by a claim of which nobody knows when it was done: perhaps long after it
    /// was sent, on a lease that was deleted under somebody else. A claim over a version that was seen cannot be such a
    /// one: whenever it was done, nobody else had written since.
    found: bool,
    retiring: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seen {
    stored: Option<Stored>,
    /// When it was first seen like this.
    since: Duration,
    /// Whether an attempt was sent since and not answered, so that nobody knows what stands there.
    doubtful: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Held {
    token: Token,
    /// When the last successful claim was sent.
    sent: Duration,
    /// From when on it may lead: at once, unless there may be a leader who does not know yet that it lost the lease.
    from: Duration,
}

impl View {
    /// A candidate that knows nothing yet. `me` must be another name after each start of the process.
    pub fn new(me: impl Into<String>, timing: Timing) -> Self {
        Self {
            me: me.into(),
            timing,
            seen: None,
            held: None,
            sent: None,
            creations: 0,
            found: false,
            retiring: false,
        }
    }

    /// Its name.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// The token with which the candidate leads at `now`, and until when it does so without another renewal.
    pub fn leads(&self, now: Duration) -> Option<(Token, Duration)> {
        let held = self.holds(now).filter(|held| held.from <= now && !self.retiring)?;
        Some((held.token, held.sent + self.timing.lead))
    }

    /// What the candidate holds at `now`, though it may not lead yet.
    fn holds(&self, now: Duration) -> Option<Held> {
        self.held.filter(|held| now < held.sent + self.timing.lead)
    }

    /// The candidate wants no more to do with the lease.
    pub fn retire(&mut self) {
        self.retiring = true;
    }

    /// An attempt was sent. Until it is answered, anything may stand there.
    pub fn sent(&mut self, attempt: Action, now: Duration) {
        self.sent = Some(now);
        if attempt == Action::Claim(Expected::Absent) {
            self.creations += 1;
        }
        if let Some(seen) = &mut self.seen {
            seen.doubtful = true;
        }
    }

    /// [`Action::Look`] was answered.
    pub fn looked(&mut self, found: Option<Stored>, now: Duration) {
        let since = match &self.seen {
            Some(seen) if seen.stored == found => seen.since,
            _ => now,
        };
        let mine = found.as_ref().is_some_and(|stored| stored.holder.as_deref() == Some(&*self.me));
        // Somebody else's name means that this leadership is over, whatever the time; no name at all may be a lease that
        // somebody deleted, and whoever leads is the one to write it again.
        if found.as_ref().is_some_and(|_| !mine) {
            self.held = None;
        }
        let known = self.seen.as_ref().is_some_and(|seen| seen.stored == found);
        let news = self.creations > 0 && !known;
        self.found = mine && self.holds(now).is_none() && (self.found || news);
        self.seen = Some(Seen { stored: found, since, doubtful: false });
    }

    /// [`Action::Claim`], sent at `sent`, was answered.
    pub fn claimed(&mut self, expected: Expected, written: Written, sent: Duration, now: Duration) {
        if expected == Expected::Absent {
            self.creations = self.creations.saturating_sub(1);
        }
        let Written::Done(version) = written else { return };
        let token = Token(version.0);
        // Whoever else led renewed for the last time before the lease was deleted, and so before it was written anew.
        let later = now + self.timing.lead;
        // A candidate that may not lead yet need not wait less for having been asleep.
        let before = self.held.map_or(now, |held| held.from);
        self.held = Some(match (expected, self.holds(now)) {
            (Expected::Version(_), Some(held)) => Held { sent, ..held },
            // A leadership that lapsed is over: others in this process were told that nobody leads.
            (Expected::Version(_), None) => {
                Held { token, sent, from: if self.found { later } else { before.max(now) } }
            }
            (Expected::Absent, Some(held)) if held.from <= now => Held { token, sent, ..held },
            (Expected::Absent, _) => Held { token, sent, from: later },
        });
        self.found = false;
        self.note(Some(self.me.clone()), version, now);
    }

    /// [`Action::GiveBack`] was answered.
    pub fn gave_back(&mut self, written: Written, now: Duration) {
        self.held = None;
        if let Written::Done(version) = written {
            self.note(None, version, now);
        }
    }

    fn note(&mut self, holder: Option<String>, version: Version, now: Duration) {
        let stored = Some(Stored { holder, version });
        self.seen = Some(Seen { stored, since: now, doubtful: false });
    }
}

/// What a candidate that knows `view` should do at `now`.
pub fn decide(view: &View, now: Duration) -> Action {
    let timing = &view.timing;
    let again = view.sent.map_or(now, |sent| sent + timing.retry);
    let look = if again <= now { Action::Look } else { Action::Wait(again) };
    let Some(seen) = &view.seen else {
        return if view.retiring { Action::Rest } else { look };
    };
    if seen.doubtful {
        return look;
    }
    let mine = |stored: &Stored| stored.holder.as_deref() == Some(&*view.me);
    if view.retiring {
        // A lease that was given back is free at once. While somebody may still lead who does not know yet that it was
        // deleted, it is left to expire, which takes longer than any leadership.
        let free = !view.found && view.held.is_some_and(|held| held.from <= now);
        return match &seen.stored {
            Some(stored) if free && mine(stored) => Action::GiveBack(stored.version),
            _ => Action::Rest,
        };
    }
    // A claim is made only of what was seen, so that of two who saw the same one succeeds.
    let claim =
        Action::Claim(seen.stored.as_ref().map_or(Expected::Absent, |s| Expected::Version(s.version)));
    match (&seen.stored, view.holds(now)) {
        // What is held bears this name, for another name ends it. It is renewed in time.
        (Some(_), Some(_)) if again <= now => claim,
        (Some(_), Some(held)) => Action::Wait(if held.from > now { again.min(held.from) } else { again }),
        // The answer to a claim was lost, or this candidate was asleep for long.
        (Some(stored), None) if mine(stored) => claim,
        // Given back; or deleted, or never there: then it is written at once, and who led has time to notice before the
        // writer leads.
        (Some(Stored { holder: None, .. }) | None, _) => claim,
        // Somebody else's. Nobody leads once it was the same for long enough.
        _ if seen.since + timing.expire <= now => claim,
        _ if again <= now => Action::Look,
        _ => Action::Wait(again.min(seen.since + timing.expire)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing::USUAL;
    const CREATE: Action = Action::Claim(Expected::Absent);
    /// Of what [`leader`] holds.
    const RENEW: Action = Action::Claim(Expected::Version(Version(5)));

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn stored(holder: Option<&str>, version: u64) -> Stored {
        Stored { holder: holder.map(Into::into), version: Version(version) }
    }

    /// A candidate that saw `found` at 0 s.
    fn saw(found: impl Into<Option<Stored>>) -> View {
        let mut view = View::new("me", TIMING);
        view.sent(Action::Look, at(0));
        view.looked(found.into(), at(0));
        view
    }

    /// A leader whose claim was sent at 0 s and answered at 1 s.
    fn leader() -> View {
        let mut view = saw(stored(None, 4));
        view.claimed(Expected::Version(Version(4)), Written::Done(Version(5)), at(0), at(1));
        view
    }

    #[test]
    fn a_lease_that_was_given_back_is_claimed_at_once() {
        assert_eq!(decide(&View::new("me", TIMING), at(0)), Action::Look);
        assert_eq!(decide(&saw(stored(None, 4)), at(0)), Action::Claim(Expected::Version(Version(4))));
    }

    #[test]
    fn a_lease_of_somebody_else_is_claimed_once_it_did_not_change_for_long_enough() {
        let mut view = saw(stored(Some("other"), 4));
        assert_eq!(decide(&view, at(1)), Action::Wait(at(2)));
        assert_eq!(decide(&view, at(2)), Action::Look);
        assert_eq!(decide(&view, at(14)), Action::Look);
        assert_eq!(decide(&view, at(15)), Action::Claim(Expected::Version(Version(4))));
        view.looked(Some(stored(Some("other"), 5)), at(14));
        assert_eq!(decide(&view, at(15)), Action::Look, "it was renewed");
        view.looked(Some(stored(Some("other"), 5)), at(20));
        assert_eq!(decide(&view, at(29)), Action::Claim(Expected::Version(Version(5))));
    }

    #[test]
    fn whoever_writes_a_lease_that_is_not_there_leads_only_once_nobody_else_can() {
        let mut view = saw(None);
        assert_eq!(decide(&view, at(0)), Action::Claim(Expected::Absent));
        view.sent(CREATE, at(0));
        view.claimed(Expected::Absent, Written::Done(Version(7)), at(0), at(1));
        assert_eq!(view.leads(at(1)), None, "it may have been deleted under somebody a moment ago");
        assert_eq!(
            decide(&view, at(2)),
            Action::Claim(Expected::Version(Version(7))),
            "it is renewed meanwhile"
        );
        let late = Duration::from_millis(9_500);
        view.sent(Action::Claim(Expected::Version(Version(7))), late);
        view.claimed(Expected::Version(Version(7)), Written::Done(Version(8)), late, late);
        assert_eq!(view.leads(at(10)), None);
        assert_eq!(decide(&view, at(10)), Action::Wait(at(11)), "it wakes up to lead, before it renews");
        assert_eq!(view.leads(at(11)), Some((Token(7), late + TIMING.lead)));
        assert_eq!(decide(&view, at(11)), Action::Wait(late + TIMING.retry), "it leads; now it renews");
    }

    #[test]
    fn a_lease_that_is_deleted_again_before_its_writer_leads_makes_it_wait_again() {
        let mut view = saw(None);
        view.claimed(Expected::Absent, Written::Done(Version(7)), at(0), at(1));
        view.looked(None, at(3));
        view.claimed(Expected::Absent, Written::Done(Version(8)), at(3), at(3));
        view.claimed(Expected::Version(Version(8)), Written::Done(Version(9)), at(9), at(9));
        assert_eq!(view.leads(at(12)), None, "somebody may have led between the two");
        assert_eq!(view.leads(at(13)), Some((Token(8), at(19))));
    }

    #[test]
    fn who_finds_its_own_name_by_a_claim_it_knows_nothing_of_leads_only_once_nobody_else_can() {
        let mut view = saw(None);
        view.sent(CREATE, at(0));
        view.looked(Some(stored(Some("me"), 7)), at(2));
        assert_eq!(decide(&view, at(2)), Action::Claim(Expected::Version(Version(7))));
        view.claimed(Expected::Version(Version(7)), Written::Done(Version(8)), at(2), at(2));
        assert_eq!(view.leads(at(2)), None);
        view.claimed(Expected::Version(Version(8)), Written::Done(Version(9)), at(8), at(8));
        assert_eq!(view.leads(at(12)), Some((Token(8), at(18))));
    }

    // An API server that stood still does afterwards what it was asked before: here a renewal, when the leadership is over.
    #[test]
    fn who_finds_a_renewal_of_its_own_that_was_done_late_leads_at_once() {
        let mut view = leader();
        view.sent(RENEW, at(2));
        assert_eq!(view.leads(at(10)), None);
        view.sent(Action::Look, at(40));
        view.looked(Some(stored(Some("me"), 6)), at(40));
        assert_eq!(decide(&view, at(40)), Action::Claim(Expected::Version(Version(6))));
        view.claimed(Expected::Version(Version(6)), Written::Done(Version(7)), at(40), at(41));
        assert_eq!(view.leads(at(41)), Some((Token(7), at(50))), "nobody else has written since it led");
    }

    #[test]
    fn a_leader_leads_from_the_moment_its_claim_was_sent() {
        let mut view = leader();
        assert_eq!(view.leads(at(9)), Some((Token(5), at(10))));
        assert_eq!(view.leads(at(10)), None);
        view.sent(RENEW, at(2));
        view.claimed(Expected::Version(Version(5)), Written::Done(Version(6)), at(2), at(3));
        assert_eq!(view.leads(at(11)), Some((Token(5), at(12))), "a renewal keeps the token");
        assert_eq!(decide(&view, at(3)), Action::Wait(at(4)));
        assert_eq!(decide(&view, at(4)), Action::Claim(Expected::Version(Version(6))));
    }

    #[test]
    fn a_leadership_that_lapsed_goes_on_under_a_new_token() {
        let mut view = leader();
        assert_eq!(decide(&view, at(11)), Action::Claim(Expected::Version(Version(5))));
        view.claimed(Expected::Version(Version(5)), Written::Done(Version(9)), at(11), at(11));
        assert_eq!(view.leads(at(12)), Some((Token(9), at(21))));
    }

    #[test]
    fn a_leader_whose_lease_was_deleted_writes_it_again_under_a_new_token() {
        let mut view = leader();
        view.looked(None, at(2));
        assert_eq!(decide(&view, at(2)), Action::Claim(Expected::Absent));
        view.claimed(Expected::Absent, Written::Done(Version(8)), at(2), at(2));
        assert_eq!(view.leads(at(3)), Some((Token(8), at(12))));
    }

    #[test]
    fn a_leader_that_sees_another_name_stops() {
        let mut view = leader();
        view.looked(Some(stored(Some("other"), 6)), at(2));
        assert_eq!(view.leads(at(2)), None);
    }

    #[test]
    fn after_an_attempt_without_an_answer_a_candidate_looks_before_it_claims() {
        let mut view = leader();
        view.sent(RENEW, at(4));
        assert_eq!(decide(&view, at(5)), Action::Wait(at(6)));
        assert_eq!(decide(&view, at(6)), Action::Look);
        assert!(view.leads(at(9)).is_some(), "its time is not over");
        view.looked(Some(stored(Some("me"), 6)), at(6));
        assert_eq!(decide(&view, at(6)), Action::Claim(Expected::Version(Version(6))), "it was done");
    }

    #[test]
    fn who_retires_leads_no_more_and_gives_back_what_is_its_own() {
        let mut view = leader();
        view.retire();
        assert_eq!(view.leads(at(2)), None);
        assert_eq!(decide(&view, at(2)), Action::GiveBack(Version(5)));
        view.gave_back(Written::Done(Version(6)), at(2));
        assert_eq!(decide(&view, at(2)), Action::Rest);

        // One that slept for longer than it leads: nobody wrote since.
        let mut late = leader();
        late.retire();
        assert_eq!(decide(&late, at(30)), Action::GiveBack(Version(5)));

        let mut other = saw(stored(Some("other"), 4));
        other.retire();
        assert_eq!(decide(&other, at(1)), Action::Rest);
    }
    // A former leader leads on, where it was away when its lease was deleted; whoever found the lease free would lead, too.
    #[test]
    fn who_retires_before_it_may_lead_leaves_the_lease_to_expire() {
        let mut view = saw(None);
        view.claimed(Expected::Absent, Written::Done(Version(7)), at(0), at(1));
        view.retire();
        assert_eq!(decide(&view, at(10)), Action::Rest);
        assert_eq!(decide(&view, at(11)), Action::GiveBack(Version(7)), "nobody else can lead any more");

        let mut view = saw(None);
        view.sent(CREATE, at(0));
        view.looked(Some(stored(Some("me"), 7)), at(2));
        view.retire();
        assert_eq!(decide(&view, at(2)), Action::Rest, "nobody knows when it was written");

        // The same for a leader that slept, and then found its name by a claim it knows nothing of.
        let mut view = leader();
        view.sent(CREATE, at(11));
        view.looked(Some(stored(Some("me"), 9)), at(12));
        view.retire();
        assert_eq!(decide(&view, at(12)), Action::Rest);
    }
}
