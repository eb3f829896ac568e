use super::*;

const ASK: Resources = Resources {
    memory_mib: 512,
    cores: 2,
    disk_gib: 4,
};

fn need() -> Need {
    Need {
        resources: ASK,
        template: "debian-12".to_owned(),
        volumes_gib: 0,
        inside: false,
        apart_from: Vec::new(),
    }
}

fn figures(free_memory_mib: u64) -> Figures {
    Figures {
        memory_mib: 4096,
        free_memory_mib,
        cpus: 4,
        storage: StorageState::Usable { free_gib: 50 },
        has_bridge: true,
        has_template: true,
        offers_template: false,
        too_old: None,
    }
}

fn node(name: &str, free_memory_mib: u64) -> NodeCapacity {
    NodeCapacity {
        host: "home".parse().unwrap(),
        node: name.parse().unwrap(),
        state: NodeState::Up(figures(free_memory_mib)),
        excluded: false,
        shut: false,
        promised_memory_mib: 0,
        promised_disk_gib: 0,
    }
}

fn with(change: impl FnOnce(&mut Figures)) -> NodeCapacity {
    let mut figures = figures(2000);
    change(&mut figures);
    NodeCapacity {
        state: NodeState::Up(figures),
        ..node("a", 0)
    }
}

fn promised(name: &str, free: u64, promised_memory_mib: u64) -> NodeCapacity {
    NodeCapacity {
        promised_memory_mib,
        ..node(name, free)
    }
}

#[test]
fn a_node_whose_ssh_is_not_known_takes_only_what_is_not_set_up_inside() {
    let shut = NodeCapacity {
        shut: true,
        ..node("a", 3000)
    };
    let inside = Need {
        inside: true,
        ..need()
    };
    let nodes = [shut.clone(), node("b", 1000)];
    assert_eq!(place(&nodes, &need()), Ok(0));
    assert_eq!(place(&nodes, &inside), Ok(1));
    let none = place(&[shut], &inside).unwrap_err();
    assert_eq!(none.code(), "nodes_without_ssh");
    assert!(
        none.to_string()
            .ends_with("home/a has no SSH entry, and the app is set up inside its container"),
        "{none}"
    );
}

#[test]
fn a_node_with_an_app_to_be_kept_apart_from_comes_last_and_is_taken_when_no_other_fits() {
    let at = |host: &str, name: &str| (host.parse().unwrap(), name.parse().unwrap());
    let apart = Need {
        apart_from: vec![at("home", "a"), at("away", "b")],
        ..need()
    };
    let nodes = [node("a", 3000), node("b", 1000)];
    assert_eq!(place(&nodes, &need()), Ok(0));
    assert_eq!(
        place(&nodes, &apart),
        Ok(1),
        "b of another host is none of them"
    );
    let full = [node("a", 3000), node("b", 100)];
    assert_eq!(place(&full, &apart), Ok(0));
    assert!(is_apart(&nodes[1], &apart) && !is_apart(&nodes[0], &apart));
    // Before the template: that can be brought.
    let offering = with(|figures| {
        figures.has_template = false;
        figures.offers_template = true;
    });
    let offering = NodeCapacity {
        node: "c".parse().unwrap(),
        ..offering
    };
    assert_eq!(place(&[node("a", 3000), offering], &apart), Ok(1));
}

#[test]
fn a_node_that_would_download_the_template_comes_after_those_that_have_it() {
    let offering = with(|figures| {
        figures.has_template = false;
        figures.offers_template = true;
    });
    let beside = [offering.clone(), node("b", 600)];
    assert_eq!(place(&beside, &need()), Ok(1));
    let full = [offering.clone(), node("b", 100)];
    assert_eq!(place(&full, &need()), Ok(0));
    assert!(lacks(&offering, &need()).is_empty());
    let bare = with(|figures| figures.has_template = false);
    let missing = place(&[bare], &need()).unwrap_err();
    assert_eq!(missing.code(), "template_missing");
}

#[test]
fn a_node_that_makes_nothing_of_images_is_too_old_whatever_it_has() {
    let old = with(|figures| figures.too_old = Some("9.0.3".to_owned()));
    let none = place(std::slice::from_ref(&old), &need()).unwrap_err();
    assert_eq!(none.code(), "pve_too_old");
    let said = "home/a has Proxmox VE 9.0.3, and containers of images are made from 9.1 on";
    assert!(none.to_string().ends_with(said), "{none}");
    assert_eq!(place(&[old, node("b", 600)], &need()), Ok(1));
}

#[test]
fn volumes_take_room_beside_the_root_file_system() {
    let with_volumes = |volumes_gib| Need {
        volumes_gib,
        ..need()
    };
    let nodes = [node("a", 2000)];
    assert_eq!(place(&nodes, &with_volumes(46)), Ok(0));
    let none = place(&nodes, &with_volumes(47)).unwrap_err();
    assert_eq!(none.code(), "storage_full");
}

#[test]
fn the_freest_node_after_promises_is_taken() {
    let cases: &[(&str, Vec<NodeCapacity>, usize)] = &[
        ("most free", vec![node("a", 1000), node("b", 3000)], 1),
        ("first of equals", vec![node("b", 900), node("a", 900)], 1),
        (
            "promises count",
            vec![promised("a", 3000, 2500), node("b", 1000)],
            1,
        ),
        (
            "a fuller one that fits before a freer one that lacks something",
            vec![with(|f| f.has_template = false), node("b", 600)],
            1,
        ),
        (
            "nodes of other clusters are nodes as well",
            vec![
                node("a", 1000),
                NodeCapacity {
                    host: "work".parse().unwrap(),
                    ..node("a", 2000)
                },
            ],
            1,
        ),
        ("exactly enough", vec![node("a", 512)], 0),
        (
            "exactly enough after promises",
            vec![promised("a", 1024, 512)],
            0,
        ),
    ];
    for (what, nodes, expected) in cases {
        assert_eq!(place(nodes, &need()), Ok(*expected), "{what}");
    }
}

/// A deploy after the other, none of which PVE shows yet: they spread.
#[test]
fn deploys_under_way_spread_over_the_nodes() {
    let mut nodes = [node("a", 4000), node("b", 4000), node("c", 4000)];
    for _ in 0..21 {
        let chosen = place(&nodes, &need()).unwrap();
        nodes[chosen].promised_memory_mib += ASK.memory_mib;
    }
    let promised: Vec<u64> = nodes.iter().map(|n| n.promised_memory_mib).collect();
    assert_eq!(promised, [7 * 512; 3]);
    let full = place(&nodes, &need()).unwrap_err();
    assert_eq!(full.code(), "memory_short");
}

fn each_lack() -> Vec<(NodeCapacity, &'static str, &'static str)> {
    let state = |state| NodeCapacity {
        state,
        ..node("a", 0)
    };
    let disk = |free_gib, promised_disk_gib| NodeCapacity {
        promised_disk_gib,
        ..with(|f| f.storage = StorageState::Usable { free_gib })
    };
    vec![
        (state(NodeState::Offline), "no_node_online", "is offline"),
        (
            state(NodeState::Silent("no answer".to_owned())),
            "no_node_online",
            "could not be read: no answer",
        ),
        (
            NodeCapacity {
                excluded: true,
                ..node("a", 2000)
            },
            "nodes_excluded",
            "is excluded from new apps",
        ),
        (
            with(|f| f.memory_mib = 256),
            "memory_above_node",
            "has 256 MiB of memory in all",
        ),
        (node("a", 511), "memory_short", "has 511 MiB of memory free"),
        (
            promised("a", 1023, 512),
            "memory_short",
            "has 1023 MiB of memory free, 512 of them promised to deploys under way",
        ),
        (
            with(|f| f.cpus = 1),
            "cores_above_node",
            "has 1 CPU threads",
        ),
        (
            with(|f| f.has_template = false),
            "template_missing",
            "does not have the template debian-12",
        ),
        (
            with(|f| f.storage = StorageState::Absent),
            "storage_missing",
            "does not have the storage",
        ),
        (
            with(|f| f.storage = StorageState::Inactive),
            "storage_missing",
            "cannot use the storage now",
        ),
        (disk(3, 0), "storage_full", "has 3 GiB free on the storage"),
        (
            disk(7, 4),
            "storage_full",
            "has 7 GiB free on the storage, 4 of them promised to deploys under way",
        ),
        (
            with(|f| f.has_bridge = false),
            "bridge_missing",
            "does not have the bridge, or it is down",
        ),
    ]
}

#[test]
fn each_lack_is_named_and_has_a_code() {
    for (node, code, text) in each_lack() {
        let refusal = place(&[node], &need()).unwrap_err();
        assert_eq!(refusal.code(), code);
        let said = refusal.to_string();
        assert_eq!(
            said,
            format!("no node can take 512 MiB of memory, 2 cores and 4 GiB of disk: home/a {text}")
        );
    }
}

#[test]
fn nodes_that_are_off_do_not_hide_what_the_others_lack() {
    let off = NodeCapacity {
        state: NodeState::Offline,
        ..node("z", 0)
    };
    let mixed = |nodes: &[NodeCapacity]| place(nodes, &need()).unwrap_err().code();
    assert_eq!(mixed(&[off.clone(), node("a", 1)]), "memory_short");
    assert_eq!(
        mixed(&[off, node("a", 1), with(|f| f.has_bridge = false)]),
        "no_node_fits"
    );
    assert_eq!(mixed(&[]), "no_node_online");
}

#[test]
fn a_node_says_everything_it_lacks() {
    let poor = with(|f| {
        f.cpus = 1;
        f.has_bridge = false;
    });
    assert_eq!(
        sentence(&lacks(&poor, &need())),
        "has 1 CPU threads and does not have the bridge, or it is down"
    );
}

#[test]
fn a_long_refusal_is_cut() {
    let nodes: Vec<NodeCapacity> = (0..12).map(|i| node(&format!("n{i}"), 1)).collect();
    let said = place(&nodes, &need()).unwrap_err();
    assert_eq!(said.nodes.len(), 12);
    assert!(said.to_string().ends_with("; and 4 more"), "{said}");
}
