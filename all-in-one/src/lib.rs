//! `fundbond`: the whole system in one process, for a first look and for tests of all of it together.
//!
//! Flow: [`Options`] -> [`System::start`] (store, pods, cluster proxies, gateway; each on its own sockets) ->
//! the gateway's `/readyz` -> [`demo`] through the gateway -> stays up -> a signal drains everything.
//!
//! It is the same code as the separate programs, wired over the same sockets: there is no shortcut past the
//! gateway, and nothing here that a cluster does not have. It keeps nothing: what was in memory is gone.

pub mod config;
pub mod demo;
pub mod system;

mod guide;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use fundbond_cli::{
    Exit,
    body::TaskBody,
    client::{Client, ClientError, ServerUrl},
    error as cli_error,
};
use fundbond_protocol::ClusterId;
use fundbond_service_runtime::{Shutdown, config::EXIT_BAD_CONFIG, cors::Origins, exit, telemetry};
use http::{Method, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};

pub use config::Options;
pub use system::{Ports, Running, System, SystemConfig};

use system::{Failure, StartError};

/// The name in messages.
const PROGRAM: &str = "fundbond";
/// Probes run each second and everything is on this machine; 30 s covers one that is busy building.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often readiness is asked for: nobody sees the difference to less.
const READY_POLL: Duration = Duration::from_millis(50);

/// Why the program ends early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Signals cannot be caught.
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    /// A part cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The gateway never became ready.
    #[error("the gateway is not ready after {} s: {state}", READY_WITHIN.as_secs())]
    NotReady {
        /// What it says.
        state: String,
    },
    /// A part broke while the system ran, or did not end in order.
    #[error(transparent)]
    Part(#[from] Failure),
    /// The portfolio cannot be read, or the demonstration did not work.
    #[error("the portfolio was not valued")]
    Demo {
        /// Why.
        source: Box<fundbond_cli::Error>,
        /// How `fundctl` reaches this system.
        program: String,
    },
    /// Standard output is gone.
    #[error("cannot write to standard output")]
    Write(#[from] io::Error),
}

/// Runs to the end and says what went wrong.
pub fn run(options: Options) -> ExitCode {
    if let Err(error) = telemetry::init(&options.logs()) {
        return exit::fail(PROGRAM, &error, EXIT_BAD_CONFIG);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::fail(PROGRAM, &error, 1),
    };
    match runtime.block_on(serve(options)) {
        Ok(exit) => exit.into(),
        Err(error) => report(&error),
    }
}

fn report(error: &Error) -> ExitCode {
    match error {
        Error::Demo { source, program } => cli_error::report(source, program),
        Error::Start(start) => match start.bind_error() {
            Some(bind) if bind.source.kind() == io::ErrorKind::AddrInUse => {
                let address = bind.address;
                say(&format!(
                    "{PROGRAM}: port {} of {} is in use; stop what listens there, move every port with \
                     --port-offset 100, or take any free ones with --ephemeral",
                    address.port(),
                    address.ip()
                ));
                ExitCode::FAILURE
            }
            _ => exit::fail(PROGRAM, start, 1),
        },
        other => exit::fail(PROGRAM, other, 1),
    }
}

async fn serve(options: Options) -> Result<Exit, Error> {
    // Before a socket opens: a portfolio that cannot be read needs no system.
    let body = if options.no_demo { None } else { Some(read_portfolio(&options)?) };
    let shutdown = Shutdown::on_signals().map_err(Error::Signals)?;
    let mut running = System::start(options.system()).await?;
    let shown = Shown::of(&running, options.cors_origins.clone());
    let result = tokio::select! {
        shown = show(&options, &shown, body, &shutdown) => shown,
        failure = running.failed() => Err(failure.into()),
    };
    if shutdown.has_begun() {
        say("Draining; a second Ctrl-C exits at once.");
    }
    // Also after an error: what runs is drained, and the first thing that went wrong is told.
    let drained = running.shutdown().await;
    let exit = result?;
    drained?;
    Ok(exit)
}

fn read_portfolio(options: &Options) -> Result<TaskBody, Error> {
    demo::body(options.portfolio.as_deref())
        .map_err(|source| Error::Demo { source: Box::new(source), program: "fundctl".to_owned() })
}

/// What of a running system is shown; apart from it, so that it can fail meanwhile.
struct Shown {
    gateway: ServerUrl,
    gateway_admin: ServerUrl,
    clusters: Vec<system::Cluster>,
    origins: Origins,
}

impl Shown {
    fn of(running: &Running, origins: Origins) -> Self {
        Self {
            gateway: ServerUrl::of_address(running.gateway().address),
            gateway_admin: ServerUrl::of_address(running.gateway().admin),
            clusters: running.clusters().to_vec(),
            origins,
        }
    }
}

/// Waits for the gateway, shows the demonstration and what can be done next, and stays until a signal.
async fn show(
    options: &Options,
    shown: &Shown,
    body: Option<TaskBody>,
    shutdown: &Shutdown,
) -> Result<Exit, Error> {
    tokio::select! {
        ready = ready(&shown.gateway_admin) => ready?,
        () = shutdown.begun() => return Ok(Exit::Interrupted),
    }
    say(&guide::started(shown));
    if let Some(body) = body {
        let cluster = shown.clusters.first().map(|cluster| cluster.id.clone());
        let exit = demonstrate(shown, cluster, &body, shutdown).await?;
        if options.once {
            return Ok(exit);
        }
    }
    if !shutdown.has_begun() {
        writeln!(io::stdout(), "{}", guide::next_steps(shown))?;
        shutdown.begun().await;
    }
    // Ctrl-C is how a system that stays up is ended: nothing went wrong.
    Ok(Exit::Ok)
}

async fn demonstrate(
    shown: &Shown,
    cluster: Option<ClusterId>,
    body: &TaskBody,
    shutdown: &Shutdown,
) -> Result<Exit, Error> {
    let client = Client::new(shown.gateway.clone(), cluster);
    demo::run(&client, body, async { shutdown.begun().await })
        .await
        .map_err(|source| Error::Demo { source: Box::new(source), program: guide::fundctl(shown) })
}

/// Completes once the gateway at `admin` has heard of every pod.
///
/// # Errors
/// [`Error::NotReady`] with what is missing.
pub async fn ready(admin: &ServerUrl) -> Result<(), Error> {
    let deadline = Instant::now() + READY_WITHIN;
    let client = Client::new(admin.clone(), None);
    let mut state = "it does not answer".to_owned();
    let poll = async {
        loop {
            match probe(&client).await {
                Ok(None) => return,
                Ok(Some(missing)) => state = missing,
                Err(error) => state = error.to_string(),
            }
            sleep(READY_POLL).await;
        }
    };
    match timeout_at(deadline, poll).await {
        Ok(()) => Ok(()),
        Err(_) => Err(Error::NotReady { state }),
    }
}

/// `None` where it is ready, else what it says.
async fn probe(client: &Client) -> Result<Option<String>, ClientError> {
    let answer = client.send(client.request(Method::GET, "/readyz?verbose")?).await?;
    let said = || String::from_utf8_lossy(&answer.body).trim().replace('\n', "; ");
    Ok((answer.status != StatusCode::OK).then(said))
}

fn say(message: &str) {
    // Without standard error there is nobody to tell, and the system serves all the same.
    let _ = writeln!(io::stderr(), "{message}");
}
