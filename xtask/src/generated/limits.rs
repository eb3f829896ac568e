//! The page of all limits: read from the constants that enforce them, so that page and code cannot differ.

use anyhow::{Context, Result, bail};

use super::Generated;
use crate::place::Place;

const FILE: &str = "docs/reference/limits.md";

/// A limit: what it limits, the file and the constant that holds it, and what happens beyond.
struct Limit(&'static str, &'static str, &'static str, &'static str);

/// All of them, by what they protect.
const LIMITS: &[(&str, &[Limit])] = &[
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
                "it lets others pass",
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
                "how late a destroy without an answer and a task may arrive, ms",
                "crates/engine/src/engine.rs",
                "DESTROY_LATE_MS",
                "another one is sent, after a new look",
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
    (
        "The API",
        &[
            Limit(
                "bytes of a request's body",
                "crates/server/src/extract.rs",
                "LARGEST_BODY_BYTES",
                "413",
            ),
            Limit(
                "a request",
                "crates/server/src/layers.rs",
                "LONGEST_REQUEST",
                "504",
            ),
            Limit(
                "connections at the same time",
                "crates/server/src/listen.rs",
                "connections",
                "they wait; fewer where the process may open few files",
            ),
            Limit(
                "a TLS handshake, the head of a request, silence between two",
                "crates/server/src/listen.rs",
                "head",
                "closed",
            ),
            Limit(
                "a client that takes nothing of its answer",
                "crates/server/src/listen.rs",
                "stall",
                "closed",
            ),
            Limit(
                "requests under way at shutdown",
                "crates/server/src/listen.rs",
                "drain",
                "cut off",
            ),
            Limit(
                "bytes of a token",
                "crates/server/src/auth.rs",
                "LONGEST_TOKEN_BYTES",
                "401",
            ),
            Limit(
                "characters of a search",
                "crates/server/src/extract.rs",
                "LONGEST_SEARCH",
                "422",
            ),
            Limit(
                "apps of a page",
                "crates/server/src/routes/apps.rs",
                "MOST",
                "422; the next page",
            ),
            Limit(
                "operations of a page",
                "crates/server/src/routes/operations.rs",
                "MOST",
                "422; the next page",
            ),
            Limit(
                "log lines of a page",
                "crates/server/src/routes/logs.rs",
                "MOST_LINES",
                "422; the next page",
            ),
            Limit(
                "events of a page",
                "crates/server/src/routes/events.rs",
                "MOST",
                "422; the next page",
            ),
            Limit(
                "age of what the health page says, ms",
                "crates/server/src/health_cache.rs",
                "FRESH_MS",
                "looked at anew",
            ),
            Limit(
                "rows of an answer of the store",
                "crates/store/src/journal.rs",
                "MAX_ROWS",
                "the next page",
            ),
        ],
    ),
    (
        "Live events",
        &[
            Limit(
                "streams at the same time",
                "crates/server/src/events/mod.rs",
                "clients",
                "503 `too_many_streams`, with `retry-after`",
            ),
            Limit(
                "a stream",
                "crates/server/src/events/mod.rs",
                "life",
                "it ends; `Last-Event-ID` goes on without a gap",
            ),
            Limit(
                "silence of a stream",
                "crates/server/src/events/mod.rs",
                "silence",
                "a comment shows that it lives",
            ),
            Limit(
                "events kept for all streams together",
                "crates/server/src/events/feed.rs",
                "WINDOW_EVENTS",
                "read from the database",
            ),
            Limit(
                "bytes kept for all streams together",
                "crates/server/src/events/feed.rs",
                "WINDOW_BYTES",
                "read from the database",
            ),
            Limit(
                "streams that read the database at the same time",
                "crates/server/src/events/feed.rs",
                "REPLAYS",
                "they wait",
            ),
        ],
    ),
    (
        "The gateway",
        &[
            Limit(
                "routes",
                "crates/gateway/src/options.rs",
                "routes",
                "refused",
            ),
            Limit(
                "connections to one app",
                "crates/gateway/src/options.rs",
                "connections_per_route",
                "closed at once",
            ),
            Limit(
                "connections to all apps",
                "crates/gateway/src/options.rs",
                "connections",
                "closed at once; fewer where the process may open few files",
            ),
            Limit(
                "connecting to a container",
                "crates/gateway/src/options.rs",
                "dial_timeout",
                "the caller's connection is closed",
            ),
            Limit(
                "connections at its end",
                "crates/gateway/src/options.rs",
                "drain",
                "cut off",
            ),
            Limit(
                "callers at its control socket",
                "crates/gateway/src/options.rs",
                "control_clients",
                "told that there is no place; servers ask again",
            ),
            Limit(
                "bytes of a control line",
                "crates/gateway/src/options.rs",
                "control_line_bytes",
                "refused",
            ),
            Limit(
                "silence of a control caller",
                "crates/gateway/src/options.rs",
                "control_idle",
                "closed",
            ),
            Limit(
                "calls of one server under way",
                "crates/gateway/src/client.rs",
                "CALLS",
                "they wait",
            ),
            Limit(
                "an answer of the gateway",
                "crates/gateway/src/client.rs",
                "PATIENCE",
                "outcome unknown: looked for",
            ),
        ],
    ),
    (
        "The database",
        &[Limit(
            "bytes of a key file",
            "crates/store/src/key.rs",
            "MAX_FILE_BYTES",
            "refused",
        )],
    ),
    (
        "The catalog",
        &[
            Limit(
                "entries",
                "crates/engine/src/catalog/load.rs",
                "MAX_ENTRIES",
                "refused at start",
            ),
            Limit(
                "bytes of an entry",
                "crates/engine/src/catalog/load.rs",
                "MAX_FILE_BYTES",
                "refused at start",
            ),
            Limit(
                "bytes of a written file",
                "crates/engine/src/catalog/template.rs",
                "MAX_BYTES",
                "the step fails",
            ),
        ],
    ),
];

const HEAD: &str = "# Limits

What waits, is held or is under way has an end. What has happened is kept: nothing prunes the journals yet (log lines,
events, audit) nor archived apps and operations that have ended, so the database grows with use, at most 1,000 log lines
and about as many events per operation. Each is read by an index, page by page, so that old rows cost room, not time.
Request keys go after a day. This page is made from the constants that enforce the limits (`cargo xtask gen`); the last
column says what happens beyond.
";

pub(super) fn page(place: &Place) -> Result<Generated> {
    let mut should_be = HEAD.to_owned();
    for (title, limits) in LIMITS {
        should_be.push_str(&format!(
            "\n## {title}\n\n| what | limit | where | beyond |\n|---|---|---|---|\n"
        ));
        for Limit(what, file, name, beyond) in *limits {
            let source = std::fs::read_to_string(place.root().join(file))
                .with_context(|| format!("reading {file}"))?;
            let value = value_of(&source, name).with_context(|| format!("{name} in {file}"))?;
            should_be.push_str(&format!(
                "| {what} | {value} | [`{name}`](../../{file}) | {beyond} |\n"
            ));
        }
    }
    let is = match std::fs::read_to_string(place.root().join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {FILE}")),
    };
    Ok(Generated {
        file: FILE,
        is,
        should_be,
    })
}

/// What a constant is set to, as it is written, in one line. A name in small letters is a field of the file's defaults.
fn value_of(source: &str, name: &str) -> Result<String> {
    if name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return default_of(source, name);
    }
    let declared = format!("const {name}: ");
    let mut found = source.split(&declared).skip(1);
    let Some(rest) = found.next() else {
        bail!("there is no such constant");
    };
    if found.next().is_some() {
        bail!("there are several constants of this name");
    }
    let value = rest
        .split_once("= ")
        .and_then(|(_, value)| value.split_once(';'))
        .map(|(value, _)| value);
    let Some(value) = value else {
        bail!("it has no value");
    };
    let words: Vec<&str> = value
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .collect();
    Ok(words.join(" ").trim().to_owned())
}

fn default_of(source: &str, field: &str) -> Result<String> {
    let mut defaults = source.split("fn default() -> Self {").skip(1);
    let (Some(defaults), None) = (defaults.next(), defaults.next()) else {
        bail!("the file has no defaults, or several");
    };
    let value = defaults
        .lines()
        .take_while(|line| *line != "}")
        .find_map(|line| line.trim().strip_prefix(field)?.strip_prefix(": "));
    let value = value.context("no default has this name")?;
    Ok(value.trim_end_matches(',').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_read_as_they_are_written() {
        let source = "impl Default for A {\n    fn default() -> Self {\n        Self {\n            most: 4 * 2,\n        }\n    }\n}\nlet a = B { other: 1 };";
        assert_eq!(value_of(source, "most").unwrap(), "4 * 2");
        assert!(value_of(source, "other").is_err());
        assert!(value_of("", "most").is_err());
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let source =
            "pub const A: usize = 4 * 1024;\nconst B: Policy = Policy {\n    x: 1, // one\n};\n";
        assert_eq!(value_of(source, "A").unwrap(), "4 * 1024");
        assert_eq!(value_of(source, "B").unwrap(), "Policy { x: 1, }");
        assert!(value_of(source, "C").is_err());
        assert!(value_of(&source.repeat(2), "A").is_err());
    }
}
