//! Replays recordings of a real PVE 9.2 cluster and compares the answers:
//!
//! `conformance FOLDER [--only NAME]… [--verbose] [--against URL …]`
//!
//! A scenario's world comes from its fixture alone. Without `--against` the emulator runs in this
//! process on virtual time. The last line is `FIGURE conformance N/M …`.

// A program for people: it prints.
#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // The helpers of the tests.

mod against;
mod answers;
mod arguments;
mod code;
mod compare;
mod emulated;
mod ground;
mod history;
mod replay;
mod report;
mod scenario;
mod secrets;
mod server;
mod setup;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod together;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("error: {why}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match report::run(arguments) {
        Ok(tally) if tally.is_whole() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
