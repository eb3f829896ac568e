//! Hosts that are set up and given up by a person, with the access control of the emulated PVE as it is afterwards.

use proximity_pve::transport::Method;
use proximity_pve::transport::https::{ApiToken, EndpointConfig, Trust};
use proximity_pve_emulator::core::Response;
use proximity_testkit::pve::with_token;
use serde_json::Value;

use super::super::init::approach::Looked;
use super::*;

mod again;
mod leaving;
mod narrow;

const ROOT: &str = "root@pam";

fn person(world: &World, password: &str) -> PersonLogin {
    let password = match password {
        "" => world.pve.root_password(),
        other => other,
    };
    PersonLogin {
        user: ROOT.to_owned(),
        password: password.to_owned().into(),
        totp_code: None,
    }
}

pub(super) fn init(world: &World) -> InitHost {
    InitHost {
        label: "home".to_owned(),
        url: format!("https://{}", world.pve.addresses()[0].1),
        fingerprint: Some(world.pve.fingerprint_sha256().to_owned()),
        ca_pem: None,
        login: person(world, ""),
        pool: None,
        storages: Vec::new(),
        template_storage: None,
        bridge: None,
        images: false,
        adopted: Vec::new(),
        ssh: None,
    }
}

fn uninit(world: &World) -> UninitHost {
    UninitHost {
        host: "home".to_owned(),
        login: person(world, ""),
    }
}

/// Any call, as an administrator's token makes it.
pub(super) async fn call(
    world: &World,
    method: Method,
    path: &str,
    params: &[(&str, &str)],
) -> Response {
    let secret = world.pve.token_secret(TOKEN).unwrap();
    let (node, _) = &world.pve.addresses()[0];
    let request = with_token(node, (TOKEN, secret), (method, path, params));
    world.pve.request(request).await.unwrap()
}

pub(super) async fn done(world: &World, method: Method, path: &str, params: &[(&str, &str)]) {
    let answer = call(world, method, path, params).await;
    assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
}

/// A container that is none of ours.
pub(super) async fn guest(world: &World, vmid: &str) {
    let params = [
        ("vmid", vmid),
        (
            "ostemplate",
            "local:vztmpl/debian-13-standard_13.0-1_amd64.tar.zst",
        ),
        ("storage", "local"),
    ];
    done(world, Method::Post, "/nodes/pve1/lxc", &params).await;
}

/// The whole access control and the pools.
pub(super) async fn access(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for (path, params) in [
        ("/access/roles", &[][..]),
        ("/access/users", &[("full", "1")][..]),
        ("/access/acl", &[][..]),
        ("/pools", &[][..]),
    ] {
        let answer = call(world, Method::Get, path, params).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let rows = body["data"].as_array().unwrap().iter();
        all.extend(rows.map(|row| format!("{path} {row}")));
    }
    all.sort_unstable();
    all
}

async fn audit(world: &World) -> usize {
    world.engine.reader().audit(1000, 0).await.unwrap().len()
}

#[tokio::test]
async fn a_host_is_set_up_once_and_given_up_without_a_trace() {
    let world = World::start().await;
    let before = access(&world).await;
    let plan = world.engine.plan_init(&init(&world)).await.unwrap();
    assert!(!plan.steps.is_empty() && !plan.known, "{plan:?}");
    assert_eq!(plan.tokens.len(), 2);
    assert_eq!(access(&world).await, before, "a plan changes nothing");

    let made = world
        .engine
        .init_host(&admin(), &init(&world))
        .await
        .unwrap();
    assert_eq!(made.steps, plan.steps);
    assert_eq!(made.host.pool, Some("proximity".parse().unwrap()));
    assert_eq!(
        audit(&world).await,
        made.steps.len() + 1,
        "one for each step, and the entry"
    );
    let after = access(&world).await;

    let again = world.engine.plan_init(&init(&world)).await.unwrap();
    assert_eq!((again.known, again.steps.as_slice()), (true, &[][..]));
    let events = world.engine.reader().newest_event().await.unwrap();
    let again = world
        .engine
        .init_host(&admin(), &init(&world))
        .await
        .unwrap();
    assert_eq!(again.steps, Vec::<String>::new());
    assert_eq!(again.host.id, made.host.id);
    assert_eq!(access(&world).await, after);
    assert_eq!(world.engine.reader().newest_event().await.unwrap(), events);
    assert_eq!(audit(&world).await, made.steps.len() + 1);

    let leaving = world.engine.plan_uninit(&uninit(&world)).await.unwrap();
    assert_eq!(leaving.stays, Vec::<String>::new());
    assert_eq!(access(&world).await, after, "a plan changes nothing");
    let gone = world
        .engine
        .uninit_host(&admin(), &uninit(&world))
        .await
        .unwrap();
    assert_eq!(gone, leaving);
    assert_eq!(access(&world).await, before);
    assert_eq!(world.hosts().await, 0);
}

/// The process dies after some of the changes; what it held in memory is lost.
async fn die_after(world: &World, request: &InitHost, changes: usize) -> usize {
    let Looked::Ready(mut ready) = world.engine.approach(request).await.unwrap() else {
        panic!("the certificate is known");
    };
    let mut steps = std::mem::take(&mut ready.plan.steps);
    let all = steps.len();
    steps.truncate(changes);
    let made = world.engine.carry_out(&admin(), ready.act(), steps).await;
    drop(made.unwrap());
    all
}

/// Set up and given up, once as a whole, and once with a cut after some of the changes; gives how many there are.
async fn cut_after(changes: usize) -> usize {
    let world = World::start().await;
    let before = access(&world).await;
    let mut request = init(&world);
    request.images = true;
    world.engine.init_host(&admin(), &request).await.unwrap();
    let whole = access(&world).await;
    let given_up = async || world.engine.uninit_host(&admin(), &uninit(&world)).await;
    given_up().await.unwrap();
    let all = die_after(&world, &request, changes).await;
    let made = world.engine.init_host(&admin(), &request).await.unwrap();
    assert_eq!(access(&world).await, whole, "cut after {changes}");
    let tried = world.engine.learn_host(made.host.id).await;
    tried.unwrap_or_else(|e| panic!("cut after {changes}: {e}"));
    given_up().await.unwrap();
    assert_eq!(access(&world).await, before, "cut after {changes}");
    all
}

/// Each in a world of its own, all at the same time: PVE takes its time to refuse a token that is gone.
#[tokio::test]
async fn cut_after_any_change_it_goes_on_and_ends_in_the_same_state() {
    let all = cut_after(0).await;
    assert!(all > 10, "{all}");
    let each = (1..=all).map(cut_after);
    let counts = futures::future::join_all(each).await;
    assert!(counts.iter().all(|count| *count == all), "{counts:?}");
}

#[tokio::test]
async fn what_was_taken_away_by_hand_is_put_back() {
    let world = World::start().await;
    let made = world
        .engine
        .init_host(&admin(), &init(&world))
        .await
        .unwrap();
    let whole = access(&world).await;
    let (user, name) = made.host.token_id.split_once('!').unwrap();
    let path = format!("/access/users/{user}/token/{name}");
    done(&world, Method::Delete, &path, &[]).await;
    let again = world
        .engine
        .init_host(&admin(), &init(&world))
        .await
        .unwrap();
    assert!(
        again.steps[0].starts_with("create token"),
        "{:?}",
        again.steps
    );
    assert_eq!(access(&world).await, whole);
    let events = world.engine.learn_host(made.host.id).await;
    events.unwrap();

    // Made anew by somebody: PVE shows the same, and our secret is not good any more.
    done(&world, Method::Delete, &path, &[]).await;
    let comment = format!("proximity:{}", world.engine.store().installation());
    let params = [("privsep", "1"), ("comment", comment.as_str())];
    done(&world, Method::Post, &path, &params).await;
    let again = world
        .engine
        .init_host(&admin(), &init(&world))
        .await
        .unwrap();
    assert!(
        again.steps[0].starts_with("replace token"),
        "{:?}",
        again.steps
    );
    world.engine.learn_host(made.host.id).await.unwrap();
}

#[tokio::test]
async fn nobody_logs_in_where_nobody_vouches_for_the_certificate() {
    let world = World::start().await;
    let mut request = init(&world);
    request.fingerprint = None;
    let plan = world.engine.plan_init(&request).await.unwrap();
    assert!(!plan.found.fingerprint_trusted && plan.steps.is_empty());
    assert_eq!(plan.found.fingerprint, world.pve.fingerprint_sha256());
    let error = world
        .engine
        .init_host(&admin(), &request)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "certificate_unknown");
    request.fingerprint = Some(Fingerprint([7; 32]).to_string());
    let error = world.engine.plan_init(&request).await.unwrap_err();
    assert_eq!(error.code(), "fingerprint_mismatch");
    assert_eq!(world.calls(), 0);
}

/// Both commands refuse alike, nothing is stored, and the host is as it was.
async fn refused(world: &World, request: InitHost) -> EngineError {
    let before = access(world).await;
    let planned = world.engine.plan_init(&request).await.unwrap_err();
    let error = world
        .engine
        .init_host(&admin(), &request)
        .await
        .unwrap_err();
    assert_eq!(error.code(), planned.code());
    assert!(!error.hint().is_empty(), "{error}");
    assert!(!format!("{error} {error:?} {}", error.hint()).contains("hunter2"));
    assert_eq!(access(world).await, before);
    error
}

#[tokio::test]
async fn what_is_wrong_is_named_before_anything_is_changed() {
    let world = World::start().await;
    let with = |change: &dyn Fn(&mut InitHost)| {
        let mut request = init(&world);
        change(&mut request);
        request
    };
    let wrong = with(&|r| r.login.password = "hunter2".to_owned().into());
    assert_eq!(refused(&world, wrong).await.code(), "login_refused");
    let realm = with(&|r| r.login.user = "root@nosuch".to_owned());
    let error = refused(&world, realm).await;
    assert_eq!(error.code(), "realm_unknown");
    assert!(error.hint().contains("pam, pve"), "{}", error.hint());
    let no_user = with(&|r| r.login.user = "root".to_owned());
    assert_eq!(refused(&world, no_user).await.code(), "invalid_value");
    let storage = with(&|r| r.storages = vec!["local".to_owned(), "nosuch".to_owned()]);
    assert_eq!(refused(&world, storage).await.code(), "invalid_value");
    let guest = with(&|r| r.adopted = vec![105]);
    let error = refused(&world, guest).await;
    assert!(error.to_string().contains("no guest 105"), "{error}");

    let params = [("userid", "anna@pve"), ("password", "hunter2-hunter2")];
    done(&world, Method::Post, "/access/users", &params).await;
    let grant = [
        ("path", "/"),
        ("users", "anna@pve"),
        ("roles", "PVEAuditor"),
    ];
    done(&world, Method::Put, "/access/acl", &grant).await;
    let anna = with(&|r| {
        r.login.user = "anna@pve".to_owned();
        r.login.password = "hunter2-hunter2".to_owned().into();
    });
    let error = refused(&world, anna).await;
    assert!(
        ["login_too_narrow", "token_too_narrow"].contains(&error.code()),
        "{error}"
    );
    assert!(error.to_string().contains("anna@pve"), "{error}");
    assert_eq!(world.hosts().await, 0);
}

#[tokio::test]
async fn names_that_are_taken_are_left_alone() {
    let world = World::start().await;
    let short =
        proximity_domain::accounts::AccountMark(world.engine.store().installation()).short();
    let user = format!("proximity-operate-{short}@pve");
    done(&world, Method::Post, "/access/users", &[("userid", &user)]).await;
    let error = refused(&world, init(&world)).await;
    assert_eq!(error.code(), "account_taken");
    assert!(error.to_string().contains(&user), "{error}");
    done(
        &world,
        Method::Delete,
        &format!("/access/users/{user}"),
        &[],
    )
    .await;

    let pool = [("poolid", "proximity"), ("comment", "proximity:another")];
    done(&world, Method::Post, "/pools", &pool).await;
    assert_eq!(refused(&world, init(&world)).await.code(), "pool_taken");
    assert_eq!(world.hosts().await, 0);

    let other = InitHost {
        pool: Some("mine".to_owned()),
        ..init(&world)
    };
    done(&world, Method::Post, "/pools", &[("poolid", "mine")]).await;
    let made = world.engine.init_host(&admin(), &other).await.unwrap();
    assert!(made.notes[0].contains("mine"), "{:?}", made.notes);
    let gone = world
        .engine
        .uninit_host(&admin(), &uninit(&world))
        .await
        .unwrap();
    assert!(
        gone.steps
            .iter()
            .all(|step| !step.starts_with("delete pool")),
        "{gone:?}"
    );
}

#[tokio::test]
async fn an_entry_that_init_did_not_make_is_left_alone() {
    let world = World::start().await;
    world
        .engine
        .add_host(&admin(), world.request())
        .await
        .unwrap();
    assert_eq!(
        refused(&world, init(&world)).await.code(),
        "host_not_by_init"
    );
    let other = InitHost {
        label: "barn".to_owned(),
        ..init(&world)
    };
    assert_eq!(refused(&world, other).await.code(), "cluster_known");
    let plan = world.engine.plan_uninit(&uninit(&world)).await.unwrap();
    assert_eq!(plan.steps, ["forget host home"]);
    assert!(plan.stays[0].contains(TOKEN), "{plan:?}");
}

/// Whether a file below the folder has these bytes.
fn is_in_a_file(folder: &Path, secret: &str) -> bool {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path)
                .unwrap()
                .windows(secret.len())
                .any(|bytes| bytes == secret.as_bytes())
            {
                return true;
            }
        }
    }
    false
}

#[tokio::test]
async fn password_and_secrets_are_kept_nowhere_in_the_clear() {
    let world = World::start().await;
    let made = world
        .engine
        .init_host(&admin(), &init(&world))
        .await
        .unwrap();
    let secret = secrecy::ExposeSecret::expose_secret(&made.host.token_secret).to_owned();
    let password = world.pve.root_password().to_owned();
    assert!(secret.len() > 20 && password.len() > 5);
    let reader = world.engine.reader();
    let told = format!(
        "{:?} {:?} {made:?}",
        reader.audit(1000, 0).await.unwrap(),
        reader.events(0, 1000).await.unwrap(),
    );
    for hidden in [&secret, &password] {
        assert!(!told.contains(hidden.as_str()));
        for file in std::fs::read_dir(world.folder.path()).unwrap() {
            let path = file.unwrap().path();
            // The emulated PVE keeps its own.
            if path.is_file() && path.file_name().is_some_and(|n| n != "key") {
                let bytes = std::fs::read(&path).unwrap();
                let found = bytes.windows(hidden.len()).any(|b| b == hidden.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
    assert!(
        is_in_a_file(&world.folder.path().join("pve"), &password),
        "the control"
    );
}
