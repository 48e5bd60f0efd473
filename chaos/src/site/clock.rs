//! Wall clocks that are wrong: a library that is loaded before all others answers what time it is.

use std::{ffi::OsString, path::PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::Process;
use crate::{error::ChaosError, plan::Clock};

/// Where distributions put libraries. Debian and Ubuntu have a folder for each architecture below.
const FOLDERS: [&str; 3] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];

/// The library for programs of many threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// A clock may differ so much from what it should say: its line was written a while before it is read.
const EXACT: SignedDuration = SignedDuration::from_mins(5);

/// Where the library is.
pub fn library() -> Result<PathBuf, ChaosError> {
    let below = |folder: &&str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let folders = FOLDERS.iter().map(PathBuf::from).chain(FOLDERS.iter().flat_map(below));
    folders.map(|folder| folder.join(LIBRARY)).find(|path| path.exists()).ok_or(ChaosError::NoFaketime)
}

/// Makes the clock of a process wrong from its next start on.
pub fn set(process: &mut Process, clock: Clock) -> Result<(), ChaosError> {
    process.give("LD_PRELOAD", OsString::from(library()?));
    process.give("FAKETIME", format!("{:+}h", clock.hours));
    // What counts how long something took must stay right, as it does where somebody sets a clock.
    process.give("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Ok(())
}

/// Whether the clock of a process is as wrong as it should be, by what it wrote on its first line.
pub fn verify(process: &Process, hours: i8) -> Result<(), ChaosError> {
    let served = process.read_log()?.served;
    let ahead = served.map(|served| served.duration_since(Timestamp::now()));
    let wanted = SignedDuration::from_hours(hours.into());
    if ahead.is_some_and(|ahead| (ahead - wanted).abs() < EXACT) {
        return Ok(());
    }
    Err(ChaosError::Clock { name: process.name().to_owned(), hours, ahead })
}
