//! `completion`: what makes a shell offer what could come next.

use std::io::{self, Write};

use crate::{
    args::manifest::CompletionArgs,
    completion,
    error::{Error, Exit},
};

/// Writes the script for a shell.
pub(super) fn run(args: &CompletionArgs) -> Result<Exit, Error> {
    let mut script = Vec::new();
    completion::script(&args.shell.to_string(), &mut script)?;
    io::stdout().lock().write_all(&script)?;
    Ok(Exit::Ok)
}
