//! What documents say of networks, of root, of host names and of who is kept apart, carried out and kept over a replacement.

use proximity_domain::apply::{ApplyState, Consent};
use proximity_domain::ids::TokenId;
use proximity_domain::manifest::{Manifest, RootMode};
use proximity_domain::network::NetworkWish;
use proximity_domain::operation::OperationKind;
use proximity_domain::plan::Act;
use proximity_domain::site::{CertificateFiles, Site};
use proximity_engine::commands::{CreateApp, MakePlan};
use proximity_pve_emulator::core::Access;
use proximity_store::records::{Actor, AppRecord, TokenRecord};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Names, TestWorld, WorldParts};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::{Stand, app, spec};

async fn stand(names: Option<Names>) -> Stand {
    let parts = WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        names,
        ..WorldParts::default()
    };
    Stand::over(TestWorld::start_of(parts).await.unwrap())
}

/// A document that says something of everything.
fn full() -> Manifest {
    let mut document = app("web", &[]);
    let spec = spec(&mut document);
    spec.network = Some(Box::new(NetworkWish {
        vlan: Some(30),
        ipv4: Some("192.0.2.10/24".to_owned()),
        search: Some("lab.example.org".to_owned()),
        ..NetworkWish::default()
    }));
    spec.root_access = Some(RootMode::Password);
    spec.host_name = Some("blog.example.org".parse().unwrap());
    spec.apart_from = Some(vec!["data".parse().unwrap()]);
    document
}

async fn carried_out(s: &Stand, documents: &[Manifest], consent: Consent) {
    let id = s.agreed(documents, false, consent).await.id;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
}

async fn web(s: &Stand) -> AppRecord {
    s.w.store.app_by_hostname("web").await.unwrap().unwrap()
}

fn name(app: &AppRecord) -> Option<String> {
    app.site.as_ref().map(|of| of.site.name.to_string())
}

#[tokio::test]
async fn an_app_is_made_as_its_document_says_and_what_is_not_said_is_kept_over_a_replacement() {
    let s = stand(Some(Names::InMemory)).await;
    let documents = [full()];
    carried_out(&s, &documents, Consent::default()).await;
    s.is_as_wanted(&documents).await;
    let first = web(&s).await;
    assert_eq!(first.made_with.network.vlan, Some(30));
    assert_eq!(first.made_with.apart_from.len(), 1);
    assert_eq!(name(&first).as_deref(), Some("blog.example.org"));
    let password = s.w.engine.show_root_password(&s.w.actor, "web").await;
    let password = password.unwrap();

    // Another way in for root takes another container; of the rest nothing is said any more.
    let mut document = app("web", &[]);
    spec(&mut document).root_access = Some(RootMode::None);
    let documents = [document];
    let plan = s.plan(&documents, false).await.plan;
    let paths: Vec<&str> = plan.changes[0]
        .fields
        .iter()
        .map(|field| field.path.as_str())
        .collect();
    assert_eq!(
        (plan.changes[0].act, paths),
        (Act::Replace, vec!["root_access"])
    );
    let consent = Consent {
        confirm_destroyed: Some(1),
        ..Consent::default()
    };
    carried_out(&s, &documents, consent).await;
    let second = web(&s).await;
    assert_ne!(second.id, first.id);
    assert_eq!(second.made_with.network, first.made_with.network);
    assert_eq!(second.made_with.apart_from, first.made_with.apart_from);
    assert_eq!(name(&second).as_deref(), Some("blog.example.org"));
    let none = s.w.engine.show_root_password(&s.w.actor, "web").await;
    assert_eq!(none.unwrap_err().code(), "not_found");
    assert_eq!(password.expose_secret().len(), 24);
    s.is_as_wanted(&documents).await;
}

#[tokio::test]
async fn a_host_name_and_who_is_kept_apart_change_where_the_app_is() {
    let s = stand(Some(Names::InMemory)).await;
    let mut document = full();
    carried_out(&s, &[document.clone()], Consent::default()).await;
    let first = web(&s).await;
    spec(&mut document).host_name = Some("new.example.org".parse().unwrap());
    spec(&mut document).apart_from = Some(Vec::new());
    let documents = [document.clone()];
    carried_out(&s, &documents, Consent::default()).await;
    let after = web(&s).await;
    assert_eq!(after.id, first.id);
    assert_eq!(name(&after).as_deref(), Some("new.example.org"));
    assert!(after.made_with.apart_from.is_empty());
    assert_eq!(s.operations(OperationKind::Update).await, 0);
    s.is_as_wanted(&documents).await;
    spec(&mut document).host_name = Some("none".parse().unwrap());
    let documents = [document];
    carried_out(&s, &documents, Consent::default()).await;
    assert_eq!(name(&web(&s).await), None);
    s.is_as_wanted(&documents).await;
}

#[tokio::test]
async fn what_does_not_fit_together_is_told_before_anything_is_made() {
    let s = stand(None).await;
    let mut document = full();
    spec(&mut document).root_keys = vec!["ssh-ed25519 AAAA".to_owned()];
    spec(&mut document).network = Some(Box::new(NetworkWish {
        gateway: Some("192.0.2.1".to_owned()),
        ..NetworkWish::default()
    }));
    let request = MakePlan {
        documents: vec![document],
        ..MakePlan::default()
    };
    let refused = s.w.engine.make_plan(&s.w.actor, request).await;
    let fields = refused.unwrap_err().fields();
    let named: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(named, ["web.network.gateway", "web.root_keys"]);
    // Nothing leads under names here.
    let plan = s.plan(&[full()], false).await.plan;
    let obstacles = &plan.changes[0].obstacles;
    assert_eq!(obstacles.len(), 1, "{obstacles:?}");
    assert!(
        obstacles[0].hint.contains("ingress.driver"),
        "{obstacles:?}"
    );
}

/// A server that leads under names no more gives none of them another certificate either.
#[tokio::test]
async fn a_certificate_is_held_back_where_nothing_leads_under_names() {
    let s = stand(None).await;
    s.deployed("web").await;
    let made = web(&s).await;
    let blog = Site {
        name: "blog.example.org".parse().unwrap(),
        certificate: None,
    };
    let (store, at) = (&s.w.store, made.created_at);
    let set = store.set_site(made.id, Some(blog), &s.w.actor, at);
    set.await.unwrap();
    let mut document = app("web", &[]);
    spec(&mut document).host_name = Some("blog.example.org".parse().unwrap());
    spec(&mut document).certificate = Some(Box::new(CertificateFiles {
        cert_file: "/etc/ssl/blog.pem".to_owned(),
        key_file: "/etc/ssl/blog.key".to_owned(),
    }));
    let plan = s.plan(&[document], false).await.plan;
    let mut obstacles = plan.changes[0].obstacles.iter();
    let is_held = obstacles.any(|obstacle| obstacle.hint.contains("ingress.driver"));
    assert!(is_held, "{:?}", plan.changes);
}

/// An app of another account counts for those who may see it, whether they ask for it by a request or by an apply.
#[tokio::test]
async fn an_apply_keeps_apart_from_what_whoever_asked_may_see() {
    let parts = WorldParts {
        clusters: vec![Pve::cluster(0, &["pve1", "pve2"], Access::Full)],
        ..WorldParts::default()
    };
    let s = Stand::over(TestWorld::start_of(parts).await.unwrap());
    s.w.pve
        .meddle(|world| world.node_mut("pve2").unwrap().memory_used_bytes = 4 << 30);
    let robot = Actor {
        account: "robot".to_owned(),
        ..s.w.actor.clone()
    };
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "strange".to_owned(),
        node: Some("pve1".to_owned()),
        ..CreateApp::default()
    };
    let strange = s.w.engine.create_app(&robot, request).await.unwrap();
    s.w.settled(strange.operation.unwrap()).await.unwrap();
    let beside = placed(&s, "web").await;
    assert_eq!(beside, "pve1", "whoever asked may not see it");
    let token = TokenRecord {
        id: TokenId(Uuid::from_u128(7)),
        account: s.w.actor.account.clone(),
        scopes: vec!["*".to_owned()],
        secret_sha256: [7; 32],
        created_at: strange.created_at,
    };
    let added = s.w.store.add_token(token, &s.w.actor, strange.created_at);
    added.await.unwrap();
    assert_eq!(placed(&s, "next").await, "pve2");
}

/// The node that an app comes to which a document keeps apart from a stranger's.
async fn placed(s: &Stand, hostname: &str) -> String {
    let mut document = app(hostname, &[]);
    spec(&mut document).apart_from = Some(vec!["strange".parse().unwrap()]);
    carried_out(s, &[document], Consent::default()).await;
    let made = s.w.store.app_by_hostname(hostname).await;
    made.unwrap().unwrap().node.to_string()
}
