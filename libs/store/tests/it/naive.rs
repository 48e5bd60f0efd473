//! The simpler rules that one might put in place of ours. Each loses, repeats or hides something, often once in a
//! thousand days; each was tried, and each of the tests named beside it fails with it.
//!
//! A test that tells a rule from a simpler one says so in the comment above it (`Tells`, and the name), and this list
//! has the same. So no test can go, or change its name, without somebody thinking of what it was for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A rule that is too simple.
struct Naive {
    name: &'static str,
    /// What it does.
    does: &'static str,
    told_by: &'static [&'static str],
}

/// Where tests are looked for, and what their paths begin with. Those of the contract run on the twin and on Redis.
const PLACES: [(&str, &str); 3] = [
    ("contract", "libs/store/tests/it/contract"),
    ("pod", "pod-service/tests/it"),
    ("stream", "pod-service/src/stream"),
];

const fn naive(name: &'static str, does: &'static str, told_by: &'static [&'static str]) -> Naive {
    Naive { name, does, told_by }
}

/// By name.
const NAIVE: [Naive; 44] = [
    naive(
        "ack_early",
        "ends a claim before the final event is in the log",
        &["contract::queue::a_claim_lasts_until_the_final_event_is_logged"],
    ),
    naive(
        "attempt_none",
        "lets an earlier run of a task speak beside the later one",
        &["contract::queue::an_earlier_run_is_refused_once_a_later_one_has_begun"],
    ),
    naive(
        "claim_unasked",
        "gives tasks to a pod without asking whether it lives",
        &["contract::queue::a_pod_that_is_not_well_claims_nothing"],
    ),
    naive(
        "claim_unrepeated",
        "keeps a claim whose answer was lost",
        &["contract::queue::a_claim_whose_answer_was_lost_waits_again"],
    ),
    naive(
        "close_forgetful",
        "lets whoever was closed resume",
        &[
            "contract::users::a_closed_stream_tells_its_holder_and_is_not_resumed",
            "contract::users::a_stream_is_closed_while_its_client_is_away",
            "pod::users::a_stream_is_closed_from_anywhere_and_its_client_stays_away",
        ],
    ),
    naive(
        "close_local",
        "ends a stream when the pod knows of no open task",
        &[
            "contract::ending::a_task_comes_before_the_end_of_its_stream_or_is_told_that_it_came_after",
            "pod::barriers::a_stream_does_not_end_before_a_task_that_its_pod_has_not_heard_of",
            "stream::session_tests::a_finish_that_is_refused_reads_on_and_asks_again",
        ],
    ),
    naive(
        "close_nogen",
        "closes what the pod holds, however it came by it",
        &["contract::ending::a_late_close_leaves_the_newer_registration_of_the_same_pod"],
    ),
    naive(
        "conn_noid",
        "says CONNECTED without a position",
        &["stream::session_tests::connected_carries_the_place_where_replay_starts"],
    ),
    naive(
        "epoch_counter",
        "counts epochs instead of taking the time",
        &["contract::restart::an_epoch_never_comes_back_however_often_data_is_lost"],
    ),
    naive(
        "finish_strict",
        "takes lost data for a takeover",
        &["contract::ending::a_finish_that_the_store_cannot_judge_is_lost_and_not_replaced"],
    ),
    naive(
        "foreign_local",
        "takes foreign events for what the pod believes to hold",
        &[
            "contract::foreign::a_foreign_event_for_a_generation_that_is_gone_is_refused",
            "stream::claim_tests::a_session_takes_what_is_about_it_once_the_bus_said_that_it_has_the_stream",
        ],
    ),
    naive(
        "fresh_trim_silent",
        "starts where the log starts, and does not say so",
        &["contract::replay::a_reader_from_a_start_that_is_gone_begins_at_the_oldest_kept_entry"],
    ),
    naive(
        "future_keeps",
        "keeps the epoch for a position from the future",
        &[
            "contract::reassert::a_position_ahead_of_the_log_ends_the_history_and_raises_nothing",
            "contract::replay::a_position_from_the_future_ends_the_history",
        ],
    ),
    naive(
        "lines_unmarked",
        "repeats a step of lines whose answer was lost",
        &[
            "contract::users::lines_that_are_sent_again_are_logged_once",
            "pod::user_lines::steps_that_fail_or_whose_answer_is_lost_are_repeated_without_harm",
        ],
    ),
    naive(
        "merge_silent",
        "ignores that not all events of a task came along",
        &["contract::attach::a_task_with_more_events_than_are_kept_ends_the_history"],
    ),
    naive(
        "move_on_resume",
        "lets a resume take tasks from others",
        &["contract::register::a_resume_takes_no_task_from_another_connection"],
    ),
    naive(
        "moveback_dup",
        "appends a returning task's events again",
        &["contract::attach::a_task_that_comes_back_ends_the_history"],
    ),
    naive(
        "no_epoch_check",
        "writes a live event of whatever epoch",
        &["stream::session_tests::an_event_of_another_epoch_is_never_written_live"],
    ),
    naive(
        "no_final_guard",
        "logs what comes after the final event",
        &["contract::emit::nothing_is_logged_after_the_final_event"],
    ),
    naive(
        "no_gap",
        "writes a live event that is not the next one",
        &["stream::session_tests::an_event_beyond_the_next_is_not_written_but_read"],
    ),
    naive(
        "no_hint",
        "lets an event of a forgotten task go nowhere",
        &["contract::emit::an_event_of_a_forgotten_task_goes_where_it_says"],
    ),
    naive(
        "no_ledger",
        "leaves a task open whose end the store lost",
        &["pod::between::a_store_that_forgot_learns_again_what_was_accepted_and_how_it_ended"],
    ),
    naive(
        "no_resub_catch",
        "goes on after a gap in the messages as if there were none",
        &[
            "contract::restart::a_cut_subscription_is_told_and_loses_no_event",
            "contract::restart::every_pod_hears_of_a_gap",
            "pod::barriers::what_a_broken_way_lost_is_read_once_it_is_mended",
            "pod::barriers::what_came_between_two_subscriptions_is_read",
        ],
    ),
    naive(
        "no_run_epoch",
        "keeps the epoch over a restart",
        &["contract::restart::a_restart_ends_every_history_and_keeps_the_offset"],
    ),
    naive(
        "no_tail",
        "reads nothing where a re-assertion shows a difference",
        &["stream::session_tests::a_re_assertion_that_shows_a_difference_is_followed_by_a_page"],
    ),
    naive(
        "no_told",
        "does not tell a client that the stream of its new task has ended",
        &[
            "contract::ending::a_task_comes_before_the_end_of_its_stream_or_is_told_that_it_came_after",
            "contract::tasks::a_submission_says_whether_the_stream_is_open",
            "pod::barriers::a_task_that_comes_after_the_end_of_its_stream_is_told_that_nobody_listens",
        ],
    ),
    naive(
        "no_xseen",
        "forgets a takeover that is told before the pod's own answer comes",
        &[
            "pod::barriers::a_stream_that_was_taken_over_before_its_own_answer_came_says_so",
            "stream::session_tests::a_newer_registration_that_overtakes_our_own_answer_wins",
        ],
    ),
    naive(
        "queue_append",
        "puts a task that is handed over behind all others",
        &["contract::queue::the_tasks_of_a_dead_pod_wait_for_others_before_newer_ones"],
    ),
    naive(
        "queue_ttl",
        "forgets an accepted task like anything else after a day",
        &["contract::queue::an_accepted_task_lives_until_it_has_ended"],
    ),
    naive(
        "raise_off",
        "raises the offset inside an epoch",
        &["contract::reassert::a_position_ahead_of_the_log_ends_the_history_and_raises_nothing"],
    ),
    naive(
        "reassert_as_register",
        "registers again what the pod believes to hold",
        &["pod::barriers::a_pod_that_was_declared_dead_takes_no_stream_back_from_another"],
    ),
    naive(
        "reassert_blind",
        "learns no task from the answer to a re-assertion",
        &["stream::session_tests::a_re_assertion_brings_a_task_that_was_missed"],
    ),
    naive(
        "reassert_final",
        "takes a pod's word for a task's end",
        &["contract::reassert::a_lost_task_comes_back_open_until_its_final_is_emitted_again"],
    ),
    naive(
        "reassert_notasks",
        "forgets tasks that are asserted",
        &["contract::reassert::a_store_that_lost_everything_learns_streams_and_tasks_again"],
    ),
    naive(
        "reassert_revives",
        "leaves the generation as it is at the end of a stream",
        &[
            "contract::ending::a_closed_stream_cannot_be_revived",
            "contract::ending::a_finished_stream_cannot_be_revived",
        ],
    ),
    naive(
        "reassert_unfenced",
        "lets an older holder assert itself",
        &["contract::reassert::an_older_holder_is_replaced_and_changes_nothing"],
    ),
    naive(
        "register_unasked",
        "gives a stream to whichever request comes last, however long it was under way",
        &["contract::register::a_request_that_a_newer_one_overtook_takes_nothing"],
    ),
    naive(
        "reset_forgets",
        "forgets at a reset the tasks that the store forgot",
        &["stream::session_tests::a_reset_without_a_task_does_not_forget_it"],
    ),
    naive(
        "reset_noid",
        "says RESET without the new position",
        &["stream::session_tests::a_reset_alone_carries_the_new_position_and_the_states"],
    ),
    naive(
        "reset_nosnap",
        "resets without saying how the tasks stand",
        &["contract::replay::an_evicted_position_is_reset_with_the_state_of_every_task"],
    ),
    naive(
        "reset_skips",
        "goes on at the end after a reset, where no state tells what came before",
        &["contract::users::after_a_reset_a_user_is_given_every_note_that_is_left"],
    ),
    naive(
        "same_run",
        "does not notice that the server is another one",
        &["contract::restart::a_restart_ends_every_history_and_keeps_the_offset"],
    ),
    naive(
        "send_unpaced",
        "sends lines as fast as they come",
        &["pod::user_lines::a_sender_goes_no_faster_than_the_stream_is_read"],
    ),
    naive(
        "stale_buffer",
        "keeps events for later that belong to a history that is over",
        &["stream::session_tests::an_event_of_a_history_that_is_over_costs_one_page_and_no_more"],
    ),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names in the comments of a file: the rules that each of its tests tells.
fn tags(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    let mut names = Vec::new();
    for line in text.lines() {
        if let Some(sentence) = line.strip_prefix("// Tells ") {
            let until = sentence.find(['.', ':']).unwrap_or(sentence.len());
            names.extend(sentence[..until].split('`').skip(1).step_by(2));
        } else if let Some((_, rest)) = line.split_once("fn ") {
            let name = rest.split('(').next().unwrap_or_default();
            if !names.is_empty() {
                found.push((name, std::mem::take(&mut names)));
            }
        }
    }
    assert!(names.is_empty(), "{names:?} belong to no test");
    found
}

/// Which tests say that they tell which rule.
fn tagged() -> BTreeMap<String, BTreeSet<String>> {
    let mut tagged: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (place, folder) in PLACES {
        for file in fs::read_dir(repository().join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let module = path.file_stem().unwrap().to_str().unwrap();
            for (test, names) in tags(&text) {
                for name in names {
                    tagged.entry(name.into()).or_default().insert(format!("{place}::{module}::{test}"));
                }
            }
        }
    }
    tagged
}

#[test]
fn every_naive_rule_is_told_by_tests_that_exist_and_say_so() {
    let listed: BTreeMap<String, BTreeSet<String>> = NAIVE
        .iter()
        .map(|rule| (rule.name.into(), rule.told_by.iter().map(|test| (*test).to_owned()).collect()))
        .collect();
    assert_eq!(listed, tagged());
    assert!(listed.values().all(|tests| !tests.is_empty()));
}

#[test]
fn every_naive_rule_is_listed_once_by_name() {
    assert!(NAIVE.windows(2).all(|pair| pair[0].name < pair[1].name));
    assert!(NAIVE.iter().all(|rule| !rule.does.is_empty()));
}
