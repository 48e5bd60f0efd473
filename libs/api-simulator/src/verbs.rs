//! What the server does for each verb.

mod delete;
mod read;
mod rules;
mod write;

pub(crate) use delete::{FOREGROUND, ORPHAN, Propagation};
pub(crate) use read::number;

use crate::{
    call::{Call, Verb},
    failure::Failure,
    state::{Answer, State},
};

impl State {
    /// Does what is asked; a watch is none of this.
    pub(crate) fn execute(&mut self, call: &Call) -> Result<Answer, Failure> {
        match call.verb {
            Verb::Get => self.get(call),
            Verb::List | Verb::Watch => self.list(call),
            Verb::Create => self.create(call),
            Verb::Update => self.replace(call),
            Verb::Patch => self.patch(call),
            Verb::Delete => self.delete(call),
        }
    }
}
