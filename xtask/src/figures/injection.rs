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
/// Without the container.
const LEAST_LOCAL: usize = 3;

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
        let verdict = run(bench, program, &folder, &Value::Null)?;
        let measured = judge(&verdict)?;
        seen(&verdict)?;
        return Ok(measured);
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
            "R27: {}: {} of {} commands and {} of {} files arrived as something else, {} canaries",
            way["way"],
            way["arguments_wrong"],
            way["arguments"],
            way["files_wrong"],
            way["files"],
            way["canaries"]
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
    let wrong = sum("arguments_wrong") + sum("files_wrong");
    let faults = wrong + accepted.len() as u64;
    let asked = sum("arguments") + sum("files");
    let canaries = sum("canaries");
    Ok(Measured {
        value: format!("{faults}/{canaries}/{asked}"),
        unit: "faults/canaries/commands and files",
        reached: faults == 0
            && canaries == 0
            && texts >= LEAST
            && ways.len() >= LEAST_WAYS
            && verdict["refusals"].as_u64().unwrap_or(0) > 0,
        raw: verdict.clone(),
    })
}

/// In the control each part has to see what was done to it, by each way: a text that is read again, what it leaves behind, files that
/// became others, requests that are possible.
fn seen(verdict: &Value) -> Result<()> {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let ways = verdict["ways"].as_array().map_or(&[][..], Vec::as_slice);
    if ways.len() < LEAST_LOCAL {
        bail!("{} ways, at least {LEAST_LOCAL} are there", ways.len());
    }
    for way in ways {
        for (part, least) in [
            ("arguments_wrong", 1),
            ("canaries", 1),
            ("files_wrong", count(&verdict["spoiled"]).max(1)),
        ] {
            if count(&way[part]) < least {
                let seen = count(&way[part]);
                bail!(
                    "{}: {part} is {seen} where it has to be {least}",
                    way["way"]
                );
            }
        }
    }
    let accepted = verdict["accepted"].as_array().map_or(0, Vec::len) as u64;
    let possible = count(&verdict["possible"]).max(1);
    if accepted != possible {
        bail!("{accepted} requests were seen to be sent, not {possible}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(wrong: u64, canaries: u64, texts: u64) -> Value {
        let way = json!({
            "way": "w", "arguments": 6, "arguments_wrong": wrong, "files": 3, "files_wrong": wrong,
            "canaries": canaries, "told": [],
        });
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

    #[test]
    fn a_control_that_leaves_one_part_unseen_is_none() {
        let mut whole = verdict(5, 1, 60);
        whole["spoiled"] = json!(5);
        whole["possible"] = json!(2);
        whole["accepted"] = json!(["sent", "sent"]);
        assert!(seen(&whole).is_ok());
        let without = |change: &dyn Fn(&mut Value)| {
            let mut verdict = whole.clone();
            change(&mut verdict);
            seen(&verdict).map_err(|e| e.to_string()).unwrap_err()
        };
        for (part, seen) in [("arguments_wrong", 0), ("canaries", 0), ("files_wrong", 4)] {
            let why = without(&|verdict| verdict["ways"][2][part] = json!(seen));
            assert!(why.contains(part), "{why}");
        }
        let why = without(&|verdict| verdict["accepted"] = json!(["sent"]));
        assert!(why.contains("requests"), "{why}");
        let why = without(&|verdict| verdict["ways"] = json!([]));
        assert!(why.contains("ways"), "{why}");
    }
}
