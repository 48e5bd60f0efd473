//! Who holds which stream, and which nodes live, as scripts.

use std::time::Duration;

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, ConnectionId, LastEventId, PodId, Position, keys};
use tokio::time::Instant;

use super::{RedisStore, clock::When, reply, scripts::Step, word};
use crate::{
    Asserted, Assertion, Closed, Finished, Generation, Holder, Node, Opened, ReadLimit, Reading, Reasserted,
    Register, Registered, Registry, StoreError,
};

/// Streams in one re-assertion script: a few milliseconds, in which the server does nothing else.
const ASSERTED_A_STEP: usize = 100;

/// How a script is told where a reader stands: how, epoch, offset.
fn standing(last: &LastEventId) -> [String; 3] {
    match last {
        LastEventId::Start => ["start".into(), String::new(), String::new()],
        LastEventId::At(position) => ["at".into(), position.epoch.to_string(), position.offset.to_string()],
        LastEventId::Replaced | LastEventId::Unknown => ["nowhere".into(), String::new(), String::new()],
    }
}

fn bounds(limit: ReadLimit) -> [String; 2] {
    // The first entry always passes, so nobody asks for none.
    [limit.entries.max(1).to_string(), limit.bytes.to_string()]
}

fn registration(request: &Register, asked: When) -> Vec<String> {
    let [how, epoch, offset] = standing(&request.last);
    let [entries, bytes] = bounds(request.limit);
    let mut arguments = vec![
        request.connection.to_string(),
        request.pod.to_string(),
        request.cluster.to_string(),
        how,
        epoch,
        offset,
        entries,
        bytes,
        asked.earliest.to_string(),
        asked.latest.to_string(),
    ];
    arguments.extend(request.tasks.iter().map(ToString::to_string));
    arguments
}

#[async_trait]
impl Registry for RedisStore {
    async fn lives(&self, pod: &PodId, cluster: &ClusterId, lasts: Duration) -> Result<Node, StoreError> {
        // The server refuses a key that lasts for no time at all.
        let millis = lasts.as_millis().max(1).to_string();
        let answer = self.step(Step::Heartbeat, [pod.to_string(), cluster.to_string(), millis]).await?;
        word(answer, &[("alive", Node::Alive), ("buried", Node::Buried)])
    }

    async fn leave(&self, pod: &PodId, cluster: &ClusterId) -> Result<(), StoreError> {
        loop {
            let left = self.step(Step::Leave, [pod.to_string(), cluster.to_string()]).await?;
            if reply::text(left)? == "0" {
                return Ok(());
            }
        }
    }

    async fn bury(&self, pod: &PodId) -> Result<bool, StoreError> {
        word(self.step(Step::Bury, [pod.to_string()]).await?, &[("buried", true), ("alive", false)])
    }

    async fn register(&self, request: &Register) -> Result<Registered, StoreError> {
        loop {
            let (asked, sent) = (self.commands.when(request.asked).await?, Instant::now());
            let mut answer =
                reply::parts(self.commands.step(Step::Register, registration(request, asked)).await?)?;
            return match answer.text()?.as_str() {
                "open" => Ok(Registered::Open(Opened {
                    generation: Generation(answer.number()?),
                    reading: reply::reading(answer.parts()?)?,
                    tasks: reply::attached(answer.parts()?)?,
                })),
                "done" => Ok(Registered::Done),
                // Only by a clock that shows another time now.
                "late" if self.commands.hear_time(answer.number()?, sent, Instant::now()).await? => continue,
                "late" => Ok(Registered::Late),
                "buried" => Ok(Registered::Buried),
                "nohealth" => Ok(Registered::NoHealth),
                other => Err(StoreError::Contract(format!("register answered {other:?}"))),
            };
        }
    }

    async fn catch_up(
        &self,
        connection: &ConnectionId,
        after: &Position,
        limit: ReadLimit,
    ) -> Result<Reading, StoreError> {
        let [entries, bytes] = bounds(limit);
        let (epoch, offset) = (after.epoch.to_string(), after.offset.to_string());
        let arguments = [connection.to_string(), epoch, offset, entries, bytes];
        reply::reading(reply::parts(self.step(Step::CatchUp, arguments).await?)?)
    }

    async fn finish(&self, holder: &Holder, position: &Position) -> Result<Finished, StoreError> {
        let (epoch, offset) = (position.epoch.to_string(), position.offset.to_string());
        let arguments = [holder.connection.to_string(), holder.generation.0.to_string(), epoch, offset];
        let words = [
            ("closed", Finished::Closed),
            ("replaced", Finished::Replaced),
            ("lost", Finished::Lost),
            ("more", Finished::More),
        ];
        word(self.step(Step::Finish, arguments).await?, &words)
    }

    async fn close(&self, holder: &Holder) -> Result<Closed, StoreError> {
        let arguments =
            [holder.connection.to_string(), holder.pod.to_string(), holder.generation.0.to_string()];
        word(
            self.step(Step::Close, arguments).await?,
            &[("deleted", Closed::Deleted), ("kept", Closed::Kept)],
        )
    }

    async fn reassert(
        &self,
        pod: &PodId,
        cluster: &ClusterId,
        streams: &[Assertion],
    ) -> Result<Reasserted, StoreError> {
        let mut all = Vec::with_capacity(streams.len());
        // Nothing held is asserted too: it says whether the pod is well.
        let batches =
            if streams.is_empty() { vec![streams] } else { streams.chunks(ASSERTED_A_STEP).collect() };
        for batch in batches {
            let mut arguments = vec![pod.to_string(), cluster.to_string()];
            for stream in batch {
                arguments.push(stream.connection.to_string());
                arguments.push(stream.generation.0.to_string());
                arguments.push(stream.position.epoch.to_string());
                arguments.push(stream.position.offset.to_string());
                arguments.push(u8::from(stream.gained).to_string());
                arguments.push(stream.tasks.len().to_string());
                arguments.extend(stream.tasks.iter().map(ToString::to_string));
            }
            let mut answer = reply::parts(self.commands.step(Step::Reassert, arguments).await?)?;
            match answer.text()?.as_str() {
                "streams" => {
                    let mut answers = answer.parts()?;
                    while let Some(one) = answers.next() {
                        all.push(asserted(reply::parts(one)?)?);
                    }
                }
                "buried" => return Ok(Reasserted::Buried),
                "nohealth" => return Ok(Reasserted::NoHealth),
                other => return Err(StoreError::Contract(format!("reassert answered {other:?}"))),
            }
        }
        Ok(Reasserted::Streams(all))
    }

    async fn held(&self, pod: &PodId, known: usize) -> Result<Vec<Holder>, StoreError> {
        let mut answer = reply::parts(self.step(Step::Held, [pod.to_string(), known.to_string()]).await?)?;
        let mut held = Vec::new();
        while !answer.is_empty() {
            let (name, generation) = (answer.lossy()?, Generation(answer.number()?));
            // What nobody can be called, nobody here has written.
            let Ok(connection) = ConnectionId::parse_kept(&name) else { continue };
            held.push(Holder { connection, pod: pod.clone(), generation });
        }
        Ok(held)
    }

    async fn holder(&self, connection: &ConnectionId) -> Result<Option<(PodId, ClusterId)>, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(keys::registration(connection));
        let (value,): (Option<String>,) = self.commands.plain(&pipeline).await?;
        let Some(value) = value else { return Ok(None) };
        holder(&value).map(Some)
    }
}

/// Reads a registration.
pub(super) fn holder(value: &str) -> Result<(PodId, ClusterId), StoreError> {
    let parse = || {
        let (pod, cluster) = value.split_once(':')?;
        Some((PodId::parse(pod).ok()?, ClusterId::parse(cluster).ok()?))
    };
    parse().ok_or_else(|| StoreError::Contract(format!("registration {value:?}")))
}

fn asserted(mut answer: reply::Parts) -> Result<Asserted, StoreError> {
    match answer.text()?.as_str() {
        "replaced" => Ok(Asserted::Replaced),
        "closed" => Ok(Asserted::Closed),
        "held" => {
            let epoch = reply::parsed(&answer.text()?)?;
            let end = answer.number()?;
            let mut open = reply::task_ids(answer.parts()?)?;
            open.sort_unstable();
            Ok(Asserted::Held { epoch, end, open })
        }
        other => Err(StoreError::Contract(format!("an assertion was answered {other:?}"))),
    }
}
