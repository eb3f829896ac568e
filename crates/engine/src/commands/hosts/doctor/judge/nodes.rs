//! Versions and clocks of the nodes.

use std::collections::BTreeSet;

use super::super::facts::{ClockRead, Facts, NodeFacts};
use super::super::finding::Code;
use super::{Judge, names};
use crate::commands::hosts::support::{NEWEST, OLDEST, Support};

/// A clock that is further from ours is warned of: times of tasks and events no longer fit.
const OFF_MS: i64 = 5_000;
/// And one that is further is a fault: codes of authenticators change each 30 s, and tasks are looked for by their times.
const WRONG_MS: i64 = 60_000;

const BY_NTP: &str = "set both clocks by NTP; on the node: chronyc tracking";

pub(super) fn judge(facts: &Facts, judge: &mut Judge) {
    for node in &facts.nodes {
        version(node, judge);
    }
    let versions: BTreeSet<&str> = facts
        .nodes
        .iter()
        .filter_map(|node| node.version.as_deref().ok())
        .collect();
    if versions.len() > 1 {
        let what = format!("its nodes have different versions: {}", names(versions));
        let next = "that is well while nodes are upgraded one after the other; upgrade the others"
            .to_owned();
        judge.say(Code::VersionsDiffer, "cluster", what, [next]);
    }
    for node in &facts.nodes {
        match &node.clock {
            Ok(read) => clock(node, *read, judge),
            Err(why) => {
                let what = format!("its clock was not read: {why}");
                judge.say(Code::ClockUnread, subject(node), what, []);
            }
        }
    }
}

fn subject(node: &NodeFacts) -> String {
    format!("node {}", node.name)
}

fn version(node: &NodeFacts, judge: &mut Judge) {
    let version = match &node.version {
        Ok(version) => version,
        Err(why) => {
            let what = format!("its version was not read: {why}");
            return judge.say(Code::VersionUnread, subject(node), what, []);
        }
    };
    match Support::of(version) {
        Support::Tested => {
            let what = format!("it has PVE {version}");
            judge.say(Code::VersionSupported, subject(node), what, []);
        }
        Support::TooOld => {
            let what = format!("it has PVE {version}; {OLDEST} is needed");
            let next = format!("upgrade it to {OLDEST} or later");
            judge.say(Code::VersionTooOld, subject(node), what, [next]);
        }
        Support::Untested => {
            let what = format!("it has PVE {version}; the newest that was tested is {NEWEST}");
            let next = "see whether a newer Proximity knows it: proximity version".to_owned();
            judge.say(Code::VersionUntested, subject(node), what, [next]);
        }
        Support::Unreadable => {
            let what = format!("its version makes no sense: {version}");
            judge.say(Code::VersionUnread, subject(node), what, []);
        }
    }
}

fn clock(node: &NodeFacts, read: ClockRead, judge: &mut Judge) {
    let side = if read.ahead_ms < 0 {
        "behind"
    } else {
        "ahead of"
    };
    let far = format!(
        "its clock is {} s {side} this machine's, give or take {} s",
        tenths(read.ahead_ms),
        tenths(read.give_ms)
    );
    // What may be due to the way there and back is nobody's fault.
    let at_least = read.ahead_ms.abs() - read.give_ms;
    if at_least > WRONG_MS {
        let what = format!(
            "{far}: codes of authenticators and tickets are refused, and tasks are not found by their times"
        );
        judge.say(Code::ClockWrong, subject(node), what, [BY_NTP.to_owned()]);
    } else if at_least > OFF_MS {
        let what = format!("{far}: times of tasks and events do not fit");
        judge.say(Code::ClockOff, subject(node), what, [BY_NTP.to_owned()]);
    } else {
        judge.say(Code::ClockClose, subject(node), far, []);
    }
}

/// Milliseconds as seconds with one digit, without a sign.
fn tenths(ms: i64) -> String {
    let tenths = (ms.unsigned_abs() + 50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}
