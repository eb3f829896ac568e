//! The world that calls made from the schema go to: some of everything there is to find and to change.

use serde_json::Value;

use crate::made::{CODE, CODE_MS, PASSWORD, URI};
use crate::support::seed::cluster;
use crate::support::sim::{Request, Sim, escape};

/// A world that calls go to.
pub(crate) struct Ground {
    pub(crate) sim: Sim,
    /// Root's, with its token against forged calls.
    pub(crate) ticket: (String, String),
    pub(crate) backup: String,
    pub(crate) codes: String,
}

/// A call that makes something.
pub(crate) type Making = (&'static str, &'static [(&'static str, &'static str)]);

/// What is made in the world the calls go to, beside guests.
pub(crate) const MADE: &[Making] = &[
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

/// What is made of firewalls, below the cluster's and a container's.
const FIREWALL: &[Making] = &[
    ("/aliases", &[("name", "relay"), ("cidr", "10.0.0.1")]),
    ("/ipset", &[("name", "relay")]),
    ("/ipset", &[("name", "push")]),
    ("/ipset/relay", &[("cidr", "10.0.0.0/24")]),
    ("/ipset/relay", &[("cidr", "10.0.0.1")]),
    ("/rules", &[("type", "in"), ("action", "ACCEPT")]),
    ("/rules", &[("type", "out"), ("action", "DROP")]),
];

fn make_firewall(sim: &mut Sim) {
    let made = |sim: &mut Sim, path: &str, form: &[(&str, &str)]| {
        let answer = sim.root("POST", path, form);
        assert_eq!(answer.status(), 200, "{path}: {}", answer.message());
    };
    for below in ["/cluster/firewall", "/nodes/pve1/lxc/100/firewall"] {
        for (rest, form) in FIREWALL {
            made(sim, &format!("{below}{rest}"), form);
        }
    }
    for node in ["pve1", "pve2"] {
        let (_, form) = FIREWALL[5];
        made(sim, &format!("/nodes/{node}/firewall/rules"), form);
    }
    let group = "/cluster/firewall/groups";
    made(sim, group, &[("group", "text")]);
    let (_, form) = FIREWALL[5];
    made(sim, &format!("{group}/text"), form);
}

pub(crate) fn world() -> Ground {
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
    make_firewall(&mut sim);
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
