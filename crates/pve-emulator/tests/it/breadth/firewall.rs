//! Firewalls: options and rules of containers, nodes, the cluster and its groups.

use super::{backup_of, by, get, grant, itself, said};
use crate::support::seed::cluster;
use crate::support::sim::{Request, Sim};
use serde_json::{Value, json};

const TOKEN: &str = "limited@pve!t1";
pub(crate) const GUEST: &str = "/nodes/pve1/lxc/100/firewall";
const EMPTY: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
pub(crate) const DONE: (u16, String) = (200, String::new());
pub(crate) const CHANGED: &str =
    "detected modified configuration - file changed by other user? Try again.";

pub(crate) fn bad(text: &str) -> (u16, String) {
    (400, format!("Parameter verification failed.|{text}"))
}

pub(crate) fn died(text: &str) -> (u16, String) {
    (500, text.to_owned())
}

/// Adds a rule as the first one.
fn add(sim: &mut Sim, below: &str, form: &[(&str, &str)]) -> (u16, String) {
    said(sim, "POST", &format!("{below}/rules"), form)
}

/// The actions of all rules, in their order.
fn actions(sim: &mut Sim, path: &str) -> Vec<String> {
    let rows = get(sim, path);
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["action"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn options_are_kept_with_a_digest_and_taken_away() {
    let mut sim = Sim::new(cluster());
    let path = format!("{GUEST}/options");
    assert_eq!(get(&mut sim, &path), json!({"digest": EMPTY}));
    assert_eq!(said(&mut sim, "PUT", &path, &[("enable", "1")]), DONE);
    let digest = "bb9ed91416c7ca9fe0bdb701360217e37ab4497f";
    let found = get(&mut sim, &path);
    assert_eq!(found["enable"], 1);
    assert_eq!(found["digest"], digest);
    let digest = found["digest"].as_str().unwrap().to_owned();
    let form = [
        ("policy_in", "DROP"),
        ("log_level_in", "info"),
        ("delete", "enable"),
        ("digest", digest.as_str()),
    ];
    assert_eq!(said(&mut sim, "PUT", &path, &form), DONE);
    assert_eq!(said(&mut sim, "PUT", &path, &form), died(CHANGED));
    let found = get(&mut sim, &path);
    assert_eq!(
        (
            &found["policy_in"],
            &found["log_level_in"],
            &found["enable"]
        ),
        (&"DROP".into(), &"info".into(), &Value::Null)
    );
    let text = "delete: no such option 'colour'";
    assert_eq!(
        said(&mut sim, "PUT", &path, &[("delete", "colour")]),
        bad(text)
    );
}

#[test]
fn the_clusters_switch_may_be_a_time_that_passes() {
    let mut sim = Sim::new(cluster());
    let path = "/cluster/firewall/options";
    assert_eq!(said(&mut sim, "PUT", path, &[("enable", "2")]), DONE);
    assert_eq!(get(&mut sim, path)["enable"], sim.now_ms / 1000);
    sim.pass(62_000);
    assert_eq!(get(&mut sim, path)["enable"], 0);
    let form = [("log_ratelimit", "enable=1,rate=5/second")];
    assert_eq!(said(&mut sim, "PUT", path, &form), DONE);
    assert_eq!(get(&mut sim, path)["log_ratelimit"], form[0].1);
    let path = "/nodes/pve2/firewall/options";
    let form = [
        ("nf_conntrack_max", "65536"),
        ("nf_conntrack_helpers", "ftp"),
    ];
    assert_eq!(said(&mut sim, "PUT", path, &form), DONE);
    let found = get(&mut sim, path);
    assert_eq!(
        (&found["nf_conntrack_max"], &found["nf_conntrack_helpers"]),
        (&65_536.into(), &"ftp".into())
    );
    assert_eq!(
        get(&mut sim, "/nodes/pve1/firewall/options"),
        json!({"digest": EMPTY}),
        "each node has its own"
    );
}

#[test]
fn a_new_rule_is_the_first_one_and_off() {
    let mut sim = Sim::new(cluster());
    let rules = format!("{GUEST}/rules");
    assert_eq!(get(&mut sim, &rules), json!([]));
    assert_eq!(
        add(&mut sim, GUEST, &[("type", "in"), ("action", "ACCEPT")]),
        DONE
    );
    let digest = "917e6978163e530cb88e6beab20870e49daec378";
    let row = get(&mut sim, &format!("{rules}/0"));
    assert_eq!(row["digest"], digest);
    assert_eq!(
        (&row["pos"], &row["enable"], &row["type"], &row["action"]),
        (&0.into(), &0.into(), &"in".into(), &"ACCEPT".into())
    );
    let form = [
        ("type", "out"),
        ("action", "DROP"),
        ("enable", "1"),
        ("proto", "tcp"),
        ("dport", "80,443"),
        ("source", "10.0.0.0/24"),
        ("iface", "net0"),
        ("log", "warning"),
        ("comment", " no # web "),
    ];
    assert_eq!(add(&mut sim, GUEST, &form), DONE);
    let mut row = get(&mut sim, &rules)[0].clone();
    row.as_object_mut().unwrap().remove("digest");
    let expected = json!({
        "pos": 0, "type": "out", "action": "DROP", "enable": 1, "proto": "tcp", "dport": "80,443",
        "source": "10.0.0.0/24", "iface": "net0", "log": "warning", "comment": "no # web", "ipversion": 4,
    });
    assert_eq!(row, expected);
    assert_eq!(actions(&mut sim, &rules), ["DROP", "ACCEPT"]);
}

#[test]
fn rules_are_moved_changed_and_removed_by_their_place() {
    let mut sim = Sim::new(cluster());
    let rules = format!("{GUEST}/rules");
    let one = format!("{rules}/1");
    let none = "Can't use an undefined value as an ARRAY reference at /usr/share/perl5/PVE/API2/Firewall/Rules.pm line 373.";
    assert_eq!(said(&mut sim, "PUT", &one, &[]), died(none));
    for action in ["group-c", "group-b", "group-a"] {
        let form = [("type", "group"), ("action", action)];
        assert_eq!(add(&mut sim, GUEST, &form), DONE);
    }
    let digest = get(&mut sim, &one)["digest"].as_str().unwrap().to_owned();
    let form = [
        ("moveto", "3"),
        ("digest", digest.as_str()),
        ("action", "odd"),
    ];
    assert_eq!(said(&mut sim, "PUT", &one, &form), DONE);
    assert_eq!(said(&mut sim, "PUT", &one, &form), died(CHANGED));
    assert_eq!(actions(&mut sim, &rules), ["group-a", "group-c", "group-b"]);
    let two = format!("{rules}/2");
    assert_eq!(said(&mut sim, "PUT", &two, &[("moveto", "0")]), DONE);
    assert_eq!(actions(&mut sim, &rules), ["group-b", "group-a", "group-c"]);
    let form = [("comment", "about"), ("enable", "1"), ("iface", "net1")];
    assert_eq!(said(&mut sim, "PUT", &two, &form), DONE);
    assert_eq!(get(&mut sim, &two)["comment"], "about");
    // A dash takes away too.
    let form = [("delete", "iface"), ("comment", "-")];
    assert_eq!(said(&mut sim, "PUT", &two, &form), DONE);
    let row = get(&mut sim, &two);
    assert_eq!(
        (&row["comment"], &row["iface"]),
        (&Value::Null, &Value::Null)
    );
    for (part, text) in [
        (
            "action",
            "delete: unable to delete required property 'action'",
        ),
        ("vmid", "delete: no such property ('vmid')"),
    ] {
        let form = [("delete", part)];
        assert_eq!(said(&mut sim, "PUT", &two, &form), bad(text));
    }
    assert_eq!(said(&mut sim, "DELETE", &one, &[]), DONE);
    assert_eq!(actions(&mut sim, &rules), ["group-b", "group-c"]);
    let text = "no rule at position 2";
    for verb in ["GET", "PUT", "DELETE"] {
        assert_eq!(said(&mut sim, verb, &two, &[]), died(text));
    }
}

#[test]
fn rules_are_refused_in_the_order_in_which_they_are_looked_at() {
    let mut sim = Sim::new(cluster());
    let one = [("type", "in"), ("action", "ACCEPT")];
    let no_group = "action: unknown action 'web'";
    for (form, text) in [
        (vec![("type", "in"), ("action", "web")], no_group),
        (
            vec![("type", "forward"), ("action", "DROP")],
            "type: invalid rule type 'forward' for rule_env 'ct'",
        ),
        (
            vec![one[0], one[1], ("iface", "vmbr0")],
            "iface: value does not match the regex pattern 'net\\d+'",
        ),
        (
            vec![one[0], one[1], ("macro", "Nope")],
            "macro: unknown macro 'Nope'",
        ),
        (
            vec![one[0], one[1], ("dport", "80")],
            "proto: missing property - 'dport' requires this property",
        ),
        (
            vec![one[0], one[1], ("proto", "gre"), ("dport", "80")],
            "dport: protocol 'gre' does not support ports",
        ),
        (
            vec![one[0], one[1], ("proto", "tcp"), ("icmp-type", "any")],
            "proto: missing property - 'icmp-type' requires this property",
        ),
        (
            vec![one[0], one[1], ("proto", "icmp"), ("icmp-type", "no-route")],
            "icmp-type: invalid icmp-type 'no-route' for proto 'icmp'",
        ),
        (
            vec![one[0], one[1], ("source", "10.0.0.1"), ("dest", "fe80::1")],
            "dest: detected mixed ipv4/ipv6 addresses in rule",
        ),
        (
            vec![one[0], one[1], ("source", "+web")],
            "source: no such ipset 'web'",
        ),
        (
            vec![one[0], one[1], ("dest", "dc/web")],
            "dest: no such alias 'dc/web'",
        ),
        (
            vec![one[0], one[1], ("macro", "http"), ("proto", "udp")],
            "proto: parameter 'proto' already define in macro (value = 'tcp')",
        ),
        (
            vec![one[0], one[1], ("source", "10.0.0.1/8")],
            "source: invalid format - invalid IP address: Invalid prefix 00001010000000000000000000000001/8\n",
        ),
        (
            vec![one[0], one[1], ("proto", "tcp"), ("dport", "nowhere")],
            "dport: invalid format - invalid port 'nowhere'\n",
        ),
    ] {
        assert_eq!(add(&mut sim, GUEST, &form), bad(text), "{form:?}");
    }
    assert_eq!(get(&mut sim, &format!("{GUEST}/rules")), json!([]));
    let form = [one[0], one[1], ("macro", "http")];
    assert_eq!(add(&mut sim, GUEST, &form), DONE);
    assert_eq!(get(&mut sim, &format!("{GUEST}/rules/0"))["macro"], "HTTP");
    let forward = [("type", "forward"), ("action", "REJECT")];
    let text = "action: cannot define REJECT rules on forward chain";
    assert_eq!(add(&mut sim, "/nodes/pve1/firewall", &forward), bad(text));
    let forward = [("type", "forward"), ("action", "DROP"), ("iface", "vmbr0")];
    assert_eq!(add(&mut sim, "/nodes/pve1/firewall", &forward), DONE);
    assert_eq!(add(&mut sim, "/cluster/firewall", &forward), DONE);
}

/// The text is one line of a file there: what follows is another line.
#[test]
fn a_comment_of_two_lines_is_a_rule_more() {
    let mut sim = Sim::new(cluster());
    let form = [
        ("type", "in"),
        ("action", "ACCEPT"),
        ("comment", "one\nOUT DROP -p tcp\nOUT"),
    ];
    assert_eq!(add(&mut sim, GUEST, &form), DONE);
    assert_eq!(
        actions(&mut sim, &format!("{GUEST}/rules")),
        ["ACCEPT", "DROP"]
    );
}

#[test]
fn groups_have_rules_and_keep_them_under_another_name() {
    let mut sim = Sim::new(cluster());
    let groups = "/cluster/firewall/groups";
    let form = [("group", "web"), ("comment", "pages")];
    assert_eq!(said(&mut sim, "POST", groups, &form), DONE);
    let text = "group: Security group 'web' already exists";
    assert_eq!(said(&mut sim, "POST", groups, &form), bad(text));
    let web = "/cluster/firewall/groups/web";
    let rule = [("type", "in"), ("action", "ACCEPT"), ("macro", "HTTPS")];
    assert_eq!(said(&mut sim, "POST", web, &rule), DONE);
    let nested = [("type", "group"), ("action", "other")];
    let text = "type: invalid rule type 'group' for rule_env 'group'";
    assert_eq!(said(&mut sim, "POST", web, &nested), bad(text));
    let bound = [rule[0], rule[1], ("iface", "net0")];
    let text = "type: parameter -i not allowed for this rule type";
    assert_eq!(said(&mut sim, "POST", web, &bound), bad(text));
    let uses = [("type", "group"), ("action", "web")];
    for below in ["/cluster/firewall", "/nodes/pve2/firewall", GUEST] {
        assert_eq!(add(&mut sim, below, &uses), DONE);
    }
    let rename = [("group", "sites"), ("rename", "web")];
    assert_eq!(said(&mut sim, "POST", groups, &rename), DONE);
    let text = "group: Security group 'web' does not exist";
    assert_eq!(said(&mut sim, "POST", groups, &rename), bad(text));
    let rows = get(&mut sim, groups);
    assert_eq!(
        (&rows[0]["group"], &rows[0]["comment"]),
        (&"sites".into(), &"pages".into())
    );
    let first = "/cluster/firewall/groups/sites/0";
    assert_eq!(get(&mut sim, first)["macro"], "HTTPS");
    assert_eq!(said(&mut sim, "PUT", first, &[("comment", "safe")]), DONE);
    assert_eq!(get(&mut sim, first)["comment"], "safe");
    // The container that uses it is none of this cluster: only what is listed is followed.
    for below in ["/cluster/firewall", "/nodes/pve2/firewall"] {
        assert_eq!(actions(&mut sim, &format!("{below}/rules")), ["sites"]);
    }
    assert_eq!(actions(&mut sim, &format!("{GUEST}/rules")), ["web"]);
    let sites = "/cluster/firewall/groups/sites";
    let text = "Security group 'sites' is not empty";
    assert_eq!(said(&mut sim, "DELETE", sites, &[]), died(text));
    assert_eq!(
        said(&mut sim, "DELETE", "/cluster/firewall/groups/sites/0", &[]),
        DONE
    );
    assert_eq!(said(&mut sim, "DELETE", sites, &[]), DONE);
    let text = "no such security group 'sites'";
    assert_eq!(said(&mut sim, "GET", sites, &[]), died(text));
}

#[test]
fn it_comes_and_goes_with_the_container() {
    let mut sim = Sim::new(cluster());
    let form = [
        ("vmid", "100"),
        ("ostemplate", crate::support::seed::ALPINE),
        ("rootfs", "local:1"),
    ];
    assert_eq!(sim.task("POST", "/nodes/pve1/lxc", &form), "OK");
    let options = format!("{GUEST}/options");
    assert_eq!(said(&mut sim, "PUT", &options, &[("dhcp", "1")]), DONE);
    let volid = backup_of(&mut sim, "pve1", "100");
    let clone = "/nodes/pve1/lxc/100/clone";
    assert_eq!(
        sim.task("POST", clone, &[("newid", "101"), ("full", "1")]),
        "OK"
    );
    let copy = "/nodes/pve1/lxc/101/firewall/options";
    assert_eq!(get(&mut sim, copy)["dhcp"], 1);
    assert_eq!(said(&mut sim, "PUT", copy, &[("dhcp", "0")]), DONE);
    assert_eq!(get(&mut sim, &options)["dhcp"], 1, "each has its own");
    assert_eq!(sim.task("DELETE", "/nodes/pve1/lxc/100", &[]), "OK");
    assert_eq!(get(&mut sim, &options), json!({"digest": EMPTY}));
    let form = [
        ("vmid", "102"),
        ("ostemplate", volid.as_str()),
        ("restore", "1"),
        ("storage", "local"),
    ];
    assert_eq!(sim.task("POST", "/nodes/pve1/lxc", &form), "OK");
    let restored = "/nodes/pve1/lxc/102/firewall/options";
    assert_eq!(get(&mut sim, restored)["dhcp"], 1);
}

#[test]
fn it_is_for_those_who_may_change_networks() {
    let mut sim = Sim::new(cluster());
    grant(&mut sim, TOKEN, "/vms/100", "PVEAuditor");
    let rules = format!("{GUEST}/rules");
    let form = [("type", "in"), ("action", "DROP")];
    let text = "Permission check failed (/vms/100, VM.Config.Network)";
    assert_eq!(
        by(&mut sim, TOKEN, "POST", &rules, &form),
        (403, text.into())
    );
    assert_eq!(by(&mut sim, TOKEN, "GET", &rules, &[]).0, 200);
    let text = "Permission check failed (/, Sys.Audit)";
    let cluster = "/cluster/firewall/rules";
    assert_eq!(by(&mut sim, TOKEN, "GET", cluster, &[]), (403, text.into()));
    assert_eq!(
        by(&mut sim, TOKEN, "GET", "/cluster/firewall/groups", &[]).0,
        200
    );
    let log = format!("{GUEST}/log");
    let text = "Permission check failed (/vms/100, VM.Console)";
    assert_eq!(by(&mut sim, TOKEN, "GET", &log, &[]), (403, text.into()));
    assert_eq!(get(&mut sim, &log), json!([{"n": 1, "t": "no content"}]));
    assert_eq!(itself(&mut sim, "POST", &rules, &form), DONE);
}

#[test]
fn without_a_majority_nothing_is_written() {
    let mut sim = Sim::new(cluster());
    let now_ms = sim.now_ms;
    sim.world.partition("pve1", now_ms);
    sim.pass(30_000);
    let call = Request::new("PUT", &format!("{GUEST}/options"))
        .via("pve1")
        .parameters(&[("enable", "1")]);
    let answer = sim.call(call);
    let text = "cfs-lock 'firewall-vm-100' error: no quorum!";
    assert_eq!((answer.status(), answer.message().trim_end()), (500, text));
    assert!(answer.took_ms >= 9_000, "it waits for one");
}
