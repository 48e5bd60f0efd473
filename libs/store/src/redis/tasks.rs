//! What became of each task, as scripts.

use std::sync::Arc;

use async_trait::async_trait;
use fundbond_protocol::{TaskId, keys};
use redis::Value;

use super::{
    RedisStore,
    reply::{self, cluster_id},
    scripts::Step,
    wire,
};
use crate::{StoreError, TaskPage, TaskQuery, TaskRecord, Tasks};

/// Tasks looked at for one page, as in the memory twin: a filter that matches nothing gives short pages
/// instead of holding up the server for a whole cluster's tasks.
const SCANNED_A_PAGE: usize = 1_000;

/// Rows in one command.
const ROWS_A_COMMAND: usize = 512;

#[async_trait]
impl Tasks for RedisStore {
    async fn task(&self, task: &TaskId) -> Result<Option<TaskRecord>, StoreError> {
        match self.step(Step::Task, [task.to_string()]).await? {
            Value::Nil => Ok(None),
            item => task_record(reply::parts(item)?).map(Some),
        }
    }

    async fn list(&self, query: &TaskQuery) -> Result<TaskPage, StoreError> {
        let arguments = [
            query.cluster.to_string(),
            query.cursor.map_or_else(|| "+inf".to_owned(), |cursor| cursor.to_string()),
            query.limit.max(1).to_string(),
            SCANNED_A_PAGE.to_string(),
            query.connection.as_ref().map(ToString::to_string).unwrap_or_default(),
            query.status.as_ref().map(ToString::to_string).unwrap_or_default(),
        ];
        let mut answer = reply::parts(self.step(Step::List, arguments).await?)?;
        let mut list = answer.parts()?;
        let mut items = Vec::new();
        while let Some(item) = list.next() {
            items.push(task_record(reply::parts(item)?)?);
        }
        let next = answer.text()?;
        let next = if next.is_empty() { None } else { Some(reply::parsed(&next)?) };
        Ok(TaskPage { items, next })
    }

    async fn put_rows(&self, task: &TaskId, rows: Vec<Arc<str>>) -> Result<(), StoreError> {
        let key = keys::task_rows(task);
        let mut pipeline = redis::pipe();
        // An empty first item, for an empty list is none.
        pipeline.atomic().cmd("DEL").arg(&key).ignore().cmd("RPUSH").arg(&key).arg("").ignore();
        for part in rows.chunks(ROWS_A_COMMAND) {
            let part: Vec<&str> = part.iter().map(AsRef::as_ref).collect();
            pipeline.cmd("RPUSH").arg(&key).arg(part).ignore();
        }
        pipeline.cmd("EXPIRE").arg(&key).arg(crate::RETENTION.as_secs()).ignore();
        self.commands.plain(&pipeline).await
    }

    async fn rows(
        &self,
        task: &TaskId,
        from: usize,
        limit: usize,
    ) -> Result<Option<(Vec<Arc<str>>, usize)>, StoreError> {
        let key = keys::task_rows(task);
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("LLEN").arg(&key);
        pipeline.cmd("LRANGE").arg(&key).arg(from.saturating_add(1)).arg(from.saturating_add(limit));
        let (count, rows): (usize, Vec<String>) = self.commands.plain(&pipeline).await?;
        let Some(count) = count.checked_sub(1) else { return Ok(None) };
        let rows = if limit == 0 { Vec::new() } else { rows.into_iter().map(Arc::from).collect() };
        Ok(Some((rows, count)))
    }
}

/// An item of `task` and `list`.
fn task_record(mut item: reply::Parts) -> Result<TaskRecord, StoreError> {
    let task = reply::task_id(&item.text()?)?;
    let connection = wire::connection(&item.text()?)?;
    let cluster = cluster_id(&item.text()?)?;
    let kind = item.text()?;
    let accepted_at = reply::parsed(&item.text()?)?;
    let record = item.text()?;
    let latest = if record.is_empty() { None } else { Some(wire::json(&record)?) };
    let is_final = item.text()? == "1";
    Ok(TaskRecord { task, connection, cluster, kind, accepted_at, latest, is_final })
}
