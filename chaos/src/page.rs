//! A page that reads a stream exactly as a browser's `EventSource` does: it comes back after the delay that it was
//! told, with the last id that it saw, and stays away where it is told so.

use std::{ops::ControlFlow, time::Duration};

use bytes::Bytes;
use fundbond_protocol::{
    LastEventId, Status, TaskEvent,
    api::{FUND_EVENTS_PATH, MAX_TASK_IDS},
    event::MAX_EVENT_BYTES,
    sse::{Event, Item, Parser},
    users::SSE_CONNECT_PATH,
};
use fundbond_service_runtime::exit::chain;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    desk::Office,
    error::ChaosError,
    fact::{Ending, Farewell, Frame, Page, Said, What},
    http::answered_by,
    plan::{Desk, Habit},
    post::{NOTE, NOTICE},
};

/// Before the server says otherwise. Browsers take a few seconds, too.
const RETRY: Duration = Duration::from_secs(3);

/// A stream that says nothing for this long has been forgotten by everybody: pods speak every 10 s, and a proxy gives up
/// a silent pod after 30 s.
const LONGEST_SILENCE: Duration = Duration::from_secs(50);

/// The largest event is a `RESET` with the latest event of each task.
const MAX_FRAME_BYTES: usize = (MAX_TASK_IDS + 1) * MAX_EVENT_BYTES;

/// What a page of this client opens, again and again.
pub fn url(desk: &Desk) -> String {
    if let Some(user) = desk.connection.user() {
        return format!("{SSE_CONNECT_PATH}/{user}");
    }
    let path = format!("{FUND_EVENTS_PATH}/{}", desk.connection);
    if desk.jobs.is_empty() || desk.habit == Habit::Watches {
        return path;
    }
    let tasks: Vec<_> = desk.jobs.iter().map(|job| job.task.as_str()).collect();
    format!("{path}?taskIds={}", tasks.join(","))
}

/// What a page does beside reading.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// How long after its client it comes.
    pub after: Duration,
    /// How it behaves.
    pub habit: Habit,
    /// The note after which it goes.
    pub last_note: Option<u32>,
}

/// Reads to the end of the stream, or of the run.
///
/// # Errors
/// Where a request cannot be made.
pub async fn read(office: Office, page: Page, url: String, script: Script) -> Result<(), ChaosError> {
    let Script { after, habit, last_note } = script;
    sleep(after).await;
    let (last, leaves) = (String::new(), None);
    let mut source = Source { office: &office, page: &page, last, retry: RETRY, habit, last_note, leaves };
    if let Habit::Leaves { after, .. } = habit {
        source.leaves = Some(Instant::now() + after);
    }
    let reading = async {
        loop {
            if let ControlFlow::Break(why) = source.visit(&url).await? {
                return Ok::<_, ChaosError>(why);
            }
        }
    };
    let why = match office.over.run_until_cancelled(reading).await {
        Some(told) => told?,
        None => Farewell::Over,
    };
    office.history.say(What::Gone { page, why });
    Ok(())
}

struct Source<'a> {
    office: &'a Office,
    page: &'a Page,
    last: String,
    retry: Duration,
    habit: Habit,
    last_note: Option<u32>,
    /// When the page is closed, once.
    leaves: Option<Instant>,
}

impl Source<'_> {
    fn say(&self, what: What) {
        self.office.history.say(what);
    }

    /// Opens the stream once, reads what comes, and waits for the next time.
    async fn visit(&mut self, url: &str) -> Result<ControlFlow<Farewell>, ChaosError> {
        let page = self.page.clone();
        self.say(What::Asks { page: page.clone(), last: self.last.clone() });
        match self.office.http.head(self.office.http.stream(url, &self.last)?).await {
            Err(why) => self.say(What::Unanswered { page, why }),
            Ok(response) => {
                let status = response.status().as_u16();
                let by = answered_by(&response);
                self.say(What::Opened { page: page.clone(), status, by });
                match status {
                    204 if LastEventId::parse(&self.last) == LastEventId::Replaced => {
                        return Ok(ControlFlow::Break(Farewell::Replaced));
                    }
                    204 => return Ok(ControlFlow::Break(Farewell::Finished)),
                    200 => {
                        let (how, farewell) = self.follow(response.into_body()).await;
                        let left = how == Ending::Left;
                        let quits = self.habit == Habit::Quits && !left;
                        self.say(What::Ended { page, how });
                        if let Some(farewell) = farewell {
                            return Ok(ControlFlow::Break(farewell));
                        }
                        if quits {
                            return Ok(ControlFlow::Break(Farewell::Left));
                        }
                        if left && let Habit::Leaves { away, .. } = self.habit {
                            sleep(away).await;
                            return Ok(ControlFlow::Continue(()));
                        }
                    }
                    // An `EventSource` would give up here. This one goes on, so that the run shows what else is wrong.
                    _ => {}
                }
            }
        }
        sleep(self.retry).await;
        Ok(ControlFlow::Continue(()))
    }

    async fn follow(&mut self, mut body: Incoming) -> (Ending, Option<Farewell>) {
        let mut parser = Parser::new(MAX_FRAME_BYTES);
        let mut read = 0_u32;
        loop {
            // A page that never leaves waits for something that is later than the longest silence.
            let leaves = self.leaves.unwrap_or_else(|| Instant::now() + 2 * LONGEST_SILENCE);
            let piece = tokio::select! {
                biased;
                () = sleep_until(leaves), if self.leaves.is_some() => {
                    self.leaves = None;
                    return (Ending::Left, None);
                }
                piece = timeout(LONGEST_SILENCE, body.frame()) => piece,
            };
            let bytes = match piece {
                Err(_) => return (Ending::Silent, None),
                Ok(None) => return (Ending::Closed, None),
                Ok(Some(Err(error))) => return (Ending::Broken(chain(&error)), None),
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            match self.take(&mut parser, &bytes) {
                Err(why) => return (Ending::Broken(why), None),
                Ok(Some(farewell)) => return (Ending::Left, Some(farewell)),
                Ok(None) => {}
            }
            read += 1;
            if let Habit::Slow { pause } = self.habit
                && read.is_multiple_of(8)
            {
                sleep_until(self.office.calm.min(Instant::now() + pause)).await;
            }
        }
    }

    /// Takes a piece of the stream. Line by line, so that a frame that only moves the position is noticed.
    fn take(&mut self, parser: &mut Parser, bytes: &Bytes) -> Result<Option<Farewell>, String> {
        let mut items = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let before = parser.last_event_id().to_owned();
            parser.feed(line, &mut items).map_err(|error| chain(&error))?;
            let moved = parser.last_event_id() != before && !parser.last_event_id().is_empty();
            if moved {
                parser.last_event_id().clone_into(&mut self.last);
            }
            let mut dispatched = false;
            for item in items.drain(..) {
                match item {
                    Item::Retry(millis) => self.retry = Duration::from_millis(millis),
                    Item::Event(event) => {
                        dispatched = true;
                        if let Some(farewell) = self.event(event)? {
                            return Ok(Some(farewell));
                        }
                    }
                }
            }
            if moved && !dispatched {
                let frame = Frame { id: self.last.clone(), ..Frame::default() };
                self.say(What::Saw { page: self.page.clone(), frame });
            }
        }
        Ok(None)
    }

    fn event(&self, event: Event) -> Result<Option<Farewell>, String> {
        if [NOTE, NOTICE].contains(&event.name.as_str()) {
            let number = event.data.parse().map_err(|_| format!("{} is no number of ours", event.data))?;
            let done = event.name == NOTE && self.last_note.is_some_and(|last| number >= last);
            let frame =
                Frame { name: Some(event.name), id: event.id, number: Some(number), ..Frame::default() };
            self.say(What::Saw { page: self.page.clone(), frame });
            return Ok(done.then_some(Farewell::Left));
        }
        let said: TaskEvent = serde_json::from_str(&event.data)
            .map_err(|error| format!("{} is no event of ours: {error}", event.name))?;
        let farewell = (event.name == Status::CLOSED.as_str()).then_some(Farewell::Closed);
        // Events about a user's stream are about the user.
        let user = self.page.connection.user();
        let stream = user.as_ref().map_or(self.page.connection.as_str(), |user| user.as_str());
        let about_stream = said.correlation_id.as_str() == stream;
        let frame = Frame {
            name: Some(event.name),
            id: event.id,
            snapshot: said.tasks.iter().flatten().map(what_is_said).collect(),
            said: (!about_stream).then(|| what_is_said(&said)),
            number: None,
        };
        self.say(What::Saw { page: self.page.clone(), frame });
        Ok(farewell)
    }
}

fn what_is_said(event: &TaskEvent) -> Said {
    Said {
        task: event.correlation_id.clone(),
        event: event.event_id.clone(),
        status: event.status.to_string(),
        last: event.final_event,
    }
}
