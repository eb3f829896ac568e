//! What is limited in what is done and kept, and where.

/// A limit: what it limits, the file and the constant that holds it, and what happens beyond.
pub(super) struct Limit(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
);

/// Those of work, of what is told and kept of it, and of what it asks of clusters and guests, by what they protect.
pub(super) const OF_WORK: &[(&str, &[Limit])] = &[
    (
        "Operations",
        &[
            Limit(
                "queued operations",
                "crates/store/src/operations.rs",
                "QUEUED_OPERATIONS",
                "refused: `queue_full`",
            ),
            Limit(
                "operations at work (`engine.operations`)",
                "crates/engine/src/engine.rs",
                "OPERATIONS",
                "they wait; each host may have one beyond",
            ),
            Limit(
                "operations at work per host (`engine.operations_per_host`)",
                "crates/engine/src/engine.rs",
                "OPERATIONS_PER_HOST",
                "they wait",
            ),
            Limit(
                "silence of a claim's holder, ms",
                "crates/engine/src/engine.rs",
                "LEASE_MS",
                "another worker may take over; the holder sends nothing any more",
            ),
            Limit(
                "time to a safe point at shutdown, ms",
                "crates/engine/src/engine.rs",
                "DRAIN_MS",
                "cut off, found by looking at the next start",
            ),
            Limit(
                "attempts at a step, waits in between",
                "crates/domain/src/retry.rs",
                "DEFAULT",
                "turned back, or a person is asked",
            ),
            Limit(
                "time between two requests of the slow sweep over configurations",
                "crates/engine/src/reconcile/pace.rs",
                "APART",
                "they wait for their turn, over all hosts together",
            ),
            Limit(
                "configurations under way per node in the slow sweep",
                "crates/engine/src/reconcile/sweep.rs",
                "LANES",
                "they wait; other nodes go on",
            ),
            Limit(
                "reads of the slow sweep that do not come back, per node and round",
                "crates/engine/src/reconcile/sweep.rs",
                "STRIKES",
                "the node is left until the next round",
            ),
            Limit(
                "VMIDs chosen anew for one intent",
                "crates/engine/src/saga/executor.rs",
                "INTENT_ATTEMPTS",
                "the step is tried again later",
            ),
            Limit(
                "log lines of an operation",
                "crates/store/src/journal.rs",
                "LOG_LINES_PER_OPERATION",
                "left out, said once; errors are kept",
            ),
            Limit(
                "characters of a log line",
                "crates/store/src/journal.rs",
                "LOG_LINE_CHARS",
                "cut",
            ),
        ],
    ),
    (
        "What is kept of what has happened",
        &[
            Limit(
                "events (`retention.events`)",
                "crates/domain/src/retention.rs",
                "EVENTS",
                "the oldest are cleared away, but for what a channel of notices has not been told of",
            ),
            Limit(
                "operations that keep steps and log lines after their end (`retention.operations`)",
                "crates/domain/src/retention.rs",
                "OPERATIONS",
                "those that ended first lose them, but for the newest of a live app",
            ),
            Limit(
                "age of each of these, ms (`retention.event_days`, `retention.operation_days`, `retention.snapshot_days`)",
                "crates/domain/src/retention.rs",
                "KEPT_MS",
                "cleared away likewise",
            ),
            Limit(
                "snapshots of one resource (`retention.snapshots`)",
                "crates/domain/src/retention.rs",
                "SNAPSHOTS",
                "the oldest are cleared away, never the newest",
            ),
            Limit(
                "tasks of Proxmox VE that are kept",
                "crates/engine/src/clearing.rs",
                "TASKS",
                "those that changed first are removed",
            ),
            Limit(
                "rows that one commit clears away, about",
                "crates/store/src/clearing.rs",
                "ROWS_PER_COMMIT",
                "the next commit, after those who wait for their turn",
            ),
            Limit(
                "pages of the database that the writer keeps in memory, 4 KiB each",
                "crates/store/src/sql/sqlite/connect.rs",
                "WRITER_CACHE_PAGES",
                "read again when they are needed",
            ),
        ],
    ),
    (
        "Notices",
        &[
            Limit(
                "notices that wait for a channel",
                "crates/store/src/notices.rs",
                "NOTICES_PER_CHANNEL",
                "the least grave and oldest are given up; the next message says how many",
            ),
            Limit(
                "notices of one message",
                "crates/domain/src/notify/turn.rs",
                "DIGEST_MOST",
                "they come in the next one",
            ),
            Limit(
                "wait before a channel is tried again, ms",
                "crates/domain/src/notify/backoff.rs",
                "LONGEST_MS",
                "it does not grow further",
            ),
            Limit(
                "refusals of one message while others are taken",
                "crates/domain/src/notify/insistence.rs",
                "REFUSALS",
                "it is given up",
            ),
            Limit(
                "lost answers to one message while others are taken",
                "crates/domain/src/notify/insistence.rs",
                "LOST",
                "it counts as told",
            ),
            Limit(
                "failures of one message in a row",
                "crates/domain/src/notify/insistence.rs",
                "ASIDE_AFTER",
                "it lets others pass, on the webhook those of other subjects",
            ),
            Limit(
                "others that pass such a message",
                "crates/domain/src/notify/insistence.rs",
                "PASSES",
                "it is tried again, however much else waits",
            ),
            Limit(
                "a message over HTTP",
                "crates/engine/src/notify/http.rs",
                "EXCHANGE",
                "it is sent again under its id",
            ),
            Limit(
                "a mail",
                "crates/engine/src/notify/smtp.rs",
                "EXCHANGE",
                "it is sent again under its id",
            ),
            Limit(
                "channels (`notify.channels`)",
                "crates/proximity/src/config/notify.rs",
                "CHANNELS",
                "the configuration is refused",
            ),
        ],
    ),
    (
        "Calls to Proxmox VE",
        &[
            Limit(
                "calls under way to one node",
                "crates/pve/src/transport/https/turns.rs",
                "CALLS_PER_NODE",
                "they wait; not sent when their time is over",
            ),
            Limit(
                "calls under way to one cluster",
                "crates/pve/src/transport/https/turns.rs",
                "CALLS_PER_CLUSTER",
                "they wait; not sent when their time is over",
            ),
            Limit(
                "connecting to an endpoint; a read without an answer while there is another endpoint",
                "crates/pve/src/transport/https/mod.rs",
                "SHARE",
                "the next endpoint; a change that may have been sent is not sent to another",
            ),
            Limit(
                "a call answered by the asked node, ms",
                "crates/pve/src/call.rs",
                "QUICK_MS",
                "outcome unknown: looked for",
            ),
            Limit(
                "a call that may be proxied, ms",
                "crates/pve/src/call.rs",
                "PROXIED_MS",
                "outcome unknown: looked for",
            ),
            Limit(
                "bytes of an answer",
                "crates/pve/src/transport/https/connection.rs",
                "LONGEST_ANSWER_BYTES",
                "given up",
            ),
            Limit(
                "bytes of an answer's head",
                "crates/pve/src/transport/https/connection.rs",
                "LONGEST_HEAD_BYTES",
                "given up",
            ),
            Limit(
                "a task, ms",
                "crates/engine/src/engine.rs",
                "TASK_MS",
                "outcome unknown: looked for",
            ),
            Limit(
                "one node when a place for an app is looked for, ms",
                "crates/engine/src/engine.rs",
                "NODE_MS",
                "it has not answered: another node is taken",
            ),
            Limit(
                "how late a create without an answer may arrive, ms",
                "crates/engine/src/engine.rs",
                "LATE_MS",
                "after three looks so far apart it counts as never arrived",
            ),
            Limit(
                "how long the way to a node is free before a destroy or a lift of the protection without an answer counts as never sent, ms",
                "crates/engine/src/engine.rs",
                "DESTROY_LATE_MS",
                "another one is sent, after a new look; what was lifted is put back",
            ),
            Limit(
                "how long the way to a node is free before a shutdown or a stop without an answer counts as never sent, ms",
                "crates/engine/src/engine.rs",
                "POWER_OFF_LATE_MS",
                "another one is sent, after a new look",
            ),
            Limit(
                "how late such a call may arrive behind a node that hangs, from its audit, ms",
                "crates/engine/src/engine.rs",
                "PROXIED_LATE_MS",
                "as above, whether the way was free or not",
            ),
        ],
    ),
    (
        "Commands in guests",
        &[
            Limit(
                "commands at a node at the same time",
                "crates/pve/src/guest/ssh/connection.rs",
                "CONCURRENT_COMMANDS",
                "they wait",
            ),
            Limit(
                "letting us in",
                "crates/pve/src/guest/ssh/connection.rs",
                "CONNECT",
                "not sent",
            ),
            Limit(
                "a command that only looks, ms",
                "crates/engine/src/sagas/steps/guest_session.rs",
                "LOOK_MS",
                "tried again",
            ),
            Limit(
                "a command that installs, ms",
                "crates/engine/src/sagas/steps/guest_session.rs",
                "WORK_MS",
                "tried again, after what is left of it",
            ),
            Limit(
                "ending a cancelled command, ms",
                "crates/engine/src/sagas/steps/guest_session.rs",
                "END_MS",
                "the container is stopped with it",
            ),
            Limit(
                "waiting for a command of a worker that died, s",
                "crates/engine/src/sagas/steps/guest_session.rs",
                "LOCK_WAIT_S",
                "tried again",
            ),
            Limit(
                "kept bytes of stdout and of stderr",
                "crates/engine/src/sagas/steps/guest_session.rs",
                "MAX_OUTPUT_BYTES",
                "read and dropped",
            ),
            Limit(
                "bytes of an argument, and of a command line",
                "crates/node-helper/src/limits.rs",
                "ARGUMENT_BYTES",
                "refused",
            ),
            Limit(
                "bytes of a frame of the helper's answer",
                "crates/pve/src/guest/ssh/frames.rs",
                "FRAME_BYTES",
                "not read: whether it was done is looked at again",
            ),
            Limit(
                "helper commands at work on a node",
                "crates/node-helper/src/limits.rs",
                "AT_WORK",
                "refused",
            ),
            Limit(
                "helper commands of one installation at work on a node",
                "crates/node-helper/src/limits.rs",
                "AT_WORK_OF_ONE",
                "refused",
            ),
            Limit(
                "input of a helper's command to come, ms",
                "crates/node-helper/src/limits.rs",
                "INPUT_MS",
                "refused, also beyond the command's own time",
            ),
            Limit(
                "room of a node's file system that no input takes, bytes",
                "crates/node-helper/src/limits.rs",
                "ROOM_LEFT_BYTES",
                "refused",
            ),
            Limit(
                "bytes of a file of the helper's audit",
                "crates/node-helper/src/limits.rs",
                "AUDIT_BYTES",
                "put aside",
            ),
            Limit(
                "files of what the helper did that are kept beside the newest",
                "crates/node-helper/src/limits.rs",
                "AUDITS_KEPT",
                "the oldest goes",
            ),
            Limit(
                "files of what it refused that are kept beside the newest",
                "crates/node-helper/src/limits.rs",
                "REFUSALS_KEPT",
                "the oldest goes",
            ),
            Limit(
                "an address to show, ms",
                "crates/engine/src/engine.rs",
                "NETWORK_MS",
                "the step fails",
            ),
            Limit(
                "a graceful shutdown, s",
                "crates/engine/src/engine.rs",
                "SHUTDOWN_S",
                "the step fails, unless force was asked for",
            ),
            Limit(
                "bytes of a health page",
                "crates/engine/src/seams.rs",
                "PROBE_BODY_BYTES",
                "not read",
            ),
        ],
    ),
];
