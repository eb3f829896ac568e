//! Ten thousand calls made from the schema: nothing breaks, answers are what the schema says, and nothing fails in a way
//! that Proxmox VE does not.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use proximity_pve_emulator::core::{Task, emulated_methods};
use proximity_pve_emulator::schema::{Method, Property, table};

use crate::judge::{Verdict, judge};
use crate::returns::{Deviation, Returns};
use crate::scenario::Scenario;
use crate::support::seed::{ALPINE, cluster};
use crate::support::sim::{Answer, Request, Sim, credential, escape};
use crate::{recordings, scenario};
use regex::Regex;
use serde_json::Value;

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
    "GET /nodes/{node}/vzdump/extractconfig",
    "POST /cluster/ha/rules",
    "POST /nodes/{node}/lxc/{vmid}/clone",
    "POST /cluster/notifications/targets/{name}/test",
    "POST /nodes/{node}/lxc/{vmid}/move_volume",
    "POST /nodes/{node}/storage/{storage}/content",
    "POST /nodes/{node}/storage/{storage}/download-url",
    "POST /storage",
    "PUT /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
    "PUT /storage/{storage}",
];

/// Refusals of Proxmox VE 9.2 that no recording shows and its source does; and what the lab says it does not do.
const FAILURES: &str = include_str!("failures.txt");

const WORLDS: usize = 300;
const CALLS: usize = 50;

/// Stand for the newest task, a backup and a second factor of the world a call goes to.
const TASK: &str = "@task";
const BACKUP: &str = "@backup";
const CODES: &str = "@codes";

const PASSWORD: &str = "first-factor";
/// The key and a code of RFC 6238, appendix B, and when that code is right, Unix ms.
const URI: &str = "otpauth://totp/new?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=8&period=30";
const CODE: &str = "69279037";
const CODE_MS: u64 = 2_000_000_000_000;

/// Values that mean something in the world the calls go to.
fn known(name: &str) -> &'static [&'static str] {
    match name {
        "node" => &["pve1", "pve1", "pve1", "pve2", "pve3"],
        "nodes" => &["pve1", "pve2", "pve3"],
        "target" => &["pve1", "pve2", "pve3", "mail-to-root"],
        "vmid" => &["100", "100", "101", "101", "102", "103", "999"],
        "vms" | "newid" => &["100", "101", "103", "104", "105", "999"],
        "storage" => &["local", "local", "btr", "shared", "fresh"],
        "schedule" => &["daily"],
        "rule" => &["apart", "other"],
        "resources" => &["ct:102"],
        "filename" => &["vm-100-disk-5.raw", "vm-102-disk-5.raw", "new.tar.gz"],
        "url" => &["http://192.0.2.1/new.tar.gz"],
        "reference" => &["docker.io/library/alpine:3"],
        "format" => &["raw"],
        "ostemplate" | "archive" => &[ALPINE, "local:vztmpl/labhttpd_1.0.tar"],
        "poolid" | "pool" => &["apps", "other"],
        "userid" | "users" | "username" => &["root@pam", "limited@pve", "new@pve", "other@pve"],
        "password" | "confirmation-password" => &[PASSWORD],
        "tokenid" => &["t1", "t2", "new"],
        "groupid" | "groups" => &["people", "others"],
        "roleid" => &["PVEAuditor", "PVEVMAdmin", "own", "mine"],
        "role" | "roles" => &["PVEAuditor", "PVEVMAdmin", "own"],
        "sid" => &["ct:102", "ct:102", "ct:100", "vm:7"],
        "snapname" => &["one", "one", "two", "current"],
        "volume" | "volid" => &[
            "local:100/vm-100-disk-0.raw",
            ALPINE,
            BACKUP,
            "rootfs",
            "rootfs",
            "rootfs",
        ],
        "rootfs" => &["local:1", "btr:1", "local:0"],
        "mp[n]" => &["local:1,mp=/data", "/srv,mp=/srv"],
        "net[n]" => &["name=eth0,bridge=vmbr0,ip=dhcp", "name=eth1,bridge=vmbr0"],
        "path" => &["/", "/vms/100", "/pool/apps"],
        "disk" => &["rootfs", "mp0"],
        "size" => &["+1G", "2G"],
        "upid" => &[
            "UPID:pve1:00000001:00000001:65000000:vzstart:100:root@pam:",
            TASK,
            TASK,
        ],
        "id" => &["backup-1", "c0ffee", CODES, CODES, "stats"],
        "name" => &[
            "mail-to-root",
            "default-matcher",
            "push",
            "relay",
            "hook",
            "fresh",
            "fresh",
            "new",
        ],
        "realm" => &["pam", "pve"],
        "server" => &["10.99.0.50"],
        "port" => &["2003"],
        "mailto" => &["somebody@example.com"],
        "from-address" => &["lab@example.com"],
        "match-field" => &["exact:type=vzdump"],
        "match-severity" => &["error,warning"],
        "max-workers" => &["2"],
        "service" => &["cron", "pvestatd"],
        "totp" => &[URI],
        "value" => &[CODE],
        "type" => &["totp", "dir", "node-affinity", "graphite"],
        "timeframe" => &["hour", "day"],
        _ => &[],
    }
}

/// A value that is mostly right.
fn value(name: &str, property: &Property) -> BoxedStrategy<String> {
    let text = |text: &Value| {
        text.as_str()
            .map_or_else(|| text.to_string(), str::to_owned)
    };
    let mut listed: Vec<String> = property.values.iter().flatten().map(text).collect();
    let mut meant: Vec<String> = known(name).iter().map(|text| (*text).to_owned()).collect();
    if property.values.is_some() {
        meant.retain(|text| listed.contains(text));
    }
    if listed.is_empty() {
        let by_kind: &[&str] = match property.kind.as_deref() {
            _ if !meant.is_empty() => known(name),
            Some("boolean") => &["0", "1"],
            Some("integer") => &["0", "1", "2", "64", "1024"],
            Some("number") => &["0", "1", "0.5"],
            _ => &["a", "text", "one,two"],
        };
        listed.extend(by_kind.iter().map(|text| (*text).to_owned()));
    }
    let meant = if meant.is_empty() {
        listed.clone()
    } else {
        meant
    };
    let odd = prop_oneof![
        Just(String::new()),
        Just("-1".to_owned()),
        Just("99999999999999999999".to_owned()),
        "[a-z0-9:,=/;%_.-]{0,12}",
    ];
    let (meant, listed) = (
        proptest::sample::select(meant),
        proptest::sample::select(listed),
    );
    prop_oneof![10 => meant, 2 => listed, 1 => odd].boxed()
}

#[derive(Debug, Clone)]
struct Made {
    method: &'static Method,
    /// Those of its path.
    places: Vec<(String, String)>,
    /// The others.
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
        let optional = method.parameters.values().filter(|it| it.optional).count();
        let parameters: Vec<_> = method
            .parameters
            .iter()
            .map(|(name, property)| {
                let chance = match (in_path(&method.path, name), property.optional) {
                    (true, _) => 1.0,
                    (false, false) => 0.95,
                    // Of many parameters few are given.
                    (false, true) if !known(name).is_empty() => 0.5,
                    (false, true) if optional > 20 => 1.0 / optional as f64,
                    (false, true) => 0.12,
                };
                let given = proptest::bool::weighted(chance);
                (Just(name.clone()), given, value(name, property))
            })
            .collect();
        (Just(method), parameters, any::<u8>()).prop_map(|(method, parameters, account)| {
            let given = parameters.into_iter().filter(|(_, given, _)| *given);
            let (mut pairs, mut places) = (Vec::new(), Vec::new());
            for (name, _, value) in given {
                match in_path(&method.path, &name) {
                    true => places.push((name, value)),
                    false => pairs.push((name.replace("[n]", "0"), value)),
                }
            }
            Made {
                method,
                places,
                pairs,
                account,
            }
        })
    })
}

fn in_path(path: &str, name: &str) -> bool {
    path.contains(&format!("{{{name}}}"))
}

impl Made {
    /// The path it is sent to.
    fn path(&self) -> String {
        let mut path = self.method.path.clone();
        for (name, value) in &self.places {
            path = path.replace(&format!("{{{name}}}"), &escape(value));
        }
        path
    }

    /// It may take the account away that most calls come from.
    fn locks_root_out(&self) -> bool {
        let root = ("userid".to_owned(), "root@pam".to_owned());
        let accounts = self.method.path.starts_with("/access/users/{userid}");
        accounts && self.method.verb != "GET" && self.places.contains(&root)
    }

    /// With what its values stand for.
    fn in_world(mut self, world: &Ground) -> Self {
        let texts = self.places.iter_mut().chain(&mut self.pairs);
        for (_, text) in texts {
            let meant = match text.as_str() {
                TASK => world
                    .sim
                    .world
                    .tasks()
                    .last()
                    .map(|task| task.upid.to_string()),
                BACKUP => Some(world.backup.clone()),
                CODES => Some(world.codes.clone()),
                _ => None,
            };
            *text = meant.unwrap_or_else(|| text.clone());
        }
        self
    }

    /// The method that it leads to; an odd name in its path may lead to another one, or to none.
    fn routed(&self) -> Option<&'static Method> {
        let found = table().lookup(&self.method.verb, &unescape(&self.path()));
        found.map(|found| found.method)
    }

    /// What is given, for a method.
    fn given(&self, method: &Method) -> impl Iterator<Item = &(String, String)> {
        let places = self
            .places
            .iter()
            .filter(|_| method.path == self.method.path);
        self.pairs.iter().chain(places)
    }

    /// Every parameter that its method has or that it has itself.
    fn names(&self, method: &Method) -> BTreeSet<String> {
        let own = method.parameters.keys().filter(|it| !it.ends_with("[n]"));
        let own =
            own.filter(|name| !in_path(&method.path, name) || method.path == self.method.path);
        let given = self.given(method).map(|(name, _)| name);
        own.chain(given).cloned().collect()
    }

    /// What the schema says of a parameter. Values that mean something here are right.
    fn verdict(&self, method: &Method, name: &str) -> Verdict {
        let given = self.given(method).find(|(known, _)| known == name);
        let given = given.map(|(_, value)| value.as_str());
        let wants = |other: &str| {
            let property = method.parameter(other);
            property.is_some_and(|it| it.requires.as_deref() == Some(name))
        };
        if given.is_none() && self.given(method).any(|(other, _)| wants(other)) {
            return Verdict::Wrong;
        }
        let family = format!("{}[n]", name.trim_end_matches(|c: char| c.is_ascii_digit()));
        let mut good = known(name).iter().chain(known(&family));
        match judge(method, name, given) {
            Verdict::Open if good.any(|value| given == Some(value)) => Verdict::Right,
            verdict => verdict,
        }
    }

    /// As a token with few rights, nobody, root by token or root by ticket.
    fn request(&self, ground: &Ground) -> Request {
        let pairs: Vec<(&str, &str)> = self
            .pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let path = format!("/api2/json{}", self.path());
        let mut request = Request::new(&self.method.verb, &path).parameters(&pairs);
        request.authorization = match self.account {
            8..20 => Some(credential("limited@pve!t1")),
            20..140 => Some(credential("root@pam!gold")),
            _ => None,
        };
        if self.account >= 140 {
            request.cookie = Some(format!("PVEAuthCookie={}", escape(&ground.ticket.0)));
            request.csrf = Some(ground.ticket.1.clone());
        }
        request
    }
}

/// A message without what it is about: what is quoted, numbers, the name that was looked up.
fn normal(message: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"(^|[\s(])'[^']*'", "$1'…'"),
            (
                r"address info for: .*: Temporary",
                "address info for: …: Temporary",
            ),
            (r"\(\S* != \S*\)", "(… != …)"),
            (
                r"(match-field statement:|unknown severity|via endpoint\(s\):|unknown nodes -|non-existent node\(s\)) .*$",
                "$1 …",
            ),
            (r"unknown variant `.*`, expected .*$", "unknown variant …"),
            (
                r"(no such entry:|to access|unable to use volume) \S+",
                "$1 …",
            ),
            (r"\b[0-9]+\b", "…"),
        ];
        let rule = |(expression, with)| (Regex::new(expression).unwrap(), with);
        rules.map(rule).to_vec()
    });
    let mut text = message.to_owned();
    for (rule, with) in RULES.iter() {
        text = rule.replace_all(&text, *with).into_owned();
    }
    text
}

/// A path as it was before [`escape`].
fn unescape(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let escaped = (byte == b'%').then(|| [rest.next(), rest.next()]);
        let code = escaped.and_then(|digits| {
            let digits: Vec<u8> = digits.into_iter().flatten().collect();
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
        });
        bytes.push(code.unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The method that a call leads to; what leads to none has no name.
fn method_of(verb: &str, path: &str) -> String {
    let path = unescape(path.split('?').next().unwrap_or_default());
    let found = table().lookup(verb, &path);
    found.map_or_else(String::new, |found| format!("{verb} {}", found.method.path))
}

/// How a call was refused, one line each: `STATUS text`, or `400 parameter: text`.
fn refusals(status: u64, reason: &str, body: &Value) -> Vec<String> {
    match body["errors"].as_object().filter(|_| status == 400) {
        Some(errors) => {
            let line = |(name, text): (&String, &Value)| {
                let text = text.as_str().unwrap_or_default();
                format!("400 {name}: {}", normal(text.trim_end()))
            };
            errors.iter().map(line).collect()
        }
        None => vec![format!("{status} {}", normal(reason))],
    }
}

/// The refusals that real nodes were recorded with, by method.
fn recorded(scenarios: &[Scenario]) -> BTreeSet<(String, String)> {
    let steps = scenarios.iter().flat_map(|scenario| scenario.steps());
    let refused = steps.filter_map(|step| {
        let answer = &step["response"];
        let status = answer["status"].as_u64().filter(|status| *status != 200)?;
        let path = step["path"].as_str()?.strip_prefix("/api2/json")?;
        let method = method_of(step["method"].as_str()?, path);
        let reason = answer["reason"].as_str().unwrap_or_default();
        let lines = refusals(status, reason, &answer["body"]);
        Some(lines.into_iter().map(move |line| (method.clone(), line)))
    });
    refused.flatten().collect()
}

/// Those of `failures.txt`: a method, then its refusals, each with where the source has it. A `*` in place of the method: what
/// is said before a call reaches its method.
fn in_the_source() -> BTreeSet<(String, String)> {
    let mut method = String::new();
    let mut found = BTreeSet::new();
    for line in FAILURES.lines() {
        match line.strip_prefix("  ") {
            None => method = line.to_owned(),
            Some(refusal) => {
                let (text, place) = refusal.rsplit_once(" <- ").expect(refusal);
                assert!(!place.is_empty());
                found.insert((method.clone(), text.to_owned()));
            }
        }
    }
    found
}

/// A world that calls go to.
struct Ground {
    sim: Sim,
    /// Root's, with its token against forged calls.
    ticket: (String, String),
    backup: String,
    codes: String,
}

/// A call that makes something.
type Making = (&'static str, &'static [(&'static str, &'static str)]);

/// What is made in the world the calls go to, beside guests.
const MADE: &[Making] = &[
    ("/access/roles", &[("roleid", "own"), ("privs", "VM.Audit")]),
    ("/access/groups", &[("groupid", "people")]),
    (
        "/access/users",
        &[("userid", "new@pve"), ("password", PASSWORD)],
    ),
    ("/access/users/new@pve/token/new", &[]),
    ("/pools", &[("poolid", "other")]),
    (
        "/cluster/ha/resources",
        &[("sid", "ct:102"), ("state", "stopped")],
    ),
    (
        "/cluster/ha/rules",
        &[
            ("rule", "apart"),
            ("type", "node-affinity"),
            ("nodes", "pve2"),
            ("resources", "ct:102"),
        ],
    ),
    (
        "/cluster/backup",
        &[("id", "backup-1"), ("vmid", "100"), ("schedule", "daily")],
    ),
    (
        "/cluster/metrics/server/stats",
        &[
            ("type", "graphite"),
            ("server", "10.99.0.50"),
            ("port", "2003"),
        ],
    ),
    (
        "/cluster/notifications/endpoints/gotify",
        &[("name", "push"), ("server", "http://push"), ("token", "t")],
    ),
    (
        "/cluster/notifications/endpoints/smtp",
        &[
            ("name", "relay"),
            ("server", "relay"),
            ("from-address", "lab@example.com"),
            ("mailto", "somebody@example.com"),
        ],
    ),
    (
        "/cluster/notifications/endpoints/webhook",
        &[("name", "hook"), ("url", "http://hook"), ("method", "post")],
    ),
];

fn world() -> Ground {
    let mut sim = Sim::new(cluster());
    sim.world.set_password("root@pam", PASSWORD);
    sim.create("pve1", 100, &[("net0", "name=eth0,bridge=vmbr0,ip=dhcp")]);
    sim.create("pve1", 101, &[("rootfs", "btr:1")]);
    sim.create("pve2", 102, &[]);
    sim.start("pve1", 100);
    let snapshot = [("snapname", "one")];
    sim.task("POST", "/nodes/pve1/lxc/101/snapshot", &snapshot);
    let backup = [("vmid", "100"), ("storage", "local")];
    sim.task("POST", "/nodes/pve1/vzdump", &backup);
    let content = "/nodes/pve1/storage/local/content";
    let backups = sim.root("GET", content, &[("content", "backup")]).payload();
    for (path, form) in MADE {
        let made = sim.root("POST", path, form);
        assert_eq!(made.status(), 200, "{path}: {}", made.message());
    }
    let login = [("username", "root@pam"), ("password", PASSWORD)];
    sim.now_ms = CODE_MS;
    let mut request = Request::new("POST", "/access/ticket").parameters(&login);
    request.authorization = None;
    let ticket = sim.call(request).payload();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ticket = (
        text(&ticket["ticket"]),
        text(&ticket["CSRFPreventionToken"]),
    );
    let codes = [("type", "totp"), ("totp", URI), ("value", CODE)];
    let mut request = Request::new("POST", "/access/tfa/new@pve").parameters(&codes);
    request.authorization = None;
    request.cookie = Some(format!("PVEAuthCookie={}", escape(&ticket.0)));
    request.csrf = Some(ticket.1.clone());
    let codes = sim.call(request).payload();
    Ground {
        backup: text(&backups[0]["volid"]),
        codes: text(&codes["id"]),
        ticket,
        sim,
    }
}

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

#[test]
fn ten_thousand_calls_made_from_the_schema() {
    let returns = Returns::load();
    let paths = scenario::list(&recordings(Vec::new()).folder).unwrap();
    let scenarios: Vec<Scenario> = paths
        .iter()
        .map(|path| Scenario::load(path).unwrap())
        .collect();
    let (calls, mut runner) = (call(), TestRunner::deterministic());
    let mut seen = Seen::default();
    for _ in 0..WORLDS {
        let mut ground = world();
        for _ in 0..CALLS {
            let made = calls.new_tree(&mut runner).unwrap().current();
            let made = made.in_world(&ground);
            if made.locks_root_out() {
                continue;
            }
            let request = made.request(&ground);
            let answer = ground.sim.call(request);
            seen.call(&made, &answer, &returns);
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
