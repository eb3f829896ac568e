//! Calls made from the schema: a method, and parameters that mostly mean something in the world they go to.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proximity_pve_emulator::core::emulated_methods;
use proximity_pve_emulator::schema::{Method, Property, table};
use serde_json::Value;

use crate::calls_world::Ground;
use crate::judge::{Verdict, judge};
use crate::refusals::unescape;
use crate::support::seed::ALPINE;
use crate::support::sim::{Request, credential, escape};

/// Stand for the newest task, a backup and a second factor of the world a call goes to.
pub(crate) const TASK: &str = "@task";
pub(crate) const BACKUP: &str = "@backup";
pub(crate) const CODES: &str = "@codes";

pub(crate) const PASSWORD: &str = "first-factor";
/// The key and a code of RFC 6238, appendix B, and when that code is right, Unix ms.
pub(crate) const URI: &str =
    "otpauth://totp/new?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=8&period=30";
pub(crate) const CODE: &str = "69279037";
pub(crate) const CODE_MS: u64 = 2_000_000_000_000;

/// Values that mean something in the world the calls go to.
pub(crate) fn known(name: &str) -> &'static [&'static str] {
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
        _ => of_firewalls(name),
    }
}

fn of_firewalls(name: &str) -> &'static [&'static str] {
    match name {
        "rename" => &["text", "push"],
        "cidr" => &["10.0.0.0/24", "10.0.0.1", "10.1.0.0/16", "relay"],
        "pos" | "moveto" => &["0", "0", "1"],
        "action" => &["ACCEPT", "DROP", "text"],
        "source" | "dest" => &["10.0.0.1", "+relay", "relay", "fe80::1"],
        "dport" | "sport" => &["80", "443"],
        "icmp-type" => &["echo-request"],
        "macro" => &["HTTP", "Ping"],
        "iface" => &["net0", "vmbr0"],
        _ => &[],
    }
}

/// A value that is mostly right.
pub(crate) fn value(name: &str, property: &Property) -> BoxedStrategy<String> {
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
pub(crate) struct Made {
    pub(crate) method: &'static Method,
    /// Those of its path.
    pub(crate) places: Vec<(String, String)>,
    /// The others.
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) account: u8,
}

pub(crate) fn call() -> impl Strategy<Value = Made> {
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

pub(crate) fn in_path(path: &str, name: &str) -> bool {
    path.contains(&format!("{{{name}}}"))
}

impl Made {
    /// The path it is sent to.
    pub(crate) fn path(&self) -> String {
        let mut path = self.method.path.clone();
        for (name, value) in &self.places {
            path = path.replace(&format!("{{{name}}}"), &escape(value));
        }
        path
    }

    /// It may take the account away that most calls come from.
    pub(crate) fn locks_root_out(&self) -> bool {
        let root = ("userid".to_owned(), "root@pam".to_owned());
        let accounts = self.method.path.starts_with("/access/users/{userid}");
        accounts && self.method.verb != "GET" && self.places.contains(&root)
    }

    /// With what its values stand for.
    pub(crate) fn in_world(mut self, world: &Ground) -> Self {
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
    pub(crate) fn routed(&self) -> Option<&'static Method> {
        let found = table().lookup(&self.method.verb, &unescape(&self.path()));
        found.map(|found| found.method)
    }

    /// What is given, for a method.
    pub(crate) fn given(&self, method: &Method) -> impl Iterator<Item = &(String, String)> {
        let places = self
            .places
            .iter()
            .filter(|_| method.path == self.method.path);
        self.pairs.iter().chain(places)
    }

    /// Every parameter that its method has or that it has itself.
    pub(crate) fn names(&self, method: &Method) -> BTreeSet<String> {
        let own = method.parameters.keys().filter(|it| !it.ends_with("[n]"));
        let own =
            own.filter(|name| !in_path(&method.path, name) || method.path == self.method.path);
        let given = self.given(method).map(|(name, _)| name);
        own.chain(given).cloned().collect()
    }

    /// What the schema says of a parameter. Values that mean something here are right.
    pub(crate) fn verdict(&self, method: &Method, name: &str) -> Verdict {
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
    pub(crate) fn request(&self, ground: &Ground) -> Request {
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
