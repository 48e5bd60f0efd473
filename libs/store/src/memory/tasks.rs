//! What became of each task.

use std::sync::Arc;

use fundbond_protocol::{ConnectionId, Status, TaskId};

use super::{
    state::State,
    task::{Accepted, Task},
};
use crate::{TaskPage, TaskQuery, TaskRecord};

/// Tasks looked at for one page. A filter that matches nothing gives short pages instead of holding
/// the lock for a whole cluster's tasks.
const SCANNED_A_PAGE: usize = 1_000;

impl State {
    pub(super) fn record(&self, id: &TaskId) -> Option<TaskRecord> {
        let task = self.data.known_task(id, self.world.now)?;
        Some(record_of(id, task, task.accepted.as_ref()?))
    }

    pub(super) fn list(&self, query: &TaskQuery) -> TaskPage {
        let mut page = TaskPage { items: Vec::new(), next: None };
        let Some(index) = self.data.accepted.get(&query.cluster) else { return page };
        let before = query.cursor.unwrap_or(u64::MAX);
        let mut last = before;
        for (scanned, (sequence, id)) in index.range(..before).rev().enumerate() {
            if page.items.len() >= query.limit.max(1) || scanned >= SCANNED_A_PAGE {
                // There is more, and this is where it goes on.
                page.next = Some(last);
                break;
            }
            last = *sequence;
            let Some(task) = self.data.known_task(id, self.world.now) else { continue };
            if matches(task, query)
                && let Some(accepted) = &task.accepted
            {
                page.items.push(record_of(id, task, accepted));
            }
        }
        page
    }

    pub(super) fn put_rows(&mut self, id: &TaskId, rows: Vec<Arc<str>>) {
        self.data.task(id, self.world.now).rows = Some(rows);
    }

    pub(super) fn rows(&self, id: &TaskId, from: usize, limit: usize) -> Option<(Vec<Arc<str>>, usize)> {
        let rows = self.data.known_task(id, self.world.now)?.rows.as_ref()?;
        let page = rows.iter().skip(from).take(limit).cloned().collect();
        Some((page, rows.len()))
    }
}

/// Where a task belongs, or was to belong when it was accepted.
fn home_of<'a>(task: &'a Task, accepted: &'a Accepted) -> &'a ConnectionId {
    task.connection.as_ref().unwrap_or(&accepted.submission.connection)
}

fn matches(task: &Task, query: &TaskQuery) -> bool {
    let home = task.accepted.as_ref().map(|accepted| home_of(task, accepted));
    let status = task.latest.as_ref().map_or(&Status::ACCEPTED, |latest| &latest.status);
    query.connection.as_ref().is_none_or(|wanted| home == Some(wanted))
        && query.status.as_ref().is_none_or(|wanted| status == wanted)
}

fn record_of(id: &TaskId, task: &Task, accepted: &Accepted) -> TaskRecord {
    TaskRecord {
        task: id.clone(),
        connection: home_of(task, accepted).clone(),
        cluster: accepted.submission.cluster.clone(),
        kind: accepted.submission.kind.clone(),
        accepted_at: accepted.submission.accepted_at,
        latest: task.latest.as_ref().map(|latest| latest.json.clone()),
        is_final: task.ended,
    }
}
