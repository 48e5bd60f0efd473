//! `<program> healthcheck`: the program asks the process of its own kind that runs beside it whether it is ready.
//!
//! An image that holds one static program has no shell and no curl, so the program is its own probe. It reads the
//! flags and variables that the serving process reads, and so finds the same admin port without being told.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use clap::{ArgMatches, Command, Parser, error::ErrorKind};

use crate::{config, exit};

/// What the subcommand is called.
pub const NAME: &str = "healthcheck";

/// Readiness is answered from memory: a process that takes longer than this is not well.
const PATIENCE: Duration = Duration::from_secs(2);

/// Exit code of a process that is not ready. Docker takes 0 and 1, and keeps 2 for itself.
const NOT_READY: u8 = 1;

/// More than every condition there is takes; an answer that does not end must not fill the memory.
const LONGEST_ANSWER: u64 = 16 * 1024;

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<T> {
    /// To serve.
    Serve(T),
    /// To ask the admin server at this address.
    Check(SocketAddr),
}

/// Why a process counts as not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Nobody answers, or not in time.
    #[error("no answer from {0}")]
    Silent(SocketAddr, #[source] io::Error),
    /// It says so itself.
    #[error("{address} answered {status:?}: {detail}")]
    Said {
        /// Who.
        address: SocketAddr,
        /// The first line of the answer.
        status: String,
        /// The conditions, each with its reason.
        detail: String,
    },
}

/// Like [`config::parse`], for a program that also knows `healthcheck`: that is done here and never returns, and
/// its exit code is 0 (ready) or 1 (not ready; why is said on stderr).
///
/// `T` must have the arguments `host` and `admin_port`, and `port` where that says the other one.
pub fn parse<T: Parser>(program: &str) -> T {
    match try_parse(std::env::args_os()) {
        Ok(Asked::Serve(config)) => config,
        Ok(Asked::Check(address)) => std::process::exit(match check(address) {
            Ok(()) => 0,
            Err(reason) => {
                exit::fail(program, &reason, NOT_READY);
                i32::from(NOT_READY)
            }
        }),
        Err(error) => config::end(&error),
    }
}

/// Reads a command line of a program that also knows `healthcheck`.
///
/// # Errors
/// What clap says of a wrong one, and of `--help`.
pub fn try_parse<T: Parser>(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Asked<T>, clap::Error> {
    let mut command = command::<T>();
    let matches = command.try_get_matches_from_mut(arguments)?;
    if matches.subcommand_name() != Some(NAME) {
        return T::from_arg_matches(&matches).map(Asked::Serve);
    }
    admin_address(&matches).map(Asked::Check).ok_or_else(|| {
        let text = "with port 0 nobody can know where the process listens: give it an --admin-port, and here the same";
        command.error(ErrorKind::ValueValidation, text)
    })
}

/// The command line of `T`, and the subcommand.
pub fn command<T: Parser>() -> Command {
    let about = "Ask the process that runs with the same flags and environment whether it is ready";
    T::command()
        .subcommand(Command::new(NAME).about(about))
        // What a service cannot run without, a question does not need.
        .subcommand_negates_reqs(true)
        .disable_help_subcommand(true)
}

/// Where a process with these flags has its admin port, as seen from its own machine.
fn admin_address(matches: &ArgMatches) -> Option<SocketAddr> {
    let host = match *matches.get_one::<IpAddr>("host")? {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    let asked = matches.get_one::<u16>("admin_port").copied();
    // Who serves nothing but probes and metrics has no other port.
    let service = matches.try_get_one::<u16>("port").ok().flatten().copied();
    let port = asked.or_else(|| service.map(|service| config::admin_port(service, None)))?;
    (port != 0).then(|| SocketAddr::new(host, port))
}

/// Asks the admin server at `address` whether its process is ready.
///
/// # Errors
/// [`NotReady`], with what the process said.
pub fn check(address: SocketAddr) -> Result<(), NotReady> {
    let answer = ask(address).map_err(|source| NotReady::Silent(address, source))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    let detail = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    Err(NotReady::Said { address, status: status.to_owned(), detail })
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the answer is whole when the connection ends, and never chunked.
    write!(socket, "GET /readyz?verbose HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::{Health, Shutdown, admin::Admin};

    #[derive(Debug, PartialEq, Eq, Parser)]
    struct Program {
        #[arg(long, default_value = "0.0.0.0")]
        host: IpAddr,
        #[arg(long, default_value_t = 9090)]
        port: u16,
        #[arg(long)]
        admin_port: Option<u16>,
        #[arg(long)]
        routes: String,
    }

    fn asked(arguments: &str) -> Result<Asked<Program>, String> {
        try_parse(arguments.split(' ')).map_err(|error| error.to_string())
    }

    fn check_at(arguments: &str, expected: &str) {
        assert_eq!(asked(arguments), Ok(Asked::Check(expected.parse().unwrap())), "{arguments}");
    }

    #[test]
    fn the_question_goes_where_a_process_with_the_same_flags_listens() {
        check_at("program healthcheck", "127.0.0.1:19090");
        check_at("program --port=8000 healthcheck", "127.0.0.1:18000");
        check_at("program --port=0 --admin-port=7 healthcheck", "127.0.0.1:7");
        check_at("program --host=:: healthcheck", "[::1]:19090");
        check_at("program --host=127.0.0.9 healthcheck", "127.0.0.9:19090");
    }

    #[test]
    fn a_program_without_another_port_is_asked_at_its_admin_port() {
        #[derive(Debug, Parser)]
        struct AdminAlone {
            #[arg(long, default_value = "0.0.0.0")]
            host: IpAddr,
            #[arg(long, default_value_t = 18_080)]
            admin_port: u16,
        }
        let Ok(Asked::Check(address)) = try_parse::<AdminAlone>(["program", "healthcheck"]) else {
            panic!("not asked")
        };
        assert_eq!(address.to_string(), "127.0.0.1:18080");
        let Ok(Asked::Serve(program)) = try_parse::<AdminAlone>(["program"]) else { panic!("not served") };
        assert_eq!((program.host.to_string().as_str(), program.admin_port), ("0.0.0.0", 18_080));
    }

    #[test]
    fn a_port_nobody_knows_is_an_error_that_names_the_fix() {
        let error = asked("program --port=0 healthcheck").unwrap_err();
        assert!(error.contains("--admin-port"), "{error}");
    }

    #[test]
    fn without_the_subcommand_a_service_is_asked_for_with_all_it_needs() {
        assert!(asked("program").unwrap_err().contains("--routes"));
        let Ok(Asked::Serve(program)) = asked("program --routes=r") else { panic!("not served") };
        assert_eq!((program.port, program.routes.as_str()), (9090, "r"));
        assert!(asked("program --help").unwrap_err().contains("healthcheck"));
    }

    #[tokio::test]
    async fn a_process_is_ready_once_it_says_so_and_silent_once_it_is_gone() {
        let health = Health::waiting_for(&["store"]);
        let any = "127.0.0.1:0".parse().unwrap();
        let admin =
            Admin::bind(any, health.clone(), Arc::new(Registry::default()), Router::new()).await.unwrap();
        let address = admin.address();
        let stop = Shutdown::new();
        let serving = tokio::spawn(admin.serve(stop.clone()));
        let ask = async || tokio::task::spawn_blocking(move || check(address)).await.unwrap();

        health.set("store", false, "no route to it");
        let error = ask().await.unwrap_err().to_string();
        assert!(error.contains("503 Service Unavailable") && error.contains("no route to it"), "{error}");
        health.started();
        health.set("store", true, "reachable");
        ask().await.unwrap();
        stop.begin();
        serving.await.unwrap().unwrap();
        assert!(matches!(ask().await, Err(NotReady::Silent(..))));
    }
}
