//! Ports that stay ours while nobody listens on them.

use std::net::{Ipv4Addr, TcpListener};

use crate::error::ChaosError;

/// Linux' default, where its file cannot be read.
const FIRST_OF_CONNECTIONS: u16 = 32_768;

/// How far below it is looked.
const SEARCHED: u16 = 12_000;

/// `count` ports that nobody listens on, below those that the kernel gives to connections: while a process of ours is
/// down, no connection of anybody can take its port.
pub fn free(count: usize) -> Result<Vec<u16>, ChaosError> {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(FIRST_OF_CONNECTIONS);
    // Two runs at once begin at different places.
    let start = u16::try_from(std::process::id() % u32::from(SEARCHED)).unwrap_or(0);
    let candidates = (0..SEARCHED).map(|n| first.saturating_sub(1 + (start + n) % SEARCHED));
    let nobody = |port: &u16| *port > 1024 && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let found: Vec<_> = candidates.filter(nobody).take(count).collect();
    if found.len() == count { Ok(found) } else { Err(ChaosError::Ports(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_one_that_is_taken_is_left_alone() {
        let first = free(3).unwrap();
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first[1])).unwrap();
        let second = free(3).unwrap();
        assert!(!second.contains(&first[1]), "{first:?} {second:?}");
        assert!(first[0] != first[1] && first[1] != first[2]);
    }
}
