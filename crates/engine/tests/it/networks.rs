//! A container is attached to the network as its deploy asked, and gets no address that another app has; its root has the keys that were
//! asked for.

use std::sync::{Arc, Mutex};

use proximity_domain::interface::GuestInterface;
use proximity_domain::network::{Network, NetworkWish};
use proximity_domain::operation::OperationState;
use proximity_domain::preflight::{Verdict, What};
use proximity_domain::time::Timestamp;
use proximity_engine::commands::CreateApp;
use proximity_pve::guest::ssh::generate_keypair;
use proximity_pve::property::PropertyString;
use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use proximity_pve_emulator::core::{Access, Bridge};
use proximity_store::records::{AppRecord, HostPlacement, RequestKey};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};
use secrecy::ExposeSecret;
use serde_json::Value;

async fn world() -> TestWorld {
    TestWorld::start(Access::Full).await.unwrap()
}

fn given(address: &str) -> Network {
    let wish = NetworkWish {
        ipv4: Some(format!("{address}/24")),
        ..NetworkWish::default()
    };
    wish.check().unwrap()
}

fn beacon(hostname: &str, network: Network) -> CreateApp {
    CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        network,
        ..CreateApp::default()
    }
}

async fn deployed(w: &TestWorld, request: CreateApp) -> AppRecord {
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    app
}

async fn config(w: &TestWorld, app: &AppRecord) -> Value {
    let guests = w.store.native_guests(app.id).await.unwrap();
    let place = &guests[0].place;
    let path = format!("/nodes/{}/lxc/{}/config", place.node, place.vmid);
    let answer = w.pve.as_root(Method::Get, &path, &[]).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["data"].clone()
}

#[tokio::test]
async fn a_container_is_attached_as_its_deploy_asked() {
    let w = world().await;
    w.pve.meddle(|world| {
        let bridge = Bridge {
            name: "vmbr1".to_owned(),
            cidr: None,
        };
        world.node_mut("pve1").unwrap().bridges.push(bridge);
    });
    let wish = NetworkWish {
        bridge: Some("vmbr1".to_owned()),
        vlan: Some(30),
        ipv4: Some("192.0.2.10/24".to_owned()),
        gateway: Some("192.0.2.1".to_owned()),
        ipv6: Some("auto".to_owned()),
        dns: vec!["192.0.2.53".to_owned(), "192.0.2.54".to_owned()],
        search: Some("lab.example.org".to_owned()),
        ..NetworkWish::default()
    };
    let app = deployed(&w, beacon("web", wish.check().unwrap())).await;
    let config = config(&w, &app).await;
    let net0 = PropertyString::parse(config["net0"].as_str().unwrap());
    for (key, value) in [
        ("bridge", "vmbr1"),
        ("tag", "30"),
        ("ip", "192.0.2.10/24"),
        ("gw", "192.0.2.1"),
        ("ip6", "auto"),
    ] {
        assert_eq!(net0.get(key), Some(value), "{config}");
    }
    assert_eq!(config["nameserver"], "192.0.2.53 192.0.2.54");
    assert_eq!(config["searchdomain"], "lab.example.org");
}

#[tokio::test]
async fn without_a_wish_it_is_dhcp_on_the_hosts_bridge() {
    let w = world().await;
    let app = deployed(&w, beacon("web", Network::default())).await;
    let config = config(&w, &app).await;
    let net0 = PropertyString::parse(config["net0"].as_str().unwrap());
    assert_eq!(
        (net0.get("bridge"), net0.get("ip")),
        (Some("vmbr0"), Some("dhcp"))
    );
    assert_eq!((net0.get("tag"), net0.get("ip6")), (None, None));
    assert!(config["nameserver"].is_null() && config["searchdomain"].is_null());
}

/// The bridge that is asked for has to be there, not the host entry's.
#[tokio::test]
async fn a_bridge_that_no_node_has_is_refused() {
    let w = world().await;
    let wish = NetworkWish {
        bridge: Some("vmbr7".to_owned()),
        ..NetworkWish::default()
    };
    let request = beacon("web", wish.check().unwrap());
    let found = w.engine.preflight(request.clone()).await.unwrap();
    let bridge = found
        .lines
        .iter()
        .find(|line| line.line.what == What::Bridge);
    assert_eq!(bridge.unwrap().line.verdict, Verdict::Stop);
    let refused = w.engine.create_app(&w.actor, request).await.unwrap_err();
    assert_eq!(refused.code(), "bridge_missing");
}

#[tokio::test]
async fn an_address_that_another_app_was_given_or_shows_is_refused() {
    let w = world().await;
    let first = deployed(&w, beacon("web", given("192.0.2.10"))).await;
    let guests = w.store.native_guests(first.id).await.unwrap();
    let shown = GuestInterface {
        name: "eth0".to_owned(),
        mac: None,
        addresses: vec!["192.0.2.77".parse().unwrap()],
    };
    w.store
        .note_interfaces(guests[0].id, &[shown], Timestamp(1))
        .await
        .unwrap();
    for address in ["192.0.2.10", "192.0.2.77"] {
        let request = beacon("db-1", given(address));
        let found = w.engine.preflight(request.clone()).await.unwrap();
        let line = found
            .lines
            .iter()
            .find(|line| line.line.what == What::Address);
        let line = &line.unwrap().line;
        assert_eq!(
            (line.verdict, line.code),
            (Verdict::Stop, Some("address_taken"))
        );
        let refused = w.engine.create_app(&w.actor, request).await.unwrap_err();
        assert_eq!(refused.code(), "address_taken");
        assert!(
            refused.fields()["network.ipv4"].contains("web"),
            "{refused}"
        );
        assert!(
            refused.hint().contains("proximity addresses"),
            "{refused:?}"
        );
    }
    assert_eq!(w.store.ports().await.unwrap().held.len(), 1);
    let free = w
        .engine
        .preflight(beacon("db-1", given("192.0.2.11")))
        .await;
    assert!(free.unwrap().deployable);
    deployed(&w, beacon("db-1", given("192.0.2.11"))).await;
}

#[tokio::test]
async fn an_address_is_given_once_however_many_ask_for_it_at_the_same_time() {
    let w = world().await;
    let ask = |hostname: &str| {
        let request = beacon(hostname, given("192.0.2.10"));
        w.engine.create_app(&w.actor, request)
    };
    let refused = match tokio::join!(ask("web"), ask("db-1")) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        both => panic!("{both:?}"),
    };
    assert_eq!(refused.code(), "address_taken");
    assert!(refused.fields().contains_key("network.ipv4"), "{refused}");
    assert!(
        refused.hint().contains("proximity addresses"),
        "{refused:?}"
    );
    assert_eq!(w.store.ports().await.unwrap().held.len(), 1);
}

/// A repeated request is the app that it made before, and no conflict with itself.
#[tokio::test]
async fn a_repeated_request_gives_the_app_that_has_its_address() {
    let w = world().await;
    let mut request = beacon("web", given("192.0.2.10"));
    request.key = Some(RequestKey {
        key: "once".to_owned(),
        fingerprint: "f".to_owned(),
    });
    let first = w
        .engine
        .create_app(&w.actor, request.clone())
        .await
        .unwrap();
    let again = w.engine.create_app(&w.actor, request).await.unwrap();
    assert_eq!(again.id, first.id);
}

/// What Proxmox VE is sent are the keys alone, one a line; what is none is refused before anything is made.
#[tokio::test]
async fn root_has_the_keys_that_were_asked_for() {
    let w = world().await;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&sent);
    let listens = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        if request.method == Method::Post && request.path.ends_with("/lxc") {
            let mut params = request.params.iter();
            let keys = params.find(|(name, _)| name == "ssh-public-keys");
            log.lock().unwrap().push(keys.map(|(_, keys)| keys.clone()));
        }
        answer
    };
    w.pve.distort(Some(Arc::new(listens)));
    let (first, second) = (generate_keypair().unwrap(), generate_keypair().unwrap());
    let mut request = beacon("web", Network::default());
    request.root_keys = vec![first.public_line.clone(), second.public_line.clone()];
    deployed(&w, request).await;
    deployed(&w, beacon("bare", Network::default())).await;
    let bare = |line: &str| line.strip_suffix(" proximity").unwrap().to_owned();
    let both = format!(
        "{}\n{}",
        bare(&first.public_line),
        bare(&second.public_line)
    );
    assert_eq!(*sent.lock().unwrap(), [Some(both), None]);

    let mut request = beacon("other", Network::default());
    request.root_keys = vec![first.public_line, "ssh-ed25519 nonsense".to_owned()];
    let refused = w.engine.create_app(&w.actor, request).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_value");
    assert!(
        refused.fields()["root_keys"].contains("number 2"),
        "{refused}"
    );
}

/// Proxmox VE is sent a password of ours, which is in no record, log line or audit entry, and shown once.
#[tokio::test]
async fn roots_password_is_sent_to_proxmox_ve_and_shown_once() {
    let w = world().await;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&sent);
    let listens = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        if request.method == Method::Post && request.path.ends_with("/lxc") {
            let mut params = request.params.iter();
            let password = params.find(|(name, _)| name == "password");
            log.lock()
                .unwrap()
                .push(password.map(|(_, password)| password.clone()));
        }
        answer
    };
    w.pve.distort(Some(Arc::new(listens)));
    let mut request = beacon("web", Network::default());
    request.root_password = true;
    let made = deployed(&w, request.clone()).await;
    deployed(&w, beacon("bare", Network::default())).await;
    let sent = sent.lock().unwrap().clone();
    let [Some(password), None] = &sent[..] else {
        panic!("{} containers were made", sent.len());
    };
    assert_eq!(password.len(), 24);
    let shown = w.engine.show_root_password(&w.actor, "web").await.unwrap();
    assert_eq!(shown.expose_secret(), password);
    let again = w.engine.show_root_password(&w.actor, "web").await;
    assert_eq!(again.unwrap_err().code(), "not_found");
    let never = w.engine.show_root_password(&w.actor, "bare").await;
    assert_eq!(never.unwrap_err().code(), "not_found");
    let lines = w.store.log(made.id, 0, 1_000).await.unwrap();
    let audit = w.store.audit(1_000, 0).await.unwrap();
    let steps = w.store.steps(made.operation.unwrap()).await.unwrap();
    let told = format!("{lines:?}{audit:?}{steps:?}");
    assert!(!told.contains(password.as_str()), "{told}");
    assert!(told.contains("app.show_root_password"), "{told}");

    // By keys or by a password, not by both.
    request.hostname = "both".to_owned();
    request.root_keys = vec![generate_keypair().unwrap().public_line];
    let refused = w.engine.create_app(&w.actor, request).await.unwrap_err();
    assert!(
        refused.fields().contains_key("root_password"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn who_has_an_address_is_not_told_to_those_who_may_not_see_it() {
    let w = world().await;
    deployed(&w, beacon("web", given("192.0.2.10"))).await;
    let mut request = beacon("db-1", given("192.0.2.10"));
    request.sees_only = Some("robot".to_owned());
    let found = w.engine.preflight(request.clone()).await.unwrap();
    assert!(!found.deployable && !format!("{found:?}").contains("web"));
    let refused = w.engine.create_app(&w.actor, request).await.unwrap_err();
    assert_eq!(refused.code(), "address_taken");
    let told = format!("{refused} {:?} {}", refused.fields(), refused.hint());
    assert!(!told.contains("web"), "{told}");
}

/// Two clusters on one network, as their entries say, or as they do not say.
#[tokio::test]
async fn an_address_is_one_apps_on_all_host_entries_that_share_a_network() {
    for (lan, is_free) in [(Some("home"), false), (None, true)] {
        let parts = WorldParts {
            clusters: vec![
                Pve::cluster(0, &["pve1"], Access::Full),
                Pve::cluster(1, &["pve1"], Access::Full),
            ],
            placement: HostPlacement {
                lan: lan.map(|lan| lan.parse().unwrap()),
                ..HostPlacement::default()
            },
            ..WorldParts::default()
        };
        let w = TestWorld::start_of(parts).await.unwrap();
        let on = |host: &str, hostname: &str| CreateApp {
            host: Some(host.to_owned()),
            ..beacon(hostname, given("192.0.2.10"))
        };
        let first = w.engine.create_app(&w.actor, on("lab", "web")).await;
        first.unwrap();
        let second = w.engine.create_app(&w.actor, on("lab2", "db-1")).await;
        match is_free {
            true => drop(second.unwrap()),
            false => assert_eq!(second.unwrap_err().code(), "address_taken"),
        }
        let elsewhere = NetworkWish {
            vlan: Some(30),
            ipv4: Some("192.0.2.10/24".to_owned()),
            ..NetworkWish::default()
        };
        let elsewhere = CreateApp {
            network: elsewhere.check().unwrap(),
            ..on("lab2", "vlan")
        };
        let third = w.engine.create_app(&w.actor, elsewhere).await;
        // On one entry an address is one app's, in whichever VLAN.
        assert_eq!(third.is_ok(), !is_free, "{third:?}");
    }
}
