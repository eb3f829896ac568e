//! R9, its second half: whatever was applied before, a set of documents leads to the same as in a world in which nothing was.
//!
//! On the ground of the simulation, without faults. Left out of the comparison is what is drawn or counted in each world: ids, numbers
//! of containers, MACs, ports, nodes and times; and which wishes are on record, for one that changes nothing is not written down.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proximity_domain::apply::{ApplyState, ChangeState, Consent};
use proximity_domain::desired::Documents;
use proximity_domain::ids::ApplyId;
use proximity_domain::manifest::Manifest;
use proximity_engine::apply::Applier;
use proximity_engine::commands::{MakePlan, StartApply};
use proximity_pve_emulator::core::Guest;
use proximity_store::plans::PlanRecord;
use proximity_store::records::AppRecord;
use proximity_store::views::AppFilter;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::chance::Chance;
use super::perform::{Stage, person};
use super::rest::{self, text};
use super::run;
use super::trace::Telling;
use crate::guests::address;

mod documents;

use documents::drawn;

/// What a cluster's list tells is not older than this.
const LISTED: Duration = Duration::from_secs(15);
/// Looks at what goes on are so far apart.
const LOOK: Duration = Duration::from_millis(500);
/// So many looks are made at one thing: half an hour, more than every wait of an operation together.
const LOOKS: u32 = 3_600;
/// So many until the list tells what was done.
const QUIET: u32 = 120;
/// How many pairs that differ are told.
const TOLD: usize = 20;
/// Keys of a container's configuration that documents, or the catalog, decide.
const KEYS: [&str; 9] = [
    "memory",
    "cores",
    "swap",
    "hostname",
    "onboot",
    "protection",
    "unprivileged",
    "features",
    "tags",
];

/// What came of a pair.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PairFound {
    /// Its seed.
    pub seed: u64,
    /// How many changes of each act the second set led to.
    pub acts: BTreeMap<&'static str, u64>,
    /// What was otherwise than it has to be.
    pub faults: Vec<String>,
}

/// Applies two drawn sets of documents, one after the other, and the second one alone in another world like it. `leaves_out`: updates
/// leave one field out, for the control.
///
/// # Errors
/// The simulation could not go on; or this build takes no guard off.
pub fn play_pair(seed: u64, leaves_out: bool) -> Result<PairFound, String> {
    let mut chance = Chance::of(seed, "pairs");
    let first = drawn(&mut chance, &[]);
    let second = drawn(&mut chance, &first);
    let world = world_of(seed);
    let (mut found, both) = lives(world, &[first, second.clone()], leaves_out)?;
    let (alone, fresh) = lives(world, &[second], leaves_out)?;
    let told = alone.faults.iter();
    found
        .faults
        .extend(told.map(|fault| format!("in a fresh world: {fault}")));
    if found.faults.is_empty() && both != fresh {
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            let these = these.iter().filter(|line| !those.contains(line));
            these.cloned().collect()
        };
        found.faults.push(format!(
            "after another set: {:?}; in a fresh world: {:?}",
            only(&both, &fresh),
            only(&fresh, &both)
        ));
    }
    Ok(PairFound { seed, ..found })
}

/// A world for the pair of this seed, with ports for what is there and for what takes its place.
fn world_of(seed: u64) -> u64 {
    let mut of = seed;
    while !run::has_room(of) {
        of = of.wrapping_add(1);
    }
    of
}

/// Applies the sets in a world; what was wrong, what the last one led to, and how everything is then.
fn lives(
    world: u64,
    sets: &[Vec<Manifest>],
    leaves_out: bool,
) -> Result<(PairFound, Vec<String>), String> {
    run::on_virtual_time(None, async {
        leave_out(leaves_out)?;
        let mut stage = run::set(&run::Play::of(world, Vec::new()), Telling::Nothing).await?;
        let living = tokio::spawn(stage.machine.cluster.clone().live());
        let mut found = PairFound::default();
        for documents in sets {
            sleep(LISTED).await;
            found.acts.clear();
            if let Err(why) = apply(&stage, documents, &mut found.acts).await {
                found.faults.push(why);
                break;
            }
        }
        rest::look(&mut stage).await?;
        let broken = stage.machine.cluster.lock().violations.clone();
        let told = broken.iter().map(|it| format!("{}: {}", it.rule, it.what));
        found.faults.extend(told);
        let lines = lines(&stage).await?;
        stage.process.kill().await;
        living.abort();
        Ok((found, lines))
    })
}

/// Takes the guard off for what runs on this thread, or puts it on.
fn leave_out(leaves_out: bool) -> Result<(), String> {
    #[cfg(feature = "bug-switches")]
    proximity_engine::saga::take_off(leaves_out.then_some(proximity_engine::saga::Guard::Whole));
    #[cfg(not(feature = "bug-switches"))]
    if leaves_out {
        return Err("guards can be taken off in a build with the feature bug-switches".to_owned());
    }
    Ok(())
}

/// Applies the documents, with whatever they do not name removed and every consent given, until nothing is left to be done.
async fn apply(
    stage: &Stage,
    documents: &[Manifest],
    acts: &mut BTreeMap<&'static str, u64>,
) -> Result<(), String> {
    if let Some(id) = begun(stage, documents, acts).await? {
        ended(stage, id).await?;
    }
    let mut left = String::new();
    for _ in 0..QUIET {
        let plan = plan(stage, documents).await?.plan;
        if plan.changes.is_empty() {
            return Ok(());
        }
        left = format!("{:?}", plan.changes);
        sleep(LOOK).await;
    }
    Err(format!("it is not as wanted after it was applied: {left}"))
}

/// Plans, and begins to apply; again where the cluster's list was another one in between. `None`: all is as wanted.
async fn begun(
    stage: &Stage,
    documents: &[Manifest],
    acts: &mut BTreeMap<&'static str, u64>,
) -> Result<Option<ApplyId>, String> {
    for _ in 0..LOOKS {
        let plan = plan(stage, documents).await?;
        if plan.plan.changes.is_empty() {
            return Ok(None);
        }
        let request = StartApply {
            plan: plan.id,
            consent: Consent {
                prune: true,
                confirm_removed: plan.plan.brake.map(|brake| brake.removed),
                confirm_destroyed: Some(plan.plan.destroyed()),
            },
            parallel: None,
            owner: None,
            key: None,
        };
        match stage.process.engine.start_apply(&person(), request).await {
            Ok(apply) => {
                for change in &plan.plan.changes {
                    *acts.entry(change.act.label()).or_default() += 1;
                }
                return Ok(Some(apply.id));
            }
            Err(refused) if refused.code() == "plan_outdated" => sleep(LOOK).await,
            Err(refused) => return Err(format!("{refused}: {:?}", plan.plan.changes)),
        }
    }
    Err("every plan was another one by the time it was to be applied".to_owned())
}

async fn plan(stage: &Stage, documents: &[Manifest]) -> Result<PlanRecord, String> {
    let request = MakePlan {
        documents: documents.to_vec(),
        order: Documents::of(documents).order(),
        prune: true,
        ..MakePlan::default()
    };
    let made = stage.process.engine.make_plan(&person(), request).await;
    made.map_err(text)
}

/// Carries it out to its end.
async fn ended(stage: &Stage, id: ApplyId) -> Result<(), String> {
    let store = &stage.machine.store;
    let mut applier = Applier::new(stage.process.engine.clone(), true);
    let began = Instant::now();
    for _ in 0..LOOKS {
        applier.pass().await.map_err(text)?;
        let apply = store.apply(id).await.map_err(text)?;
        let state = apply.ok_or("the apply has gone")?.state;
        if state == ApplyState::Done {
            return Ok(());
        }
        if state.is_over() {
            let changes = store.apply_changes(id).await.map_err(text)?;
            let failed = changes
                .iter()
                .filter(|one| one.state == ChangeState::Failed);
            let why: Vec<_> = failed.map(|one| (&one.name, &one.why)).collect();
            return Err(format!("the apply ended as {}: {why:?}", state.label()));
        }
        sleep(LOOK).await;
    }
    Err(format!(
        "the apply is still under way after {:?}",
        began.elapsed()
    ))
}

/// What is on record of apps, and what their containers are, a line each.
async fn lines(stage: &Stage) -> Result<Vec<String>, String> {
    let store = &stage.machine.store;
    let filter = AppFilter {
        per_page: AppFilter::MAX_PER_PAGE,
        ..AppFilter::default()
    };
    let (apps, _) = store.apps(filter).await.map_err(text)?;
    let mut lines = Vec::new();
    for app in apps {
        let guarded = store.guarded_since(app.id).await.map_err(text)?.is_some();
        let guests = store.recorded_guests(app.id).await.map_err(text)?;
        let vmids: Vec<u32> = guests.iter().map(|it| it.place().vmid.get()).collect();
        lines.push(recorded(&app, guarded, vmids.len()));
        for vmid in vmids {
            lines.push(container(stage, &app, vmid));
        }
    }
    let wanted = store.all_desired().await.map_err(text)?;
    lines.extend(wanted.iter().map(|one| format!("{} is wanted", one.name)));
    lines.sort_unstable();
    Ok(lines)
}

fn recorded(app: &AppRecord, guarded: bool, guests: usize) -> String {
    let (status, live) = (app.status.label().label(), app.operation.is_some());
    let (class, catalog, version) = (app.class, &app.catalog_id, &app.catalog_version);
    let (resources, settings) = (app.resources, &app.environment);
    let (open, port, ports) = (app.exposed, app.guest_port, app.ports.is_some());
    format!(
        "{}: {class:?} {catalog} {version} {status}, at work {live}, {resources:?}, {settings}, open {open}, port {port}, ports {ports}, guarded {guarded}, {guests} containers",
        app.hostname
    )
}

fn container(stage: &Stage, app: &AppRecord, vmid: u32) -> String {
    let name = &app.hostname;
    let cluster = &stage.machine.cluster;
    let shown = {
        let inner = cluster.lock();
        let mut guests = inner.world.guests();
        let found = guests.find(|(other, _)| *other == vmid);
        found.map(|(_, guest)| configured(guest))
    };
    let at = SocketAddr::new(address(vmid), app.guest_port);
    let page = cluster.guests.fetch(at, "/");
    match shown {
        Some(shown) => format!("{name} is {shown}, shows {page:?}"),
        None => format!("{name} has no container"),
    }
}

/// What is configured, and whether it runs.
fn configured(guest: &Guest) -> String {
    let mut shown: Vec<String> = Vec::new();
    for key in KEYS {
        shown.push(format!("{key}={}", guest.config.get(key).unwrap_or("-")));
    }
    let rootfs = guest.config.get("rootfs").unwrap_or_default();
    let size = rootfs.split(',').find(|part| part.starts_with("size="));
    shown.push(size.unwrap_or("no size").to_owned());
    format!("{}, runs {}", shown.join(" "), guest.is_running())
}

/// Very many pairs.
#[derive(Debug, Clone, Copy)]
pub struct Pairs {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub count: u64,
    /// At the same time.
    pub threads: usize,
    /// None is begun after so many seconds.
    pub seconds: Option<u64>,
    /// Ends with the first that differs.
    pub until_found: bool,
    /// Updates leave one field out, for the control.
    pub leaves_out: bool,
}

/// What they showed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PairsVerdict {
    /// Pairs that were played.
    pub pairs: u64,
    /// Those with a fault.
    pub differ: u64,
    /// How many changes of each act the second sets led to.
    pub acts: BTreeMap<&'static str, u64>,
    /// Some of those with a fault.
    pub told: Vec<PairFound>,
}

impl Pairs {
    /// Plays them all; which thread plays one changes nothing.
    ///
    /// # Errors
    /// A simulation itself could not go on.
    pub fn play(self) -> Result<PairsVerdict, String> {
        let (next, over) = (AtomicU64::new(0), AtomicBool::new(false));
        // Outside of every simulation: the machine's own time.
        let end = self
            .seconds
            .map(|s| Instant::now() + Duration::from_secs(s));
        let verdict = Mutex::new(PairsVerdict::default());
        let lane = || -> Result<(), String> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let late = end.is_some_and(|end| Instant::now() >= end);
                if number >= self.count || late || over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let seed = self.from.wrapping_add(number);
                let found = play_pair(seed, self.leaves_out);
                // What cannot go on has not to be waited for by the others.
                let found = found.inspect_err(|_| over.store(true, Ordering::Relaxed))?;
                let mut verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner);
                verdict.add(found);
                if self.until_found && verdict.differ > 0 {
                    over.store(true, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..self.threads.max(1))
                .map(|_| scope.spawn(lane))
                .collect();
            lanes.into_iter().try_for_each(|lane| match lane.join() {
                Ok(played) => played,
                Err(_) => Err("a lane panicked".to_owned()),
            })
        })?;
        let mut verdict = verdict.into_inner().unwrap_or_else(PoisonError::into_inner);
        verdict.told.sort_by_key(|found| found.seed);
        verdict.told.truncate(TOLD);
        Ok(verdict)
    }
}

impl PairsVerdict {
    fn add(&mut self, found: PairFound) {
        self.pairs += 1;
        for (&act, &count) in &found.acts {
            *self.acts.entry(act).or_default() += count;
        }
        if !found.faults.is_empty() {
            self.differ += 1;
            self.told.push(found);
        }
    }
}
