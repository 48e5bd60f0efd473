//! `task start|watch|list|cancel`.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use fundbond_protocol::{
    ConnectionId, TaskId,
    api::{Accepted, MAX_PAGE, OpenStream, StreamState, TaskView},
};

use super::{Stop, client, say, stop};
use crate::{
    args::{Format, Global, ListArgs, StartArgs, Task, WatchArgs},
    body::{self, Extra},
    client::Client,
    error::{Error, Exit, flags},
    output,
    render::{Renderer, printable},
    stream::{Ended, EventStream, HttpTransport, Policy},
    watch::{self, End, Outcome, View},
};

/// Runs a task command.
pub(super) async fn run(global: Global, command: Task) -> Result<Exit, Error> {
    match command {
        Task::Start(args) => start(&global, args).await,
        Task::Watch(args) => {
            args.check().map_err(Error::Usage)?;
            watch(&global, args).await
        }
        Task::List(args) => list(&global, args).await,
        Task::Cancel { task } => cancel(&global, &task).await,
    }
}

async fn start(global: &Global, args: StartArgs) -> Result<Exit, Error> {
    let extra = Extra { task: args.id, connection: args.connection, kind: args.kind };
    let body = body::read(&args.file, extra)?;
    let client = client(global);
    let accepted =
        client.submit(&body.json).await.map_err(|source| Error::task("start", &body.task, source))?;
    if args.watch {
        let view = View::new(accepted.connection_id, [accepted.correlation_id]);
        return follow(&client, global, view, args.timeout).await;
    }
    let mut out = io::stdout().lock();
    match global.output {
        Format::Table => writeln!(out, "{}", accepted_row(&accepted))?,
        format => output::document(&mut out, format, &accepted)?,
    }
    say(&format!("follow it with: {} task watch {}", global.program(), accepted.connection_id));
    Ok(Exit::Ok)
}

fn accepted_row(accepted: &Accepted) -> String {
    let stream = match accepted.stream {
        StreamState::Open => "open",
        StreamState::Closed => "closed",
    };
    let row =
        [accepted.correlation_id.as_str(), accepted.connection_id.as_str(), accepted.status.as_str(), stream];
    output::table(&["TASK", "CONNECTION", "STATUS", "STREAM"], &[], [row.map(str::to_owned).to_vec()])
}

async fn watch(global: &Global, args: WatchArgs) -> Result<Exit, Error> {
    let client = client(global);
    match args.connection {
        Some(connection) => follow(&client, global, View::new(connection, args.tasks), args.timeout).await,
        None => poll(&client, global, args.tasks, args.timeout).await,
    }
}

/// Opens the view's connection and shows it to its end.
async fn follow(
    client: &Client,
    global: &Global,
    mut view: View,
    limit: Option<Duration>,
) -> Result<Exit, Error> {
    let connection = view.connection().clone();
    let open = OpenStream {
        connection_id: connection.clone(),
        task_ids: view.unfinished(),
        user_id: None,
        system: None,
        events: Vec::new(),
    };
    let mut stream = EventStream::new(HttpTransport::new(client.clone(), open), Policy::default(), "");
    let mut renderer = Renderer::standard(global.output);
    let mut stopped = None;
    let stop = async { stopped = Some(stop(limit).await) };
    let end = watch::follow(&mut stream, &mut view, &mut renderer, stop).await?;
    match end {
        End::Done => {}
        End::Stream(Ended::Finished) => watch::settle(client, &mut view, &mut renderer).await?,
        End::Stream(ended) => {
            renderer.finish(&view)?;
            return Err(Error::Ended { connection, ended, tasks: view.unfinished() });
        }
        End::Stopped => {
            renderer.finish(&view)?;
            return stopped_exit(stopped, &format!("{} task watch {connection}", global.program()));
        }
    }
    renderer.finish(&view)?;
    Ok(exit(view.outcome()))
}

/// Asks for the states of `tasks` until all are final.
async fn poll(
    client: &Client,
    global: &Global,
    tasks: Vec<TaskId>,
    limit: Option<Duration>,
) -> Result<Exit, Error> {
    let again = format!("{} task watch{}", global.program(), flags(&tasks));
    // The view wants a connection to name; the first task's is as good as any, and nothing is opened.
    let connection = tasks.first().map(ConnectionId::of_task).ok_or(Error::Usage(again.clone()))?;
    let mut view = View::new(connection, tasks);
    let mut renderer = Renderer::standard(global.output);
    let mut stopped = None;
    let stop = async { stopped = Some(stop(limit).await) };
    let end = watch::poll(client, &mut view, &mut renderer, Policy::default(), stop).await?;
    renderer.finish(&view)?;
    match end {
        End::Stopped => stopped_exit(stopped, &again),
        End::Done | End::Stream(_) => Ok(exit(view.outcome())),
    }
}

fn stopped_exit(stopped: Option<io::Result<Stop>>, again: &str) -> Result<Exit, Error> {
    let (exit, what) = match stopped {
        Some(Ok(Stop::Timeout)) => (Exit::Timeout, "the time is up"),
        Some(Err(source)) => return Err(Error::Setup("signal handler", source)),
        Some(Ok(Stop::Interrupted)) | None => (Exit::Interrupted, "interrupted"),
    };
    say(&format!("{what}; the tasks go on. Follow them again with: {again}"));
    Ok(exit)
}

fn exit(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Completed => Exit::Ok,
        Outcome::Incomplete => Exit::Degraded,
        Outcome::Unfinished | Outcome::Cancelled | Outcome::Failed => Exit::Error,
    }
}

async fn list(global: &Global, args: ListArgs) -> Result<Exit, Error> {
    let client = client(global);
    let wanted = args.limit as usize;
    let mut tasks: Vec<TaskView> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let limit = (wanted - tasks.len()).min(MAX_PAGE).to_string();
        let mut pairs = vec![("limit", limit.as_str())];
        pairs.extend(args.connection.as_ref().map(|id| ("connectionId", id.as_str())));
        pairs.extend(args.status.as_ref().map(|status| ("status", status.as_str())));
        pairs.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page =
            client.tasks(&pairs).await.map_err(|source| Error::Call { action: "list tasks", source })?;
        tasks.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || tasks.len() >= wanted {
            break;
        }
    }
    tasks.truncate(wanted);
    let mut out = io::stdout().lock();
    match global.output {
        Format::Table if tasks.is_empty() => say("no tasks"),
        Format::Table => writeln!(out, "{}", task_table(&tasks))?,
        Format::Ndjson => {
            for task in &tasks {
                output::document(&mut out, Format::Ndjson, task)?;
            }
        }
        format => output::document(&mut out, format, &tasks)?,
    }
    if cursor.is_some() {
        say(&format!("there are more; --limit {} shows twice as many", args.limit.saturating_mul(2)));
    }
    Ok(Exit::Ok)
}

fn task_table(tasks: &[TaskView]) -> String {
    let rows = tasks.iter().map(|task| {
        let progress = task.progress.map(|progress| format!("{}/{}", progress.done, progress.total));
        vec![
            task.correlation_id.to_string(),
            task.connection_id.to_string(),
            printable(&task.kind).into_owned(),
            task.status.to_string(),
            progress.unwrap_or_default(),
            task.updated_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            printable(&task.message).into_owned(),
        ]
    });
    output::table(&["TASK", "CONNECTION", "KIND", "STATUS", "DONE", "UPDATED", "MESSAGE"], &[4], rows)
}

async fn cancel(global: &Global, task: &TaskId) -> Result<Exit, Error> {
    let client = client(global);
    let failed = |source| Error::task("cancel", task, source);
    // Cancelling is idempotent on the server; only the state before tells whether it changes anything.
    let before = client.task(task).await.map_err(failed)?;
    let after =
        if before.final_event { before.clone() } else { client.cancel(task).await.map_err(failed)? };
    let mut out = io::stdout().lock();
    match global.output {
        Format::Table => writeln!(out, "{}", task_table(std::slice::from_ref(&after)))?,
        format => output::document(&mut out, format, &after)?,
    }
    if before.final_event {
        say(&format!("task {task} had already ended: {}", before.status));
        return Ok(Exit::Unchanged);
    }
    Ok(Exit::Ok)
}
