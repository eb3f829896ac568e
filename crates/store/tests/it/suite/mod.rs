//! The contract of a store, for every backend: each case takes a way to make one.
//!
//! A backend runs all of it with `contract!(its maker)`; see `contract_sqlite.rs`.

pub mod accounts;
pub mod acts;
pub mod addresses;
pub mod adoptions;
pub mod alarms;
pub mod applies;
pub mod apps;
pub mod archive;
pub mod calls;
pub mod chain;
pub mod clearing;
pub mod desired;
pub mod drifts;
pub mod entry_sources;
pub mod events;
pub mod fencing;
pub mod guards;
pub mod guests;
pub mod host_acts;
pub mod hosts;
pub mod inside;
pub mod interfaces;
pub mod kept;
pub mod lost;
pub mod made_with;
pub mod notices;
pub mod observation;
pub mod orphans;
pub mod plans;
pub mod ports;
pub mod prepared;
pub mod queue;
pub mod random;
pub mod rejections;
pub mod request_keys;
pub mod requests;
pub mod resources;
pub mod sites;
pub mod sources;
pub mod steps;
pub mod undo;
pub mod world;

/// Hands all cases to the macro `$then`, with `$make`.
#[macro_export]
macro_rules! with_cases {
    ($then:ident, $make:expr) => {
        $crate::$then! { $make;
            hosts: are_kept_with_their_secrets, second_of_a_cluster_is_refused, are_replaced_whole,
                stay_while_something_needs_them, tokens_are_found_by_hash_alone;
            apps: are_created_in_one_commit, keep_their_host_name_alone, same_key_gives_the_first,
                of_an_unknown_host_are_refused, are_listed_page_by_page, keep_their_settings_sealed,
                are_changed_in_place_in_one_commit,
                have_no_name_that_no_database_takes, a_dropped_write_is_whole_or_nothing,
                are_promised_while_they_are_made;
            adoptions: are_recorded_with_their_guest, hold_their_number_once, leave_a_record_that_outlives_them,
                that_are_cancelled_leave_nothing, are_exposed_and_hidden_by_a_person, and_native_apps_are_kept_apart;
            addresses: given_by_hand_are_of_one_live_app, are_one_apps_on_entries_that_share_a_network,
                are_each_ones_on_entries_that_share_none;
            made_with: is_kept_with_the_app, who_is_kept_apart_is_changed_where_nobody_is_at_work,
                roots_password_is_shown_once_and_not_before_it_is_roots;
            sites: are_kept_with_what_was_fetched, are_there_from_the_beginning, have_a_name_alone,
                go_with_their_app, are_fetched_anew_after_a_change;
            ports: the_longest_free_is_taken, of_an_orphan_rest, exhaustion_is_counted, rest_ends_when_a_person_says_so,
                overlapping_ranges_share_no_port, any_sequence_follows_the_rule;
            queue: the_oldest_is_claimed_first, a_lease_keeps_others_away,
                a_silent_holder_is_taken_over_as_seen, many_are_claimed_in_one_commit, a_wait_gives_the_claim_back,
                a_released_claim_is_free_at_once,
                a_claim_tells_whether_it_is_in_place_of_a_silent_worker, the_queue_has_an_end,
                an_operation_that_talks_without_end_is_cut_short, what_a_guest_says_is_kept_whatever_it_is,
                a_dead_holder_is_taken_over_at_once, one_operation_per_app, statuses_follow_the_table,
                only_a_failed_one_is_repeated, lists_are_paged, keep_the_id_of_their_request;
            fencing: every_write_of_a_stale_epoch_is_refused, every_write_of_another_holder_is_refused,
                nothing_is_written_after_the_end;
            steps: are_logged_intent_first, give_sealed_outputs_back, carry_their_effects, begin_in_order, may_begin_again_until_they_succeed,
                every_mutation_has_one_entry, a_mutation_is_there_as_soon_as_it_was_recorded, an_operation_ends_only_when_all_succeeded,
                an_end_leaves_no_app_on_its_way;
            undo: runs_from_the_last_to_the_first, is_refused_out_of_turn, cancel_turns_back, a_failed_undo_waits_for_a_person,
                a_stuck_step_goes_on_after_retry;
            requests: a_queued_deploy_is_cancelled_into_error, a_queued_removal_is_cancelled_without_trace,
                only_stuck_ones_are_retried_or_abandoned, abandoned_keeps_what_is_left,
                an_abandoned_adoption_leaves_nothing, a_restore_of_keys_that_ends_early_is_told_and_leaves_its_app_alone;
            guests: are_recorded_once_per_place, of_a_page_of_apps_are_read_together, are_confirmed_once, are_followed_to_another_node,
                of_others_are_out_of_reach, hold_their_number_until_they_are_gone;
            archive: keeps_history, tells_of_its_containers_and_calls, frees_name_ports_and_secrets, waits_for_the_last_guest, ends_inside_a_step_too;
            clearing: takes_the_oldest_events_and_counts_them, leaves_what_a_channel_needs,
                takes_steps_and_lines_and_leaves_the_rest, leaves_the_newest_of_a_live_app_and_what_is_at_work,
                ends_where_it_is_enough_for_one_commit, goes_from_the_first_that_ended;
            request_keys: count_once_for_operations_and_hosts, refuse_another_request, are_kept_for_a_day,
                are_forgotten_though_no_other_comes, let_a_stuck_operation_go_on_once;
            guards: tell_of_a_drift_once_and_of_its_end, are_for_adopted_apps_and_end_with_them;
            drifts: are_told_once_with_their_end, wait_for_whoever_is_at_work, have_the_tasks_of_their_container,
                are_accepted_as_a_revision_while_it_is_the_newest;
            alarms: are_raised_once_and_ended_once;
            interfaces: are_kept_when_they_change;
            plans: are_kept_as_they_were_shown, of_many_the_newest_stay;
            applies: are_begun_in_one_commit, come_once_for_a_plan_and_alone_for_an_app,
                that_begin_beside_each_other_are_stopped_by_the_mass_brake_together, are_claimed_as_seen_and_fenced,
                start_each_change_once_and_end_as_their_changes_did, that_are_stopped_start_no_more,
                of_many_the_newest_stay_and_those_at_work;
            desired: is_what_was_applied_last_with_all_before, of_a_change_that_failed_is_as_before,
                at_a_moment_is_the_revision_that_was_the_newest_then,
                of_apps_that_stay_as_they_are_is_recorded_at_once, of_another_name_ends_when_the_app_gets_a_new_one,
                stands_for_secrets_that_are_kept_apart, holds_its_secrets_while_it_names_them,
                says_of_a_secret_what_was_put_in_and_nothing_else,
                lets_secrets_go_of_an_app_that_was_removed_by_hand;
            resources: change_by_snapshots_alone, tell_each_change_with_it, go_whole_once_they_are_gone_for_long, take_their_configuration_beside_their_list, are_found_by_what_tells_them_apart,
                tell_what_they_were_at_any_moment, keep_their_newest_snapshot_whoever_clears, let_tasks_go_whole,
                go_with_their_host_entry, are_read_whole_in_the_order_of_their_keys;
            sources: are_kept_with_their_secrets, that_prune_are_alone_and_of_others_there_is_an_end,
                tell_what_became_of_them_once, a_nudge_during_a_look_is_not_lost,
                what_is_asked_for_during_a_look_is_done_anew, two_looks_at_the_same_time_lose_no_apply;
            entry_sources: are_kept_with_what_was_taken, have_names_of_their_own_and_an_end,
                leave_apps_what_they_were_made_from;
            accounts: are_kept_with_a_password_that_a_link_sets_once, keep_an_admin, have_an_end_and_say_what_was_done,
                sessions_are_found_by_hash_and_end, sessions_have_room_and_go_when_they_are_over;
            rejections: are_told_once_and_are_of_one_content, are_forgotten_by_a_person_and_by_what_is_done,
                stand_for_what_is_wanted_and_of_the_forgotten_the_newest_stay,
                are_judged_again_in_the_commit_that_begins_an_apply,
                are_judged_of_what_is_recorded_beside_the_changes;
            prepared: are_recorded_once_with_their_number, go_on_stage_by_stage, stay_while_something_is_made_of_them,
                keep_their_host_entry, bases_are_counted_by_place, calls_are_on_record_until_they_end;
            kept: follows_what_is_written, is_of_one_moment;
            chain: every_entry_is_linked, events_are_linked_and_may_begin_anywhere, holds_against_its_anchors_alone, writers_beside_each_other_make_one,
                what_is_refused_leaves_no_link;
            calls: are_told_of_by_their_method, that_write_snapshots_tell_of_each, that_are_over_are_not_under_way;
            host_acts: are_audited_one_by_one, need_no_host_that_nobody_uses;
            inside: commands_are_audited_of_live_apps_alone;
            observation: guests_are_watched_with_their_app,
                suspicions_are_kept_until_they_end,
                what_is_left_of_many_is_told_of_by_itself_once,
                an_unchanged_look_writes_nothing,
                an_identity_is_learned_and_accepted_by_a_person,
                what_was_missed_is_so_until_it_is_verified_after_that,
                the_brake_counts_from_its_baseline,
                stuck_apps_are_marked_as_seen_or_not_at_all,
                power_is_followed_between_running_and_stopped_alone,
                an_app_in_error_is_resolved_by_a_person,
                the_archive_is_listed_newest_first;
            orphans: an_orphan_is_archived_with_its_history, an_orphan_is_archived_as_judged_or_not_at_all,
                a_stuck_operation_of_an_orphan_is_given_up, go_with_the_operation_they_were_judged_with;
            lost: ends_with_its_node_in_one_commit, ends_as_judged_or_not_at_all, leaves_a_node_that_is_a_member;
            events: tell_of_each_change_once, tell_why_it_turned_back, ring_with_a_commit_and_only_then,
                ring_for_a_caller_that_went_away, open_with_what_is_told_once_and_never_alone, older_ones_lack_what_came_later;
            notices: begin_with_what_happens_from_now_on, are_forgotten_with_their_channel, are_taken_up_once,
                tell_of_a_subject_once, failures_are_counted_until_a_delivery, have_an_end_and_count_what_is_too_much;
            random: any_sequence_keeps_the_rules;
        }
    };
}

/// One test per case of the contract, on the stores that `$make` makes.
#[macro_export]
macro_rules! contract {
    ($make:expr) => {
        $crate::with_cases! { contract, $make }
    };
    ($make:expr; $($part:ident: $($case:ident),+;)+) => {
        $(mod $part {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::suite::$part::$case(&$make).await;
            })+
        })+
    };
}

/// Name and future of every case, for a backend whose cases share a server.
#[macro_export]
macro_rules! cases {
    ($make:expr) => {
        $crate::with_cases! { cases, $make }
    };
    ($make:expr; $($part:ident: $($case:ident),+;)+) => {
        [$($((
            concat!(stringify!($part), "::", stringify!($case)),
            {
                let make = $make.clone();
                Box::pin(async move { $crate::suite::$part::$case(&make).await })
                    as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>
            },
        )),+),+]
    };
}
