//! Who a pod is: a readable name from host and port, and a nonce that changes with every start.
//!
//! The nonce is what makes housekeeping safe: a container that restarts under its old name is somebody
//! else, so deleting what the dead one left can never hit the living one.

use crate::ids::{MAX_ID_LENGTH, id, is_id_byte};

/// Length of a boot nonce: 8 base32 characters are 40 random bits, so two starts of one pod name meet
/// once in a million years of hourly restarts.
pub const NONCE_LENGTH: usize = 8;

/// The longest host part: what is left of an id after `pod-`, `-65535` and `~` with the nonce.
const MAX_HOST_LENGTH: usize = MAX_ID_LENGTH - "pod-".len() - "-65535".len() - 1 - NONCE_LENGTH;

/// Words that say only that a thing is a machine; dropped from the front of a host name.
const PREFIXES: [&str; 7] = ["host", "k8s", "docker", "pod", "node", "server", "container"];

/// The readable name `pod-{host}-{port}` of the pod on `host` (a host name, as long as it likes) and `port`.
///
/// The host name is cut at the first dot; leading words such as `k8s-` or `host-` are dropped repeatedly;
/// dashes and characters that no id may hold are removed; the rest is lower case. Where nothing is left,
/// the whole first label stands, and where even that has no usable character, `unnamed`.
///
/// Two long names that differ only past the cut share a display id; their [`PodId`]s differ by nonce.
pub fn display_id(host: &str, port: u16) -> String {
    let label = host.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let mut rest = label.as_str();
    while let Some(shorter) = PREFIXES.iter().find_map(|word| rest.strip_prefix(word)?.strip_prefix('-')) {
        rest = shorter;
    }
    // A host that is nothing but such a word (`node`) has no dash to drop and falls back to itself below.
    // `~` is legal in an id but parts the display id from the nonce.
    let keep = |c: &char| c.is_ascii() && is_id_byte(*c as u8) && !matches!(c, '-' | '~');
    let clean = |text: &str| -> String { text.chars().filter(keep).take(MAX_HOST_LENGTH).collect() };
    let host = [clean(rest), clean(&label), "unnamed".to_owned()].into_iter().find(|h| !h.is_empty());
    format!("pod-{}-{port}", host.unwrap_or_default())
}

id! {
    /// One start of one pod: `{display id}~{boot nonce}`.
    PodId
}

impl PodId {
    /// The id of the process on `host` and `port` whose boot drew `random`: five bytes, because 8 base32
    /// characters hold 40 bits.
    pub fn new(host: &str, port: u16, random: [u8; 5]) -> Self {
        // Lower-case RFC 4648 alphabet: legal in ids, and nobody confuses 0 with O or 1 with l.
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let bits = random.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let nonce: String =
            (0..NONCE_LENGTH).rev().map(|i| char::from(ALPHABET[(bits >> (5 * i) & 31) as usize])).collect();
        Self(format!("{}~{nonce}", display_id(host, port)).into())
    }

    /// The readable part, equal over restarts.
    pub fn display_id(&self) -> &str {
        self.0.split_once('~').map_or(&*self.0, |(display, _)| display)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_examples_of_the_contract_hold() {
        assert_eq!(display_id("host-app-01.company.com", 9090), "pod-app01-9090");
        assert_eq!(display_id("k8s-pod-abc123", 9092), "pod-abc123-9092");
        assert_eq!(display_id("docker-container-456", 9090), "pod-456-9090");
    }

    #[test]
    fn odd_hosts_still_have_a_name() {
        assert_eq!(display_id("node", 1), "pod-node-1");
        assert_eq!(display_id("k8s-pod-", 1), "pod-k8spod-1");
        assert_eq!(display_id("Server-NODE-Web.local", 1), "pod-web-1");
        assert_eq!(display_id("podium-1", 1), "pod-podium1-1");
        assert_eq!(display_id("", 65535), "pod-unnamed-65535");
        assert_eq!(display_id("---", 7), "pod-unnamed-7");
        assert_eq!(display_id("a~b", 7), "pod-ab-7");
        assert_eq!(display_id("日本", 7), "pod-unnamed-7");
    }

    #[test]
    fn a_restart_is_somebody_else() {
        let first = PodId::new("host-a", 9090, [0; 5]);
        let second = PodId::new("host-a", 9090, [255, 0, 0, 0, 1]);
        assert_eq!(first.as_str(), "pod-a-9090~aaaaaaaa");
        assert_ne!(first, second);
        assert_eq!(first.display_id(), second.display_id());
    }
}
