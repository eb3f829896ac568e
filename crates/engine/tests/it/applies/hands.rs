//! What people change in Proxmox VE after an apply: a plan tells what documents decide, and an apply brings it back where an app is
//! changed in place; an identity that is not the recorded one is told by itself; all else is the owner's, is in the history of
//! the container, and stays. Nothing is left that nobody tells.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::apply::ApplyState;
use proximity_domain::event::EventKind;
use proximity_domain::manifest::{Manifest, WantedPower};
use proximity_domain::resource::{ResourceId, ResourceKey};
use proximity_engine::reconcile::Pass;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Access;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Place, TestWorld, WorldParts};
use serde_json::Value;

use super::{Stand, app, spec};

/// What somebody does to a container.
#[derive(Debug, Clone, Copy)]
enum Hand {
    /// Writes this key.
    Sets(&'static str, &'static str),
    /// Writes something behind the description, which has our mark.
    AddsNote,
    /// Writes another description.
    DropsMark,
    /// Gives its network device a fixed address.
    FixesAddress,
    /// Gives its network device another MAC.
    ChangesMac,
    GrowsDisk,
    Stops,
    Starts,
    MovesToPool,
    Migrates,
}

/// How it comes to light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// A plan tells this difference, and an apply brings it back.
    BroughtBack(&'static str),
    /// A plan tells this difference, and holds it back: a person decides.
    HeldBack(&'static str),
    /// An event tells that the container is not, or not in everything, the recorded one.
    Identity,
    /// This field of the container's history has it, and it stays as it is.
    History(&'static str, &'static str),
}

use Hand::{
    AddsNote, ChangesMac, DropsMark, FixesAddress, GrowsDisk, Migrates, MovesToPool, Sets, Starts,
    Stops,
};
use Shows::{BroughtBack, HeldBack, History, Identity};

/// Each on a container of its own, whose app is called after its place here.
const HANDS: [(Hand, Shows); 23] = [
    (Sets("memory", "128"), BroughtBack("memory")),
    (Sets("cores", "2"), BroughtBack("cores")),
    (Stops, BroughtBack("power")),
    (Starts, BroughtBack("power")),
    (GrowsDisk, HeldBack("rootfs")),
    (Migrates, HeldBack("node")),
    (DropsMark, Identity),
    (ChangesMac, Identity),
    (Sets("swap", "333"), History("config.swap", "333")),
    (
        Sets("hostname", "elsewhere"),
        History("config.hostname", "elsewhere"),
    ),
    (Sets("tags", "mine"), History("config.tags", "mine")),
    (AddsNote, History("config.description", "my note")),
    (Sets("onboot", "0"), History("config.onboot", "0")),
    (
        Sets("startup", "order=3"),
        History("config.startup", "order=3"),
    ),
    (Sets("protection", "0"), History("config.protection", "0")),
    (FixesAddress, History("config.net0", "ip=10.1.200.5/16")),
    (
        Sets("mp0", "local:1,mp=/srv/more"),
        History("config.mp0", "mp=/srv/more"),
    ),
    (
        Sets("nameserver", "192.0.2.53"),
        History("config.nameserver", "192.0.2.53"),
    ),
    (
        Sets("searchdomain", "example.org"),
        History("config.searchdomain", "example.org"),
    ),
    (
        Sets("features", "nesting=0"),
        History("config.features", "nesting=0"),
    ),
    (Sets("cpuunits", "321"), History("config.cpuunits", "321")),
    (Sets("console", "0"), History("config.console", "0")),
    (MovesToPool, History("pool", "others")),
];

fn name(at: usize) -> String {
    format!("hand-{at:02}")
}

/// What of the app's document the edit is about: where it is, and whether it runs. Devices and features of a container that runs are
/// changed with its next start alone.
fn document(at: usize, hand: Hand) -> Manifest {
    let mut document = app(&name(at), &[]);
    let wish = spec(&mut document);
    match hand {
        Stops => wish.power = Some(WantedPower::Running),
        Starts | ChangesMac | FixesAddress | Sets("features" | "mp0" | "hostname", _) => {
            wish.power = Some(WantedPower::Stopped);
        }
        Migrates => {
            wish.node = Some("pve1".parse().unwrap());
            wish.power = Some(WantedPower::Stopped);
        }
        Sets(..) | AddsNote | DropsMark | GrowsDisk | MovesToPool => {}
    }
    document
}

/// An app's container.
#[derive(Debug, Clone)]
struct Container {
    vmid: u32,
    node: String,
}

impl Container {
    fn path(&self, what: &str) -> String {
        format!("/nodes/{}/lxc/{}{what}", self.node, self.vmid)
    }
}

impl Stand {
    async fn at(&self, name: &str) -> Container {
        let app = self.w.store.app_by_hostname(name).await.unwrap().unwrap();
        let guests = self.w.store.recorded_guests(app.id).await.unwrap();
        let place = guests[0].place();
        Container {
            vmid: place.vmid.get(),
            node: place.node.to_string(),
        }
    }

    /// What somebody with every right asks Proxmox VE for.
    async fn asks(&self, method: Method, path: &str, params: &[(&str, &str)]) -> Value {
        let answer = self.w.pve.as_root(method, path, params).await;
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 200, "{path} {params:?}: {told}");
        serde_json::from_str::<Value>(&told).unwrap()["data"].clone()
    }

    async fn config(&self, place: &Container) -> Value {
        self.asks(Method::Get, &place.path("/config"), &[]).await
    }

    async fn sets(&self, place: &Container, key: &str, value: &str) {
        let path = place.path("/config");
        // No volume is added while it is protected.
        if key == "mp0" {
            self.asks(Method::Put, &path, &[("protection", "0")]).await;
        }
        self.asks(Method::Put, &path, &[(key, value)]).await;
    }

    async fn does(&self, hand: Hand, place: &Container) {
        let config = self.config(place).await;
        let told = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        match hand {
            Sets(key, value) => self.sets(place, key, value).await,
            AddsNote => {
                // What is above the last line is the owner's.
                let text = format!("my note\n{}", told("description"));
                self.sets(place, "description", &text).await;
            }
            DropsMark => self.sets(place, "description", "mine").await,
            FixesAddress => {
                let device = told("net0").replace("ip=dhcp", "ip=10.1.200.5/16");
                self.sets(place, "net0", &device).await;
            }
            ChangesMac => {
                let device = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:99,ip=dhcp";
                self.sets(place, "net0", device).await;
            }
            GrowsDisk => {
                let size = [("disk", "rootfs"), ("size", "+1G")];
                self.asks(Method::Put, &place.path("/resize"), &size).await;
            }
            Stops => {
                let path = place.path("/status/stop");
                self.asks(Method::Post, &path, &[]).await;
            }
            Starts => {
                let path = place.path("/status/start");
                self.asks(Method::Post, &path, &[]).await;
            }
            MovesToPool => {
                let vmid = place.vmid.to_string();
                let member = [("poolid", "others"), ("vms", &*vmid), ("allow-move", "1")];
                self.asks(Method::Put, "/pools", &member).await;
            }
            Migrates => {
                let moved = self
                    .w
                    .pve
                    .meddle(|world| world.carry_guest(place.vmid, "pve2"));
                moved.unwrap();
            }
        }
        self.w.pve.quiet().await;
    }

    /// One cycle, and one round of the sweep; whatever they tell is recorded.
    async fn looks(&self) {
        let reconciler = self.w.engine.reconciler();
        let passed = reconciler.pass(&Pass::Work).await.unwrap();
        assert!(passed.result.success, "{passed:?}");
        reconciler.record_resources().await.unwrap();
        reconciler.sweep().await.unwrap();
        reconciler.record_resources().await.unwrap();
    }

    /// A field of the newest state of a container.
    async fn field(&self, vmid: u32, field: &str) -> String {
        let host = self.w.store.hosts().await.unwrap().remove(0).id;
        let key = ResourceKey::container(vmid.try_into().unwrap());
        let id = ResourceId::of(host, &key);
        let newest = self.w.store.snapshots(id, None, 1).await.unwrap().remove(0);
        let told = newest.state.fields().get(field).map(ToString::to_string);
        told.unwrap_or_default()
    }

    /// Containers of which it was told that they are not what is on record.
    async fn doubted(&self) -> BTreeSet<u64> {
        let kinds = [EventKind::GuestConflicted, EventKind::GuestIdentityLearned];
        let (mut numbers, mut after) = (BTreeSet::new(), 0);
        loop {
            let events = self.w.store.events(after, 1_000).await.unwrap();
            let Some(last) = events.last() else {
                return numbers;
            };
            after = last.0;
            let told = events.iter().filter(|row| kinds.contains(&row.2.kind));
            numbers.extend(told.filter_map(|row| row.2.body["vmid"].as_u64()));
        }
    }

    /// Paths that a plan says differ, by app, and whether the change is held back.
    async fn differing(&self, documents: &[Manifest]) -> BTreeMap<String, (Vec<String>, bool)> {
        let plan = self.plan(documents, false).await.plan;
        let told = plan.changes.into_iter().map(|change| {
            let paths = change.fields.into_iter().map(|field| field.path);
            let is_held = !change.obstacles.is_empty();
            (change.name.to_string(), (paths.collect(), is_held))
        });
        told.collect()
    }
}

async fn two_nodes() -> Stand {
    let world = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &["pve1", "pve2"], Access::Full)],
        pairs: 32,
        place: Place::Memory,
        endpoint_of_each_node: true,
        ..WorldParts::default()
    });
    let s = Stand::over(world.await.unwrap());
    let pool = [("poolid", "others")];
    s.asks(Method::Post, "/pools", &pool).await;
    s
}

/// Paths that plans have to tell.
fn expected() -> BTreeMap<String, (Vec<String>, bool)> {
    let told = HANDS.iter().enumerate().filter_map(|(at, (_, shows))| {
        let (path, is_held) = match shows {
            BroughtBack(path) => (*path, false),
            HeldBack(path) => (*path, true),
            Identity | History(..) => return None,
        };
        Some((name(at), (vec![path.to_owned()], is_held)))
    });
    told.collect()
}

#[tokio::test]
async fn what_hands_change_is_brought_back_or_told_and_never_passed_over() {
    let s = two_nodes().await;
    let each = HANDS.iter().enumerate();
    let documents: Vec<Manifest> = each.map(|(at, (hand, _))| document(at, *hand)).collect();
    let id = s.apply(&documents).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    s.is_as_wanted(&documents).await;
    s.looks().await;
    assert_eq!(s.doubted().await, BTreeSet::new());

    let mut places = Vec::new();
    for (at, (hand, _)) in HANDS.into_iter().enumerate() {
        let place = s.at(&name(at)).await;
        s.does(hand, &place).await;
        places.push(place);
    }
    // The cluster's list is told anew every ten seconds.
    let is_told = async || s.differing(&documents).await == expected();
    if s.w.until(is_told).await.is_err() {
        assert_eq!(s.differing(&documents).await, expected());
    }
    s.looks().await;
    let doubted = s.doubted().await;
    for (place, (hand, shows)) in places.iter().zip(HANDS) {
        let is_doubted = doubted.contains(&u64::from(place.vmid));
        assert_eq!(is_doubted, shows == Identity, "{hand:?} {place:?}");
        if let History(field, value) = shows {
            let told = s.field(place.vmid, field).await;
            assert!(told.contains(value), "{hand:?}: {field} is {told}");
        }
    }

    let back: Vec<Manifest> = documents
        .iter()
        .zip(HANDS)
        .filter(|(_, (_, shows))| matches!(shows, BroughtBack(_) | History(..)))
        .map(|(document, _)| document.clone())
        .collect();
    let id = s.apply(&back).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    s.w.until(async || s.differing(&back).await.is_empty())
        .await
        .unwrap();
    // What documents do not decide is as its owner left it.
    for (place, (hand, _)) in places.iter().zip(HANDS) {
        let (key, left) = match hand {
            Sets("memory" | "cores", _) => continue,
            Sets(key, value) => (key, value.rsplit(',').next().unwrap_or_default()),
            AddsNote => ("description", "my note"),
            FixesAddress => ("net0", "ip=10.1.200.5/16"),
            DropsMark | ChangesMac | GrowsDisk | Stops | Starts | MovesToPool | Migrates => {
                continue;
            }
        };
        let now = s.config(place).await[key].to_string();
        assert!(now.contains(left), "{key} is {now}");
    }
}
