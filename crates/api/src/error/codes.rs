//! The stable codes: what each means and which kind it is.

use super::kind::ErrorKind as K;
use super::kind::{ErrorKind, ExitCode};

/// One stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The code, snake_case.
    pub code: &'static str,
    /// Its kind, which gives the HTTP status.
    pub kind: ErrorKind,
    /// Exit code of a command that ends with it.
    pub exit: ExitCode,
    /// When it is given, for the reference.
    pub when: &'static str,
}

/// The row of this code.
#[must_use]
pub fn lookup(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|row| row.code == code)
}

/// A code that ends a command as its kind does.
const fn row(code: &'static str, kind: ErrorKind, when: &'static str) -> Code {
    let exit = kind.exit_code();
    Code {
        code,
        kind,
        exit,
        when,
    }
}

const fn with_exit(
    code: &'static str,
    kind: ErrorKind,
    exit: ExitCode,
    when: &'static str,
) -> Code {
    Code {
        code,
        kind,
        exit,
        when,
    }
}

/// Something outside says no because what we were told of it is wrong.
const fn wrong(code: &'static str, when: &'static str) -> Code {
    with_exit(code, K::Upstream, ExitCode::ConfigOrNotFound, when)
}

/// Something outside says no because somebody else is at it.
const fn locked(code: &'static str, when: &'static str) -> Code {
    with_exit(code, K::Upstream, ExitCode::Busy, when)
}

/// All codes, by part of the program.
#[rustfmt::skip] // one line per code is what makes it a table
pub const CODES: &[Code] = &[
    // The API itself.
    row("bad_json", K::Malformed, "The body is not JSON."),
    row("bad_field", K::Malformed, "A field of the body has the wrong type or is missing."),
    row("unknown_field", K::Malformed, "The body has a field the request does not know."),
    row("bad_query", K::Malformed, "The part of the URL after the question mark is wrong."),
    row("bad_path", K::Malformed, "The path is not text in UTF-8."),
    row("bad_header", K::Malformed, "A header of the request is wrong."),
    row("unauthorized", K::Unauthorized, "No token and no cookie of a session was sent, or one that is not known or over."),
    row("forbidden", K::Forbidden, "It is known who asks, and they may not: a scope or a role lacks it, or the thing is another account's."),
    row("csrf_refused", K::Forbidden, "A change came by a cookie, and not from a page of this server, or without the session's token."),
    row("https_needed", K::Forbidden, "Somebody wanted to sign in over plain HTTP that leads over a network."),
    row("sign_in_refused", K::Unauthorized, "There is no such account, or its password is another one."),
    row("too_many_sign_ins", K::TooMany, "Too many tried to sign in with this account, or from this address; `retry-after` says for how long to wait."),
    row("link_not_good", K::NotFound, "A set-up link was used or replaced, or is too old."),
    row("no_such_path", K::NotFound, "The API has no such path."),
    row("method_not_allowed", K::MethodNotAllowed, "The path does not take this method."),
    row("body_too_large", K::TooLarge, "The body is larger than 1 MiB, or than 32 MiB where it has documents to plan."),
    row("not_json", K::MediaType, "The body does not say that it is application/json."),
    row("event_ahead", K::Conflict, "The log of events does not go as far as the number that was sent."),
    row("event_cleared", K::Conflict, "What followed the number that was sent was cleared away."),
    row("too_many_streams", K::Unavailable, "As many clients follow events as the server takes."),
    row("events_unavailable", K::Unavailable, "Events cannot be followed now: the server is ending, or cannot read its database."),
    row("timeout", K::Timeout, "The request took longer than 60 s."),
    row("internal", K::Internal, "A fault of the program; the log has the request's id."),
    // Requests about apps and operations.
    row("app_not_found", K::NotFound, "No app has this id or host name."),
    row("name_ambiguous", K::Conflict, "Several archived apps had this host name; `fields` has the id of each, and when it was archived."),
    row("operation_not_found", K::NotFound, "No operation has this id."),
    row("not_found", K::NotFound, "What was asked for is not there."),
    row("invalid_value", K::Invalid, "A value breaks its rule; `fields` names it."),
    row("setting_invalid", K::Invalid, "A setting of the app is wrong, missing or unknown; `fields` names it."),
    row("hostname_taken", K::Conflict, "Another live app has this host name."),
    row("catalog_unknown", K::NotFound, "The catalog has no such entry."),
    row("entry_unpinned", K::Invalid, "The entry fetches what is held against no SHA-256, which was not allowed."),
    row("memory_too_little", K::Invalid, "Less memory than the app needs was asked for."),
    row("memory_above_node", K::Resources, "More memory than any online node has was asked for."),
    row("memory_short", K::Resources, "No node has that much memory free."),
    row("cores_above_node", K::Resources, "More cores than any online node has were asked for."),
    row("out_of_range", K::Invalid, "A figure is outside of what Proxmox VE takes."),
    row("no_node_online", K::Resources, "No node is online, or none could be read."),
    row("nodes_excluded", K::Resources, "All nodes that could take the app are excluded from new apps."),
    row("nodes_without_ssh", K::Resources, "The app is set up inside its container, and no node that could take it has an SSH entry."),
    row("no_node_fits", K::Resources, "Each node lacks something; `fields` says what."),
    row("storage_missing", K::Resources, "The host entry's storage is not there or not active on any node that fits."),
    row("storage_full", K::Resources, "The storage has too little space on every node that fits."),
    row("bridge_missing", K::Resources, "The host entry's bridge is not up on any node that fits."),
    row("template_missing", K::Resources, "The template is on no online node that fits."),
    row("pve_too_old", K::Resources, "The app is made of an image, which takes Proxmox VE 9.1, and every node that fits has an older one."),
    row("address_taken", K::Conflict, "An address that is given by hand is another app's on the host."),
    row("ports_exhausted", K::Resources, "No port of the range is free."),
    row("not_in_state", K::Conflict, "The app's or operation's state does not allow it."),
    row("confirmation_needed", K::Invalid, "A removal, or a disk that grows, was asked for without confirmation."),
    row("busy", K::Busy, "Another operation works on the app."),
    row("too_many_commands", K::Busy, "As many commands run inside containers as may at the same time."),
    row("doctor_at_work", K::Busy, "Doctor is looking already; it looks once at a time."),
    row("queue_full", K::Busy, "As many operations wait as may."),
    row("lease_lost", K::Busy, "Another process took the operation over."),
    row("idempotency_conflict", K::Conflict, "The `Idempotency-Key` was used for another request within the last day."),
    row("exists", K::Conflict, "The name is taken."),
    with_exit("manifest_invalid", K::Invalid, ExitCode::ConfigOrNotFound, "Documents of desired state are not right, or name what is not there; `fields` says what of each."),
    // Applying plans.
    row("plan_outdated", K::Conflict, "What the plan was made from has changed since."),
    row("plan_applied", K::Conflict, "The plan was applied already; each is applied once at most."),
    row("plan_obstructed", K::Conflict, "Something keeps changes of the plan from being made; `fields` says what of each."),
    row("plan_unsupported", K::Conflict, "The plan wants what no app is changed to where it is; `fields` says what of each."),
    row("prune_not_allowed", K::Invalid, "The plan removes apps that no document names, which was not agreed to for this run."),
    row("brake_not_released", K::Invalid, "The plan ends more records than may end in an hour, and their number was not given, or another one."),
    row("destroy_not_confirmed", K::Invalid, "The plan destroys containers, and their number was not given, or another one."),
    row("apply_overlaps", K::Busy, "Another apply has yet to change an app of the plan, or changes it now."),
    row("held_up", K::Conflict, "What the app depends on was not changed as planned, so that its own change was not begun."),
    row("rollback_impossible", K::Conflict, "The app does not go back to that state: it was another container, or nothing is on record of it."),
    row("secret_not_found", K::NotFound, "No secret has this name."),
    row("secret_in_use", K::Conflict, "What is wanted of apps names the secret."),
    // Sources of documents.
    row("source_not_found", K::NotFound, "No source of documents, or of entries of the catalog, has this name."),
    row("hook_refused", K::Forbidden, "A nudge of a source is not signed with its secret, or there is no such source."),
    row("git_missing", K::Unavailable, "The program git is not installed where the server runs."),
    row("source_unreachable", K::Upstream, "The repository of a source cannot be read."),
    row("branch_not_found", K::NotFound, "The repository of a source has no such branch, or not any more."),
    row("documents_not_found", K::NotFound, "The commit of a source has no file of documents, or no entry of the catalog, where they are looked for."),
    row("source_too_large", K::Invalid, "The repository of a source, or its files of documents or entries, are more than is read."),
    row("commit_unsigned", K::Conflict, "The commit of a source is not signed with a key of those who may sign."),
    row("source_waits", K::Conflict, "The changes of a source wait for a person, by its policy or for what they would take away."),
    row("apply_stopped", K::Conflict, "The apply of a source's commit was stopped before all of its changes were begun."),
    // Adoption.
    row("already_managed", K::Conflict, "An app has the container already."),
    row("guest_marked", K::Conflict, "The container bears the mark of a Proximity, which made it."),
    row("marked_container_there", K::Conflict, "A container that is called like an app that would be made bears the mark of this installation, and no app has it."),
    row("not_adoptable", K::Conflict, "The container is a template, a virtual machine, half made, or could not be told from another one later."),
    row("preview_outdated", K::Conflict, "The container's configuration is not the one that was previewed."),
    row("not_restorable", K::Conflict, "A key cannot be brought back to the day of the adoption, or none differs that can."),
    // Changes in place.
    row("adopted_app", K::Conflict, "The app was adopted: its container is not changed in place."),
    row("app_stopped", K::Conflict, "Settings of an app that does not run are not changed."),
    row("needs_replacement", K::Conflict, "It cannot be changed in place: another container is needed."),
    row("not_repeated", K::Conflict, "What was asked for is gone with the end of the operation."),
    // Hosts.
    row("resource_not_found", K::NotFound, "No resource of a cluster has this id, or what it was at that moment is not kept."),
    row("host_not_found", K::NotFound, "No host entry has this id or label."),
    row("no_host", K::NotFound, "There is no host entry yet."),
    row("host_in_use", K::Conflict, "The host entry still has apps."),
    row("node_in_use", K::Conflict, "The node is still in its cluster, or is reached, or has apps."),
    row("cluster_known", K::Conflict, "The cluster is there under another label."),
    row("pve_unsupported", K::Conflict, "This version of Proxmox VE is not supported."),
    row("token_too_narrow", K::Forbidden, "The API token lacks privileges in Proxmox VE."),
    wrong("realm_unknown", "The user's realm is none of the host's."),
    wrong("login_refused", "Proxmox VE did not let the user log in."),
    wrong("second_factor_needed", "The user's login needs a code that was not given, or was used already."),
    wrong("login_too_narrow", "The user who logged in lacks privileges in Proxmox VE."),
    wrong("account_taken", "A user or token of somebody else has a name that is needed."),
    wrong("pool_taken", "The pool is somebody else's, or holds guests that are not ours."),
    wrong("label_taken", "The label is another cluster's."),
    wrong("host_not_by_init", "The host entry was made in another way than by init, or with other values."),
    row("init_unfinished", K::Upstream, "Setting a host up, or giving it up, stopped half way; run again, it goes on."),
    wrong("host_unusable", "What is stored of the host cannot be used."),
    wrong("certificate_unknown", "Nobody vouches for the node's certificate, and no fingerprint was given."),
    wrong("certificate_untrusted", "The node's certificate is not one of the authority that was given."),
    wrong("fingerprint_mismatch", "The node shows another certificate than the pinned one."),
    wrong("token_invalid", "Proxmox VE does not take the API token."),
    wrong("ssh_host_key_mismatch", "A node shows another SSH host key than the pinned one."),
    wrong("ssh_no_pct", "The SSH account cannot run `pct` on the node."),
    row("helper_not_shipped", K::Unavailable, "This build has no helper for the nodes in it."),
    wrong("helper_other_machine", "The helper of this build is for another architecture than a node's."),
    row("host_unreachable", K::Upstream, "Nothing answers at the host's address."),
    row("host_too_slow", K::Upstream, "The host did not answer in time."),
    row("ssh_unreachable", K::Upstream, "A node's SSH does not answer, or does not take the key."),
    // Proxmox VE and the nodes, mostly while an operation runs.
    row("out_of_files", K::Unavailable, "The server has as many files open as it may, so that it could not ask a cluster; nothing was sent."),
    row("pve_unreachable", K::Upstream, "The API of Proxmox VE does not answer; nothing was sent."),
    row("pve_node_unreachable", K::Upstream, "The cluster does not reach the node."),
    row("pve_outcome_unknown", K::Upstream, "The connection broke after a call was sent; it is looked up what happened."),
    row("pve_unreadable", K::Upstream, "Proxmox VE answered something that is not understood."),
    row("pve_refused", K::Upstream, "Proxmox VE said no; its words are in the message."),
    wrong("pve_permission_denied", "Proxmox VE says that the token lacks a privilege."),
    row("pve_task_failed", K::Upstream, "A task of Proxmox VE failed; its words are in the message."),
    row("task_outcome_unknown", K::Upstream, "A task's end could not be read."),
    row("upstream_failed", K::Upstream, "Proxmox VE, a node or the gateway failed in a way that has no code of its own."),
    locked("container_locked", "Another task works on the container."),
    locked("config_changed", "Somebody else changed the container's configuration in between."),
    locked("state_changed", "What was looked at changed in between."),
    locked("vmid_taken", "Another container took the number at the same moment."),
    row("vmids_exhausted", K::Resources, "No number for a container is free."),
    row("permit_expired", K::Upstream, "The right to destroy ran out before it was used; it is looked again."),
    row("view_incomplete", K::Upstream, "Not all of the cluster was seen, so that nothing may be taken for gone."),
    row("update_not_seen", K::Upstream, "Proxmox VE took a change of an app in place, and it read back as something else."),
    row("restore_not_seen", K::Upstream, "Proxmox VE took a restore of keys, and they read back as something else."),
    row("identity_conflict", K::Upstream, "The container is not, or no longer, the one that was made; it is left alone."),
    wrong("helper_missing", "A node has no helper, or one that speaks another protocol."),
    wrong("helper_not_allowed", "The container was adopted, and root on its node has not allowed that the helper enters it."),
    row("helper_declined", K::Upstream, "The helper on a node cannot take a command now: no room, no place, no audit."),
    row("container_missing", K::Upstream, "The container is not where it was."),
    row("container_elsewhere", K::Upstream, "The container is on another node than it was made on."),
    row("container_being_created", K::Upstream, "Proxmox VE is still making the container."),
    row("half_created", K::Upstream, "Proxmox VE ended while it made the container; a person has to look."),
    row("create_left_nothing", K::Upstream, "Proxmox VE says that it made the container, but there is none."),
    row("image_not_pulled", K::Upstream, "Proxmox VE did not pull the image; its words are in the message."),
    row("image_differs", K::Conflict, "The tag of the image leads to another image than the entry names."),
    row("image_unverified", K::Conflict, "The image is on the storage, and nothing says any more whether it is the one that the entry names."),
    row("image_too_large", K::Resources, "The image is larger than the root file system of the container."),
    row("record_refused", K::Internal, "The records refused a change that contradicts them; the operation waits for a person."),
    row("intent_unreadable", K::Internal, "What a step had written down cannot be read."),
    row("no_guest", K::Internal, "The step found no container recorded."),
    row("guest_outcome_unknown", K::Upstream, "The connection into the container broke; it is looked up what happened."),
    row("no_quorum", K::Upstream, "The cluster has no quorum, so that nothing may be changed or taken for gone."),
    row("ha_managed", K::Upstream, "The container is managed by high availability or replication, which would fight a removal, and starts and stops it by itself."),
    row("still_protected", K::Upstream, "The container's protection is still on, though it was lifted."),
    row("not_protected", K::Upstream, "The container's protection was put back, and does not show."),
    row("power_unknown", K::Upstream, "It cannot be read whether the container runs."),
    row("not_running_after_start", K::Upstream, "The container does not run, though its start succeeded."),
    row("still_running", K::Upstream, "The container runs, though it was shut down."),
    row("stopped_meanwhile", K::Upstream, "The container was stopped by somebody else."),
    row("shutdown_timed_out", K::Upstream, "The container did not shut down in time."),
    row("no_address", K::Upstream, "The container shows no address."),
    with_exit("no_guest_access", K::Conflict, ExitCode::ConfigOrNotFound, "There is no way into containers of this host (plain SSH is off)."),
    wrong("ssh_node_unknown", "There is no SSH address for the node."),
    wrong("ssh_host_key_changed", "A node shows another SSH host key than the pinned one."),
    row("guest_request_refused", K::Upstream, "The node did not let a command into the container."),
    row("guest_not_booted", K::Upstream, "The container's system did not come up in time."),
    row("command_failed", K::Upstream, "A command inside the container failed; its words are in the message."),
    row("command_timed_out", K::Upstream, "A program inside a container ran for longer than was asked for, and was ended."),
    row("packages_missing", K::Upstream, "Packages are not there, though their installation succeeded."),
    row("file_differs", K::Upstream, "A file in the container is not as it was written."),
    row("download_differs", K::Upstream, "What was fetched has not the SHA-256 that the catalog entry says."),
    row("recipe_unusable", K::Internal, "The catalog entry cannot be carried out any more."),
    // Health and the gateway.
    with_exit("health_failed", K::Upstream, ExitCode::HealthFailed, "The app did not answer as its health check wants."),
    with_exit("public_port_dead", K::Upstream, ExitCode::HealthFailed, "The app answers, but not through its public port."),
    row("gateway_unreachable", K::Upstream, "The gateway does not answer."),
    row("gateway_busy", K::Upstream, "The gateway has no place for another call now."),
    row("gateway_refused", K::Upstream, "The gateway said no; its words are in the message."),
    row("caddy_unreachable", K::Upstream, "Caddy's admin API does not answer."),
    row("caddy_refused", K::Upstream, "Caddy said no, or is not set up for it; its words are in the message."),
    row("route_still_there", K::Upstream, "The gateway still leads to the app, though the route was taken away."),
    row("port_taken", K::Resources, "Another program listens on the app's port."),
    row("no_ports", K::Internal, "The app has no ports recorded."),
    with_exit("cancelled", K::Conflict, ExitCode::Cancelled, "The operation was cancelled."),
    row("illegal_transition", K::Internal, "A status would have changed in a way that does not exist."),
    // The installation.
    row("no_randomness", K::Upstream, "The system gives no random numbers."),
    row("database_too_new", K::Internal, "A newer version of the program wrote the database."),
    row("disk_full", K::Resources, "There is no space left where the server keeps its data."),
    row("database_unavailable", K::Unavailable, "The database cannot be used right now; what became of the request is not known until it is read."),
    row("database_error", K::Internal, "The database cannot be read or written."),
    row("key_file", K::Internal, "The key file is missing, of another database, or open to others."),
    row("audit_broken", K::Conflict, "An entry of the audit was altered, removed or cut off; the message names the first."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut seen = std::collections::BTreeSet::new();
        for row in CODES {
            assert!(seen.insert(row.code), "{} is there twice", row.code);
            let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(row.code.chars().all(snake), "{}", row.code);
            assert!(
                row.when.ends_with('.'),
                "{}: one sentence, please",
                row.code
            );
        }
    }

    #[test]
    fn an_unhealthy_app_has_an_exit_code_of_its_own() {
        let exit = |code| lookup(code).map(|row| row.exit);
        assert_eq!(exit("health_failed"), Some(ExitCode::HealthFailed));
        assert_eq!(exit("busy"), Some(ExitCode::Busy));
        assert_eq!(
            exit("fingerprint_mismatch"),
            Some(ExitCode::ConfigOrNotFound)
        );
        assert_eq!(lookup("no_such_code"), None);
    }
}
