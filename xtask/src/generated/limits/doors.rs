//! What is limited in what comes from outside and in what it is kept in, and where.

use super::table::Limit;

/// Those of the API, the gateway, the database and what is read from files, by what they protect.
pub(super) const OF_DOORS: &[(&str, &[Limit])] = &[
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
                "bytes of a body with documents to plan",
                "crates/server/src/extract.rs",
                "LARGEST_DOCUMENTS_BYTES",
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
            Limit(
                "anchors that the audit is held against in one request",
                "crates/api/src/audit.rs",
                "MOST_ANCHORS",
                "refused: `invalid_value`",
            ),
            Limit(
                "bytes of a line of a log that anchors are read from",
                "crates/proximity/src/commands/audit.rs",
                "LONGEST_LINE",
                "passed over",
            ),
            Limit(
                "audit entries in memory while they are verified",
                "crates/store/src/audit_chain.rs",
                "PAGE",
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
    (
        "Sources of documents",
        &[
            Limit(
                "sources",
                "crates/domain/src/source/mod.rs",
                "MOST_SOURCES",
                "refused: `not_in_state`",
            ),
            Limit(
                "shortest time between two looks, s",
                "crates/domain/src/source/mod.rs",
                "LEAST_EVERY_S",
                "refused: `invalid_value`",
            ),
            Limit(
                "time between a look and one that a webhook asks for, ms",
                "crates/domain/src/source/mod.rs",
                "NUDGE_REST_MS",
                "it comes that much later",
            ),
            Limit(
                "pause after failures, ms",
                "crates/domain/src/source/mod.rs",
                "LONGEST_PAUSE_MS",
                "it grows no longer",
            ),
            Limit(
                "looks at the same time",
                "crates/engine/src/sources/mod.rs",
                "AT_ONCE",
                "they wait",
            ),
            Limit(
                "bytes that are fetched for a look",
                "crates/engine/src/sources/mod.rs",
                "MOST_FETCHED_BYTES",
                "told: `source_too_large`",
            ),
            Limit(
                "time for fetching",
                "crates/engine/src/sources/mod.rs",
                "PATIENCE",
                "ended and told: `source_unreachable`",
            ),
            Limit(
                "bytes of a key, of host keys and of allowed signers",
                "crates/engine/src/commands/sources.rs",
                "MOST_TEXT_BYTES",
                "refused: `invalid_value`",
            ),
        ],
    ),
    (
        "Documents of desired state",
        &[
            Limit(
                "bytes of a file",
                "crates/manifest/src/limits.rs",
                "MOST_SOURCE_BYTES",
                "told; the file is not read",
            ),
            Limit(
                "bytes of all files",
                "crates/manifest/src/limits.rs",
                "MOST_BYTES",
                "told; the files beyond are not read",
            ),
            Limit(
                "files",
                "crates/manifest/src/limits.rs",
                "MOST_SOURCES",
                "refused, or told",
            ),
            Limit(
                "fields and values of all files, each alias as what it stands for",
                "crates/manifest/src/limits.rs",
                "MOST_NODES",
                "told; nothing beyond is read",
            ),
            Limit(
                "maps and lists inside of each other",
                "crates/manifest/src/limits.rs",
                "MOST_DEPTH",
                "told; the document is not read",
            ),
            Limit(
                "bytes of texts and names that aliases and values stand for, wherever one stands",
                "crates/manifest/src/limits.rs",
                "MOST_FILLED_BYTES",
                "told; nothing beyond is read",
            ),
            Limit(
                "problems that are told",
                "crates/manifest/src/limits.rs",
                "MOST_PROBLEMS",
                "counted",
            ),
            Limit(
                "configurations that are read for a plan",
                "crates/engine/src/commands/plan/see.rs",
                "MOST_READ",
                "told as not known",
            ),
            Limit(
                "time for the list of a cluster on which a new app could come to be, and nothing else is planned",
                "crates/engine/src/commands/plan/see.rs",
                "BESIDE",
                "a note says so",
            ),
            Limit(
                "paths of rights that are asked for per host and plan",
                "crates/engine/src/commands/plan/rights.rs",
                "MOST_PATHS",
                "a note says so",
            ),
            Limit(
                "changes of an apply at the same time",
                "crates/engine/src/apply/mod.rs",
                "MOST_AT_ONCE",
                "refused: `invalid_value`",
            ),
            Limit(
                "bytes of a secret",
                "crates/engine/src/commands/secrets.rs",
                "MOST_SECRET_BYTES",
                "refused: `invalid_value`",
            ),
            Limit(
                "plans of an account that are kept",
                "crates/store/src/plans.rs",
                "PLANS_KEPT",
                "the oldest goes",
            ),
            Limit(
                "names of which content is rejected",
                "crates/store/src/rejections.rs",
                "REJECTED_KEPT",
                "the oldest goes, and is applied again by whatever wants it",
            ),
            Limit(
                "characters of the reason why something is rejected",
                "crates/engine/src/commands/rejections.rs",
                "MOST_REASON_CHARS",
                "refused: `invalid_value`",
            ),
        ],
    ),
];
