//! R27 for commands and files: texts that mean something to shells arrive in a guest as they are, by each way into it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::trial::{self, Trial, TrialNode};
use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::say;

/// How many texts there have to be.
const LEAST: u64 = 300;
/// Two shells that every node has, and the helper; then both kinds of access into a real container.
const LEAST_WAYS: usize = 5;

pub(super) const FIGURE: Figure = Figure {
    id: "R27",
    shows: "texts that mean something to shells, as arguments and files through each way into a guest: what arrives as something else, what they leave behind, impossible requests that are sent",
    goal: "0 faults, 0 canaries with >= 300 texts, real containers among the ways",
    binaries: &[Binary::GuestFigures, Binary::NodeHelper, Binary::Plain],
    prepare: trial::prepare,
    needs_root: true,
    in_tests: true,
    full_limit: Duration::from_secs(600),
    measure,
};

/// The control needs no real container: what reads commands takes quoting off first.
fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let folder = bench.folder("injection")?;
    if bench.mode.sabotage {
        let program = Invocation::new(Binary::GuestFigures.path(bench.place));
        return judge(&run(bench, program, &folder, &Value::Null)?);
    }
    let trial = Trial::start(bench, &folder)?;
    let measured = trial.node().and_then(|node| {
        let program = Binary::GuestFigures.path(bench.place);
        let order = order(&node, &folder)?;
        run(bench, within(&node, &program), &folder, &order)
    });
    let ended = trial.end();
    let verdict = measured?;
    ended?;
    judge(&verdict)
}

fn within(node: &TrialNode, program: &Path) -> Invocation {
    Invocation::new("nsenter")
        .args(["--net", "--target", &node.namespace.to_string()])
        .arg(program)
}

/// The node and its container, with a key for each kind of access.
fn order(node: &TrialNode, folder: &Path) -> Result<Value> {
    let [plain, helper] = ["plain", "helper"].map(|name| folder.join(format!("{name}-key")));
    node.add_key(&plain, "")?;
    node.add_key(&helper, &format!("restrict,command=\"{}\"", node.serve))?;
    let guest = &node.guest;
    Ok(json!({
        "name": node.name, "address": node.address, "host_key": node.host_key,
        "plain_key": plain, "helper_key": helper,
        "vmid": guest.vmid, "mark": guest.mark, "mac": guest.mac, "rootfs": guest.rootfs,
    }))
}

fn run(bench: &Bench<'_>, program: Invocation, folder: &Path, node: &Value) -> Result<Value> {
    let order = json!({
        "helper": Binary::NodeHelper.path(bench.place),
        "quick": bench.mode.quick && !bench.mode.sabotage,
        "sabotage": bench.mode.sabotage,
        "node": node,
    });
    let file: PathBuf = folder.join("order.json");
    std::fs::write(&file, order.to_string())?;
    let said = program
        .arg(&file)
        .until(bench.deadline)
        .capture(bench.place.root())?
        .expect_success("guest-figures")?;
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("reading {said}"))
}

/// Tells each way, and adds them up.
fn judge(verdict: &Value) -> Result<Measured> {
    let Some(ways) = verdict["ways"].as_array() else {
        bail!("the verdict has no ways: {verdict}");
    };
    let strings = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.map(ToString::to_string).collect()
    };
    for way in ways {
        say::note(format!(
            "R27: {}: {} of {} arrived as something else, {} canaries",
            way["way"], way["wrong"], way["asked"], way["canaries"]
        ));
        for told in strings(&way["told"]) {
            say::note(format!("R27:   {told}"));
        }
    }
    for why in strings(&verdict["skipped"]) {
        say::line(format!("R27: SKIPPED: {why}"));
    }
    let accepted = strings(&verdict["accepted"]);
    for told in &accepted {
        say::note(format!("R27: {told}"));
    }
    let sum = |name: &str| {
        ways.iter()
            .filter_map(|way| way[name].as_u64())
            .sum::<u64>()
    };
    let texts = verdict["payloads"].as_u64().unwrap_or(0);
    let faults = sum("wrong") + accepted.len() as u64;
    let canaries = sum("canaries");
    Ok(Measured {
        value: format!("{faults}/{canaries}/{}", sum("asked")),
        unit: "faults/canaries/commands and files",
        reached: faults == 0
            && canaries == 0
            && texts >= LEAST
            && ways.len() >= LEAST_WAYS
            && verdict["refusals"].as_u64().unwrap_or(0) > 0,
        raw: verdict.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(wrong: u64, canaries: u64, texts: u64) -> Value {
        let way =
            json!({ "way": "w", "asked": 9, "wrong": wrong, "canaries": canaries, "told": [] });
        json!({
            "payloads": texts, "ways": vec![way; 5], "skipped": [], "refusals": 3, "accepted": [],
        })
    }

    #[test]
    fn a_fault_a_canary_and_a_small_corpus_are_short() {
        let reached = |verdict: &Value| judge(verdict).unwrap().reached;
        assert!(reached(&verdict(0, 0, LEAST)));
        assert!(!reached(&verdict(1, 0, LEAST)));
        assert!(!reached(&verdict(0, 1, LEAST)));
        assert!(!reached(&verdict(0, 0, LEAST - 1)));
        let mut accepted = verdict(0, 0, LEAST);
        accepted["accepted"] = json!(["sent"]);
        assert!(!reached(&accepted));
        let mut alone = verdict(0, 0, LEAST);
        alone["ways"] = json!([]);
        assert!(!reached(&alone));
    }
}
