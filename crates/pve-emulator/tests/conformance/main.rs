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

mod as_the_schema_says;
mod calls_world;
mod fuzz;
mod judge;
mod made;
mod refusals;
mod returns;

#[path = "../../examples/conformance/against.rs"]
mod against;
#[path = "../../examples/conformance/answers.rs"]
mod answers;
#[path = "../../examples/conformance/arguments.rs"]
mod arguments;
#[path = "../../examples/conformance/code.rs"]
mod code;
#[path = "../../examples/conformance/compare.rs"]
mod compare;
#[path = "../../examples/conformance/emulated.rs"]
mod emulated;
#[path = "../../examples/conformance/ground.rs"]
mod ground;
#[path = "../../examples/conformance/history.rs"]
mod history;
#[path = "../../examples/conformance/replay.rs"]
mod replay;
#[path = "../../examples/conformance/report.rs"]
mod report;
#[path = "../../examples/conformance/scenario.rs"]
mod scenario;
#[path = "../../examples/conformance/secrets.rs"]
mod secrets;
#[path = "../../examples/conformance/server.rs"]
mod server;
#[path = "../../examples/conformance/setup.rs"]
mod setup;
#[path = "../it/support/mod.rs"]
mod support;
#[path = "../../examples/conformance/together.rs"]
mod together;
#[path = "../../examples/conformance/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arguments::{Arguments, Target};
use proximity_pve_emulator::core::WorldSeed;
use serde_json::json;
use support::{https, seed};

/// Scenarios that come out as recorded; only ever raised.
const AT_LEAST: usize = 38;

fn recordings(only: Vec<String>) -> Arguments {
    Arguments {
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/pve-traces"),
        only,
        ..Arguments::default()
    }
}

/// Recordings that a lone node can replay in real time at once: short, without waiting, images, or
/// secrets; and one that has events.
fn quick_ones() -> (Vec<String>, String) {
    let folder = recordings(Vec::new()).folder;
    let all = scenario::list(&folder).unwrap().into_iter();
    let alone = all.map(|path| scenario::Scenario::load(&path).unwrap());
    let alone: Vec<_> = alone.filter(|s| s.document["topology"] == "solo").collect();
    let quick = |s: &&scenario::Scenario| {
        let steps = s.steps();
        let text = s.document["steps"].to_string();
        steps.len() <= 12
            && steps
                .iter()
                .all(|step| step["elapsed_ms"].as_u64() < Some(2_000))
            && !text.contains("labhttpd")
            && ground::out_of_reach(s).is_none()
    };
    let names = alone.iter().filter(quick).map(|s| s.name().to_owned());
    let eventful = alone.iter().find(|s| !s.list("events").is_empty());
    (names.collect(), eventful.unwrap().name().to_owned())
}

#[test]
fn a_server_by_its_url_answers_as_recorded_and_is_left_as_it_was() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let seed = WorldSeed {
        pools: BTreeMap::new(),
        tokens: Vec::new(),
        ..seed::solo()
    };
    let driver = Arc::new(https::MemoryDriver::default());
    let state = folder.path().join("state");
    let shell = runtime.block_on(https::start(&state, seed, driver.clone()));
    let ask = |method, path, form| runtime.block_on(https::call(&shell, method, path, form));
    let token = ask("POST", "/access/users/root@pam/token/gold", "privsep=0").payload();
    let token_file = folder.path().join("token");
    let line = format!("root@pam!gold={}\n", token["value"].as_str().unwrap());
    std::fs::write(&token_file, line).unwrap();
    let lists = [
        "/access/users?full=1",
        "/access/roles",
        "/access/acl",
        "/pools",
        "/cluster/backup",
    ];
    let world = || lists.map(|path| ask("GET", path, "").payload());
    let before = world();
    let target = Target {
        authority: shell.addresses()[0].1.to_string(),
        token_file,
        ca: Some(shell.ca_pem_path().to_owned()),
        ..Target::default()
    };
    let (names, eventful) = quick_ones();
    let only = [names.clone(), vec![eventful]].concat();
    let arguments = |target| Arguments {
        against: Some(target),
        ..recordings(only.clone())
    };
    let tally = report::run(arguments(target.clone())).unwrap();
    assert!(names.len() > 2, "{names:?}");
    let counts = (tally.passed, tally.scenarios, tally.left_out);
    assert_eq!(counts, (names.len(), names.len(), 1));
    assert_eq!(world(), before);
    assert!(driver.machines.lock().unwrap().machines.is_empty());

    let stranger = Target {
        ca: None,
        fingerprints: vec![[7; 32]],
        ..target.clone()
    };
    let refused = report::run(arguments(stranger)).unwrap_err();
    assert!(refused.contains("another fingerprint"), "{refused}");

    let form = "vmid=150&rootfs=local:1&ostemplate=local%3Avztmpl%2Falpine-lab_1.0_amd64.tar.zst";
    let made = ask("POST", "/nodes/solo/lxc", form);
    assert_eq!(made.status, 200);
    let refused = report::run(arguments(target)).unwrap_err();
    assert!(refused.contains("has 1 guests"), "{refused}");
    runtime.block_on(shell.stop()).unwrap();
}

#[test]
fn tasks_that_a_fixture_says_have_ended_are_there_before_the_first_step() {
    let folder = recordings(Vec::new()).folder;
    let all = scenario::list(&folder).unwrap().into_iter();
    let mut all = all.map(|path| scenario::Scenario::load(&path).unwrap());
    let mut alone = all.find(|s| s.document["topology"] == "solo").unwrap();
    let literal =
        |kind: &str| format!("UPID:solo:00000001:00000002:6B000003:{kind}:999:root@pam!gold:");
    let tasks = ["vzcreate", "vzdestroy"].map(|kind| json!({"ref_literal": literal(kind)}));
    alone.fixture["tasks"] = tasks.to_vec().into();
    let mut server = emulated::Emulated::new(&alone);
    let prepared = setup::prepare(&mut server, &alone).unwrap();
    for kind in ["vzcreate", "vzdestroy"] {
        let found = prepared
            .literals
            .iter()
            .find(|(from, _)| *from == literal(kind));
        let (_, ours) = found.unwrap();
        assert!(
            ours.contains(&format!(":{kind}:999:root@pam!gold:")),
            "{ours}"
        );
    }
    alone.fixture["tasks"] = json!([{"ref_literal": literal("qmstart")}]);
    let mut server = emulated::Emulated::new(&alone);
    let refused = setup::prepare(&mut server, &alone).unwrap_err();
    assert!(
        refused.contains("qmstart of 999 cannot be made"),
        "{refused}"
    );
}

#[test]
fn the_kept_recordings_come_out_as_recorded() {
    let tally = report::run(recordings(Vec::new())).unwrap();
    assert!(tally.passed >= AT_LEAST, "see the differences above");
}
