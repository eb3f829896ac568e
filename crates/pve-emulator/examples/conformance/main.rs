//! Replays recordings of a real PVE 9.2 cluster and compares the answers:
//!
//! `conformance FOLDER [--only NAME]… [--verbose]`
//!
//! A scenario's world comes from its fixture alone. The emulator runs in this process on virtual
//! time. The last line is `FIGURE conformance N/M …`.

// A program for people: it prints.
#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // The helpers of the tests.

mod answers;
mod code;
mod compare;
mod emulated;
mod history;
mod replay;
mod report;
mod scenario;
mod server;
mod setup;
#[path = "../../tests/support/mod.rs"]
mod support;
mod together;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut folder = None;
    let mut only = Vec::new();
    let mut verbose = false;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--only" => only.extend(arguments.next()),
            "--verbose" => verbose = true,
            _ => folder = Some(PathBuf::from(argument)),
        }
    }
    let Some(folder) = folder else {
        eprintln!("usage: conformance FOLDER [--only NAME]… [--verbose]");
        return ExitCode::from(2);
    };
    match report::run(&folder, &only, verbose) {
        Ok(tally) if tally.is_whole() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
