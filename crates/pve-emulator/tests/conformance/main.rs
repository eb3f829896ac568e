//! Replays the recordings kept in `fixtures/pve-traces`: each must come out as recorded, step by
//! step. The runner is the example `conformance`; a recording is named by nobody but its file.

// Helpers of tests are tests too, though the lint sees only functions marked as such.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    dead_code
)]

#[path = "../../examples/conformance/answers.rs"]
mod answers;
#[path = "../../examples/conformance/code.rs"]
mod code;
#[path = "../../examples/conformance/compare.rs"]
mod compare;
#[path = "../../examples/conformance/emulated.rs"]
mod emulated;
#[path = "../../examples/conformance/history.rs"]
mod history;
#[path = "../../examples/conformance/replay.rs"]
mod replay;
#[path = "../../examples/conformance/report.rs"]
mod report;
#[path = "../../examples/conformance/scenario.rs"]
mod scenario;
#[path = "../../examples/conformance/server.rs"]
mod server;
#[path = "../../examples/conformance/setup.rs"]
mod setup;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../examples/conformance/together.rs"]
mod together;

use std::path::Path;

/// Scenarios that come out as recorded; only ever raised.
const AT_LEAST: usize = 38;

#[test]
fn the_kept_recordings_come_out_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/pve-traces");
    let tally = report::run(&folder, &[], false).unwrap();
    assert!(tally.passed >= AT_LEAST, "see the differences above");
}
