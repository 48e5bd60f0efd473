//! Every order of events that a few faults allow, tried: two candidates, a store, and a network between them that
//! delays and loses.
//!
//! One unit of time is a second; the model has shorter times than the product, in the same order. Candidates act when
//! they like, so a pause of any length is among what happens, and so is an attempt that is done long after its sender
//! gave it up.

use std::time::Duration;

use stateright::{Checker, Model, Property};

use crate::{Action, Expected, Stored, Timing, Version, View, Written, decide};

const TIMING: Timing = Timing {
    expire: Duration::from_secs(3),
    lead: Duration::from_secs(2),
    retry: Duration::from_secs(1),
    attempt: Duration::from_secs(1),
};

/// Seconds that a play lasts, and faults in it: two million states, in some fifteen seconds. A second more makes three
/// times as many, and told two rules apart that this does not: `FUNDBOND_LEASE_SECONDS=6`, after a change.
const SECONDS: u64 = 5;
const FAULTS: u64 = 1;

/// Seconds within which somebody leads once the faults are over: what a lost lease takes, and an attempt each way.
const RECOVERY: u64 = 10;

/// An attempt on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Attempt {
    action: Action,
    sent: Duration,
    /// Whose it is: a candidate that started again has another name.
    me: String,
    /// The sender waits no more.
    given_up: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Play {
    now: u64,
    lease: Option<Stored>,
    last: u64,
    views: Vec<View>,
    /// At most one that is waited for, and one that was given up, each.
    attempts: Vec<Vec<Attempt>>,
    faults: u64,
    starts: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Event {
    /// A second passes for everybody.
    Tick,
    /// A candidate does what it should.
    Act(usize),
    /// The store does what was asked, and the answer arrives where it is waited for. A late answer is as if the
    /// candidate had slept.
    Do(usize, usize),
    /// The sender waits no longer; what was sent may still be done.
    GiveUp(usize),
    /// A candidate dies, and another starts in its place.
    Restart(usize),
    /// Somebody deletes the lease.
    Delete,
    /// A candidate stops in order, whether it leads or not.
    Retire(usize),
}

/// What is tried.
struct Election {
    seconds: u64,
    faults: u64,
}

impl Play {
    fn time(&self) -> Duration {
        Duration::from_secs(self.now)
    }

    fn leaders(&self) -> usize {
        self.views.iter().filter(|view| view.leads(self.time()).is_some()).count()
    }

    /// The one attempt that `candidate` waits for.
    fn waiting(&self, candidate: usize) -> Option<usize> {
        self.attempts[candidate].iter().position(|attempt| !attempt.given_up)
    }

    fn act(&mut self, candidate: usize) {
        let now = self.time();
        let action = decide(&self.views[candidate], now);
        if matches!(action, Action::Wait(_) | Action::Rest) {
            return;
        }
        let found = self.lease.clone();
        let view = &mut self.views[candidate];
        view.sent(action, now);
        if action == Action::Look {
            // Answered at once: a late answer is as if the candidate had looked and then slept.
            return view.looked(found, now);
        }
        let me = view.me().to_owned();
        self.attempts[candidate].push(Attempt { action, sent: now, me, given_up: false });
    }

    /// The store makes an attempt come true.
    fn make(&mut self, candidate: usize, index: usize) {
        let now = self.time();
        let Attempt { action, sent, me, given_up } = self.attempts[candidate].remove(index);
        let (holder, expected) = match action {
            Action::Claim(expected) => (Some(me), expected),
            Action::GiveBack(version) => (None, Expected::Version(version)),
            Action::Look | Action::Wait(_) | Action::Rest => unreachable!("no writing"),
        };
        let written = self.write(holder.clone(), expected);
        if given_up {
            return;
        }
        let view = &mut self.views[candidate];
        match holder {
            Some(_) => view.claimed(expected, written, sent, now),
            None => view.gave_back(written, now),
        }
    }

    fn write(&mut self, holder: Option<String>, expected: Expected) -> Written {
        let here = self.lease.as_ref().map_or(Expected::Absent, |stored| Expected::Version(stored.version));
        if here != expected {
            return Written::Conflict;
        }
        self.last += 1;
        self.lease = Some(Stored { holder, version: Version(self.last) });
        Written::Done(Version(self.last))
    }

    fn give_up(&mut self, candidate: usize) {
        let Some(index) = self.waiting(candidate) else { return };
        self.attempts[candidate][index].given_up = true;
    }

    /// From here on everything goes as it should; true if somebody leads in time.
    fn recovers(&self) -> bool {
        let mut play = self.clone();
        for _ in 0..RECOVERY {
            for candidate in 0..2 {
                if decide(&play.views[candidate], play.time()) == Action::Rest {
                    play.start(candidate);
                }
                // One after the other: what is on its way, then what follows from it.
                for _ in 0..4 {
                    while !play.attempts[candidate].is_empty() {
                        play.make(candidate, 0);
                    }
                    play.act(candidate);
                }
            }
            if play.leaders() == 1 {
                return true;
            }
            play.now += 1;
        }
        false
    }

    fn start(&mut self, candidate: usize) {
        self.starts += 1;
        self.views[candidate] = View::new(format!("{candidate}~{}", self.starts), TIMING);
        // What the dead one sent is still on its way.
        for attempt in &mut self.attempts[candidate] {
            attempt.given_up = true;
        }
    }
}

impl Model for Election {
    type State = Play;
    type Action = Event;

    fn init_states(&self) -> Vec<Play> {
        [Some(Stored { holder: None, version: Version(1) }), None]
            .map(|lease| Play {
                now: 0,
                lease,
                last: 1,
                views: (0..2).map(|name| View::new(format!("{name}~0"), TIMING)).collect(),
                attempts: vec![Vec::new(), Vec::new()],
                faults: self.faults,
                starts: 0,
            })
            .into()
    }

    fn actions(&self, play: &Play, events: &mut Vec<Event>) {
        if play.now < self.seconds {
            events.push(Event::Tick);
        }
        for candidate in 0..2 {
            let acts = !matches!(decide(&play.views[candidate], play.time()), Action::Wait(_) | Action::Rest);
            match play.waiting(candidate) {
                None if acts && play.attempts[candidate].len() < 2 => events.push(Event::Act(candidate)),
                Some(_) if play.faults > 0 => events.push(Event::GiveUp(candidate)),
                _ => {}
            }
            for index in 0..play.attempts[candidate].len() {
                events.push(Event::Do(candidate, index));
            }
            if play.faults > 0 {
                events.push(Event::Restart(candidate));
                if decide(&play.views[candidate], play.time()) != Action::Rest {
                    events.push(Event::Retire(candidate));
                }
            }
        }
        if play.faults > 0 && play.lease.is_some() {
            events.push(Event::Delete);
        }
    }

    fn next_state(&self, play: &Play, event: Event) -> Option<Play> {
        let mut play = play.clone();
        if matches!(event, Event::GiveUp(_) | Event::Restart(_) | Event::Delete | Event::Retire(_)) {
            play.faults -= 1;
        }
        match event {
            Event::Tick => play.now += 1,
            Event::Act(candidate) => play.act(candidate),
            Event::Do(candidate, index) => play.make(candidate, index),
            Event::GiveUp(candidate) => play.give_up(candidate),
            Event::Restart(candidate) => play.start(candidate),
            Event::Delete => play.lease = None,
            Event::Retire(candidate) => play.views[candidate].retire(),
        }
        Some(play)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never two leaders", |_, play: &Play| play.leaders() <= 1),
            Property::always("always a leader in the end", |_, play: &Play| play.recovers()),
            Property::sometimes("a leader is followed by another", |_, play: &Play| {
                play.leaders() == 1
                    && play.views.iter().all(|view| view.leads(play.time()).is_none() || view.me() != "0~0")
                    && play.last > 3
            }),
        ]
    }
}

fn setting(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")),
        Err(_) => usual,
    }
}

#[test]
fn two_candidates_never_lead_at_once_and_somebody_always_does_in_the_end() {
    let election = Election {
        seconds: setting("FUNDBOND_LEASE_SECONDS", SECONDS),
        faults: setting("FUNDBOND_LEASE_FAULTS", FAULTS),
    };
    let checker = election.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}
