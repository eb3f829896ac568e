//! The wider API: high availability, storages, jobs, arriving files and what else a cluster's administrator asks for.

// Helpers of tests are tests too, though the lint sees only functions marked as such.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    dead_code
)]

mod accounts;
mod arrivals;
mod backup;
mod bulk;
mod export;
mod ha;
mod options;
mod pools;
mod storage;
#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod volumes;

use support::sim::{Answer, Request, Sim};

/// A call as root that must be answered well; its data.
fn get(sim: &mut Sim, path: &str) -> serde_json::Value {
    let answer = sim.root("GET", path, &[]);
    assert_eq!(answer.status(), 200, "{path}: {}", answer.message());
    answer.payload()
}

/// Status and message of a call as root.
fn said(sim: &mut Sim, verb: &str, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    let answer = sim.root(verb, path, form);
    (answer.status(), told(&answer))
}

/// What a refusal tells: the message, and the refused parameters.
fn told(answer: &Answer) -> String {
    let errors = answer.body()["errors"].clone();
    let mut text = answer.message().trim_end().to_owned();
    for (name, error) in errors.as_object().into_iter().flatten() {
        text.push_str(&format!("|{name}: {}", error.as_str().unwrap_or_default()));
    }
    text
}

/// A call by somebody else.
fn by(sim: &mut Sim, token: &str, verb: &str, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    let answer = sim.call(Request::new(verb, path).by(token).parameters(form));
    (answer.status(), told(&answer))
}
