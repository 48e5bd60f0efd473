//! What every store must do, as scenarios. A store runs them all with one line, [`contract_suite`].
//!
//! Each rule exists because a simpler one fails. [`naive`](crate::naive) lists the simpler ones, with the scenarios
//! that tell them from the right one.

pub(crate) mod attach;
pub(crate) mod emit;
pub(crate) mod ending;
pub(crate) mod foreign;
pub(crate) mod housekeeping;
pub(crate) mod leases;
pub(crate) mod locks;
pub(crate) mod nodes;
pub(crate) mod queue;
pub(crate) mod reassert;
pub(crate) mod register;
pub(crate) mod replay;
pub(crate) mod restart;
pub(crate) mod restoring;
pub(crate) mod retention;
pub(crate) mod tasks;
pub(crate) mod users;

/// Runs every scenario on the fixtures that an expression makes, as tests with the given attribute. A
/// scenario that is missing here is dead code, and the lints say so.
macro_rules! contract_suite {
    ($fixture:expr, #[$test:meta]) => {
        $crate::contract::contract_suite! { @modules $fixture, #[$test];
            register {
                a_new_stream_begins_at_offset_zero_and_is_held
                what_was_logged_before_the_stream_opened_is_replayed
                a_known_position_brings_exactly_what_follows
                a_request_that_a_newer_one_overtook_takes_nothing
                a_request_that_comes_after_its_stream_ended_takes_nothing
                a_takeover_tells_the_old_pod_and_has_the_greater_generation
                a_client_that_comes_back_to_the_same_pod_takes_over_from_itself
                a_resume_takes_no_task_from_another_connection
                a_resume_attaches_a_task_that_nobody_has
                a_reader_at_the_end_of_finished_tasks_is_done
                a_finished_stream_is_read_again_from_the_start
                a_finished_stream_with_something_left_replays_it
                a_stream_that_never_had_a_task_is_never_done
                a_generation_rises_even_where_data_was_lost
            }
            replay {
                a_page_ends_at_its_number_of_entries
                a_page_ends_at_its_bytes_but_holds_one_entry
                a_log_keeps_its_floor
                a_log_keeps_eight_events_a_task_where_that_is_more
                a_reader_from_a_start_that_is_gone_begins_at_the_oldest_kept_entry
                an_evicted_position_is_reset_with_the_state_of_every_task
                an_unknown_position_is_reset_in_the_same_history
                a_position_of_another_history_is_reset
                a_position_from_the_future_ends_the_history
                a_live_reader_ahead_of_its_log_ends_the_history
                a_connection_nobody_knew_has_one_history
            }
            attach {
                a_task_brings_its_events_to_the_stream_that_asks_for_it
                the_old_connection_is_told_who_has_the_task_now
                a_task_that_moved_away_is_neither_open_nor_listed
                a_moved_task_says_nothing_more_to_its_old_connection
                the_holder_hears_of_the_task_and_then_of_its_events
                a_task_that_comes_back_ends_the_history
                a_task_with_more_events_than_are_kept_ends_the_history
                a_finished_task_with_a_hole_comes_as_finished
                a_finished_task_is_copied_and_stays_finished_where_it_was
                a_task_named_like_a_connection_is_not_its_log
                asking_again_for_an_attached_task_changes_nothing
            }
            emit {
                each_event_gets_the_next_offset_and_reaches_the_holder
                an_event_is_logged_once_however_often_it_is_emitted
                nothing_is_logged_after_the_final_event
                an_event_goes_where_its_task_belongs_whatever_it_says_itself
                an_event_of_a_forgotten_task_goes_where_it_says
                emits_at_the_same_time_share_one_order
                ending_a_task_tells_every_pod
                ending_a_task_twice_is_told_once
                ending_a_finished_task_changes_nothing
                a_second_subscription_takes_over
            }
            ending {
                a_stream_ends_when_nothing_is_open_and_everything_is_read
                a_stream_with_something_open_or_unread_goes_on
                a_task_comes_before_the_end_of_its_stream_or_is_told_that_it_came_after
                a_stream_that_never_had_a_task_does_not_end
                a_stream_that_somebody_took_does_not_end_here
                an_end_that_is_asked_for_again_is_the_same_end
                a_stream_whose_pod_took_a_new_id_leaves_nothing_behind
                a_finish_that_the_store_cannot_judge_is_lost_and_not_replaced
                a_stream_from_another_life_of_the_store_does_not_end_yet
                a_finished_stream_cannot_be_revived
                a_closed_stream_cannot_be_revived
                a_late_close_leaves_the_newer_registration_of_the_same_pod
                a_late_close_leaves_the_registration_of_another_pod
                a_stream_is_closed_once
                a_close_after_a_roll_back_leaves_room_for_the_newer_holder
            }
            reassert {
                a_pod_is_told_what_it_holds_beyond_what_it_knows
                a_holder_that_has_everything_sees_no_difference
                a_holder_that_missed_something_sees_the_difference
                an_older_holder_is_replaced_and_changes_nothing
                a_store_that_lost_everything_learns_streams_and_tasks_again
                a_lost_task_comes_back_open_until_its_final_is_emitted_again
                a_position_ahead_of_the_log_ends_the_history_and_raises_nothing
                a_newer_holder_wins_over_a_registration_that_was_rolled_back
                a_pod_with_a_new_nonce_goes_on_with_its_streams
                a_pod_that_is_not_well_is_refused
                answers_come_in_order
            }
            restart {
                a_restart_ends_every_history_and_keeps_the_offset
                an_epoch_never_comes_back_however_often_data_is_lost
                a_reader_from_the_start_is_told_that_the_start_is_gone
                a_task_whose_history_ended_comes_with_its_state
                events_after_a_restart_are_read_on
                every_pod_hears_of_a_gap
                a_cut_subscription_is_told_and_loses_no_event
            }
            retention {
                everything_is_gone_a_day_after_its_last_refresh
                re_assertions_keep_a_stream_and_its_tasks
                events_keep_a_log_and_a_task
                a_task_that_was_forgotten_may_be_accepted_again
            }
            foreign {
                every_pod_hears_what_somebody_else_publishes
                a_foreign_event_of_a_task_is_logged_like_any_other
                a_foreign_event_is_its_tasks_latest_in_a_reset
                a_foreign_final_ends_its_task
                a_task_of_which_somebody_else_spoke_first_is_forgotten_like_any_other
                a_foreign_event_of_no_task_is_about_the_connection
                a_foreign_event_for_a_generation_that_is_gone_is_refused
                a_foreign_event_is_refused_where_its_task_does_not_belong
                a_foreign_event_with_an_id_is_logged_once
                a_store_that_forgot_the_stream_takes_nothing_foreign
                a_pod_that_did_not_hear_that_it_has_a_stream_is_told_again
            }
            nodes {
                a_pod_must_be_well_before_it_registers
                a_pod_lives_for_thirty_seconds_after_a_heartbeat
                a_pod_lives_for_as_long_as_its_last_word_says
                a_living_pod_cannot_be_buried
                death_is_permanent
                a_pod_that_leaves_holds_nothing
                one_death_is_nobody_elses
            }
            housekeeping {
                the_nodes_of_a_cluster_are_seen_with_what_they_hold
                a_cluster_remembers_its_dead_however_long_nobody_lives
                a_swept_pod_leaves_nothing
                only_a_buried_pod_is_swept_and_forgotten
                several_pods_are_buried_at_once_and_each_is_judged_alone
                an_order_is_refused_once_somebody_led_later
                a_leader_that_knows_better_overrules_a_token_from_elsewhere
                a_stream_of_a_pod_that_only_slept_is_taken_up_under_its_next_name
                a_new_life_of_the_server_is_known_from_its_first_sight
                the_note_of_a_sweep_is_read_with_the_nodes
                a_registration_of_nobody_is_found_and_swept
                a_stream_of_a_user_is_swept_like_any_other
                a_stray_whose_owner_shows_up_is_nobodys_no_more
            }
            leases {
                a_lease_is_written_over_what_was_seen_and_nothing_else
                a_lease_rises_even_where_it_was_lost_or_rolled_back
            }
            locks {
                a_lock_is_had_by_one_and_given_back
                a_lock_ends_by_itself_unless_it_is_extended
                a_lock_rises_even_where_it_was_lost_or_rolled_back
            }
            queue {
                an_accepted_task_is_claimed_with_all_it_needs
                a_task_is_claimed_for_the_connection_it_belongs_to_now
                the_oldest_task_is_claimed_first
                each_task_is_claimed_by_one_of_many_pods
                tasks_of_another_cluster_are_not_claimed
                a_pod_that_is_not_well_claims_nothing
                more_tasks_than_may_wait_are_refused
                a_claim_tells_the_pod_that_accepted_the_task
                a_task_wakes_one_pod_with_room
                the_pod_that_accepts_a_task_is_asked_first
                a_pod_that_died_is_not_woken_in_place_of_one_that_lives
                a_final_event_ends_the_claim_too
                a_claim_lasts_until_the_final_event_is_logged
                a_task_that_ended_while_it_waited_is_never_claimed
                the_tasks_of_a_dead_pod_wait_for_others_before_newer_ones
                many_tasks_are_handed_over_a_hundred_at_a_time
                deaths_are_counted_task_by_task
                nothing_is_taken_from_a_pod_that_lives
                a_leader_of_the_past_hands_nothing_over
                an_earlier_run_is_refused_once_a_later_one_has_begun
                a_task_given_back_waits_at_its_old_place
                a_task_that_has_ended_is_not_given_back
                a_claim_whose_answer_was_lost_waits_again
                a_run_goes_on_under_the_new_id_of_its_pod
                a_run_handed_over_goes_on_if_nobody_has_begun_another
                a_run_is_told_that_its_task_is_lost
                an_accepted_task_lives_until_it_has_ended
                a_pod_that_leaves_gives_back_what_it_runs
                the_backlog_says_what_waits_and_what_runs
                a_task_that_ended_before_it_was_accepted_is_not_run
            }
            restoring {
                a_store_that_lost_everything_learns_what_waits_and_what_runs
                restoring_changes_nothing_where_nothing_was_lost
                a_run_comes_back_before_its_pod_is_well
                a_run_that_was_rolled_back_is_still_the_latest
                a_task_whose_end_is_told_first_is_known_again
            }
            tasks {
                a_task_is_accepted_once
                one_of_many_submissions_at_the_same_time_is_new
                the_same_id_with_another_request_is_refused
                the_same_id_in_another_cluster_is_refused
                a_task_belongs_to_the_stream_that_asked_for_it_first
                a_submission_says_whether_the_stream_is_open
                a_submission_tells_the_open_stream
                a_record_shows_the_latest_event
                an_unknown_task_has_no_record
                tasks_are_listed_newest_first_in_stable_pages
                tasks_are_listed_by_connection_and_status
                a_filter_that_matches_little_is_followed_to_the_end
                rows_are_kept_in_order_and_paged
                rows_are_replaced_as_a_whole
            }
            users {
                what_is_sent_reaches_the_pod_that_holds_the_stream
                what_is_sent_while_nobody_listens_is_replayed
                an_event_that_its_sender_named_is_logged_once
                only_the_newest_names_are_remembered
                lines_that_are_sent_again_are_logged_once
                an_event_for_one_cluster_is_left_out_where_another_holds_the_stream
                the_stream_of_a_user_never_ends_by_itself
                the_stream_of_a_user_is_not_that_of_a_connection_or_task_of_its_name
                a_newer_stream_of_a_user_takes_over
                a_closed_stream_tells_its_holder_and_is_not_resumed
                a_holder_that_did_not_hear_of_a_close_is_told_when_it_asserts
                a_stream_is_closed_while_its_client_is_away
                closing_what_nobody_knows_changes_nothing
                a_restart_ends_the_history_of_a_user
                after_a_reset_a_user_is_given_every_note_that_is_left
                the_connected_users_of_a_cluster_are_those_its_pods_hold
                pods_ask_and_answer_each_other
                a_dead_pod_leaves_no_stream_of_a_user
            }
        }
    };
    (@modules $fixture:expr, #[$test:meta]; $($module:ident { $($scenario:ident)+ })+) => {
        $(mod $module {
            $(#[$test]
            async fn $scenario() {
                let scene = $crate::scene::Scene::new($fixture);
                $crate::contract::$module::$scenario(&scene).await;
            })+
        })+
    };
}

pub(crate) use contract_suite;
