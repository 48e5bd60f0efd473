//! What is said to people, as scripts and messages.

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, ConnectionId, PodId, Position, UserId, keys};

use super::{RedisStore, link::Call, registry, reply, scripts::Step, wire};
use crate::{Answer, Question, Sent, StoreError, UserEvent, UserRecord, UserSend, Users};

/// Members of a set in one command. One command with all of a pod's ten thousand would hold up the server.
const MEMBERS_A_COMMAND: usize = 1_000;

/// A holder as a script says it: empty for nobody.
fn holder(text: &str) -> Result<Option<(PodId, ClusterId)>, StoreError> {
    if text.is_empty() { Ok(None) } else { registry::holder(text).map(Some) }
}

impl RedisStore {
    async fn publish(&self, pod: &PodId, message: &str) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("PUBLISH").arg(keys::pod_channel(pod)).arg(message).ignore();
        self.commands.plain(&pipeline).await
    }

    /// Users whose streams `pod` holds.
    async fn held_by(&self, pod: &PodId) -> Result<Vec<UserId>, StoreError> {
        let key = keys::connections_of(pod);
        let mut users = Vec::new();
        let mut cursor = String::from("0");
        loop {
            let mut pipeline = redis::pipe();
            pipeline.cmd("SSCAN").arg(&key).arg(&cursor).arg("COUNT").arg(MEMBERS_A_COMMAND);
            let ((next, members),): ((String, Vec<String>),) = self.commands.plain(&pipeline).await?;
            // What is no name of a connection is nobody's stream.
            users.extend(members.iter().filter_map(|text| ConnectionId::parse_kept(text).ok()?.user()));
            if next == "0" {
                return Ok(users);
            }
            cursor = next;
        }
    }
}

#[async_trait]
impl Users for RedisStore {
    async fn send(&self, send: &UserSend) -> Result<Sent, StoreError> {
        let lines = send.lines.as_ref();
        let mut arguments = vec![
            ConnectionId::of_user(&send.user).to_string(),
            send.only_in.as_ref().map(ToString::to_string).unwrap_or_default(),
            lines.map(|lines| lines.request.to_string()).unwrap_or_default(),
            lines.map_or(0, |lines| lines.last).to_string(),
        ];
        for event in &send.events {
            let UserEvent { event_id, named, .. } = event;
            let record = wire::user_record(&send.user, event);
            arguments.extend([event_id.to_string(), u8::from(*named).to_string(), record]);
        }
        let answer = self.emitter.step(Call { step: Step::UserSend, arguments }).await?;
        let mut answer = reply::parts(answer)?;
        let logged = answer.number()?;
        let end = Position { epoch: reply::parsed(&answer.text()?)?, offset: answer.number()? };
        Ok(Sent { logged, end, holder: holder(&answer.text()?)? })
    }

    async fn close_user(&self, user: &UserId) -> Result<Option<(PodId, ClusterId)>, StoreError> {
        let answer = self.step(Step::UserClose, [ConnectionId::of_user(user).to_string()]).await?;
        holder(&reply::text(answer)?)
    }

    async fn user(&self, user: &UserId) -> Result<UserRecord, StoreError> {
        let answer = self.step(Step::User, [ConnectionId::of_user(user).to_string()]).await?;
        let mut answer = reply::parts(answer)?;
        let holder = holder(&answer.text()?)?;
        let epoch = answer.text()?;
        let offset = answer.number()?;
        let end =
            if epoch.is_empty() { None } else { Some(Position { epoch: reply::parsed(&epoch)?, offset }) };
        Ok(UserRecord { holder, end })
    }

    async fn connected(&self, cluster: &ClusterId) -> Result<Vec<UserId>, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("ZRANGE").arg(keys::node_index(cluster)).arg(0).arg(-1);
        let (pods,): (Vec<String>,) = self.commands.plain(&pipeline).await?;
        let mut users = Vec::new();
        for pod in &pods {
            users.extend(self.held_by(&reply::parsed(pod)?).await?);
        }
        // A scan may tell a member twice, and a stream that moves is held by two for a moment.
        users.sort_unstable();
        users.dedup();
        Ok(users)
    }

    async fn ask(&self, pod: &PodId, question: &Question) -> Result<(), StoreError> {
        self.publish(pod, &wire::question(question)).await
    }

    async fn answer(&self, pod: &PodId, answer: &Answer) -> Result<(), StoreError> {
        self.publish(pod, &wire::answer(answer)).await
    }
}
