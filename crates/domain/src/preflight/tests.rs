use std::collections::BTreeSet;

use super::*;
use crate::create::Resources;
use crate::network::NetworkWish;
use crate::place::{Figures, NodeState, StorageState};

fn node(name: &str, free_memory_mib: u64) -> NodeFacts {
    NodeFacts {
        capacity: NodeCapacity {
            host: "home".parse().unwrap(),
            node: name.parse().unwrap(),
            state: NodeState::Up(Figures {
                memory_mib: 4096,
                free_memory_mib,
                cpus: 4,
                storage: StorageState::Usable { free_gib: 50 },
                has_bridge: true,
                has_template: true,
                offers_template: false,
                too_old: None,
            }),
            excluded: false,
            shut: false,
            promised_memory_mib: 0,
            promised_disk_gib: 0,
        },
        template: Some("local:vztmpl/debian-12_1.tar.zst".to_owned()),
        offer: None,
        prepared: None,
        storage: "fast".to_owned(),
        bridge: "vmbr0".to_owned(),
    }
}

fn changed(change: impl FnOnce(&mut Figures)) -> NodeFacts {
    let mut it = node("pve1", 2000);
    if let NodeState::Up(figures) = &mut it.capacity.state {
        change(figures);
    }
    it
}

fn facts(nodes: Vec<NodeFacts>) -> Facts {
    let ports = |first| PortFacts {
        range: PortRange {
            first,
            last: first + 99,
        },
        free: 40,
        resting: 2,
    };
    Facts {
        hostname: "web".parse().unwrap(),
        taken: false,
        site: None,
        need: Need {
            resources: Resources {
                memory_mib: 512,
                cores: 2,
                disk_gib: 4,
            },
            template: "debian-12".to_owned(),
            volumes_gib: 0,
            inside: true,
            apart_from: Vec::new(),
        },
        network: Network::default(),
        nodes,
        unasked: Vec::new(),
        public: ports(8100),
        internal: ports(9100),
        at_place: Some(PlaceFacts {
            rights: Ok(RightsFacts {
                needed: 9,
                lacks: Vec::new(),
            }),
            name_servers: Ok(vec!["192.0.2.53".to_owned()]),
            conflict: None,
        }),
    }
}

/// The lines of this kind, as `place has/wants verdict code`.
fn told(judgement: &Judgement, what: What) -> Vec<String> {
    let amount = |it: &Option<Amount>| it.as_ref().map_or("?".to_owned(), Amount::to_string);
    let lines = judgement.lines.iter().filter(|line| line.what == what);
    let told = lines.map(|line| {
        format!(
            "{} {}/{} {} {}",
            line.place.as_deref().unwrap_or("-"),
            amount(&line.has),
            amount(&line.wants),
            line.verdict.label(),
            line.code.unwrap_or("-")
        )
    });
    told.collect()
}

#[test]
fn an_app_that_fits_is_told_every_figure_and_nothing_stops_it() {
    let mut busy = node("pve1", 2000);
    busy.capacity.promised_memory_mib = 1000;
    busy.capacity.promised_disk_gib = 10;
    let judged = judge(&facts(vec![busy, node("pve2", 1500)]));
    assert!(judged.is_deployable());
    assert!(judged.lines.iter().all(|line| line.verdict == Verdict::Ok));
    assert_eq!(
        told(&judged, What::Memory),
        ["home/pve1 1000/512 ok -", "home/pve2 1500/512 ok -"]
    );
    assert_eq!(
        told(&judged, What::Storage),
        ["home/pve1 40/4 ok -", "home/pve2 50/4 ok -"]
    );
    assert_eq!(
        told(&judged, What::Place),
        ["- home/pve2/a node that has it all ok -"]
    );
    assert_eq!(told(&judged, What::PublicPorts), ["- 40/1 ok -"]);
    assert_eq!(told(&judged, What::Rights), ["home/pve2 9/9 ok -"]);
    assert_eq!(told(&judged, What::NameServers), ["home/pve2 1/1 ok -"]);
    assert_eq!(told(&judged, What::Name), ["- free/web ok -"]);
    let kinds: BTreeSet<What> = judged.lines.iter().map(|line| line.what).collect();
    let told_of: BTreeSet<What> = What::ALL.into_iter().collect();
    let others: Vec<&What> = told_of.difference(&kinds).collect();
    let unasked = [&What::Host, &What::Address, &What::Apart, &What::Site];
    assert_eq!(others, unasked, "of these nothing was asked for");
}

#[test]
fn a_host_name_that_another_app_is_led_to_under_stops_it() {
    let mut asked = facts(vec![node("pve1", 2000)]);
    asked.site = Some(("blog.example.org".parse().unwrap(), false));
    let free = judge(&asked);
    assert!(free.is_deployable());
    assert_eq!(
        told(&free, What::Site),
        ["- no app's/blog.example.org ok -"]
    );
    asked.site = Some(("blog.example.org".parse().unwrap(), true));
    let taken = judge(&asked);
    assert!(!taken.is_deployable());
    assert_eq!(
        told(&taken, What::Site),
        ["- taken/blog.example.org stop exists"]
    );
}

#[test]
fn what_a_node_lacks_stops_only_where_no_other_node_has_it_all() {
    let cases: Vec<(NodeFacts, What, &str)> = vec![
        (node("pve1", 100), What::Memory, "100/512"),
        (changed(|figures| figures.cpus = 1), What::Cores, "1/2"),
        (
            changed(|figures| figures.storage = StorageState::Usable { free_gib: 3 }),
            What::Storage,
            "3/4",
        ),
        (
            changed(|figures| figures.storage = StorageState::Absent),
            What::Storage,
            "absent/4",
        ),
        (
            changed(|figures| figures.has_bridge = false),
            What::Bridge,
            "absent or down/vmbr0",
        ),
    ];
    let codes = [
        "memory_short",
        "cores_above_node",
        "storage_full",
        "storage_missing",
        "bridge_missing",
    ];
    for ((lacking, what, figures), code) in cases.into_iter().zip(codes) {
        let alone = judge(&facts(vec![lacking.clone()]));
        assert!(!alone.is_deployable(), "{what:?}");
        let expected = format!("home/pve1 {figures} stop {code}");
        assert_eq!(told(&alone, what), [expected]);
        let place = told(&alone, What::Place);
        assert!(place[0].ends_with(&format!("stop {code}")), "{place:?}");
        assert!(told(&alone, What::Rights).is_empty(), "no place was chosen");

        let beside = judge(&facts(vec![lacking, node("pve2", 2000)]));
        assert!(beside.is_deployable(), "{what:?}");
        assert_eq!(
            told(&beside, what)[0],
            format!("home/pve1 {figures} warn {code}")
        );
    }
}

#[test]
fn a_template_that_is_missing_and_a_node_without_ssh_have_their_codes() {
    let mut bare = changed(|figures| figures.has_template = false);
    bare.template = None;
    bare.capacity.shut = true;
    let judged = judge(&facts(vec![bare]));
    assert_eq!(
        told(&judged, What::Template),
        ["home/pve1 none/debian-12 stop template_missing"]
    );
    let ssh = told(&judged, What::Ssh);
    assert!(ssh[0].ends_with("stop nodes_without_ssh"), "{ssh:?}");
}

#[test]
fn an_image_on_a_version_that_makes_nothing_of_images_has_its_code() {
    let mut old = changed(|figures| figures.too_old = Some("9.0.3".to_owned()));
    old.template = None;
    let judged = judge(&facts(vec![old]));
    let line = &told(&judged, What::Template)[0];
    assert!(line.ends_with("stop pve_too_old"), "{line}");
}

#[test]
fn volumes_are_counted_with_the_disk() {
    let mut facts = facts(vec![node("pve1", 2000)]);
    facts.need.volumes_gib = 8;
    let judged = judge(&facts);
    assert_eq!(told(&judged, What::Storage), ["home/pve1 50/12 ok -"]);
}

#[test]
fn a_template_that_is_downloaded_first_is_said_and_stops_nothing() {
    let mut offering = changed(|figures| {
        figures.has_template = false;
        figures.offers_template = true;
    });
    offering.template = None;
    offering.offer = Some("debian-12_2.tar.zst".to_owned());
    let judged = judge(&facts(vec![offering]));
    assert!(judged.is_deployable());
    assert_eq!(
        told(&judged, What::Template),
        ["home/pve1 none/debian-12 ok -"]
    );
    let line = judged.lines.iter().find(|line| line.what == What::Template);
    let note = "a deploy downloads debian-12_2.tar.zst first";
    assert_eq!(line.unwrap().note, note);
}

#[test]
fn a_template_that_would_be_cloned_is_said() {
    let mut prepared = node("pve1", 2000);
    prepared.prepared = Some(Vmid::try_from(105_u32).unwrap());
    let judged = judge(&facts(vec![prepared]));
    let line = judged.lines.iter().find(|line| line.what == What::Template);
    assert_eq!(
        line.unwrap().note,
        "a deploy clones the prepared template 105"
    );
}

/// Nothing that was not read is a figure.
#[test]
fn what_was_not_read_has_no_figure_and_says_why() {
    let mut silent = node("pve1", 2000);
    silent.capacity.state = NodeState::Silent("no answer".to_owned());
    let mut read = facts(vec![silent, node("pve2", 2000)]);
    read.unasked = vec![Unasked {
        host: "away".to_owned(),
        code: "pve_unreachable",
        why: "cannot connect".to_owned(),
    }];
    read.at_place = Some(PlaceFacts {
        rights: Err("denied".to_owned()),
        name_servers: Err("no time".to_owned()),
        conflict: None,
    });
    let judged = judge(&read);
    assert!(judged.is_deployable());
    let unread = judged.lines.iter().filter(|line| line.has.is_none());
    let unread: Vec<(What, Verdict, &str)> = unread
        .map(|line| (line.what, line.verdict, line.note.as_str()))
        .collect();
    assert_eq!(
        unread,
        [
            (
                What::Host,
                Verdict::Warn,
                "could not be asked: cannot connect"
            ),
            (What::Node, Verdict::Warn, "could not be read: no answer"),
            (What::Rights, Verdict::Warn, "could not be read: denied"),
            (
                What::NameServers,
                Verdict::Warn,
                "could not be read: no time"
            ),
        ]
    );
    let of_silent = judged.lines.iter();
    let of_silent = of_silent.filter(|line| line.place.as_deref() == Some("home/pve1"));
    assert_eq!(of_silent.count(), 1, "no figure of a silent node");
}

#[test]
fn where_no_host_could_be_asked_the_first_one_says_why() {
    let mut read = facts(Vec::new());
    read.unasked = vec![Unasked {
        host: "away".to_owned(),
        code: "pve_unreachable",
        why: "cannot connect".to_owned(),
    }];
    let judged = judge(&read);
    assert!(!judged.is_deployable());
    let place = told(&judged, What::Place);
    assert!(place[0].ends_with("stop pve_unreachable"), "{place:?}");
    let host = told(&judged, What::Host);
    assert_eq!(host, ["away ?/? stop pve_unreachable"]);
}

#[test]
fn a_name_that_is_taken_stops() {
    let mut read = facts(vec![node("pve1", 2000)]);
    read.taken = true;
    let taken = judge(&read);
    assert_eq!(
        told(&taken, What::Name),
        ["- taken/web stop hostname_taken"]
    );
    assert!(!taken.is_deployable());
}

#[test]
fn ports_that_rest_are_not_free() {
    let mut read = facts(vec![node("pve1", 2000)]);
    read.internal.free = 0;
    let judged = judge(&read);
    assert!(!judged.is_deployable());
    assert_eq!(
        told(&judged, What::InternalPorts),
        ["- 0/1 stop ports_exhausted"]
    );
    let line = &judged.lines[2];
    assert_eq!(line.note, "of 9100 to 9199, 2 more rest");
}

#[test]
fn a_right_that_is_lacking_stops_and_is_named() {
    let mut read = facts(vec![node("pve1", 2000)]);
    read.at_place = Some(PlaceFacts {
        rights: Ok(RightsFacts {
            needed: 9,
            lacks: vec!["VM.Allocate on /pool/apps".to_owned()],
        }),
        name_servers: Ok(Vec::new()),
        conflict: None,
    });
    let judged = judge(&read);
    assert!(!judged.is_deployable());
    assert_eq!(
        told(&judged, What::Rights),
        ["home/pve1 8/9 stop token_too_narrow"]
    );
    let rights = judged.lines.iter().find(|line| line.what == What::Rights);
    assert_eq!(rights.unwrap().note, "lacks VM.Allocate on /pool/apps");
}

#[test]
fn a_node_that_asks_itself_for_names_hands_on_nothing_useful() {
    for (servers, told_of) in [
        (vec![], "0/1 warn"),
        (vec!["127.0.0.53", "::1"], "0/1 warn"),
        (vec!["127.0.0.1", "192.0.2.53"], "1/1 ok"),
    ] {
        let mut read = facts(vec![node("pve1", 2000)]);
        let servers: Vec<String> = servers.into_iter().map(str::to_owned).collect();
        if let Some(at_place) = &mut read.at_place {
            at_place.name_servers = Ok(servers);
        }
        let judged = judge(&read);
        assert!(judged.is_deployable());
        let line = told(&judged, What::NameServers);
        assert_eq!(line, [format!("home/pve1 {told_of} -")]);
    }
}

#[test]
fn whether_it_is_kept_apart_is_told_and_stops_nothing() {
    let mut read = facts(vec![node("pve1", 2000), node("pve2", 1000)]);
    read.need.apart_from = vec![("home".parse().unwrap(), "pve1".parse().unwrap())];
    let judged = judge(&read);
    let expected = ["home/pve2 another node/another node ok -"];
    assert_eq!(told(&judged, What::Apart), expected);
    read.nodes.pop();
    let judged = judge(&read);
    assert!(judged.is_deployable());
    let expected = ["home/pve1 the same node/another node warn -"];
    assert_eq!(told(&judged, What::Apart), expected);
}

#[test]
fn addresses_and_name_servers_that_are_given_are_told() {
    let mut read = facts(vec![node("pve1", 2000)]);
    read.network = NetworkWish {
        ipv4: Some("192.0.2.10/24".to_owned()),
        dns: vec!["192.0.2.1".to_owned()],
        ..NetworkWish::default()
    }
    .check()
    .unwrap();
    let free = judge(&read);
    assert!(free.is_deployable());
    assert_eq!(
        told(&free, What::Address),
        ["home/pve1 no app's/192.0.2.10 ok -"]
    );
    assert_eq!(told(&free, What::NameServers), ["- 1/1 ok -"]);
    if let Some(at_place) = &mut read.at_place {
        at_place.conflict = Some(Conflict {
            address: "192.0.2.10".parse().unwrap(),
            app: Some("db".to_owned()),
        });
    }
    let taken = judge(&read);
    assert!(!taken.is_deployable());
    assert_eq!(
        told(&taken, What::Address),
        ["home/pve1 taken/192.0.2.10 stop address_taken"]
    );
}

#[test]
fn every_kind_of_line_has_a_label_of_its_own() {
    let labels: BTreeSet<&str> = What::ALL.map(What::label).into_iter().collect();
    assert_eq!(labels.len(), What::ALL.len());
}
