//! What rules of firewalls speak of: aliases and sets of addresses.

use super::firewall::{CHANGED, DONE, GUEST, bad, died};
use super::{get, said};
use crate::support::seed::cluster;
use crate::support::sim::Sim;
use serde_json::json;

fn at(rest: &str) -> String {
    format!("{GUEST}/{rest}")
}

#[test]
fn aliases_are_one_whether_large_or_small() {
    let mut sim = Sim::new(cluster());
    let all = at("aliases");
    let form = [
        ("name", "Lab"),
        ("cidr", "10.0.0.0/24"),
        ("comment", "the lab"),
    ];
    assert_eq!(said(&mut sim, "POST", &all, &form), DONE);
    let again = [("name", "LAB"), ("cidr", "10.0.0.1")];
    let text = "name: alias 'LAB' already exists";
    assert_eq!(said(&mut sim, "POST", &all, &again), bad(text));
    let row = json!({"name": "Lab", "cidr": "10.0.0.0/24", "comment": "the lab", "ipversion": 4});
    assert_eq!(get(&mut sim, &at("aliases/lab")), row);
    let digest = get(&mut sim, &all)[0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(digest, "b1ffd391cc89f7c33687e585bb789db2da1e6b32");
    let form = [
        ("cidr", "fe80::1/128"),
        ("rename", "Host"),
        ("digest", digest.as_str()),
    ];
    assert_eq!(said(&mut sim, "PUT", &at("aliases/lab"), &form), DONE);
    let row = json!({"name": "Host", "cidr": "fe80::1", "ipversion": 6});
    assert_eq!(get(&mut sim, &at("aliases/host")), row);
    assert_eq!(
        said(&mut sim, "PUT", &at("aliases/host"), &form),
        died(CHANGED)
    );
    let text = "name: no such alias";
    assert_eq!(said(&mut sim, "GET", &at("aliases/lab"), &[]), bad(text));
    let text =
        "cidr: invalid format - value does not look like a valid IP address or CIDR network\n\n";
    let odd = [("name", "odd"), ("cidr", "lab")];
    let refused = said(&mut sim, "POST", &all, &odd);
    assert_eq!(
        (refused.0, refused.1.trim_end()),
        (400, bad(text).1.trim_end())
    );
    for _ in 0..2 {
        assert_eq!(said(&mut sim, "DELETE", &at("aliases/host"), &[]), DONE);
    }
    assert_eq!(get(&mut sim, &all), json!([]));
}

#[test]
fn sets_have_members_that_are_networks_or_aliases() {
    let mut sim = Sim::new(cluster());
    let form = [("name", "office"), ("comment", "desks")];
    assert_eq!(said(&mut sim, "POST", &at("ipset"), &form), DONE);
    let text = "name: IPSet 'office' already exists";
    assert_eq!(said(&mut sim, "POST", &at("ipset"), &form), bad(text));
    let office = at("ipset/office");
    for (cidr, answer) in [
        ("10.0.0.5/24", DONE),
        (
            "10.0.0.9/24",
            bad("cidr: address '10.0.0.0/24' already exists"),
        ),
        ("10.1.0.1/32", DONE),
        (
            "0.0.0.0/0",
            bad("cidr: a zero prefix is not allowed in ipset entries"),
        ),
        ("lab", died("no such alias 'lab'")),
    ] {
        assert_eq!(said(&mut sim, "POST", &office, &[("cidr", cidr)]), answer);
    }
    let form = [("name", "lab"), ("cidr", "10.9.0.0/16")];
    assert_eq!(
        said(&mut sim, "POST", "/cluster/firewall/aliases", &form),
        DONE
    );
    let form = [("cidr", "lab"), ("nomatch", "1"), ("comment", "not these")];
    assert_eq!(said(&mut sim, "POST", &office, &form), DONE);
    let rows = get(&mut sim, &office);
    let members: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["cidr"])
        .collect();
    assert_eq!(members, ["10.0.0.0/24", "10.1.0.1", "lab"]);
    assert_eq!(
        (&rows[2]["nomatch"], &rows[2]["comment"]),
        (&1.into(), &"not these".into())
    );
    let one = at("ipset/office/10.0.0.0/24");
    assert_eq!(said(&mut sim, "PUT", &one, &[("nomatch", "1")]), DONE);
    assert_eq!(get(&mut sim, &one)["nomatch"], 1);
    assert_eq!(said(&mut sim, "DELETE", &one, &[]), DONE);
    let text = "cidr: no such IP/Network";
    assert_eq!(said(&mut sim, "GET", &one, &[]), bad(text));
    assert_eq!(
        said(&mut sim, "DELETE", &office, &[]),
        died("IPSet 'office' is not empty")
    );
    assert_eq!(said(&mut sim, "DELETE", &office, &[("force", "1")]), DONE);
    assert_eq!(
        said(&mut sim, "GET", &office, &[]),
        died("no such IPSet 'office'")
    );
}

#[test]
fn members_of_sets_of_the_cluster_are_read_and_changed_one_by_one() {
    let mut sim = Sim::new(cluster());
    let sets = "/cluster/firewall/ipset";
    assert_eq!(said(&mut sim, "POST", sets, &[("name", "rooms")]), DONE);
    let rooms = format!("{sets}/rooms");
    let form = [("cidr", "10.1.0.0/16"), ("comment", "desks")];
    assert_eq!(said(&mut sim, "POST", &rooms, &form), DONE);
    let one = format!("{rooms}/10.1.0.0/16");
    assert_eq!(get(&mut sim, &one)["comment"], "desks");
    let form = [("nomatch", "1"), ("comment", "not these")];
    assert_eq!(said(&mut sim, "PUT", &one, &form), DONE);
    let row = get(&mut sim, &one);
    assert_eq!(
        (&row["nomatch"], &row["comment"]),
        (&json!(1), &json!("not these"))
    );
}

#[test]
fn a_set_is_renamed_and_told_of_and_named_in_rules() {
    let mut sim = Sim::new(cluster());
    let sets = "/cluster/firewall/ipset";
    let form = [("name", "Office"), ("comment", "desks")];
    assert_eq!(said(&mut sim, "POST", sets, &form), DONE);
    let rows = get(&mut sim, sets);
    assert_eq!(rows[0]["name"], "office", "names are small in the file");
    let digest = rows[0]["digest"].as_str().unwrap().to_owned();
    let rename = [
        ("name", "rooms"),
        ("rename", "office"),
        ("digest", digest.as_str()),
    ];
    assert_eq!(said(&mut sim, "POST", sets, &rename), DONE);
    assert_eq!(said(&mut sim, "POST", sets, &rename), died(CHANGED));
    let text = "name: IPSet 'office' does not exist";
    assert_eq!(said(&mut sim, "POST", sets, &rename[..2]), bad(text));
    let form = [("name", "Own"), ("cidr", "10.0.0.1")];
    assert_eq!(said(&mut sim, "POST", &at("aliases"), &form), DONE);
    let references = json!([
        {"type": "ipset", "name": "rooms", "ref": "+rooms", "scope": "dc", "comment": "desks"},
        {"type": "alias", "name": "own", "ref": "own", "scope": "guest"},
    ]);
    assert_eq!(get(&mut sim, &at("refs")), references);
    let only = sim.root("GET", &at("refs"), &[("type", "alias")]).payload();
    assert_eq!(only, json!([references[1]]));
    assert_eq!(
        get(&mut sim, "/cluster/firewall/refs"),
        json!([references[0]])
    );
    let rule = [
        ("type", "in"),
        ("action", "DROP"),
        ("source", "+dc/rooms"),
        ("dest", "guest/own"),
    ];
    assert_eq!(said(&mut sim, "POST", &at("rules"), &rule), DONE);
    assert_eq!(said(&mut sim, "DELETE", &at("aliases/own"), &[]), DONE);
    let row = get(&mut sim, &at("rules/0"));
    assert_eq!(row["errors"], json!({"dest": "no such alias 'guest/own'"}));
}
