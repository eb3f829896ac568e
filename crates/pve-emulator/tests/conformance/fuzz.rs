//! Ten thousand calls made from the schema: nothing breaks, answers are what the schema says, and nothing fails in a way
//! that Proxmox VE does not.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use proximity_pve_emulator::core::{Task, emulated_methods};
use proximity_pve_emulator::schema::{Method, Property, table};

use crate::returns::{Deviation, Returns, is_known};
use crate::scenario::Scenario;
use crate::support::seed::{ALPINE, cluster};
use crate::support::sim::{Request, Sim, credential, escape};
use crate::{recordings, scenario};

/// Where real answers differ that no recording shows, and where the source says so.
const IN_THE_SOURCE: &[(&str, &str, &str)] = &[
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
];

/// Failures that Proxmox VE 9.2 has too, each found in a recording or in its source; and what the lab says it does not do.
const FAILURES: &str = include_str!("failures.txt");

const WORLDS: usize = 200;
const CALLS: usize = 50;

/// Values that mean something in the world the calls go to.
fn known(name: &str) -> &'static [&'static str] {
    match name {
        "node" | "target" | "nodes" => &["pve1", "pve2", "pve3"],
        "vmid" | "vms" | "newid" => &["100", "101", "102", "103", "104", "999"],
        "storage" => &["local", "btr", "shared"],
        "ostemplate" | "archive" => &[ALPINE, "local:vztmpl/labhttpd_1.0.tar"],
        "poolid" | "pool" => &["apps", "other"],
        "userid" | "users" => &["root@pam", "limited@pve", "new@pve"],
        "tokenid" => &["t1", "gold", "new"],
        "groupid" | "groups" => &["people", "others"],
        "roleid" | "role" | "roles" => &["PVEAuditor", "PVEVMAdmin", "own"],
        "sid" => &["ct:100", "ct:101", "vm:7"],
        "snapname" => &["one", "two", "current"],
        "volume" | "volid" => &["local:100/vm-100-disk-0.raw", ALPINE],
        "rootfs" => &["local:1", "btr:1", "local:0"],
        "mp[n]" => &["local:1,mp=/data", "/srv,mp=/srv"],
        "net[n]" => &["name=eth0,bridge=vmbr0,ip=dhcp", "name=eth1,bridge=vmbr0"],
        "path" => &["/", "/vms/100", "/pool/apps"],
        "disk" => &["rootfs", "mp0"],
        "size" => &["+1G", "2G"],
        "upid" => &["UPID:pve1:00000001:00000001:65000000:vzstart:100:root@pam:"],
        "id" => &["backup-1", "c0ffee"],
        "timeframe" => &["hour", "day"],
        _ => &[],
    }
}

/// A value that is mostly right.
fn value(name: &str, property: &Property) -> BoxedStrategy<String> {
    let mut good: Vec<String> = known(name).iter().map(|text| (*text).to_owned()).collect();
    for listed in property.values.iter().flatten() {
        good.push(
            listed
                .as_str()
                .map_or_else(|| listed.to_string(), str::to_owned),
        );
    }
    let kind = property.kind.as_deref();
    if good.is_empty() {
        let by_kind: &[&str] = match kind {
            Some("boolean") => &["0", "1"],
            Some("integer") => &["0", "1", "2", "64", "1024"],
            Some("number") => &["0", "1", "0.5"],
            _ => &["a", "text", "one,two"],
        };
        good.extend(by_kind.iter().map(|text| (*text).to_owned()));
    }
    let odd = prop_oneof![
        Just(String::new()),
        Just("-1".to_owned()),
        Just("99999999999999999999".to_owned()),
        "[a-z0-9:,=/;%_.-]{0,12}",
    ];
    prop_oneof![12 => proptest::sample::select(good), 1 => odd].boxed()
}

#[derive(Debug, Clone)]
struct Made {
    method: &'static Method,
    path: String,
    pairs: Vec<(String, String)>,
    account: u8,
}

fn call() -> impl Strategy<Value = Made> {
    let emulated = emulated_methods();
    let methods: Vec<&'static Method> = table()
        .methods()
        .iter()
        .filter(|method| emulated.contains(&(method.verb.as_str(), method.path.as_str())))
        .collect();
    proptest::sample::select(methods).prop_flat_map(|method| {
        let in_path = |name: &str| method.path.contains(&format!("{{{name}}}"));
        let parameters: Vec<_> = method
            .parameters
            .iter()
            .map(|(name, property)| {
                let chance = match (in_path(name), property.optional) {
                    (true, _) => 1.0,
                    (false, false) => 0.95,
                    (false, true) => 0.12,
                };
                let given = proptest::bool::weighted(chance);
                (Just(name.clone()), given, value(name, property))
            })
            .collect();
        (Just(method), parameters, any::<u8>()).prop_map(|(method, parameters, account)| {
            let given = parameters.into_iter().filter(|(_, given, _)| *given);
            let mut path = method.path.clone();
            let mut pairs = Vec::new();
            for (name, _, value) in given {
                let place = format!("{{{name}}}");
                match path.contains(&place) {
                    true => path = path.replace(&place, &escape(&value)),
                    false => pairs.push((name.replace("[n]", "0"), value)),
                }
            }
            Made {
                method,
                path,
                pairs,
                account,
            }
        })
    })
}

impl Made {
    fn request(&self) -> Request {
        let pairs: Vec<(&str, &str)> = self
            .pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut request = Request::new(&self.method.verb, &self.path).parameters(&pairs);
        request.authorization = match self.account {
            0..8 => None,
            8..20 => Some(credential("limited@pve!t1")),
            20.. => Some(credential("root@pam!gold")),
        };
        request
    }
}

/// A message without what it is about: what is quoted, numbers, the name that was looked up.
fn normal(message: &str) -> String {
    let rules = [
        (r"(^|[\s(])'[^']*'", "$1'…'"),
        (
            r"address info for: .*: Temporary",
            "address info for: …: Temporary",
        ),
        (r"\b[0-9]+\b", "…"),
    ];
    let mut text = message.to_owned();
    for (expression, with) in rules {
        let rule = regex::Regex::new(expression).unwrap();
        text = rule.replace_all(&text, with).into_owned();
    }
    text
}

fn world() -> Sim {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("net0", "name=eth0,bridge=vmbr0,ip=dhcp")]);
    sim.create("pve1", 101, &[("rootfs", "btr:1")]);
    sim.create("pve2", 102, &[]);
    sim.start("pve1", 100);
    sim
}

#[test]
fn ten_thousand_calls_made_from_the_schema() {
    let returns = Returns::load();
    let paths = scenario::list(&recordings(Vec::new()).folder).unwrap();
    let scenarios: Vec<Scenario> = paths
        .iter()
        .map(|path| Scenario::load(path).unwrap())
        .collect();
    let mut known = returns.deviations(&scenarios);
    let text = |text: &&str| (*text).to_owned();
    known.extend(IN_THE_SOURCE.iter().map(|(method, place, what)| Deviation {
        method: text(method),
        place: text(place),
        what: text(what),
    }));
    let (calls, mut runner) = (call(), TestRunner::deterministic());
    let (mut well, mut failures, mut deviations) = (0, BTreeSet::new(), BTreeSet::new());
    for _ in 0..WORLDS {
        let mut sim = world();
        for _ in 0..CALLS {
            let made = calls.new_tree(&mut runner).unwrap().current();
            let answer = sim.call(made.request());
            let (status, body) = (answer.status(), answer.body());
            assert!((200..600).contains(&status), "{made:?}: {status}");
            match status {
                200 => {
                    well += 1;
                    let found = returns.check(&made.method.verb, &made.path, &body);
                    let new = found.into_iter().flatten();
                    deviations.extend(new.filter(|d| !is_known(&known, d)));
                }
                400 | 401 | 403 => {}
                _ => {
                    failures.insert(format!("{status} {}", normal(&answer.response.reason)));
                }
            }
        }
        // As long as any call says that something may take. High availability may have started new ones.
        let asked_s = sim.now_ms / 1000;
        sim.pass(4_000_000);
        let old = |task: &&Task| task.is_running() && task.upid.starttime_s <= asked_s;
        let running = sim.world.tasks().filter(old);
        let running: Vec<_> = running.map(|task| task.upid.to_string()).collect();
        assert!(running.is_empty(), "{running:?} never end");
    }
    let listed: BTreeSet<&str> = FAILURES.lines().collect();
    failures.retain(|text| !listed.contains(text.as_str()));
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(deviations.is_empty(), "{deviations:#?}");
    assert!(well > 3_000, "{well}");
}
