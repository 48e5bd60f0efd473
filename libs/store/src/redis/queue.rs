//! Accepted tasks on their way to a runner, as scripts.

use std::time::Duration;

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, PodId, TaskId};

use super::{
    RedisStore,
    reply::{self, cluster_id},
    scripts::Step,
    wire, word,
};
use crate::{
    Attempt, Backlog, Claimed, Claims, HandedOver, Held, Order, Ordered, Queue, Restored, Standing,
    StoreError, Submission, Submitted,
};

/// How a script is told of a submission; `accept` in the prelude names the places.
fn submitted(submission: &Submission) -> [String; 9] {
    [
        submission.task.to_string(),
        submission.connection.to_string(),
        submission.cluster.to_string(),
        submission.kind.clone(),
        data_encoding::HEXLOWER.encode(&submission.fingerprint),
        submission.accepted_at.to_string(),
        submission.pod.to_string(),
        submission.trace.to_string(),
        submission.body.to_string(),
    ]
}

fn runs(arguments: &mut Vec<String>, runs: &[(TaskId, Attempt)]) {
    for (task, attempt) in runs {
        arguments.push(task.to_string());
        arguments.push(attempt.0.to_string());
    }
}

fn claimed(mut item: reply::Parts) -> Result<Claimed, StoreError> {
    let task = reply::task_id(&item.text()?)?;
    let connection = wire::connection(&item.text()?)?;
    let cluster = cluster_id(&item.text()?)?;
    let kind = item.text()?;
    let mut fingerprint = [0; 32];
    let text = item.text()?;
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap_or_default();
    if bytes.len() != fingerprint.len() {
        return Err(StoreError::Contract(format!("fingerprint {text:?}")));
    }
    fingerprint.copy_from_slice(&bytes);
    let accepted_at = reply::parsed(&item.text()?)?;
    let pod = reply::pod_id(&item.text()?)?;
    let trace = reply::parsed(&item.text()?)?;
    let body = item.text()?.into();
    let submission =
        Submission { task, connection, cluster, pod, kind, fingerprint, accepted_at, trace, body };
    Ok(Claimed { submission, attempt: Attempt(item.number()?), deaths: item.number()? })
}

#[async_trait]
impl Queue for RedisStore {
    fn is_shared(&self) -> bool {
        true
    }

    async fn submit(&self, submission: &Submission, limit: usize) -> Result<Submitted, StoreError> {
        let mut arguments = submitted(submission).to_vec();
        arguments.push(limit.to_string());
        let mut answer = reply::parts(self.commands.step(Step::Submit, arguments).await?)?;
        let kind = answer.text()?;
        match kind.as_str() {
            "new" | "repeated" => {
                let connection = wire::connection(&answer.text()?)?;
                let stream_open = answer.text()? == "1";
                Ok(if kind == "new" {
                    Submitted::New { connection, stream_open }
                } else {
                    Submitted::Repeated { connection, stream_open }
                })
            }
            "full" => Ok(Submitted::Full),
            "request" => Ok(Submitted::OtherRequest),
            "cluster" => Ok(Submitted::OtherCluster(cluster_id(&answer.text()?)?)),
            other => Err(StoreError::Contract(format!("submit answered {other:?}"))),
        }
    }

    async fn claim(&self, pod: &PodId, cluster: &ClusterId, most: usize) -> Result<Claims, StoreError> {
        let arguments = [pod.to_string(), cluster.to_string(), most.to_string()];
        let mut answer = reply::parts(self.step(Step::Claim, arguments).await?)?;
        match answer.text()?.as_str() {
            "tasks" => {
                let mut items = answer.parts()?;
                let mut tasks = Vec::new();
                while let Some(item) = items.next() {
                    tasks.push(claimed(reply::parts(item)?)?);
                }
                Ok(Claims::Tasks(tasks))
            }
            "buried" => Ok(Claims::Buried),
            "nohealth" => Ok(Claims::NoHealth),
            other => Err(StoreError::Contract(format!("claim answered {other:?}"))),
        }
    }

    async fn hold(
        &self,
        pod: &PodId,
        cluster: &ClusterId,
        held: &[(TaskId, Attempt)],
    ) -> Result<Held, StoreError> {
        let mut arguments = vec![pod.to_string(), cluster.to_string()];
        runs(&mut arguments, held);
        let mut answer = reply::parts(self.commands.step(Step::Hold, arguments).await?)?;
        match answer.text()?.as_str() {
            "claims" => Ok(Held::Claims {
                lost: reply::task_ids(answer.parts()?)?,
                forgotten: reply::task_ids(answer.parts()?)?,
            }),
            "buried" => Ok(Held::Buried),
            "nohealth" => Ok(Held::NoHealth),
            other => Err(StoreError::Contract(format!("hold answered {other:?}"))),
        }
    }

    async fn give_back(&self, pod: &PodId, given: &[(TaskId, Attempt)]) -> Result<(), StoreError> {
        let mut arguments = vec![pod.to_string()];
        runs(&mut arguments, given);
        word(self.commands.step(Step::GiveBack, arguments).await?, &[("done", ())])
    }

    async fn restore(&self, submission: &Submission, standing: &Standing) -> Result<Restored, StoreError> {
        let mut arguments = submitted(submission).to_vec();
        match standing {
            Standing::Waiting => arguments.push("waiting".into()),
            Standing::Running(pod, attempt) => {
                arguments.extend(["running".into(), pod.to_string(), attempt.0.to_string()]);
            }
        }
        let words = [
            ("waiting", Restored::Waiting),
            ("claimed", Restored::Claimed),
            ("lost", Restored::Lost),
            ("ended", Restored::Ended),
        ];
        word(self.commands.step(Step::Restore, arguments).await?, &words)
    }

    async fn hand_over(&self, order: &Order, pod: &PodId) -> Result<Ordered<HandedOver>, StoreError> {
        let arguments = [order.cluster.to_string(), order.token.to_string(), pod.to_string()];
        let mut answer = reply::parts(self.step(Step::HandOver, arguments).await?)?;
        match answer.text()?.as_str() {
            "done" => Ok(Ordered::Done(HandedOver::Done { tasks: answer.number()?, left: answer.number()? })),
            "late" => Ok(Ordered::Late),
            "notburied" => Ok(Ordered::Done(HandedOver::NotBuried)),
            other => Err(StoreError::Contract(format!("hand over answered {other:?}"))),
        }
    }

    async fn backlog(&self, cluster: &ClusterId) -> Result<Backlog, StoreError> {
        let mut answer = reply::parts(self.step(Step::Backlog, [cluster.to_string()]).await?)?;
        let waiting = answer.number()?;
        let oldest = answer.text()?;
        let oldest =
            if oldest.is_empty() { None } else { Some(Duration::from_micros(reply::parsed(&oldest)?)) };
        Ok(Backlog { waiting, oldest, claimed: answer.number()? })
    }
}
