//! The pre-flight of a deploy says in numbers what a deploy then does, and makes nothing.

use proximity_domain::preflight::{Amount, Verdict, What};
use proximity_engine::commands::{ChangeHost, CreateApp, Preflight, PreflightLine};
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::{Access, Reach};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};

const NODES: [&str; 3] = ["pve1", "pve2", "pve3"];

async fn world(clusters: Vec<Pve>, pairs: u16) -> TestWorld {
    TestWorld::start_of(WorldParts {
        clusters,
        pairs,
        ..WorldParts::default()
    })
    .await
    .unwrap()
}

async fn three_nodes() -> TestWorld {
    world(vec![Pve::cluster(0, &NODES, Access::Full)], 8).await
}

fn beacon(hostname: &str) -> CreateApp {
    CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    }
}

async fn look(w: &TestWorld, request: CreateApp) -> Preflight {
    w.engine.preflight(request).await.unwrap()
}

fn lines(found: &Preflight, what: What) -> Vec<&PreflightLine> {
    let all = found.lines.iter();
    all.filter(|line| line.line.what == what).collect()
}

fn number(line: &PreflightLine) -> u64 {
    match line.line.has {
        Some(Amount::Number(number)) => number,
        _ => panic!("no number: {line:?}"),
    }
}

/// The code of the first line that stops it.
fn stopped_by(found: &Preflight) -> &'static str {
    let stop = found.lines.iter().map(|line| &line.line);
    let stop = stop.filter(|line| line.verdict == Verdict::Stop);
    stop.filter_map(|line| line.code).next().unwrap()
}

#[tokio::test]
async fn every_figure_is_read_and_nothing_is_made() {
    let w = three_nodes().await;
    w.pve
        .meddle(|world| world.node_mut("pve1").unwrap().memory_used_bytes = 2 << 30);
    let found = look(&w, beacon("web")).await;
    assert!(found.deployable, "{found:?}");
    let memory: Vec<u64> = lines(&found, What::Memory)
        .into_iter()
        .map(number)
        .collect();
    assert_eq!(memory, [6 << 10, 7 << 10, 7 << 10]);
    assert_eq!(
        found.place,
        Some(("lab".to_owned(), "pve2".to_owned())),
        "of equal ones the first"
    );
    let template = lines(&found, What::Template)[0];
    let volume = "local:vztmpl/debian-12-standard_12.0-1_amd64.tar.zst";
    assert_eq!(template.line.has, Some(Amount::Text(volume.to_owned())));
    assert_eq!(number(lines(&found, What::PublicPorts)[0]), 8);
    let rights = &lines(&found, What::Rights)[0].line;
    assert_eq!((rights.verdict, &rights.has), (Verdict::Ok, &rights.wants));
    assert_eq!(rights.place.as_deref(), Some("lab/pve2"));
    // The lab's nodes ask themselves, which is said and stops nothing.
    let servers = &lines(&found, What::NameServers)[0].line;
    assert_eq!(servers.verdict, Verdict::Warn);
    assert!(servers.note.contains("127.0.0.1"), "{servers:?}");

    assert_eq!(w.pve.changes(), Vec::<String>::new());
    assert!(w.store.ports().await.unwrap().held.is_empty());
    let app = w.engine.create_app(&w.actor, beacon("web")).await.unwrap();
    assert_eq!(app.node.as_str(), "pve2", "as it was told");
}

/// Whatever stops a deploy is what the pre-flight names, by the same code.
#[tokio::test]
async fn a_deploy_is_refused_with_the_code_that_the_pre_flight_names() {
    let w = three_nodes().await;
    let taken = w.engine.create_app(&w.actor, beacon("web")).await.unwrap();
    w.settled(taken.operation.unwrap()).await.unwrap();
    let with = |change: fn(&mut CreateApp)| {
        let mut request = beacon("other");
        change(&mut request);
        request
    };
    for (request, code) in [
        (beacon("web"), "hostname_taken"),
        (
            with(|it| it.resources.memory_mib = Some(64 << 10)),
            "memory_above_node",
        ),
        (
            with(|it| it.resources.memory_mib = Some(8000)),
            "memory_short",
        ),
        (with(|it| it.resources.cores = Some(64)), "cores_above_node"),
        (
            with(|it| it.resources.disk_gib = Some(4000)),
            "storage_full",
        ),
    ] {
        let found = look(&w, request.clone()).await;
        assert!(!found.deployable, "{code}");
        assert_eq!(stopped_by(&found), code);
        let refused = w.engine.create_app(&w.actor, request).await.unwrap_err();
        assert_eq!(refused.code(), code);
        let hints: Vec<&str> = found.lines.iter().map(|line| line.hint.as_str()).collect();
        assert!(
            hints.contains(&refused.hint().as_str()),
            "{code}: {hints:?}"
        );
    }
}

#[tokio::test]
async fn ports_that_are_all_held_stop_it() {
    let w = world(vec![Pve::start(Access::Full)], 1).await;
    w.engine.create_app(&w.actor, beacon("web")).await.unwrap();
    let found = look(&w, beacon("other")).await;
    assert_eq!(stopped_by(&found), "ports_exhausted");
    assert_eq!(number(lines(&found, What::PublicPorts)[0]), 0);
    let refused = w.engine.create_app(&w.actor, beacon("other")).await;
    assert_eq!(refused.unwrap_err().code(), "ports_exhausted");
}

#[tokio::test]
async fn what_one_node_lacks_is_told_and_stops_nothing_while_another_has_it_all() {
    let w = three_nodes().await;
    let change = ChangeHost {
        excluded_nodes: Some(vec!["pve1".to_owned()]),
        ..ChangeHost::default()
    };
    w.engine.change_host(&w.actor, "lab", change).await.unwrap();
    w.pve
        .meddle(|world| world.node_mut("pve3").unwrap().bridges.clear());
    let found = look(&w, beacon("web")).await;
    assert!(found.deployable, "{found:?}");
    let told: Vec<(Verdict, Option<&str>)> = lines(&found, What::Node)
        .into_iter()
        .map(|line| (line.line.verdict, line.line.code))
        .collect();
    assert_eq!(
        told,
        [
            (Verdict::Warn, Some("nodes_excluded")),
            (Verdict::Ok, None),
            (Verdict::Ok, None)
        ]
    );
    let bridge = lines(&found, What::Bridge)[2];
    assert_eq!(bridge.line.verdict, Verdict::Warn);
    assert!(bridge.hint.contains("--bridge"), "{bridge:?}");
}

/// A host that cannot be asked has no figures, and is named.
#[tokio::test]
async fn what_could_not_be_read_is_no_figure() {
    let (first, second) = (
        Pve::cluster(0, &["pve1"], Access::Full),
        Pve::cluster(1, &NODES, Access::Full),
    );
    let w = world(vec![first, second.clone()], 8).await;
    second.meddle(|world| {
        for node in NODES {
            world.node_mut(node).unwrap().reach = Reach::Refused;
        }
    });
    let found = look(&w, beacon("web")).await;
    assert!(found.deployable, "{found:?}");
    let away = lines(&found, What::Host);
    assert_eq!(away.len(), 1);
    assert_eq!(away[0].line.place.as_deref(), Some("lab2"));
    assert_eq!(
        (away[0].line.verdict, &away[0].line.has),
        (Verdict::Warn, &None)
    );
    assert!(!away[0].hint.is_empty());
    let lines = found.lines.iter();
    let mut places = lines.filter_map(|line| line.line.place.as_deref());
    assert!(!places.any(|place| place.starts_with("lab2/")));
}

#[tokio::test]
async fn rights_and_name_servers_that_are_not_told_are_said_to_be_unread() {
    let w = world(vec![Pve::start(Access::Full)], 4).await;
    for (path, what) in [
        ("/access/permissions", What::Rights),
        ("/nodes/pve1/dns", What::NameServers),
    ] {
        w.pve.refuse(Method::Get, path, "not today", 9);
        let found = look(&w, beacon("web")).await;
        assert!(found.deployable, "{found:?}");
        let line = &lines(&found, what)[0].line;
        assert_eq!((line.verdict, &line.has), (Verdict::Warn, &None));
        assert!(line.note.starts_with("could not be read: "), "{line:?}");
    }
}
