//! Pod ids from any host name.

use fundbond_protocol::{PodId, TaskId, identity::display_id};
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_host_name_yields_an_invalid_id(host in "\\PC{0,300}|[a-z0-9.-]{0,300}", port: u16, random: [u8; 5]) {
        let id = PodId::new(&host, port, random);
        // The id alphabet and length, checked by somebody else's parser.
        prop_assert!(TaskId::parse(id.as_str()).is_ok(), "{:?}", id);
        let display = display_id(&host, port);
        prop_assert_eq!(id.display_id(), &display);
        let port_text = format!("-{port}");
        prop_assert!(display.starts_with("pod-") && display.ends_with(&port_text), "{}", display);
        let middle = &display["pod-".len()..display.len() - port_text.len()];
        prop_assert!(!middle.is_empty() && !middle.contains('-'), "{}", display);
        prop_assert_eq!(middle.to_ascii_lowercase(), middle);
    }

    #[test]
    fn the_prefix_words_are_dropped_however_often_they_stand(
        words in proptest::collection::vec(prop_oneof![
            Just("host"), Just("k8s"), Just("docker"), Just("pod"), Just("node"), Just("server"), Just("container"),
        ], 0..4),
        rest in "[a-z0-9]{8,12}",
        port: u16,
    ) {
        let host = [words, vec![&rest]].concat().join("-") + ".example.com";
        prop_assert_eq!(display_id(&host, port), format!("pod-{rest}-{port}"));
    }
}
