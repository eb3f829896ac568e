//! Ten thousand calls made from the schema: nothing breaks, answers are what the schema says, and nothing fails in a way
//! that Proxmox VE does not.

use std::collections::BTreeSet;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use proximity_pve_emulator::core::{Task, emulated_methods};

use crate::calls_world::world;
use crate::judge::Verdict;
use crate::made::{Made, call};
use crate::refusals::{in_the_source, recorded, refusals, unescape};
use crate::returns::{Deviation, Returns};
use crate::scenario::Scenario;
use crate::support::sim::Answer;
use crate::{recordings, scenario};

/// Where real answers differ that no recording shows, and where the source says so.
const IN_THE_SOURCE: &[(&str, &str, &str)] = &[
    // pve-common, Tools.pm, next_unused_port: a number that was a key of a hash.
    (
        "POST /nodes/{node}/lxc/{vmid}/termproxy",
        ".port",
        "string in place of integer",
    ),
    (
        "POST /nodes/{node}/termproxy",
        ".port",
        "string in place of integer",
    ),
    // pve-access-control, API2/User.pm, extract_user_data: what is not there is handed on.
    (
        "GET /access/users/{userid}",
        ".tokens",
        "null in place of object",
    ),
    // pve-storage, API2/Storage/Content.pm, delete: with a delay that was long enough nothing is handed on.
    (
        "DELETE /nodes/{node}/storage/{storage}/content/{volume}",
        "",
        "null in place of string",
    ),
    // pve-cluster, DataCenterConfig.pm, parse_datacenter_config: numbers are read as texts.
    (
        "GET /cluster/options",
        ".max_workers",
        "string in place of integer",
    ),
    // pve-manager, VZDump.pm, read_vzdump_defaults: both are read and handed on as they were read.
    (
        "GET /nodes/{node}/vzdump/defaults",
        ".fleecing",
        "object in place of string",
    ),
    (
        "GET /nodes/{node}/vzdump/defaults",
        ".performance",
        "object in place of string",
    ),
    // pve-cluster, DataCenterConfig.pm, parse_datacenter_config: they are read as a list.
    (
        "GET /cluster/options",
        ".registered-tags",
        "array in place of string",
    ),
    // pve-manager, API2/Tasks.pm, read_task_log: a log to be downloaded is sent as a file.
    (
        "GET /nodes/{node}/tasks/{upid}/log",
        "",
        "null in place of array",
    ),
    // pve-access-control, API2/User.pm, generate_token: what was given goes back as it came.
    (
        "POST /access/users/{userid}/token/{tokenid}",
        ".info.expire",
        "string in place of integer",
    ),
    // pve-access-control, API2/User.pm, update_token_info: likewise.
    (
        "PUT /access/users/{userid}/token/{tokenid}",
        ".privsep",
        "string in place of boolean",
    ),
    (
        "PUT /access/users/{userid}/token/{tokenid}",
        ".expire",
        "string in place of integer",
    ),
    // pve-cluster, API2/ClusterConfig.pm, join_info: the file's numbers are texts.
    (
        "GET /cluster/config/join",
        ".nodelist[].nodeid",
        "string in place of integer",
    ),
    (
        "GET /cluster/config/join",
        ".nodelist[].quorum_votes",
        "string in place of integer",
    ),
    // pve-manager, API2/Cluster/Notifications.pm, get_matcher_field_values: what a job does not have is handed on.
    (
        "GET /cluster/notifications/matcher-field-values",
        "[].comment",
        "null in place of string",
    ),
];

/// What cannot go well in such a world: groups of high availability were migrated to rules, no network and no registry is
/// there, an upload is no form of pairs, the appliances of the index are nowhere, and tickets of consoles are not guessed.
const NEVER: &[&str] = &[
    "DELETE /cluster/ha/groups/{group}",
    "GET /cluster/ha/groups",
    "GET /cluster/ha/groups/{group}",
    "GET /nodes/{node}/lxc/{vmid}/vncwebsocket",
    "GET /nodes/{node}/query-oci-repo-tags",
    "GET /nodes/{node}/query-url-metadata",
    "GET /nodes/{node}/vncwebsocket",
    "POST /access/vncticket",
    "POST /cluster/ha/groups",
    "POST /nodes/{node}/aplinfo",
    "POST /nodes/{node}/storage/{storage}/upload",
    "PUT /cluster/ha/groups/{group}",
];

/// So rarely right by chance that these calls do not meet it; `tests/breadth` and the recordings show that they go well.
const RARE: &[&str] = &[
    "DELETE /cluster/firewall/groups/{group}",
    "GET /cluster/firewall/ipset/{name}/{cidr}",
    "GET /nodes/{node}/lxc/{vmid}/firewall/ipset/{name}/{cidr}",
    "POST /cluster/firewall/groups",
    "POST /cluster/firewall/groups/{group}",
    "PUT /cluster/firewall/groups/{group}/{pos}",
    "PUT /cluster/firewall/ipset/{name}/{cidr}",
    "PUT /nodes/{node}/firewall/rules/{pos}",
    "PUT /nodes/{node}/lxc/{vmid}/firewall/ipset/{name}/{cidr}",
    "PUT /nodes/{node}/lxc/{vmid}/firewall/rules/{pos}",
    "GET /nodes/{node}/vzdump/extractconfig",
    "POST /cluster/ha/rules",
    "POST /cluster/metrics/server/{id}",
    "POST /nodes/{node}/lxc/{vmid}/clone",
    "POST /cluster/notifications/targets/{name}/test",
    "POST /nodes/{node}/lxc/{vmid}/move_volume",
    "POST /nodes/{node}/storage/{storage}/content",
    "POST /nodes/{node}/storage/{storage}/download-url",
    "POST /storage",
    "PUT /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
    "PUT /storage/{storage}",
];

const WORLDS: usize = 400;
const CALLS: usize = 50;
/// Worlds are independent, so several are at work at once.
const LANES: usize = 2;

/// What came of the calls.
#[derive(Default)]
struct Seen {
    /// Methods that went well.
    well: BTreeSet<String>,
    count: usize,
    refused: BTreeSet<(String, String)>,
    deviations: BTreeSet<Deviation>,
    /// What the emulator took though the schema says that it is wrong.
    wrong: BTreeSet<String>,
}

impl Seen {
    /// Both.
    fn with(mut self, other: Self) -> Self {
        self.well.extend(other.well);
        self.count += other.count;
        self.refused.extend(other.refused);
        self.deviations.extend(other.deviations);
        self.wrong.extend(other.wrong);
        self
    }

    fn call(&mut self, made: &Made, answer: &Answer, returns: &Returns) {
        let routed = made.routed();
        let method = routed.map_or_else(String::new, |it| format!("{} {}", it.verb, it.path));
        let (status, body) = (answer.status(), answer.body());
        assert!((200..600).contains(&status), "{made:?}: {status}");
        if let (200, Some(routed)) = (status, routed) {
            let wrong = made.names(routed).into_iter();
            let wrong = wrong.filter(|name| made.verdict(routed, name) == Verdict::Wrong);
            self.wrong
                .extend(wrong.map(|name| format!("{method}: {name}")));
            self.count += 1;
            self.well.insert(method);
            let found = returns.check(&made.method.verb, &unescape(&made.path()), &body);
            self.deviations.extend(found.into_iter().flatten());
            return;
        }
        let full = made.account >= 20;
        // The others may do nothing, or are nobody.
        if matches!(status, 401 | 403) && !full {
            return;
        }
        let lines = refusals(u64::from(status), &answer.response.reason, &body);
        let justly = |line: &String| {
            let name = line.strip_prefix("400 ").and_then(|it| it.split_once(": "));
            // Of alternatives the schema leaves it to the type which one is meant.
            if name.is_some_and(|(name, _)| name.starts_with("oneOf[")) {
                return true;
            }
            let name = name.map(|(name, _)| name.split(['[', '.']).next().unwrap_or_default());
            let wrong = |method, name| made.verdict(method, name) != Verdict::Right;
            routed
                .zip(name)
                .is_some_and(|(method, name)| wrong(method, name))
        };
        // What is asked for of no object there is no right to.
        let odd = |(name, _): &(String, String)| {
            routed.is_some_and(|it| made.verdict(it, name) != Verdict::Right)
        };
        if status == 403 && made.places.iter().any(odd) {
            return;
        }
        let unjust = lines.into_iter().filter(|line| !justly(line));
        self.refused
            .extend(unjust.map(|line| (method.clone(), line)));
    }
}

/// Each list of calls in a world of its own.
fn in_worlds(worlds: &[Vec<Made>], returns: &Returns) -> Seen {
    let mut seen = Seen::default();
    for calls in worlds {
        let mut ground = world();
        for made in calls {
            let made = made.clone().in_world(&ground);
            if made.locks_root_out() {
                continue;
            }
            let request = made.request(&ground);
            let answer = ground.sim.call(request);
            seen.call(&made, &answer, returns);
        }
        let mut sim = ground.sim;
        // As long as any call says that something may take. High availability may have started new ones.
        let asked_s = sim.now_ms / 1000;
        sim.pass(4_000_000);
        let old = |task: &&Task| task.is_running() && task.upid.starttime_s <= asked_s;
        let running = sim.world.tasks().filter(old);
        let running: Vec<_> = running.map(|task| task.upid.to_string()).collect();
        assert!(running.is_empty(), "{running:?} never end");
    }
    seen
}

#[test]
fn ten_thousand_calls_made_from_the_schema() {
    let returns = Returns::load();
    let paths = scenario::list(&recordings(Vec::new()).folder).unwrap();
    let scenarios: Vec<Scenario> = paths
        .iter()
        .map(|path| Scenario::load(path).unwrap())
        .collect();
    let (calls, mut runner) = (call(), TestRunner::deterministic());
    let mut calls_of_a_world = || -> Vec<Made> {
        let calls = (0..CALLS).map(|_| calls.new_tree(&mut runner).unwrap().current());
        calls.collect()
    };
    let plan: Vec<Vec<Made>> = (0..WORLDS).map(|_| calls_of_a_world()).collect();
    let mut seen = std::thread::scope(|scope| {
        let lanes = plan.chunks(WORLDS.div_ceil(LANES));
        let lanes = lanes.map(|worlds| scope.spawn(|| in_worlds(worlds, &returns)));
        let lanes: Vec<_> = lanes.collect();
        let seen = lanes.into_iter().map(|lane| lane.join().unwrap());
        seen.fold(Seen::default(), Seen::with)
    });
    let mut known = recorded(&scenarios);
    known.append(&mut in_the_source());
    let everywhere = |line: &String| known.contains(&("*".to_owned(), line.clone()));
    seen.refused
        .retain(|it| !known.contains(it) && !everywhere(&it.1));
    let mut known = returns.deviations(&scenarios);
    let text = |text: &&str| (*text).to_owned();
    known.extend(IN_THE_SOURCE.iter().map(|(method, place, what)| Deviation {
        method: text(method),
        place: text(place),
        what: text(what),
    }));
    let new: Vec<_> = seen.deviations.difference(&known).collect();
    let all = emulated_methods();
    let never = all.iter().map(|(verb, path)| format!("{verb} {path}"));
    let never = never.filter(|method| !seen.well.contains(method));
    let never = never.filter(|method| !NEVER.contains(&method.as_str()));
    let never = never.filter(|method| !RARE.contains(&method.as_str()));
    let never: BTreeSet<String> = never.collect();
    assert!(seen.refused.is_empty(), "{:#?}", seen.refused);
    assert!(new.is_empty(), "{new:#?}");
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    assert!(never.is_empty(), "{never:#?} never went well");
    assert!(seen.count > 3_000, "{}", seen.count);
}
