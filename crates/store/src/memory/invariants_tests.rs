//! The checker names each rule that is broken.

use std::sync::Arc;

use proximity_domain::app::Status;
use proximity_domain::create::Resources;
use proximity_domain::desired::{DesiredSpec, Documents};
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest};
use proximity_domain::ids::{
    AppId, ApplyId, Epoch, GuestId, HolderId, HostId, InstallationId, OperationId, PlanId,
    PreparedId, Vmid,
};
use proximity_domain::manifest::Manifest;
use proximity_domain::mark::Mark;
use proximity_domain::names::Mac;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::plan::Plan;
use proximity_domain::ports::PortRange;
use proximity_domain::prepared::{Base, Prepared, Spot, Stage};
use proximity_domain::time::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::MemoryOptions;
use super::state::{CloneOf, State, Template};
use crate::applies::{ApplyRecord, NewApply};
use crate::clearing::Journal;
use crate::effects::{Effects, GuestChange, MutationAudit, NewLogLine};
use crate::plans::PlanRecord;
use crate::records::{
    Actor, HostPlacement, HostRecord, Lease, LogLevel, NewApp, NewOperation, OperationRecord,
    PurposeTokens,
};

const NOW: Timestamp = Timestamp(1_000);
const INSTALLATION: InstallationId = InstallationId(Uuid::nil());
const HOST: HostId = HostId(Uuid::from_u128(1));
const APP: AppId = AppId(Uuid::from_u128(2));
const OPERATION: OperationId = OperationId(Uuid::from_u128(3));
const GUEST: GuestId = GuestId(Uuid::from_u128(4));
const PLAN: PlanId = PlanId(Uuid::from_u128(5));
const APPLY: ApplyId = ApplyId(Uuid::from_u128(6));
const NOBODY: Uuid = Uuid::from_u128(99);

fn host() -> HostRecord {
    HostRecord {
        id: HOST,
        label: "lab".parse().unwrap(),
        cluster_key: "cluster".to_owned(),
        endpoints: Vec::new(),
        token_id: "root@pam!proximity".to_owned(),
        token_secret: "secret".to_owned().into(),
        purpose_tokens: PurposeTokens::default(),
        ssh: None,
        pool: None,
        storage: "local".parse().unwrap(),
        template_storage: "local".parse().unwrap(),
        bridge: "vmbr0".parse().unwrap(),
        placement: HostPlacement::default(),
        known_nodes: Vec::new(),
        pve_version: "9".to_owned(),
        created_at: NOW,
    }
}

fn app() -> NewApp {
    NewApp {
        id: APP,
        owner: "admin".to_owned(),
        hostname: "web".parse().unwrap(),
        catalog_id: "nginx".parse().unwrap(),
        catalog_version: "1".to_owned(),
        entry: None,
        host: HOST,
        node: "pve1".parse().unwrap(),
        resources: Resources {
            memory_mib: 512,
            cores: 1,
            disk_gib: 4,
        },
        environment: json!({}),
        environment_sealed: "{}".to_owned().into(),
        guest_port: 80,
        site: None,
        made_with: Default::default(),
        root_password: None,
    }
}

fn guest() -> NativeGuest {
    let vmid = Vmid::try_from(100_u32).unwrap();
    NativeGuest {
        id: GUEST,
        app: APP,
        created_by: OPERATION,
        place: ContainerRef {
            host: HOST,
            node: "pve1".parse().unwrap(),
            vmid,
        },
        identity: ContainerIdentity {
            vmid,
            mark: Mark {
                installation: INSTALLATION,
                app: APP,
                nonce: 7,
            },
            net0_mac: Mac::with_pve_prefix([0, 0, 1]),
            rootfs_volid: None,
        },
        learned: None,
    }
}

/// An app that is being deployed: a host, a guest, a step with a call, and something in each journal.
fn sound() -> State {
    let mut state = State::new(&MemoryOptions {
        installation: INSTALLATION,
        public: PortRange::PUBLIC,
        internal: PortRange::INTERNAL,
        rest_ms: 0,
    });
    let actor = Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    };
    state.add_host(host(), None, &actor, NOW).unwrap();
    let operation = NewOperation {
        id: OPERATION,
        kind: OperationKind::Deploy,
        app: APP,
        input: json!({}),
        retry_of: None,
        key: None,
    };
    let made = state.create_app(app(), &operation, &actor, None, NOW);
    made.unwrap();
    let claimed = state.claim(HolderId(NOBODY), 10, false, NOW).unwrap();
    let (_, fence) = claimed.unwrap();
    let line = NewLogLine {
        level: LogLevel::Info,
        step: None,
        message: "hello".to_owned(),
        percent: None,
    };
    let effects = Effects {
        guests: vec![GuestChange::Insert(guest())],
        log: vec![line],
        ..Effects::default()
    };
    let begun = state.begin_step(&fence, (0, "create"), json!({}), effects, NOW);
    begun.unwrap();
    let audit = MutationAudit {
        call: "POST".to_owned(),
        target: "lab".to_owned(),
        details: json!({}),
    };
    state
        .record_mutation(&fence, 0, &audit, Effects::default(), NOW)
        .unwrap();
    state.keep_plan(&plan(), &documents(), &actor).unwrap();
    let new = NewApply {
        id: APPLY,
        plan: PLAN,
        parallel: 1,
        key: None,
        brake: None,
        unless_rejected: false,
    };
    let spec_hash = |_: Option<&DesiredSpec>| Ok(String::new());
    let begun = state.start_apply((&new, &spec_hash), &actor, NOW);
    begun.unwrap();
    state
}

/// One app that is to be made, beside the one that stays as it is.
fn plan() -> PlanRecord {
    let change = json!({
        "name": "new", "app": null, "class": "native", "layer": 0, "act": "create", "fields": [],
        "place": {"host_id": null, "host": null, "node": null, "vmid": null}, "downtime": "none",
        "at_risk": [], "lacks": [], "obstacles": [], "notes": [],
    });
    PlanRecord {
        id: PLAN,
        made_at: NOW,
        made_by: "admin".to_owned(),
        plan: Plan {
            digest: "d".repeat(64),
            basis: "b".repeat(64),
            prune: false,
            changes: vec![serde_json::from_value(change).unwrap()],
            unchanged: 1,
            uncompared: 0,
            ignored: Vec::new(),
            brake: None,
            rollback: None,
        },
        applied_at: None,
    }
}

fn documents() -> Documents {
    let spec = || serde_json::from_value(json!({"catalog_id": "nginx"})).unwrap();
    let document = |name: &str| Manifest::App {
        name: name.parse().unwrap(),
        spec: spec(),
    };
    Documents::of(&[document("new"), document("web")])
}

fn apply(state: &mut State) -> &mut ApplyRecord {
    state.applies.row(&APPLY).unwrap()
}

fn record(state: &mut State) -> &mut OperationRecord {
    &mut state.operations.row(&OPERATION).unwrap().record
}

/// The app as the archive would keep it, with everything it still holds.
fn archive(state: &mut State) {
    let record = state.live_app(APP).unwrap();
    state.apps.row(&APP).unwrap().archived = Some(crate::views::ArchivedApp {
        record,
        ports: None,
        by: crate::views::ArchivedBy::Operation(OPERATION),
        archived_at: NOW,
    });
}

/// A twin of a row, under another id.
fn twin_of_app(state: &mut State) {
    let mut twin = state.apps[&APP].clone();
    twin.asked.id = AppId(NOBODY);
    state.apps.put(AppId(NOBODY), twin);
}

fn twin_of_guest(state: &mut State) {
    let mut twin = state.guests[&GUEST].clone();
    twin.guest = NativeGuest {
        id: GuestId(NOBODY),
        ..guest()
    }
    .into();
    state.guests.put(GuestId(NOBODY), twin);
}

/// A template with a number of its own on the recorded host, gone or not.
fn template(gone_at: Option<Timestamp>) -> Template {
    let mut identity = guest().identity;
    identity.vmid = Vmid::try_from(999_u32).unwrap();
    let os_template = "local:vztmpl/debian.tar.zst".parse().unwrap();
    let prepared = Prepared {
        id: PreparedId(NOBODY),
        spot: Spot {
            host: HOST,
            node: "pve1".parse().unwrap(),
            storage: "local".parse().unwrap(),
        },
        base: Base::of(os_template, 1, Vec::new()),
        disk_gib: 4,
        identity,
        stage: Stage::Leaving,
        recorded_at: NOW,
        stage_at: NOW,
        used_at: None,
    };
    Template {
        prepared,
        sent: None,
        gone_at,
    }
}

fn twin_of_operation(state: &mut State) {
    let mut twin = state.operations[&OPERATION].clone();
    twin.record.id = OperationId(NOBODY);
    state.operations.put(OperationId(NOBODY), twin);
}

/// A rule, and what breaks it.
type Damage = (&'static str, fn(&mut State));

const DAMAGES: &[Damage] = &[
    ("a live app holds one public and one internal port", |s| {
        s.ports.remove(&8100);
    }),
    ("an archived app holds no port", archive),
    ("a host name belongs to one live app", twin_of_app),
    ("a live app's host is recorded", |s| s.hosts.remove(&HOST)),
    ("the host of a guest that is not gone is recorded", |s| {
        s.hosts.remove(&HOST);
    }),
    ("a VMID of a cluster is held by one guest", twin_of_guest),
    ("a VMID of a cluster is held by one guest", |s| {
        let mut twin = template(None);
        twin.prepared.identity.vmid = guest().identity.vmid;
        s.templates.put(PreparedId(NOBODY), twin);
    }),
    (
        "the host of a prepared template that is not gone is recorded",
        |s| {
            let mut stray = template(None);
            stray.prepared.spot.host = HostId(NOBODY);
            s.templates.put(PreparedId(NOBODY), stray);
        },
    ),
    ("nothing hangs on a prepared template that is gone", |s| {
        let of = CloneOf {
            template: PreparedId(NOBODY),
            linked: false,
        };
        s.templates.put(of.template, template(Some(NOW)));
        s.clones.put(GUEST, of);
    }),
    ("an archived app has no guest that is not gone", archive),
    ("a guest was created by an operation of its app", |s| {
        s.guests.row(&GUEST).unwrap().guest = NativeGuest {
            created_by: OperationId(NOBODY),
            ..guest()
        }
        .into();
    }),
    ("an app is on its way only while an operation lives", |s| {
        s.live.remove(&APP);
    }),
    ("an app has one live operation at most", twin_of_operation),
    ("the live operation of an app is known", |s| {
        s.live.remove(&APP);
    }),
    ("the live operation of an app is known", |s| {
        s.live.put(AppId(NOBODY), OPERATION);
    }),
    ("an operation ends when it is final", |s| {
        record(s).finished_at = Some(NOW);
    }),
    ("an operation that was claimed has an epoch", |s| {
        record(s).epoch = Epoch(0);
    }),
    (
        "a step was not written under an epoch that is still to come",
        |s| {
            let steps = &mut s.operations.row(&OPERATION).unwrap().steps;
            Arc::make_mut(steps.get_mut(&0).unwrap()).epoch = Epoch(2);
        },
    ),
    ("steps fit the state of their operation", |s| {
        record(s).state = OperationState::Succeeded;
    }),
    (
        "a mutation belongs to a step and to an epoch that was claimed",
        |s| s.operations.row(&OPERATION).unwrap().steps.clear(),
    ),
    ("log lines are numbered without gaps", |s| {
        let line = s.log[&1].clone();
        s.log.put(3, line);
    }),
    ("events are numbered without gaps", |s| s.events.remove(&2)),
    ("of events the oldest are cleared away", |s| {
        s.events.remove(&2);
        s.clearings.put(Journal::Events, 1);
    }),
    ("as many operations were cleared as are counted", |s| {
        record(s).cleared_at = Some(NOW);
    }),
    ("an operation that is cleared has ended", |s| {
        record(s).cleared_at = Some(NOW);
    }),
    ("an operation whose steps were cleared away has none", |s| {
        record(s).cleared_at = Some(NOW)
    }),
    ("the newest operation of a live app has its steps", |s| {
        record(s).cleared_at = Some(NOW)
    }),
    ("an apply that is over has no open change", |s| {
        apply(s).ended_at = Some(NOW);
    }),
    ("an app has an open change of one apply at most", |s| {
        let again = s.changes[&(APPLY, 0)].clone();
        s.changes.put((APPLY, 1), again);
    }),
    ("a plan that is applied says so", |s| {
        s.plans.row(&PLAN).unwrap().applied_at = None;
    }),
    ("an apply that is held has an epoch", |s| {
        apply(s).lease = Some(Lease {
            holder: HolderId(NOBODY),
            until: NOW,
            lease_ms: 1,
        });
    }),
    (
        "what is wanted of an app has no gap in its revisions",
        |s| {
            let (name, _) = s.desired.keys().next().unwrap().clone();
            let first = s.desired[&(name.clone(), 1)].clone();
            s.desired.put((name, 3), first);
        },
    ),
    ("audit entries are numbered without gaps", |s| {
        s.audit.remove(&1);
    }),
];

#[test]
fn a_sound_state_breaks_no_rule() {
    assert_eq!(sound().broken_rules(), Vec::<String>::new());
    assert_eq!(sound().apps[&APP].status, Status::Deploying);
}

#[test]
fn every_broken_rule_is_named() {
    for (rule, damage) in DAMAGES {
        let mut state = sound();
        damage(&mut state);
        let wrong = state.broken_rules();
        assert!(
            wrong.iter().any(|sentence| sentence.starts_with(rule)),
            "{rule}: {wrong:?}"
        );
    }
}
