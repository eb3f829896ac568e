//! Each thing that can be wrong, by itself, and that nothing is said of what was not read.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::accounts::AccountMark;
use proximity_domain::ids::{HostId, InstallationId};
use proximity_domain::time::Timestamp;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::accounts::{Grant, Holder, RoleRow, TokenRow, UserRow};
use proximity_pve::cluster::{ClusterNode, ClusterStatus};
use proximity_pve::pool::Pool;
use proximity_pve::transport::https::{Fingerprint, ShownCertificate};
use proximity_store::records::{
    Endpoint, HostPlacement, HostRecord, HostToken, PurposeTokens, SshAccess, SshKind, SshNode,
    TlsTrust,
};
use serde_json::json;
use uuid::Uuid;

use super::due::Due;
use super::facts::{
    Answer, ClockRead, Directory, EndpointFacts, Facts, Found, Held, NodeFacts, TokenFacts,
    TokenRights, Way,
};
use super::finding::{Code, Level};
use super::judge::judge;

mod certificates;
mod commands;
mod guests;
mod people;

const NOW_S: i64 = 1_800_000_000;
const DAY_S: i64 = 86_400;
const NODES: [&str; 2] = ["pve1", "pve2"];
const INSTALLATION: u128 = 0x0123_4567_89ab_4cde_8f01_2345_6789_abcd;

fn mark() -> AccountMark {
    AccountMark(InstallationId(Uuid::from_u128(INSTALLATION)))
}

fn user(purpose: TokenPurpose) -> String {
    format!("proximity-{purpose}-{}@pve", mark().short())
}

fn id(purpose: TokenPurpose) -> String {
    format!("{}!proximity", user(purpose))
}

fn endpoint(node: &str) -> Endpoint {
    Endpoint {
        url: format!("https://{node}:8006"),
        node: Some(node.parse().unwrap()),
        trust: TlsTrust::Fingerprint {
            sha256: Fingerprint([1; 32]).to_string(),
        },
    }
}

fn record() -> HostRecord {
    let token = |purpose| HostToken {
        id: id(purpose),
        secret: "secret".to_owned().into(),
    };
    HostRecord {
        id: HostId(Uuid::from_u128(2)),
        label: "home".parse().unwrap(),
        cluster_key: "cluster:lab:pve1,pve2".to_owned(),
        endpoints: NODES.map(endpoint).to_vec(),
        token_id: id(TokenPurpose::Operate),
        token_secret: "secret".to_owned().into(),
        purpose_tokens: PurposeTokens {
            observe: Some(token(TokenPurpose::Observe)),
            images: None,
            adopted: Some(token(TokenPurpose::Adopted)),
        },
        ssh: Some(SshAccess {
            kind: SshKind::Helper,
            user: "root".to_owned(),
            private_key: "key".to_owned().into(),
            public_key: "ssh-ed25519 AAAA".to_owned(),
            nodes: NODES
                .map(|node| SshNode {
                    node: node.parse().unwrap(),
                    address: format!("{node}:22"),
                    host_key: "ssh-ed25519 AAAA".to_owned(),
                })
                .to_vec(),
        }),
        pool: Some("apps".parse().unwrap()),
        storage: "fast".parse().unwrap(),
        template_storage: "local".parse().unwrap(),
        bridge: "vmbr0".parse().unwrap(),
        placement: HostPlacement::default(),
        known_nodes: NODES.map(|node| node.parse().unwrap()).to_vec(),
        pve_version: "9.2.11".to_owned(),
        created_at: Timestamp(0),
    }
}

fn node(name: &str) -> NodeFacts {
    let storage = |name: &str, content: &str| {
        json!({"storage": name, "type": "dir", "content": content, "active": 1, "enabled": 1, "shared": 0,
            "total": 100, "avail": 50})
    };
    let storages = json!([
        storage("fast", "rootdir,images"),
        storage("local", "vztmpl,backup")
    ]);
    NodeFacts {
        name: name.parse().unwrap(),
        version: Ok("9.2.11".to_owned()),
        clock: Ok(ClockRead {
            ahead_ms: 300,
            give_ms: 700,
        }),
        storages: Ok(serde_json::from_value(storages).unwrap()),
        bridges: Ok(serde_json::from_value(json!([{"iface": "vmbr0", "active": 1}])).unwrap()),
        way: Way::Helper {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            installation: mark().0.to_string(),
        },
    }
}

/// A token that holds exactly what is due to it.
fn token(purpose: TokenPurpose, record: &HostRecord) -> TokenFacts {
    let purposes = BTreeSet::from([purpose]);
    let due = Due::of(&purposes, record, mark());
    let mut all: BTreeMap<String, serde_json::Map<String, serde_json::Value>> = BTreeMap::new();
    for grant in &due.grants {
        let on = all.entry(grant.path.clone()).or_default();
        let reaches = u8::from(grant.reaches_below);
        on.extend(
            grant
                .privileges
                .iter()
                .map(|p| ((*p).to_owned(), json!(reaches))),
        );
    }
    let all: BTreeMap<_, _> = serde_json::from_value(json!(all)).unwrap();
    TokenFacts {
        id: id(purpose),
        purposes,
        rights: TokenRights::Told(Held {
            due: all.clone(),
            all,
        }),
    }
}

/// Users, roles and grants as init makes them.
fn directory(record: &HostRecord) -> Directory {
    let mut made = Directory::default();
    for purpose in [
        TokenPurpose::Observe,
        TokenPurpose::Operate,
        TokenPurpose::Adopted,
    ] {
        let due = Due::of(&BTreeSet::from([purpose]), record, mark());
        made.users.push(UserRow {
            id: user(purpose),
            comment: Some(mark().to_string()),
            enabled: true,
            expires_s: 0,
            tokens: vec![TokenRow {
                name: "proximity".to_owned(),
                comment: None,
                separated: true,
                expires_s: 0,
            }],
        });
        for grant in due.grants {
            made.roles.push(RoleRow {
                id: grant.role.clone(),
                privileges: grant.privileges.iter().map(|p| (*p).to_owned()).collect(),
            });
            for holder in [Holder::User(user(purpose)), Holder::Token(id(purpose))] {
                made.grants.push(Grant {
                    path: grant.path.clone(),
                    holder,
                    role: grant.role.clone(),
                    propagates: grant.reaches_below,
                });
            }
        }
    }
    made
}

/// A host where nothing is wrong.
fn well() -> Facts {
    let record = record();
    let purposes = [
        TokenPurpose::Operate,
        TokenPurpose::Observe,
        TokenPurpose::Adopted,
    ];
    let guest =
        json!([{"vmid": 100, "type": "lxc", "node": "pve1", "status": "running", "pool": "apps"}]);
    Facts {
        mark: mark(),
        now_ms: NOW_S * 1000,
        endpoints: record
            .endpoints
            .iter()
            .map(|endpoint| EndpointFacts {
                endpoint: endpoint.clone(),
                certificate: Ok(ShownCertificate {
                    fingerprint: Fingerprint([1; 32]),
                    good_until_s: Some(NOW_S + 400 * DAY_S),
                }),
                answer: Answer::After(3_400),
            })
            .collect(),
        status: Ok(ClusterStatus {
            name: Some("lab".to_owned()),
            quorate: true,
            nodes: NODES
                .map(|name| ClusterNode {
                    name: name.parse().unwrap(),
                    online: true,
                    ip: None,
                    local: name == "pve1",
                })
                .to_vec(),
        }),
        nodes: NODES.map(node).to_vec(),
        tokens: purposes.map(|purpose| token(purpose, &record)).to_vec(),
        directory: Ok(directory(&record)),
        pool: Ok(Some(Pool {
            comment: None,
            guests: vec![100.try_into().unwrap()],
            storages: Vec::new(),
        })),
        guests: Ok(serde_json::from_value(guest).unwrap()),
        recorded: BTreeSet::from([100.try_into().unwrap()]),
        own: BTreeMap::from([(100.try_into().unwrap(), Found::Ours)]),
        record,
    }
}

fn bad(facts: &Facts) -> BTreeSet<Code> {
    let findings = judge(facts).into_iter();
    let bad = findings.filter(|f| f.level() != Level::Ok);
    bad.map(|finding| {
        let asks = matches!(finding.level(), Level::Fault | Level::Warning | Level::Note);
        assert!(!asks || !finding.next.is_empty(), "{finding:?}");
        assert!(!finding.what.is_empty() && finding.host.as_deref() == Some("home"));
        finding
            .next
            .iter()
            .for_each(|step| drop(commands::words(step)));
        finding.code
    })
    .collect()
}

/// What is found when this is changed.
fn when(change: impl FnOnce(&mut Facts)) -> Vec<Code> {
    let mut facts = well();
    change(&mut facts);
    bad(&facts).into_iter().collect()
}

fn no() -> String {
    "nobody answers".to_owned()
}

#[test]
fn where_nothing_is_wrong_all_is_said_to_be_well() {
    assert_eq!(when(|_| {}), []);
    let said: BTreeSet<Code> = judge(&well()).into_iter().map(|f| f.code).collect();
    // Caddy, gateway, database and audit are looked at elsewhere.
    let all = Code::ALL.iter().filter(|code| code.level() == Level::Ok);
    let unsaid: Vec<_> = all.filter(|code| !said.contains(code)).collect();
    let own = [
        Code::CaddyAnswers,
        Code::GatewayAnswers,
        Code::RecordSound,
        Code::AuditWhole,
    ];
    assert_eq!(unsaid, own.each_ref());
}

#[test]
fn membership() {
    let status = |change: fn(&mut ClusterStatus)| when(|f| change(f.status.as_mut().unwrap()));
    assert_eq!(status(|s| s.quorate = false), [Code::NoQuorum]);
    assert_eq!(
        status(|s| s.name = Some("barn".to_owned())),
        [Code::OtherCluster]
    );
    assert_eq!(status(|s| s.nodes[1].online = false), [Code::NodeOffline]);
    assert_eq!(status(|s| s.nodes.truncate(1)), [Code::NodeUnlisted]);
    assert_eq!(when(|f| f.status = Err(no())), [Code::ClusterUnread]);
}

#[test]
fn versions_and_clocks() {
    let version = |text: &'static str| {
        when(|f| {
            f.nodes
                .iter_mut()
                .for_each(|n| n.version = Ok(text.to_owned()))
        })
    };
    for (text, codes) in [
        ("9.0.3", &[][..]),
        ("9.2.0", &[]),
        ("8.4.14", &[Code::VersionTooOld]),
        ("9.3.1", &[Code::VersionUntested]),
        ("10.0.1", &[Code::VersionUntested]),
        ("nine", &[Code::VersionUnread]),
    ] {
        assert_eq!(version(text), codes, "{text}");
    }
    assert_eq!(
        when(|f| f.nodes[0].version = Ok("9.1.4".to_owned())),
        [Code::VersionsDiffer]
    );
    assert_eq!(
        when(|f| f.nodes[0].version = Err(no())),
        [Code::VersionUnread]
    );
    let clock =
        |ahead_ms, give_ms| when(|f| f.nodes[0].clock = Ok(ClockRead { ahead_ms, give_ms }));
    for (ahead_ms, give_ms, codes) in [
        (5_600, 600, &[][..]),
        (-5_600, 600, &[]),
        (5_700, 600, &[Code::ClockOff]),
        (-60_500, 600, &[Code::ClockOff]),
        (-60_700, 600, &[Code::ClockWrong]),
        // A slow way says little of a clock.
        (9_000, 8_000, &[]),
    ] {
        assert_eq!(clock(ahead_ms, give_ms), codes, "{ahead_ms} {give_ms}");
    }
    assert_eq!(when(|f| f.nodes[0].clock = Err(no())), [Code::ClockUnread]);
}

fn told(facts: &mut Facts, of: usize) -> &mut Held {
    match &mut facts.tokens[of].rights {
        TokenRights::Told(held) => held,
        other => panic!("{other:?}"),
    }
}

fn set(held: &mut Held, path: &str, privileges: serde_json::Value) {
    let read: proximity_pve::access::Privileges = serde_json::from_value(privileges).unwrap();
    held.all.insert(path.to_owned(), read.clone());
    held.due.insert(path.to_owned(), read);
}

#[test]
fn tokens_that_are_too_narrow() {
    let bare = |f: &mut Facts| set(told(f, 0), "/sdn/zones/localnetwork/vmbr0", json!({}));
    assert_eq!(when(bare), [Code::TokenTooNarrow]);
    let spare = |f: &mut Facts| {
        let held = told(f, 0).due["/pool/apps"].clone();
        let left = held
            .iter()
            .filter(|p| *p != "VM.Migrate")
            .map(|p| (p.to_owned(), json!(0)));
        set(
            told(f, 0),
            "/pool/apps",
            serde_json::Value::Object(left.collect()),
        );
    };
    assert_eq!(when(spare), [Code::TokenLacksSpare]);
    // What the observing token does not pass on below, it does not see there: no list is whole then.
    let shallow = |f: &mut Facts| {
        let held = told(f, 1).due["/"].clone();
        let left = held.iter().map(|p| (p.to_owned(), json!(0)));
        set(told(f, 1), "/", serde_json::Value::Object(left.collect()));
    };
    assert_eq!(
        when(shallow),
        [
            Code::TokenTooNarrow,
            Code::StorageUnread,
            Code::BridgeUnread,
            Code::PoolUnread
        ]
    );
}

#[test]
fn tokens_that_are_too_wide() {
    for (of, path, held) in [
        (0, "/", json!({"VM.Allocate": 1})),
        (0, "/vms", json!({"VM.PowerMgmt": 1})),
        (0, "/vms/200", json!({"VM.PowerMgmt": 0})),
        (0, "/pool/other", json!({"VM.Allocate": 0})),
        (0, "/storage", json!({"Datastore.AllocateSpace": 1})),
        (1, "/vms", json!({"VM.Audit": 1, "VM.Console": 1})),
        (2, "/vms/200", json!({"VM.Allocate": 0})),
    ] {
        let wide = |f: &mut Facts| {
            drop(told(f, of).all.insert(
                path.to_owned(),
                serde_json::from_value(held.clone()).unwrap(),
            ))
        };
        assert_eq!(when(wide), [Code::TokenTooWide], "{of} {path}");
    }
    for (of, path, held) in [
        // Guests in the pool, storages that were given one by one, and adopted guests.
        (0, "/vms/100", json!({"VM.Allocate": 0, "VM.PowerMgmt": 0})),
        (0, "/storage/more", json!({"Datastore.AllocateSpace": 0})),
        (1, "/nodes", json!({"Sys.Audit": 1})),
        (2, "/vms/200", json!({"VM.PowerMgmt": 0, "VM.Snapshot": 0})),
    ] {
        let due = |f: &mut Facts| {
            drop(told(f, of).all.insert(
                path.to_owned(),
                serde_json::from_value(held.clone()).unwrap(),
            ))
        };
        assert_eq!(when(due), [], "{of} {path}");
    }
}

#[test]
fn tokens_and_their_users() {
    let row =
        |change: fn(&mut UserRow)| when(|f| change(&mut f.directory.as_mut().unwrap().users[1]));
    assert_eq!(
        row(|u| u.tokens[0].separated = false),
        [Code::TokenNotSeparated]
    );
    let soon = u64::try_from(NOW_S + 29 * DAY_S).unwrap();
    assert_eq!(soon, 1_802_505_600);
    assert_eq!(
        row(|u| u.tokens[0].expires_s = 1_802_505_600),
        [Code::TokenEndsSoon]
    );
    assert_eq!(row(|u| u.expires_s = 1_802_505_600), [Code::TokenEndsSoon]);
    assert_eq!(row(|u| u.expires_s = 1_902_505_600), [Code::TokenEnds]);
    let unread = |f: &mut Facts| f.tokens[0].rights = TokenRights::Unread(no());
    assert_eq!(when(unread), [Code::TokenUnread]);
    assert_eq!(when(|f| f.directory = Err(no())), [Code::AccessUnread]);
    let all = |f: &mut Facts| f.tokens[0].purposes.extend([TokenPurpose::Observe]);
    assert!(when(all).contains(&Code::TokenForAll));
}

#[test]
fn why_a_token_is_not_taken_is_told_as_far_as_it_is_known() {
    let refused = |change: fn(&mut Facts)| {
        let mut facts = well();
        facts.tokens[0].rights = TokenRights::Refused("no ticket".to_owned());
        change(&mut facts);
        let found = judge(&facts)
            .into_iter()
            .find(|f| f.code == Code::TokenRefused)
            .unwrap();
        format!("{} -> {}", found.what, found.next.join("; "))
    };
    let user = |f: &mut Facts| f.directory.as_mut().unwrap().users[1].clone();
    assert_eq!(
        user(&mut well()).id,
        super::tests::user(TokenPurpose::Operate)
    );
    assert!(refused(|_| {}).contains("proximity init home https://pve1:8006"));
    assert!(refused(|f| f.directory.as_mut().unwrap().users[1].tokens.clear()).contains("deleted"));
    assert!(
        refused(|f| f.directory.as_mut().unwrap().users[1].tokens[0].expires_s = 5)
            .contains("--expire 0")
    );
    assert!(
        refused(|f| f.directory.as_mut().unwrap().users[1].enabled = false).contains("--enable 1")
    );
    assert!(refused(|f| f.directory = Err(no())).contains("no ticket"));
}

#[test]
fn storages_and_bridge() {
    fn of(facts: &mut Facts, node: usize) -> &mut Vec<proximity_pve::storage::Storage> {
        facts.nodes[node].storages.as_mut().unwrap()
    }
    assert_eq!(
        when(|f| of(f, 0)[0].active = false),
        [Code::StorageUnusableOnNode]
    );
    let everywhere = |f: &mut Facts| (0..2).for_each(|n| of(f, n)[0].content = "images".to_owned());
    assert_eq!(when(everywhere), [Code::StorageUnusable]);
    assert_eq!(
        when(|f| (0..2).for_each(|n| drop(of(f, n).remove(1)))),
        [Code::StorageUnusable]
    );
    assert_eq!(
        when(|f| of(f, 0)[1].enabled = false),
        [Code::StorageUnusableOnNode]
    );
    let kept_out = |f: &mut Facts| {
        of(f, 0)[0].active = false;
        f.record.placement.excluded_nodes = vec!["pve1".parse().unwrap()];
    };
    assert_eq!(when(kept_out), []);
    assert_eq!(
        when(|f| of(f, 0)[0].available_bytes = Some(9)),
        [Code::StorageNearlyFull]
    );
    assert_eq!(when(|f| of(f, 0)[0].available_bytes = Some(10)), []);
    assert_eq!(
        when(|f| f.nodes[0].storages = Err(no())),
        [Code::StorageUnread]
    );
    let bridges = |f: &mut Facts, n: usize| f.nodes[n].bridges.as_mut().unwrap().clear();
    assert_eq!(when(|f| bridges(f, 0)), [Code::BridgeMissingOnNode]);
    assert_eq!(
        when(|f| (0..2).for_each(|n| bridges(f, n))),
        [Code::BridgeMissing]
    );
    assert_eq!(
        when(|f| f.nodes[0].bridges = Err(no())),
        [Code::BridgeUnread]
    );
}

#[test]
fn ways_into_containers() {
    assert_eq!(when(|f| f.record.ssh = None), [Code::NoGuestAccess]);
    let plain = |f: &mut Facts| {
        f.record.ssh.as_mut().unwrap().kind = SshKind::Plain;
        f.nodes.iter_mut().for_each(|n| n.way = Way::Root);
    };
    assert_eq!(when(plain), [Code::RootOnNodes]);
    let way = |way: Way| when(|f| f.nodes[0].way = way);
    assert_eq!(way(Way::NotRecorded), [Code::NodeWithoutSsh]);
    assert_eq!(way(Way::NotTried), [Code::NodeEntryUnread]);
    assert_eq!(way(Way::OtherKey(no())), [Code::NodeOtherHostKey]);
    assert_eq!(way(Way::Failed(no())), [Code::NodeNotEntered]);
    let helper = |version: &str, installation: String| {
        way(Way::Helper {
            version: version.to_owned(),
            installation,
        })
    };
    assert_eq!(
        helper("0.0.1", mark().0.to_string()),
        [Code::HelperOtherVersion]
    );
    assert_eq!(
        helper(env!("CARGO_PKG_VERSION"), no()),
        [Code::HelperOfOthers]
    );
}

/// Where the list of codes grows, this fails until the new one has a case here or beside it.
#[test]
fn codes_have_labels_and_repairs_of_their_own() {
    let labels: BTreeSet<&str> = Code::ALL.iter().map(|code| code.label()).collect();
    assert_eq!(labels.len(), Code::ALL.len());
    for code in Code::ALL {
        let snake = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(code.label().chars().all(snake), "{code}");
        assert!(code.means().ends_with('.'), "{code}");
        assert_eq!(
            code.repair().is_empty(),
            code.level() == Level::Ok,
            "{code}"
        );
    }
}

#[test]
fn the_page_in_docs_is_the_one_made_here() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/doctor.md"
    );
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == super::doctor_markdown(),
        "docs/reference/doctor.md is out of date; run: cargo run -- reference doctor > docs/reference/doctor.md"
    );
}
