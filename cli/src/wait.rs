//! Waiting for a FundCluster: what for, whether it is so, and whether it can still become so. Pure.
//!
//! Only what the operator says about the spec of now counts: right after an edit a status is still about the spec before.

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use fundbond_crds::fund_cluster::condition;

use crate::status::{Ready, Standing};

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// A condition is so.
    Condition {
        /// Which.
        about: String,
        /// `True`, `False` or `Unknown`.
        is: &'static str,
    },
    /// It is gone.
    Deleted,
}

/// A goal that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected condition=NAME, condition=NAME=False, condition=NAME=Unknown or deleted")]
pub struct NoGoal;

impl FromStr for Goal {
    type Err = NoGoal;

    fn from_str(text: &str) -> Result<Self, NoGoal> {
        // `kubectl wait` says `delete`.
        if matches!(text, "deleted" | "delete") {
            return Ok(Self::Deleted);
        }
        let (about, is) = match text.strip_prefix("condition=").ok_or(NoGoal)?.split_once('=') {
            None => (&text["condition=".len()..], "True"),
            Some((about, is)) => {
                let known =
                    ["True", "False", "Unknown"].into_iter().find(|known| known.eq_ignore_ascii_case(is));
                (about, known.ok_or(NoGoal)?)
            }
        };
        // `kubectl wait` takes names of conditions in any case; a name of ours is spelled as it is.
        let about = condition::ALL.into_iter().find(|name| name.eq_ignore_ascii_case(about)).unwrap_or(about);
        if about.is_empty() { Err(NoGoal) } else { Ok(Self::Condition { about: about.to_owned(), is }) }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition { about, is: "True" } => f.write_str(about),
            Self::Condition { about, is } => write!(f, "{about}={is}"),
            Self::Deleted => f.write_str("deleted"),
        }
    }
}

/// How it stands with a goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet.
    Wait,
    /// It is so.
    Done,
    /// There is no such FundCluster.
    Absent,
    /// It is not so, and nothing that is under way changes that.
    InVain,
}

/// Somebody who waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    goal: Goal,
    patient: bool,
    uid: Option<String>,
    /// Why it is not so, in one word and in a sentence.
    last: Option<(String, String)>,
}

impl Waiting {
    /// For `goal`; `patient`: even where it takes somebody's help.
    pub fn new(goal: Goal, patient: bool) -> Self {
        Self { goal, patient, uid: None, last: None }
    }

    /// What is waited for.
    pub fn goal(&self) -> &Goal {
        &self.goal
    }

    /// Why it is not so: `PodsStarting: 1 of 3 pods are ready`.
    pub fn why(&self) -> Option<String> {
        self.last.as_ref().map(|(reason, message)| told(reason, message))
    }

    /// Takes in how it stands now (none: it is not there), and has something to say where the reason is another one.
    pub fn see(&mut self, now: Option<&Standing>) -> (Verdict, Option<String>) {
        let Some(now) = now else { return (self.gone(), None) };
        let replaced = self.uid.as_ref().is_some_and(|uid| *uid != now.uid);
        if replaced && self.goal == Goal::Deleted {
            // What was waited for is gone; this one only has its name.
            return (Verdict::Done, None);
        }
        self.uid = Some(now.uid.clone());
        let verdict = self.judge(now);
        if verdict == Verdict::Done {
            return (verdict, None);
        }
        let (reason, message) = self.reason(now);
        let news = self.last.as_ref().is_none_or(|(last, _)| *last != reason);
        let say = news.then(|| told(&reason, &message));
        self.last = Some((reason, message));
        (verdict, say)
    }

    fn gone(&self) -> Verdict {
        match (&self.goal, &self.uid) {
            (Goal::Deleted, _) => Verdict::Done,
            (Goal::Condition { .. }, None) => Verdict::Absent,
            (Goal::Condition { .. }, Some(_)) => Verdict::InVain,
        }
    }

    /// Whether what was there has gone.
    pub fn was_there(&self) -> bool {
        self.uid.is_some()
    }

    fn judge(&self, now: &Standing) -> Verdict {
        let Goal::Condition { about, is } = &self.goal else { return Verdict::Wait };
        // A condition may say by itself which spec it is about; else the status does.
        let found = now.condition(about).filter(|condition| {
            condition.observed_generation.or(now.observed_generation).unwrap_or_default() >= now.generation
        });
        if found.is_some_and(|condition| condition.status == *is) {
            return Verdict::Done;
        }
        let serving =
            *is == "True" && [condition::READY, condition::ROUTES_PROGRAMMED].contains(&about.as_str());
        let stuck = now.is_observed() && (now.is(condition::STALLED) || now.is(condition::PAUSED));
        if serving && stuck && !self.patient { Verdict::InVain } else { Verdict::Wait }
    }

    /// Why it is not so, in the words of whoever says it.
    fn reason(&self, now: &Standing) -> (String, String) {
        match &self.goal {
            Goal::Condition { about, .. } if about != condition::READY && now.is_observed() => {
                match now.condition(about) {
                    Some(condition) => (condition.reason.clone(), condition.message.clone()),
                    None => ("NotSaid".to_owned(), format!("its status has no condition {about}")),
                }
            }
            Goal::Deleted if now.reason != "Deleting" => {
                ("NotDeleted".to_owned(), "nobody has asked for its deletion yet".to_owned())
            }
            // It says Ready of the spec before, or is ready where that is not what is waited for.
            _ if now.ready == Ready::True => ("Ready".to_owned(), now.message.clone()),
            _ => (now.reason.clone(), now.message.clone()),
        }
    }
}

fn told(reason: &str, message: &str) -> String {
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}
