//! What is told of apps that are not as documents want them, and the tasks that tell who made them so.

use proximity_domain::create::Resources;
use proximity_domain::desired::DesiredSpec;
use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::merge::{Accepted, Merged, Trace, Verdict};
use proximity_domain::operation::OperationKind;
use proximity_domain::plan::Act;
use proximity_domain::resource::{ResourceKey, ResourceState};
use proximity_domain::time::Timestamp;
use proximity_store::effects::NewEvent;
use serde_json::json;

use super::applies::{begun, change, document, does, name};
use super::resources::{census, state};
use super::world::{Make, World};

fn told(kind: EventKind) -> NewEvent {
    let fields = kind.spec().fields.iter();
    let body = fields.map(|field| ((*field).to_owned(), json!(1)));
    NewEvent {
        kind,
        body: body.collect(),
    }
}

/// Memory that somebody set to this.
fn memory(now: u64) -> Vec<Merged> {
    vec![Merged {
        path: "memory".to_owned(),
        verdict: Verdict::Theirs,
        last: Some(json!(512)),
        wanted: json!(512),
        actual: Some(json!(now)),
    }]
}

async fn tell(world: &World, app: AppId, fields: &[Merged]) -> bool {
    let kind = match fields.is_empty() {
        true => EventKind::DesiredDriftEnded,
        false => EventKind::DesiredDrifted,
    };
    let (store, event) = (&world.store, told(kind));
    let told = store.tell_desired_drift(app, fields, &event, world.at());
    told.await.unwrap()
}

async fn count(world: &World, kind: EventKind) -> usize {
    let events = world.events(0, 1_000).await;
    events.iter().filter(|event| event.2.kind == kind).count()
}

pub async fn are_told_once_with_their_end(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let nobody = AppId(world.id());
    assert!(
        !tell(&world, app.id, &[]).await,
        "there is nothing to be over"
    );
    assert!(
        !tell(&world, nobody, &memory(640)).await,
        "there is no such app"
    );
    assert!(tell(&world, app.id, &memory(640)).await);
    assert!(!tell(&world, app.id, &memory(640)).await);
    world.pass(10);
    assert!(tell(&world, app.id, &memory(700)).await, "it has changed");
    let kept = world.store.desired_drifts().await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].app, kept[0].since), (app.id, world.at()));
    assert_eq!(kept[0].fields, memory(700));
    assert!(tell(&world, app.id, &[]).await && !tell(&world, app.id, &[]).await);
    assert_eq!(world.store.desired_drifts().await.unwrap(), []);
    assert_eq!(count(&world, EventKind::DesiredDrifted).await, 2);
    assert_eq!(count(&world, EventKind::DesiredDriftEnded).await, 1);
    assert!(
        tell(&world, app.id, &memory(640)).await,
        "it came again after its end"
    );
    // It ends with the app, and nobody is told.
    world.removed(&app, guest.id, false).await;
    assert_eq!(world.store.desired_drifts().await.unwrap(), []);
    assert!(!tell(&world, app.id, &memory(640)).await);
    assert_eq!(count(&world, EventKind::DesiredDriftEnded).await, 1);
    world.assert_sound().await;
}

pub async fn wait_for_whoever_is_at_work(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    world.enqueue(OperationKind::Stop, app.id, None).await;
    assert!(!tell(&world, app.id, &memory(640)).await);
    assert_eq!(world.store.desired_drifts().await.unwrap(), []);
    world.assert_sound().await;
}

pub async fn have_the_tasks_of_their_container(make: &impl Make) {
    let world = World::new(make).await;
    let task = |upid: &str, status: &str| -> (ResourceKey, ResourceState) {
        (ResourceKey::task(upid), state(status, "x"))
    };
    let shown = [
        task(
            "UPID:pve1:0000C530:001C9BEC:00000014:resize:101:ann@pve:",
            "ok",
        ),
        task(
            "UPID:pve1:0000C530:001C9BEC:0000000A:vzstart:101:root@pam:",
            "running",
        ),
        task(
            "UPID:pve1:0000C530:001C9BEC:0000001E:resize:101:ann@pve:",
            "failed",
        ),
        task(
            "UPID:pve1:0000C530:001C9BEC:0000001E:resize:1010:ann@pve:",
            "ok",
        ),
        task(
            "UPID:pve1:0000C530:001C9BEC:0000001E:resize:102:ann@pve:",
            "ok",
        ),
    ];
    let kept = world.store.kept_resources(world.host).await.unwrap();
    let found = census(world.host, &shown).findings(&kept);
    let noted = world.store.note_resources(&found, world.at());
    assert_eq!(noted.await.unwrap(), 5);
    let trace = |kind: &str, user: &str, at: i64| Trace {
        kind: kind.to_owned(),
        user: user.to_owned(),
        at: Timestamp(at),
    };
    let vmid = 101_u32.try_into().unwrap();
    let tasks = world.store.tasks_of(world.host, vmid).await.unwrap();
    let expected = [
        trace("vzstart", "root@pam", 10_000),
        trace("resize", "ann@pve", 20_000),
    ];
    assert_eq!(tasks, expected);
}

pub async fn are_accepted_as_a_revision_while_it_is_the_newest(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    let update = change("web", Act::Update, Some(app.id), &[]);
    let documents = [document("web", json!({}))];
    let (_, fence) = begun(&mut world, vec![update], &documents).await;
    does(&world, &fence, 0).await;
    world.store.end_apply(&fence, world.at()).await.unwrap();
    let first = world.store.desired(&name("web")).await.unwrap().unwrap();
    let Some(DesiredSpec::App(mut spec)) = first.spec.clone() else {
        panic!("{first:?}")
    };
    spec.resources.memory_mib = Some(640);
    let resources = Resources {
        memory_mib: 640,
        ..app.resources
    };
    let accepted = Accepted {
        spec: DesiredSpec::App(spec),
        resources: Some(resources),
        paths: vec!["memory".to_owned()],
    };
    world.pass(10);
    let accept = async |world: &World| {
        let (store, event) = (&world.store, told(EventKind::DesiredAccepted));
        let taken = store.accept_drift(&first, &accepted, &event, &world.actor, world.at());
        taken.await.unwrap()
    };
    assert!(accept(&world).await);
    let second = world.store.desired(&name("web")).await.unwrap().unwrap();
    assert_eq!(
        (second.revision, second.spec),
        (2, Some(accepted.spec.clone()))
    );
    assert_eq!((second.apply, second.applied_at), (first.apply, world.at()));
    assert_eq!(world.app(app.id).await.resources, resources);
    assert!(!accept(&world).await, "something else is wanted by now");
    assert_eq!(count(&world, EventKind::DesiredAccepted).await, 1);
    let audit = world.audit(100, 0).await;
    let entries = audit.iter().filter(|row| row.action == "app.accept_drift");
    assert_eq!(entries.count(), 1);
    world.assert_sound().await;
}
