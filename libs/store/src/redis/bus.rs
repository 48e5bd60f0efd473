//! What happened, as scripts and messages.

use std::sync::PoisonError;

use async_trait::async_trait;
use fundbond_protocol::{PodId, keys};
use redis::Value;

use super::{
    RedisStore,
    link::Call,
    listener::{self, Listener},
    reply,
    scripts::Step,
    wire, word,
};
use crate::{Bus, Emit, Emitted, Foreign, StoreError, Subscription, Taken};

impl RedisStore {
    async fn log(&self, event: &Emit, is_final: bool) -> Result<Emitted, StoreError> {
        let mut arguments = vec![
            event.task.to_string(),
            event.event_id.to_string(),
            u8::from(is_final).to_string(),
            event.status.to_string(),
            wire::record(event, is_final),
            event.attempt.map(|attempt| attempt.0.to_string()).unwrap_or_default(),
        ];
        let mut answer = self.emitter.step(Call { step: Step::Emit, arguments: arguments.clone() }).await?;
        if matches!(&answer, Value::BulkString(text) if text == b"homeless") {
            arguments.push(event.connection.to_string());
            answer = self.emitter.step(Call { step: Step::EmitHomeless, arguments }).await?;
        }
        match reply::text(answer)?.as_str() {
            "logged" => Ok(Emitted::Logged),
            "duplicate" => Ok(Emitted::Duplicate),
            "final" => Ok(Emitted::AfterFinal),
            "superseded" => Ok(Emitted::Superseded),
            other => Err(StoreError::Contract(format!("emit answered {other:?}"))),
        }
    }
}

#[async_trait]
impl Bus for RedisStore {
    async fn subscribe(&self, pod: &PodId) -> Result<Subscription, StoreError> {
        let stream = listener::subscribe(&self.client, pod).await?;
        let (publisher, subscription) = Subscription::new();
        let (client, commands) = (self.client.clone(), self.commands.clone());
        let listener = Listener { client, commands, pod: pod.clone(), publisher };
        let task = tokio::spawn(listener.run(stream)).abort_handle();
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|_, listener| !listener.is_finished());
        if let Some(before) = listeners.insert(pod.clone(), task) {
            before.abort();
        }
        Ok(subscription)
    }

    async fn emit(&self, event: &Emit) -> Result<Emitted, StoreError> {
        self.log(event, event.is_final).await
    }

    async fn end(&self, event: &Emit) -> Result<Emitted, StoreError> {
        let emitted = self.log(event, true).await?;
        if emitted == Emitted::Logged {
            let mut pipeline = redis::pipe();
            pipeline.cmd("PUBLISH").arg(keys::CONTROL_CHANNEL).arg(wire::ended(&event.task)).ignore();
            self.commands.plain::<()>(&pipeline).await?;
        }
        Ok(emitted)
    }

    async fn foreign(&self, foreign: &Foreign) -> Result<Taken, StoreError> {
        let event = &foreign.event;
        let arguments = [
            event.connection.to_string(),
            foreign.generation.0.to_string(),
            event.task.to_string(),
            event.event_id.to_string(),
            u8::from(foreign.named).to_string(),
            u8::from(event.is_final).to_string(),
            event.status.to_string(),
            wire::record(event, event.is_final),
        ];
        let words = [
            ("logged", Taken::Logged),
            ("duplicate", Taken::Duplicate),
            ("final", Taken::AfterFinal),
            ("notheld", Taken::NotHeld),
        ];
        word(self.step(Step::Foreign, arguments).await?, &words)
    }
}
