//! Configuration helpers: parsing with one clear line on failure, and binding with an error that names the fix.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use jiff::SignedDuration;
use tokio::net::TcpListener;

/// Exit code of a process whose configuration is wrong (`EX_USAGE` of sysexits.h).
pub const EXIT_BAD_CONFIG: u8 = 64;

/// Parses flags and environment. `--help` and `--version` print and exit 0; anything wrong prints one
/// message and exits with [`EXIT_BAD_CONFIG`].
pub fn parse<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| end(&error))
}

/// Ends the process over a command line that starts nothing.
pub(crate) fn end(error: &clap::Error) -> ! {
    // Printing can fail only where nobody reads; the exit code says the rest.
    let _ = error.print();
    std::process::exit(if error.use_stderr() { i32::from(EXIT_BAD_CONFIG) } else { 0 });
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {what}; is the port in use, or the address not this machine's?")]
pub struct BindError {
    /// What should have listened there.
    pub what: &'static str,
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    pub source: std::io::Error,
}

/// Listens on `address` for `what`.
///
/// # Errors
/// [`BindError`], which names address and use.
pub async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { what, address, source })
}

/// The name of this machine; in a pod, the pod's.
///
/// # Errors
/// The system does not say it.
pub fn host_name() -> std::io::Result<String> {
    // The kernel's own file: no crate, no libc.
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned())
}

/// The admin port: the one asked for, else service port + 10000; 0 (any) for a service port of 0 and where
/// the sum is no port.
pub fn admin_port(service: u16, asked: Option<u16>) -> u16 {
    asked.unwrap_or_else(|| match service {
        0 => 0,
        port => port.checked_add(crate::admin::PORT_OFFSET).unwrap_or(0),
    })
}

/// Parses `250ms`, `10s`, `1h30m`, or ISO 8601 (`PT10S`): what FundClusters and route files take, too.
///
/// # Errors
/// A sentence that names the forms.
pub fn duration(text: &str) -> Result<Duration, String> {
    let signed = text.parse::<SignedDuration>().ok();
    signed
        .and_then(|signed| Duration::try_from(signed).ok())
        .ok_or_else(|| format!("{text:?} is not a duration; write 250ms, 10s, 30m or 1h30m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_port_is_ten_thousand_above() {
        assert_eq!(admin_port(9090, None), 19090);
        assert_eq!(admin_port(9090, Some(1)), 1);
        assert_eq!(admin_port(0, None), 0);
        assert_eq!(admin_port(60_000, None), 0);
    }

    #[test]
    fn a_duration_has_a_number_and_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)), "as the operator writes it");
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "10", "s", "-1s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
