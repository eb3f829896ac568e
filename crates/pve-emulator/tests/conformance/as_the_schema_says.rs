//! Every answer is what the schema says the method returns, apart from where real answers are not either.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::emulated::Emulated;
use crate::replay::Replay;
use crate::returns::{Deviation, Returns};
use crate::scenario::Scenario;
use crate::server::{Answer, Server};
use crate::support::sim::Request;
use crate::{recordings, scenario, setup};

const START: &str = "<!-- deviations: written by a test of the emulator -->\n";
const END: &str = "<!-- end of deviations -->";

fn all() -> Vec<Scenario> {
    let paths = scenario::list(&recordings(Vec::new()).folder).unwrap();
    paths
        .iter()
        .map(|path| Scenario::load(path).unwrap())
        .collect()
}

/// The emulator, with all of its answers looked at.
struct Watched<'a> {
    server: Emulated,
    returns: &'a Returns,
    seen: usize,
    deviations: BTreeSet<Deviation>,
}

impl Watched<'_> {
    fn look(&mut self, verb: &str, path: &str, answer: &Answer) {
        let Some(path) = path.strip_prefix("/api2/json") else {
            return;
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status == Some(200)
            && let Some(found) = self.returns.check(verb, path, &body)
        {
            self.seen += 1;
            self.deviations.extend(found);
        }
    }
}

impl Server for Watched<'_> {
    fn exchange(&mut self, requests: Vec<Request>) -> Vec<Answer> {
        let calls = requests
            .iter()
            .map(|request| (request.method.clone(), request.path.clone()));
        let calls: Vec<_> = calls.collect();
        let answers = self.server.exchange(requests);
        for ((verb, path), answer) in calls.iter().zip(&answers) {
            self.look(verb, path, answer);
        }
        answers
    }

    fn wait_ms(&mut self, ms: u64) {
        self.server.wait_ms(ms);
    }

    fn now_ms(&self) -> u64 {
        self.server.now_ms()
    }

    fn event(&mut self, event: &Value) -> Result<(), String> {
        self.server.event(event)
    }

    fn root_password(&self) -> Option<String> {
        self.server.root_password()
    }
}

#[test]
fn every_replayed_answer_is_as_the_schema_says_or_as_recorded() {
    let (returns, scenarios) = (Returns::load(), all());
    let known = returns.deviations(&scenarios);
    let (mut seen, mut found) = (0, BTreeSet::new());
    for scenario in scenarios.iter().filter(|s| s.unsupported().is_none()) {
        let mut server = Watched {
            server: Emulated::new(scenario),
            returns: &returns,
            seen: 0,
            deviations: BTreeSet::new(),
        };
        let prepared = setup::prepare(&mut server, scenario).unwrap();
        Replay::new(scenario, &mut server, prepared).run().unwrap();
        seen += server.seen;
        found.append(&mut server.deviations);
    }
    assert!(seen > 1_000, "{seen}");
    let ours: Vec<_> = found.difference(&known).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

#[test]
fn the_documented_deviations_are_those_of_the_recordings() {
    let mut rows = String::from("| method | where | what |\n|---|---|---|\n");
    for deviation in Returns::load().deviations(&all()) {
        let Deviation {
            method,
            place,
            what,
        } = deviation;
        let place = if place.is_empty() {
            "all of it"
        } else {
            &format!("`{place}`")
        };
        rows.push_str(&format!("| `{method}` | {place} | {what} |\n"));
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/lab.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, rest) = text
        .split_once(START)
        .expect("the page has the place for it");
    let (found, _) = rest.split_once(END).expect("the place ends");
    assert!(found == rows, "put this there:\n{rows}");
}

#[test]
fn a_wrong_answer_is_seen() {
    let returns = Returns::load();
    let check = |path, body| {
        let found = returns.check("GET", path, &body).unwrap();
        let found = found
            .into_iter()
            .map(|one| format!("{}: {}", one.place, one.what));
        found.collect::<Vec<_>>()
    };
    let row =
        |mem: Value| serde_json::json!({"data": [{"id": "lxc/1", "type": "lxc", "mem": mem}]});
    assert_eq!(check("/cluster/resources", row(7.into())), [""; 0]);
    assert_eq!(
        check("/cluster/resources", row("7".into())),
        ["[].mem: string in place of integer"]
    );
    assert_eq!(
        check("/cluster/resources", row((-7).into())),
        ["[].mem: beyond its limits"]
    );
    let missing = serde_json::json!({"data": [{"type": "lxd"}]});
    let said = check("/cluster/resources", missing);
    assert_eq!(
        said,
        [
            "[].id: missing",
            "[].type: \"lxd\", which is not in the list"
        ]
    );
    assert_eq!(
        check("/version", Value::Null),
        [": null in place of object"]
    );
}
