//! The fold, event by event.

use serde_json::json;

use super::*;

fn task(id: &str) -> TaskId {
    TaskId::parse(id).unwrap()
}

fn view(named: &[&str]) -> View {
    View::new(ConnectionId::parse("desk7").unwrap(), named.iter().map(|id| task(id)))
}

fn event(id: &str, step: &str, status: Status) -> TaskEvent {
    let event = TaskEvent::of_task(&task(id), step, status.clone(), "2026-11-21T10:00:00Z".parse().unwrap());
    let is_final = [Status::COMPLETED, Status::FAILED, Status::CANCELLED].contains(&status);
    if is_final { event.into_final() } else { event }
}

fn signal(sse_id: &str, event: &TaskEvent) -> Signal {
    Signal::Event(sse::Event { id: sse_id.into(), name: event.status.to_string(), data: event.to_json() })
}

/// Applies `event` and tells the changes by name.
fn told(view: &mut View, sse_id: &str, event: &TaskEvent) -> Vec<String> {
    let name = |change: Change| match change {
        Change::Step(event) => format!("{} {}", event.correlation_id, event.status),
        Change::Reset { tasks } => format!("reset {tasks}"),
        Change::Moved(task) => format!("moved {task}"),
        Change::Connected { position, .. } => format!("connected {position}"),
        other => format!("{other:?}"),
    };
    view.apply(&signal(sse_id, event)).into_iter().map(name).collect()
}

#[test]
fn a_view_is_done_when_every_named_task_has_its_final_event() {
    let mut view = view(&["t1", "t2"]);
    assert_eq!(told(&mut view, "k.0", &event("desk7", "CONNECTED", Status::CONNECTED)), ["connected k.0"]);
    assert_eq!(told(&mut view, "k.1", &event("t1", "1", Status::PROCESSING)), ["t1 PROCESSING"]);
    assert_eq!(told(&mut view, "k.2", &event("t1", "end", Status::COMPLETED)), ["t1 COMPLETED"]);
    assert_eq!((view.is_done(), view.outcome()), (false, Outcome::Unfinished));
    assert_eq!(view.unfinished(), [task("t2")]);
    told(&mut view, "k.3", &event("t2", "end", Status::COMPLETED));
    assert_eq!((view.is_done(), view.outcome()), (true, Outcome::Completed));
}

#[test]
fn a_heartbeat_and_a_closed_stream_change_nothing_in_the_view() {
    let mut view = view(&[]);
    assert!(told(&mut view, "", &event("desk7", "h", Status::HEARTBEAT)).is_empty());
    assert!(told(&mut view, "", &event("desk7", "c", Status::parse("CLOSED").unwrap())).is_empty());
    assert!(!view.is_done(), "with no task named only the stream's end is the end");
}

#[test]
fn a_reset_tells_what_is_new_and_no_final_twice() {
    let mut view = view(&["t1", "t2", "t3"]);
    told(&mut view, "k.1", &event("t1", "end", Status::COMPLETED));
    told(&mut view, "k.2", &event("t2", "1", Status::PROCESSING));
    let mut reset = event("desk7", "reset", Status::RESET);
    reset.tasks = Some(vec![
        event("t1", "end", Status::COMPLETED),
        event("t2", "1", Status::PROCESSING),
        event("t3", "end", Status::FAILED),
    ]);
    assert_eq!(told(&mut view, "m.9", &reset), ["reset 3", "t3 FAILED"]);
    assert!(told(&mut view, "m.10", &event("t1", "end", Status::COMPLETED)).is_empty());
    assert_eq!(view.unfinished(), [task("t2")]);
    assert_eq!(view.outcome(), Outcome::Failed);
}

#[test]
fn a_task_that_moved_away_is_over_here_until_it_comes_back() {
    let mut view = view(&["t1", "t2"]);
    told(&mut view, "k.1", &event("t1", "end", Status::COMPLETED));
    assert_eq!(told(&mut view, "k.2", &event("t2", "replaced", Status::REPLACED)), ["moved t2"]);
    assert_eq!((view.is_done(), view.outcome()), (true, Outcome::Unfinished));
    assert_eq!(told(&mut view, "m.1", &event("t2", "1", Status::PROCESSING)), ["t2 PROCESSING"]);
    assert!(!view.is_done());
}

#[test]
fn a_whole_stream_that_was_replaced_moves_no_task_of_its_name() {
    // A task without a connection has the connection's name.
    let mut view = view(&["desk7"]);
    assert!(told(&mut view, "x.4", &event("desk7", "replaced", Status::REPLACED)).is_empty());
    assert_eq!(view.apply(&Signal::Ended(Ended::Replaced)), [Change::Ended(Ended::Replaced)]);
    assert_eq!(view.unfinished(), [task("desk7")]);
}

#[test]
fn progress_is_kept_over_events_without_it() {
    let mut view = view(&["t1"]);
    told(&mut view, "k.1", &event("t1", "1", Status::SUBTASK_COMPLETED).with_progress(1, 4));
    told(&mut view, "k.2", &event("t1", "note", Status::parse("NOTE").unwrap()));
    assert_eq!(view.tasks()[0].progress, Some(Progress { done: 1, total: 4 }));
}

#[test]
fn the_outcome_is_the_worst_of_all() {
    for (statuses, want) in [
        (vec![Status::COMPLETED, Status::COMPLETED], Outcome::Completed),
        (vec![Status::COMPLETED, Status::CANCELLED], Outcome::Cancelled),
        (vec![Status::CANCELLED, Status::FAILED], Outcome::Failed),
        (vec![Status::COMPLETED, Status::PROCESSING], Outcome::Unfinished),
    ] {
        let mut view = view(&[]);
        for (index, status) in statuses.iter().enumerate() {
            told(&mut view, &format!("k.{}", index + 1), &event(&format!("t{index}"), "1", status.clone()));
        }
        assert_eq!(view.outcome(), want, "{statuses:?}");
    }
}

#[test]
fn an_event_that_is_none_of_ours_is_told_and_forgotten() {
    let mut view = view(&[]);
    let foreign =
        Signal::Event(sse::Event { id: "k.1".into(), name: "message".into(), data: "hello".into() });
    assert!(matches!(&view.apply(&foreign)[..], [Change::Unreadable { name, .. }] if name == "message"));
    assert!(view.tasks().is_empty());
}

#[test]
fn a_polled_state_is_told_once_however_often_it_is_asked_for() {
    let mut view = view(&["t1"]);
    let state = |status: Status, at: &str| {
        let event = event("t1", "1", status);
        let event = TaskEvent { timestamp: at.parse().unwrap(), result: Some(json!({"n": 1})), ..event };
        TaskView::new(
            task("t1"),
            ConnectionId::parse("desk7").unwrap(),
            "steps".to_owned(),
            Timestamp::UNIX_EPOCH,
            Some(event),
        )
    };
    assert!(view.apply_state(state(Status::ACCEPTED, "2026-11-21T10:00:00Z")).is_empty());
    assert_eq!(view.apply_state(state(Status::PROCESSING, "2026-11-21T10:00:01Z")).len(), 1);
    assert!(view.apply_state(state(Status::PROCESSING, "2026-11-21T10:00:01Z")).is_empty());
    assert_eq!(view.apply_state(state(Status::COMPLETED, "2026-11-21T10:00:02Z")).len(), 1);
    assert!(view.is_done());
}

#[test]
fn a_server_that_hangs_up_after_the_last_final_event_lost_nothing() {
    let mut view = view(&[]);
    let lost = |in_order| Signal::Lost {
        try_number: 1,
        tries: 10,
        after: std::time::Duration::from_secs(1),
        why: "the server ended the stream".to_owned(),
        in_order,
    };
    assert_eq!(view.apply(&lost(true)).len(), 1, "nothing came yet");
    told(&mut view, "k.1", &event("t1", "1", Status::PROCESSING));
    assert_eq!(view.apply(&lost(true)).len(), 1, "t1 still runs");
    told(&mut view, "k.2", &event("t1", "end", Status::COMPLETED));
    assert_eq!(view.apply(&lost(false)).len(), 1, "it broke");
    assert!(view.apply(&lost(true)).is_empty());
}
