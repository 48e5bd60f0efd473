//! What is said to people.

use std::collections::{HashSet, VecDeque};

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, ConnectionId, EventId, PodId, Position, UserId};

use super::{MemoryStore, connection::Unplaced, state::State};
use crate::{
    Answer, EntryKind, Holder, Message, Question, Sent, StoreError, UserEvent, UserRecord, UserSend, Users,
    users::NAMED_KEPT,
};

/// The newest ids that senders gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    in_order: VecDeque<EventId>,
    all: HashSet<EventId>,
}

impl Named {
    /// Whether `id` is new; it is remembered.
    fn insert(&mut self, id: &EventId) -> bool {
        if !self.all.insert(id.clone()) {
            return false;
        }
        self.in_order.push_back(id.clone());
        if self.in_order.len() > NAMED_KEPT
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.all.remove(&oldest);
        }
        true
    }
}

impl State {
    fn send(&mut self, send: &UserSend) -> Sent {
        let id = ConnectionId::of_user(&send.user);
        let holder = self.data.connection(&id, &mut self.world).holder.clone();
        let here =
            |(_, cluster): &(PodId, ClusterId)| send.only_in.as_ref().is_none_or(|only| only == cluster);
        let elsewhere = send.only_in.is_some() && !holder.as_ref().is_some_and(here);
        let mut logged = 0;
        if !elsewhere && !self.is_done(send) {
            for event in &send.events {
                let connection = self.data.connection(&id, &mut self.world);
                if event.named && !connection.named.insert(&event.event_id) {
                    continue;
                }
                self.append(&id, unplaced(&send.user, event));
                logged += 1;
            }
        }
        let connection = self.data.connection(&id, &mut self.world);
        let end = Position { epoch: connection.epoch.clone(), offset: connection.end };
        Sent { logged, end, holder }
    }

    /// Whether the lines are logged already; from now on they are.
    fn is_done(&mut self, send: &UserSend) -> bool {
        let Some(lines) = &send.lines else { return false };
        let done = self.data.lines(&lines.request, self.world.now);
        let is_done = lines.last <= done.last;
        done.last = done.last.max(lines.last);
        is_done
    }

    fn close_user(&mut self, user: &UserId) -> Option<(PodId, ClusterId)> {
        let id = ConnectionId::of_user(user);
        self.data.known_connection(&id, self.world.now)?;
        let connection = self.data.connection(&id, &mut self.world);
        connection.closed = true;
        let (holder, generation) = (connection.holder.clone()?, connection.generation);
        self.let_go(&Holder { connection: id.clone(), pod: holder.0.clone(), generation });
        let generation = self.data.connection(&id, &mut self.world).generation;
        self.wires.tell(&holder.0, Message::Closed { connection: id, generation });
        Some(holder)
    }

    fn user(&self, user: &UserId) -> UserRecord {
        let known = self.data.known_connection(&ConnectionId::of_user(user), self.world.now);
        let Some(connection) = known else { return UserRecord::default() };
        let end = (connection.run == self.world.run)
            .then(|| Position { epoch: connection.epoch.clone(), offset: connection.end });
        UserRecord { holder: connection.holder.clone(), end }
    }

    fn connected(&self, cluster: &ClusterId) -> Vec<UserId> {
        let held = self.data.held.values().flatten();
        let here = held.filter(|id| {
            let known = self.data.known_connection(id, self.world.now);
            known.and_then(|connection| connection.holder.as_ref()).is_some_and(|(_, of)| of == cluster)
        });
        let mut users: Vec<_> = here.filter_map(ConnectionId::user).collect();
        users.sort_unstable();
        users
    }
}

fn unplaced(user: &UserId, event: &UserEvent) -> Unplaced {
    Unplaced {
        task: ConnectionId::of_user(user).as_task_id(),
        event_id: event.event_id.clone(),
        status: event.name.clone(),
        kind: EntryKind::Note,
        json: event.json.clone(),
    }
}

#[async_trait]
impl Users for MemoryStore {
    async fn send(&self, send: &UserSend) -> Result<Sent, StoreError> {
        Ok(self.lock().send(send))
    }

    async fn close_user(&self, user: &UserId) -> Result<Option<(PodId, ClusterId)>, StoreError> {
        Ok(self.lock().close_user(user))
    }

    async fn user(&self, user: &UserId) -> Result<UserRecord, StoreError> {
        Ok(self.lock().user(user))
    }

    async fn connected(&self, cluster: &ClusterId) -> Result<Vec<UserId>, StoreError> {
        Ok(self.lock().connected(cluster))
    }

    async fn ask(&self, pod: &PodId, question: &Question) -> Result<(), StoreError> {
        self.lock().wires.tell(pod, Message::Asked(question.clone()));
        Ok(())
    }

    async fn answer(&self, pod: &PodId, answer: &Answer) -> Result<(), StoreError> {
        self.lock().wires.tell(pod, Message::Answered(answer.clone()));
        Ok(())
    }
}
