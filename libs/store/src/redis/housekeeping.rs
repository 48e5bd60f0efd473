//! Housekeeping as scripts.

use std::time::Duration;

use async_trait::async_trait;
use fundbond_lease::Token;
use fundbond_protocol::{ClusterId, PodId};
use redis::Value;

use super::{RedisStore, reply, scripts::Step, word};
use crate::{
    Buried, Forgotten, Housekeeping, NodeSeen, Nodes, Order, Ordered, StoreError, Stray, StrayPage,
    StraySwept, Swept,
};

/// What every order begins with.
fn signed(order: &Order) -> Vec<String> {
    vec![order.cluster.to_string(), order.token.to_string()]
}

/// The first word of an answer, and the rest.
fn obeyed(answer: Value) -> Result<(String, reply::Parts), StoreError> {
    let mut answer = reply::parts(answer)?;
    Ok((answer.text()?, answer))
}

fn unexpected(step: Step, word: &str) -> StoreError {
    StoreError::Contract(format!("{} answered {word:?}", step.label()))
}

fn node(mut answer: reply::Parts) -> Result<NodeSeen, StoreError> {
    let pod = reply::pod_id(&answer.text()?)?;
    let age: i64 = answer.number()?;
    let health_age = u64::try_from(age).ok().map(Duration::from_millis);
    Ok(NodeSeen { pod, health_age, buried: answer.text()? == "1", streams: answer.number()? })
}

#[async_trait]
impl Housekeeping for RedisStore {
    async fn nodes(&self, cluster: &ClusterId) -> Result<Nodes, StoreError> {
        let mut answer = reply::parts(self.step(Step::Nodes, [cluster.to_string()]).await?)?;
        let life = answer.text()?;
        let stable = Duration::from_micros(answer.number()?);
        let note = Some(answer.text()?).filter(|note| !note.is_empty()).map(Into::into);
        let mut nodes = Vec::new();
        let mut list = answer.parts()?;
        while let Some(one) = list.next() {
            nodes.push(node(reply::parts(one)?)?);
        }
        Ok(Nodes { life, stable, note, nodes })
    }

    async fn bury_nodes(&self, order: &Order, pods: &[PodId]) -> Result<Ordered<Vec<Buried>>, StoreError> {
        let mut arguments = signed(order);
        arguments.extend(pods.iter().map(ToString::to_string));
        let (done, mut answer) = obeyed(self.commands.step(Step::BuryNodes, arguments).await?)?;
        if done == "late" {
            return Ok(Ordered::Late);
        }
        let mut list = answer.parts()?;
        let mut dead = Vec::with_capacity(pods.len());
        while !list.is_empty() {
            dead.push(if list.text()? == "1" { Buried::Dead } else { Buried::Alive });
        }
        Ok(Ordered::Done(dead))
    }

    async fn sweep(&self, order: &Order, pod: &PodId, limit: usize) -> Result<Ordered<Swept>, StoreError> {
        let mut arguments = signed(order);
        arguments.extend([pod.to_string(), limit.to_string()]);
        let (done, mut answer) = obeyed(self.commands.step(Step::Sweep, arguments).await?)?;
        match done.as_str() {
            "done" => Ok(Ordered::Done(Swept::Some { deleted: answer.number()?, left: answer.number()? })),
            "notburied" => Ok(Ordered::Done(Swept::NotBuried)),
            "late" => Ok(Ordered::Late),
            other => Err(unexpected(Step::Sweep, other)),
        }
    }

    async fn forget(&self, order: &Order, pod: &PodId) -> Result<Ordered<Forgotten>, StoreError> {
        let mut arguments = signed(order);
        arguments.push(pod.to_string());
        let words = [
            ("forgotten", Some(Forgotten::Done)),
            ("remains", Some(Forgotten::Remains)),
            ("notburied", Some(Forgotten::NotBuried)),
            ("late", None),
        ];
        let found = word(self.commands.step(Step::Forget, arguments).await?, &words)?;
        Ok(found.map_or(Ordered::Late, Ordered::Done))
    }

    async fn strays(&self, cursor: u64, limit: usize) -> Result<StrayPage, StoreError> {
        let arguments = [cursor.to_string(), limit.max(1).to_string()];
        let mut answer = reply::parts(self.step(Step::Strays, arguments).await?)?;
        let next = Some(answer.number()?).filter(|next| *next != 0);
        let mut list = answer.parts()?;
        let mut strays = Vec::new();
        while let Some(one) = list.next() {
            let mut one = reply::parts(one)?;
            let connection = one.lossy()?;
            strays.push(Stray { connection, owner: one.lossy()?, cluster: one.lossy()? });
        }
        Ok(StrayPage { strays, next })
    }

    async fn sweep_strays(&self, order: &Order, strays: &[Stray]) -> Result<Ordered<StraySwept>, StoreError> {
        let Some(first) = strays.first() else { return Ok(Ordered::Done(StraySwept::Deleted(0))) };
        let mut arguments = signed(order);
        arguments.extend([first.owner.clone(), first.cluster.clone()]);
        arguments.extend(strays.iter().map(|stray| stray.connection.clone()));
        let (done, mut answer) = obeyed(self.commands.step(Step::SweepStrays, arguments).await?)?;
        match done.as_str() {
            "done" => Ok(Ordered::Done(StraySwept::Deleted(answer.number()?))),
            "known" => Ok(Ordered::Done(StraySwept::Known)),
            "late" => Ok(Ordered::Late),
            other => Err(unexpected(Step::SweepStrays, other)),
        }
    }

    async fn note_sweep(&self, order: &Order, note: &str) -> Result<Ordered<()>, StoreError> {
        let mut arguments = signed(order);
        arguments.push(note.to_owned());
        let answer = self.commands.step(Step::NoteSweep, arguments).await?;
        word(answer, &[("done", true), ("late", false)])
            .map(|done| if done { Ordered::Done(()) } else { Ordered::Late })
    }

    async fn fence(&self, cluster: &ClusterId) -> Result<Option<Token>, StoreError> {
        let found = reply::text(self.step(Step::FenceRead, [cluster.to_string()]).await?)?;
        if found.is_empty() { Ok(None) } else { Ok(Some(Token(reply::parsed(&found)?))) }
    }

    async fn overrule(&self, order: &Order, greatest: Token) -> Result<bool, StoreError> {
        let mut arguments = signed(order);
        arguments.push(greatest.to_string());
        let answer = self.commands.step(Step::Overrule, arguments).await?;
        word(answer, &[("done", true), ("changed", false)])
    }
}
