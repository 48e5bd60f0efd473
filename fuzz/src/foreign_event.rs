//! What anybody may publish: no bytes make a pod panic, every refusal says why in few words, and what passes is an
//! event like any other, that fits a log and a frame, and reads the same when it is published again.

use fundbond_protocol::{ForeignEvent, TaskEvent, event::MAX_EVENT_BYTES, sse::Frame};
use jiff::Timestamp;

/// Makes the id of an event that has none.
const NONCE: &str = "0123456789abcdef";

/// Checks one input.
pub fn check(bytes: &[u8]) {
    match ForeignEvent::parse(bytes, NONCE, Timestamp::UNIX_EPOCH) {
        Ok(event) => an_event(&event),
        Err(why) => {
            let text = why.to_string();
            assert!(!text.is_empty() && text.len() < 300 && !why.reason().is_empty(), "{text}");
        }
    }
}

fn an_event(event: &ForeignEvent) {
    assert!(event.json.len() <= MAX_EVENT_BYTES);
    // Records are fields with tabs between, frames are lines.
    assert!(!event.json.contains(|c: char| c < ' '), "{}", event.json);
    let frame = Frame { id: Some("1.1"), event: Some(event.status.as_str()), data: Some(&event.json) };
    frame.write(&mut Vec::new()).expect("an event fits a frame");

    let read: TaskEvent = serde_json::from_str(&event.json).expect("an event like any other");
    assert_eq!((&read.event_id, &read.correlation_id), (&event.event_id, &event.task));
    assert_eq!((&read.status, read.final_event), (&event.status, event.is_final));
    assert_eq!(read.tasks, None);
    let made = format!("{}:foreign:{NONCE}", event.task);
    assert!(event.named || event.event_id.as_str() == made, "{:?}", event.event_id);

    let again = ForeignEvent::parse(event.json.as_bytes(), "another", Timestamp::MAX).expect("our own JSON");
    assert_eq!(again, ForeignEvent { named: true, ..event.clone() });
    assert_eq!(again.json, event.json);
}
