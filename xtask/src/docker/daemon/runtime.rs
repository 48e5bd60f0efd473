//! The container runtime of our daemon, on a machine that lacks a capability.
//!
//! A privileged container asks for every capability there is. Inside some containers and small virtual machines one of
//! them is missing, and runc then refuses to start any such container.

use crate::tools;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What the runtime is called.
pub(super) const NAME: &str = "runc-with-less";

/// Asks runc for what this machine has.
const SCRIPT: &str = include_str!("../../../../docker/runc-with-less");

/// The place of CAP_SYS_RESOURCE among the capabilities (linux/capability.h).
const SYS_RESOURCE: u32 = 24;

/// The runtime that takes runc's place, written into `folder`; none where runc serves.
pub(super) fn ours(folder: &Path) -> Result<Option<PathBuf>> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    if may_be_given(&status, SYS_RESOURCE)? {
        return Ok(None);
    }
    tools::jq()?;
    let path = folder.join(NAME);
    fs::write(&path, SCRIPT).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", path.display()))?;
    Ok(Some(path))
}

/// Whether a process with this status may have a capability.
fn may_be_given(status: &str, capability: u32) -> Result<bool> {
    let bounds = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bounds = bounds.context("/proc/self/status names no CapBnd")?.trim();
    let bounds = u64::from_str_radix(bounds, 16).with_context(|| format!("CapBnd is {bounds}"))?;
    Ok(bounds & (1 << capability) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_there_or_is_not() {
        assert!(may_be_given("Name:\tx\nCapBnd:\t000001ffffffffff\n", SYS_RESOURCE).unwrap());
        assert!(!may_be_given("CapBnd:\t000001fffeffffff\n", SYS_RESOURCE).unwrap());
        assert!(may_be_given("Name:\tx\n", SYS_RESOURCE).is_err());
    }
}
