//! The emulated cluster as plain data and pure decisions.
//!
//! [`handle`] takes the world, one input and the time, and gives answers and guest commands;
//! nothing here reads a clock, a file or a socket. A request that has to wait (for a look at a
//! guest, a configuration lock, a point in time) is parked in [`World::live`] and answered by a
//! later input; [`next_wakeup`] says when time alone is due to change something.
//!
//! Tasks survive a restart of the emulator: PVE's workers are processes of their own that outlive a
//! restart of the API daemons, so [`resume`] issues the guest commands that were not answered again
//! and the tasks run to their end.

mod access;
mod answer;
mod bridges;
mod broadcast;
mod calendar;
mod call;
mod checks;
mod console;
mod crypt;
mod datacenter;
mod dates;
mod decode;
mod disks;
mod error;
mod faults;
mod firewall;
mod guest_config;
mod guest_list;
mod ha;
mod ha_rules;
mod holdings;
mod image_name;
mod jobs;
mod json_body;
mod membership;
mod methods;
mod nets;
mod node_settings;
mod notify;
mod park;
mod pending;
mod pipeline;
mod plans;
mod random;
mod replication;
mod request;
mod rights;
mod scenery;
mod sections;
mod seed;
mod status_row;
mod stored;
mod task;
pub(crate) mod tracked;
mod upid;
mod views;
mod watched;
mod worker;
mod world;

pub mod guest;

pub use access::{Access, hash_secret};
pub use checks::{Check, CheckSettings, Violation};
pub use console::{ConsoleMode, ConsoleTarget};
pub(crate) use crypt::password_fits;
#[cfg(test)]
pub(crate) use crypt::sha512_crypt;
pub use faults::{
    Calls, FaultId, FaultKind, FaultRule, FaultView, FaultWish, GuestFaults, HeldCall, Release,
    StrangerLook,
};
pub use guest_config::GuestConfig;
pub use membership::Front;
pub(crate) use pipeline::SECRETS;
pub use request::{ApiRequest, Handed, Payload, RequestId, Response, Upload};
pub use scenery::{Scenery, SceneryPower, SceneryTasks};
pub use seed::{NodeSeed, TokenSeed, WorldSeed};
pub use stored::{Registry, RegistryImage};
pub use task::{Acting, Task, TaskState};
pub use upid::Upid;
pub(crate) use views::LastView;
pub use worker::ConsoleEnd;
pub(crate) use world::Volume;
pub use world::{
    Bridge, Daemon, Environment, Guest, Node, OciImage, Pool, Power, Reach, Storage, TaskTimes,
    Template, World,
};

use std::collections::BTreeMap;

use guest::{GuestCommand, GuestDone};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A call arrived at a node.
    Request(ApiRequest),
    /// A driver finished a command.
    GuestDone(GuestDone),
    /// Time passed.
    Tick,
}

/// What follows from an input.
#[derive(Debug, Default)]
pub struct Effects {
    /// Answers to this or earlier requests. They may leave once the world is on disk.
    pub responses: Vec<Response>,
    /// Commands for the driver, in the order they were decided; likewise only after the commit.
    pub commands: Vec<GuestCommand>,
}

/// Decides what an input does to the world. `now_ms` is Unix time and must not go backwards by
/// much.
pub fn handle(world: &mut World, input: Input, now_ms: u64) -> Effects {
    let mut effects = Effects::default();
    checks::begin(world, Some(&input), now_ms);
    match input {
        Input::Request(request) => faults::arrive(world, request, now_ms, &mut effects),
        Input::GuestDone(done) => jobs::finish(world, done, now_ms, &mut effects),
        Input::Tick => {}
    }
    settle(world, now_ms, &mut effects);
    scenery::answer(world, now_ms, &mut effects);
    checks::end(world);
    effects
}

/// To be called once after loading a world: what has to be asked of the driver again.
pub fn resume(world: &mut World, now_ms: u64) -> Effects {
    let mut effects = Effects::default();
    checks::begin(world, None, now_ms);
    let prefix = world.datacenter.get("mac_prefix").cloned();
    world.random.set_mac_prefix(prefix);
    effects
        .commands
        .extend(world.jobs.values().map(|job| job.command.clone()));
    worker::cut_off_consoles(world, now_ms);
    broadcast::start(world, now_ms, &mut effects);
    settle(world, now_ms, &mut effects);
    scenery::answer(world, now_ms, &mut effects);
    checks::end(world);
    effects
}

/// When a [`Input::Tick`] is due at the latest, Unix time in milliseconds.
pub fn next_wakeup(world: &World) -> Option<u64> {
    let tasks = world.tasks.iter().filter_map(Task::due_ms);
    tasks
        .chain(park::due_ms(world))
        .chain(faults::due_ms(world))
        .chain([world.next_broadcast_ms])
        .chain(ha::due_ms(world))
        .min()
}

/// Methods of PVE's API that have a behaviour here, as verb and schema path, in the schema's order.
pub fn emulated_methods() -> Vec<(&'static str, &'static str)> {
    let methods = crate::schema::table().methods().iter();
    methods
        .map(|method| (method.verb.as_str(), method.path.as_str()))
        .filter(|(verb, path)| methods::behaviour(verb, path).is_some())
        .collect()
}

/// Whether a call sends a file to a storage.
pub fn is_upload(method: &str, path: &str) -> bool {
    method == "POST" && pipeline::upload_storage(path).is_some()
}

/// The answer to a call that may not send its file, before any of it is read.
pub fn refuse_upload(world: &World, request: &ApiRequest, now_ms: u64) -> Option<Response> {
    pipeline::refuse_upload(world, request, now_ms)
}

/// What a call is about, for journals; nothing is checked.
pub fn describe(request: &ApiRequest) -> Description {
    pipeline::describe(request)
}

/// What a call is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// The schema's path, e.g. `/nodes/{node}/lxc/{vmid}`.
    pub template: Option<String>,
    /// The guest.
    pub vmid: Option<u32>,
    /// Parameters of path, query and body as texts; passwords are among them.
    pub parameters: BTreeMap<String, String>,
}

/// Lets time and freed locks take effect until nothing changes any more.
fn settle(world: &mut World, now_ms: u64, effects: &mut Effects) {
    if now_ms >= world.next_broadcast_ms {
        broadcast::start(world, now_ms, effects);
    }
    ha::advance(world, now_ms);
    // Each round ends at least one wait; the bound only guards against a mistake.
    for _ in 0..10_000 {
        let moved = faults::advance(world, now_ms, effects)
            | worker::advance(world, now_ms, effects)
            | park::advance(world, now_ms, effects);
        if !moved {
            return;
        }
    }
    tracing::error!("the world does not come to rest");
}
