//! What was sent to people: in order, none of it missing or repeated but across a `RESET`.

use std::{collections::BTreeMap, time::Duration};

use fundbond_protocol::{ConnectionId, LastEventId, Status};

use super::{Rule, Violation, World};
use crate::{
    fact::{Fact, Farewell, Page, What},
    plan::Plan,
    post::{NOTE, NOTICE},
};

/// A stream that was open for so long when a notice was sent gets it.
const STEADY: Duration = Duration::from_secs(15);

/// After a Redis forgot, or may have, pods say again whom they hold: in ten seconds, and where they cannot reach it, when
/// they can.
const SAID_AGAIN: Duration = Duration::from_secs(30);

/// When each note and notice was sent first.
type FirstSent = BTreeMap<(Option<ConnectionId>, u32), Duration>;

/// What is asked of all that was sent.
pub(super) fn check(plan: &Plan, facts: &[Fact], world: &World, found: &mut Vec<Violation>) {
    let mut first: FirstSent = BTreeMap::new();
    let mut accepted: BTreeMap<u32, Duration> = BTreeMap::new();
    for fact in facts {
        match &fact.what {
            What::Sends { to, number } => {
                first.entry((to.clone(), *number)).or_insert(fact.at);
            }
            What::Sent { to, number, status: Some(status) } => match status {
                202 if to.is_none() => {
                    accepted.insert(*number, fact.at);
                }
                202 | 429 | 500.. => {}
                _ => found.push(Violation::new(Rule::Accepts, fact.at, fact.what.to_string())),
            },
            _ => {}
        }
    }
    for (page, facts) in super::by_page(facts) {
        let desk = plan.desks.iter().find(|desk| desk.connection == page.connection);
        let notes = desk.and_then(|desk| desk.notes).map_or(0, |notes| notes.count);
        let mut walk = Walk { page, world, first: &first, found, chapter: None, notice: None, seen: 0 };
        let mut last = Mail { asked: LastEventId::Start, farewell: None };
        for fact in &facts {
            walk.fact(fact, &mut last);
        }
        let sent_away = matches!(last.farewell, Some(Farewell::Replaced | Farewell::Closed));
        if walk.seen < notes && !sent_away {
            let text = format!("of {notes} notes, the end was never seen after {}", walk.seen);
            found.push(Violation::of_page(Rule::SentIsSeen, world.end, page, text));
        }
        found.extend(unseen_notices(page, &facts, &first, &accepted, world));
    }
}

/// What a page asked for, and how it left.
struct Mail {
    asked: LastEventId,
    farewell: Option<Farewell>,
}

struct Walk<'a> {
    page: &'a Page,
    world: &'a World,
    first: &'a FirstSent,
    found: &'a mut Vec<Violation>,
    /// What this history has had so far.
    chapter: Option<Chapter>,
    /// The notice that came last in this history.
    notice: Option<u32>,
    /// How many notes there were up to the last one that was seen.
    seen: u32,
}

/// One history, from a `RESET` or from its start.
#[derive(Clone, Copy)]
struct Chapter {
    /// When it was told.
    told: Duration,
    /// Whether it is all that was ever sent.
    whole: bool,
    /// The note that came last.
    last: Option<u32>,
}

impl Walk<'_> {
    fn fact(&mut self, fact: &Fact, mail: &mut Mail) {
        match &fact.what {
            What::Asks { last, .. } => mail.asked = LastEventId::parse(last),
            What::Gone { why, .. } => mail.farewell = Some(*why),
            What::Saw { frame, .. } => match (frame.name.as_deref(), frame.number) {
                (Some(NOTE), Some(number)) => self.note(fact.at, number),
                (Some(NOTICE), Some(number)) => self.notice(fact.at, number),
                (Some(name), _) if name == Status::RESET.as_str() => self.begin(fact.at, false),
                (Some(name), _) if name == Status::CONNECTED.as_str() && mail.asked == LastEventId::Start => {
                    // What a Redis forgot, or may have, a new page does not get.
                    let whole = !self.world.restarts.iter().any(|restart| *restart <= fact.at);
                    self.begin(fact.at, whole);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn begin(&mut self, told: Duration, whole: bool) {
        self.chapter = Some(Chapter { told, whole, last: None });
        self.notice = None;
    }

    fn note(&mut self, at: Duration, number: u32) {
        let blame = |rule, text: String| Violation::of_page(rule, at, self.page, text);
        let Some(chapter) = &mut self.chapter else {
            return self.found.push(blame(Rule::SentIsSeen, format!("note {number} comes before CONNECTED")));
        };
        // A request that a pod slept over is done when it wakes. A Redis that forgot meanwhile knows no more that it was
        // repeated, and done.
        let sent = self.first.get(&(Some(self.page.connection.clone()), number));
        if !chapter.whole && number + 1 < self.seen && sent.is_some_and(|sent| *sent < chapter.told) {
            return;
        }
        match chapter.last {
            Some(last) if number <= last => {
                self.found.push(blame(Rule::NothingTwice, format!("note {number} comes after note {last}")));
            }
            Some(last) if number > last + 1 => {
                self.found.push(blame(Rule::SentIsSeen, format!("note {number} comes after note {last}")));
            }
            Some(_) => {}
            None => {
                let owed = (0..number).find(|earlier| {
                    let to = Some(self.page.connection.clone());
                    chapter.whole || self.first.get(&(to, *earlier)).is_some_and(|sent| *sent > chapter.told)
                });
                if let Some(owed) = owed {
                    let text = format!("note {number} comes first, and note {owed} never came");
                    self.found.push(blame(Rule::SentIsSeen, text));
                }
            }
        }
        chapter.last = Some(number);
        self.seen = self.seen.max(number + 1);
    }

    fn notice(&mut self, at: Duration, number: u32) {
        if let Some(last) = self.notice.filter(|last| number <= *last) {
            let text = format!("notice {number} comes after notice {last}");
            self.found.push(Violation::of_page(Rule::NothingTwice, at, self.page, text));
        }
        self.notice = Some(number);
    }
}

/// Notices that a page never saw though its stream was open before, and what was sent to it later came without a break.
fn unseen_notices(
    page: &Page,
    facts: &[&Fact],
    first: &FirstSent,
    accepted: &BTreeMap<u32, Duration>,
    world: &World,
) -> Vec<Violation> {
    // From when a stream was open until a note came, and when that was sent.
    let mut spans: Vec<(Duration, Duration, Duration)> = Vec::new();
    let mut since: Option<Duration> = None;
    let mut seen = Vec::new();
    for fact in facts {
        match &fact.what {
            What::Saw { frame, .. } => match (frame.name.as_deref(), frame.number) {
                (Some(NOTICE), Some(number)) => seen.push(number),
                (Some(NOTE), Some(number)) => {
                    let sent = first.get(&(Some(page.connection.clone()), number));
                    spans.extend(since.zip(sent).map(|(since, sent)| (since, fact.at, *sent)));
                }
                (Some(name), _) if name == Status::RESET.as_str() || name == Status::CONNECTED.as_str() => {
                    since = Some(fact.at);
                }
                _ => {}
            },
            What::Ended { .. } => since = None,
            _ => {}
        }
    }
    let owed = accepted.iter().filter(|(number, accepted)| {
        let sent = first.get(&(None, **number)).copied().unwrap_or_default();
        let known =
            |until: Duration| !world.restarts.iter().any(|at| *at <= until && *at + SAID_AGAIN >= sent);
        // What was sent later has come: a slow reader may not have read further.
        let owes = |since, until, later| since + STEADY <= sent && **accepted < later && known(until);
        spans.iter().any(|(since, until, later)| owes(*since, *until, *later))
    });
    let missing = owed.filter(|(number, _)| !seen.contains(number));
    missing
        .map(|(number, at)| {
            Violation::of_page(Rule::SentIsSeen, *at, page, format!("notice {number} never came"))
        })
        .collect()
}
