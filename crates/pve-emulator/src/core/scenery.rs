//! Containers that are only told of: so many that a machine could not run them, for benches and for looking at large clusters.
//!
//! To the API they are containers like any other: they start, stop, change, can be copied and destroyed. Nothing runs in
//! them, and nothing is behind their addresses; no driver is ever asked about them.

use serde::Deserialize;

use super::guest::{GuestCommand, GuestDone, GuestKey, GuestLook, GuestOutcome};
use super::guest_config::GuestConfig;
use super::image_name::{self, Form};
use super::task::{Task, TaskState, Work};
use super::upid::Upid;
use super::world::{Guest, Pool, Power, Volume, World};
use super::{Effects, broadcast, jobs, settle};

/// The most that one order makes.
const MOST: u32 = 100_000;
const LAST_VMID: u32 = 999_999_999;
const DISK_BYTES: u64 = 4 << 30;
const MEMORY_MIB: u64 = 512;

/// An order for such containers.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenery {
    /// How many.
    pub guests: u32,
    /// The number of the first one; the others follow.
    #[serde(default = "first")]
    pub first_vmid: u32,
    /// So many of a hundred run.
    #[serde(default = "most_run")]
    pub running_percent: u32,
    /// They are members of so many pools, in turn; the pools are made.
    #[serde(default)]
    pub pools: u32,
}

/// Somebody switches such containers on or off, past the API.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneryPower {
    /// The number of the first one; the others follow.
    pub first_vmid: u32,
    /// How many.
    pub guests: u32,
    /// Whether they run afterwards.
    pub running: bool,
}

/// Tasks of which only the lists tell.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneryTasks {
    /// So many of each node, which all went well, an hour from one to the next, the newest an hour ago.
    pub each: u32,
}

/// The most tasks of each node that one order makes.
const MOST_TASKS: u32 = 100;
const HOUR_S: u64 = 3_600;

fn first() -> u32 {
    10_000
}

fn most_run() -> u32 {
    80
}

impl World {
    /// Sets up containers that are only told of, in turn on all nodes, with their disks on the first storage for them.
    ///
    /// # Errors
    /// A number is taken or none, there are too many, or no storage takes containers; nothing was set up then.
    pub fn set_up_scenery(&mut self, order: Scenery, now_ms: u64) -> Result<(), String> {
        let Scenery {
            guests,
            first_vmid,
            running_percent,
            pools,
        } = order;
        if guests > MOST || running_percent > 100 || pools > guests {
            return Err(format!(
                "at most {MOST} guests, 100 percent of them, and as many pools as guests"
            ));
        }
        let pools: Vec<String> = (1..=pools)
            .map(|number| format!("scenery-{number}"))
            .collect();
        if let Some(taken) = pools.iter().find(|name| self.pools.contains_key(*name)) {
            return Err(format!("there is a pool '{taken}'"));
        }
        let end = first_vmid
            .checked_add(guests)
            .filter(|end| *end <= LAST_VMID + 1);
        let vmids = match end {
            Some(end) if first_vmid >= 100 => first_vmid..end,
            Some(_) | None => return Err(format!("numbers go from 100 to {LAST_VMID}")),
        };
        if let Some(taken) = vmids.clone().find(|vmid| self.guests.contains_key(vmid)) {
            return Err(format!("{taken} is taken"));
        }
        let storage = self
            .storages
            .iter()
            .find(|storage| storage.holds("rootdir"));
        let storage = storage.ok_or("no storage takes containers")?.clone();
        let nodes: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        for (vmid, node) in vmids.clone().zip(nodes.iter().cycle()) {
            let running = vmid % 100 < running_percent;
            let form = Form::for_container(&storage.kind, DISK_BYTES);
            let name = image_name::numbered(&storage.kind, form, vmid, 0);
            let guest = guest(
                vmid,
                node,
                &format!("{}:{name}", storage.id),
                running,
                now_ms,
            );
            self.guests.insert(vmid, guest);
            self.volumes.push(Volume {
                storage: storage.id.clone(),
                node: (!storage.shared).then(|| node.clone()),
                vmid,
                name,
                size_bytes: DISK_BYTES,
                ctime_s: now_ms / 1000,
                blank: false,
            });
        }
        for (place, name) in pools.iter().enumerate() {
            let members = vmids.clone().skip(place).step_by(pools.len());
            let pool = Pool {
                comment: Some("Scenery".to_owned()),
                vms: members.collect(),
                storages: Vec::new(),
            };
            self.pools.insert(name.clone(), pool);
        }
        // They are told of at once.
        self.next_broadcast_ms = now_ms;
        Ok(())
    }

    /// Switches containers that are only told of on or off. They are told of at once, as when the broadcast of their nodes came
    /// right then.
    ///
    /// # Errors
    /// One of them is no such container; nothing was changed then.
    pub fn switch_scenery(&mut self, order: SceneryPower, now_ms: u64) -> Result<(), String> {
        let end = order.first_vmid.checked_add(order.guests);
        let vmids = order.first_vmid..end.ok_or("too many")?;
        let is_told_of = |vmid: &u32| self.guests.get(vmid).is_some_and(|guest| guest.scenery);
        if let Some(other) = vmids.clone().find(|vmid| !is_told_of(vmid)) {
            return Err(format!("{other} is no container that is only told of"));
        }
        let power = match order.running {
            true => Power::Running { since_ms: now_ms },
            false => Power::Stopped,
        };
        for vmid in vmids {
            let Some(guest) = self.guests.get_mut(&vmid) else {
                continue;
            };
            guest.power = power;
            let node = guest.node.clone();
            broadcast::publish(self, &GuestKey { node, vmid }, now_ms);
        }
        Ok(())
    }

    /// Sets up tasks of which only the lists tell, backups of all guests, before anything else was done.
    ///
    /// # Errors
    /// There are tasks, or too many were ordered, for people.
    pub fn list_scenery_tasks(&mut self, order: SceneryTasks, now_ms: u64) -> Result<(), String> {
        if self.tasks.last().is_some() || order.each > MOST_TASKS {
            return Err(format!("at most {MOST_TASKS}, and before all others"));
        }
        let nodes: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        for hours in (1..=order.each).rev() {
            let begun_s = (now_ms / 1_000).saturating_sub(u64::from(hours) * HOUR_S);
            for (pid, node) in (1_000..).zip(&nodes) {
                self.tasks.push(backup(node, pid, begun_s));
            }
        }
        Ok(())
    }

    fn is_scenery(&self, key: &GuestKey) -> bool {
        self.guest(key).is_some_and(|guest| guest.scenery)
    }
}

fn guest(vmid: u32, node: &str, volid: &str, running: bool, now_ms: u64) -> Guest {
    let [_, high, middle, low] = vmid.to_be_bytes();
    let net = format!(
        "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:{high:02X}:{middle:02X}:{low:02X},ip=dhcp,type=veth"
    );
    let mut config = GuestConfig::default();
    let keys = [
        ("arch", "amd64".to_owned()),
        ("cores", "1".to_owned()),
        ("hostname", format!("scenery-{vmid}")),
        ("memory", MEMORY_MIB.to_string()),
        ("net0", net),
        ("ostype", "debian".to_owned()),
        ("rootfs", format!("{volid},size=4G")),
        ("swap", "512".to_owned()),
        ("unprivileged", "1".to_owned()),
    ];
    for (key, value) in keys {
        config.keys.insert(key.to_owned(), value);
    }
    if vmid.is_multiple_of(10) {
        config.keys.insert("tags".to_owned(), "scenery".to_owned());
    }
    Guest {
        node: node.to_owned(),
        config,
        power: match running {
            true => Power::Running { since_ms: now_ms },
            false => Power::Stopped,
        },
        snapshots: Default::default(),
        template: String::new(),
        created_ms: now_ms,
        broadcast: None,
        broadcast_ms: 0,
        row: None,
        scenery: true,
    }
}

/// One that went well.
fn backup(node: &str, pid: u32, begun_s: u64) -> Task {
    Task {
        upid: Upid {
            node: node.to_owned(),
            pid,
            pstart: 1,
            starttime_s: begun_s,
            kind: "vzdump".to_owned(),
            id: String::new(),
            user: "root@pam".to_owned(),
        },
        work: Work::Start,
        lock: None,
        skips_lock: false,
        began: true,
        log: Vec::new(),
        warnings: 0,
        state: TaskState::Stopped {
            exit: "OK".to_owned(),
            end_s: begun_s + 60,
        },
        by: None,
    }
}

/// Does what is asked of such containers, in place of a driver.
pub(super) fn answer(world: &mut World, now_ms: u64, effects: &mut Effects) {
    loop {
        let commands = std::mem::take(&mut effects.commands);
        let (ours, others): (Vec<_>, Vec<_>) = commands
            .into_iter()
            .partition(|command| world.is_scenery(command.guest()));
        effects.commands = others;
        if ours.is_empty() {
            return;
        }
        for command in ours {
            let done = done(world, &command, now_ms);
            jobs::finish(world, done, now_ms, effects);
        }
        settle(world, now_ms, effects);
    }
}

fn done(world: &World, command: &GuestCommand, now_ms: u64) -> GuestDone {
    let outcome = match command {
        GuestCommand::Inspect { guest, .. } => GuestOutcome::Inspected(look(world, guest, now_ms)),
        _ => GuestOutcome::Done { log: Vec::new() },
    };
    GuestDone {
        job: command.job(),
        result: Ok(outcome),
    }
}

/// Figures that differ between containers, and move from one look to the next.
fn look(world: &World, key: &GuestKey, now_ms: u64) -> GuestLook {
    let power = world.guest(key).map(|guest| guest.power);
    let Some(Power::Running { since_ms }) = power else {
        return GuestLook::default();
    };
    let up_ms = now_ms.saturating_sub(since_ms);
    let vmid = u64::from(key.vmid);
    let busy_percent = vmid % 37;
    let memory_mib = 32 + (vmid * 31 + up_ms / 10_000) % (MEMORY_MIB - 64);
    GuestLook {
        running: true,
        pid: Some(key.vmid),
        cpu_ns: up_ms * busy_percent * 10_000,
        mem_bytes: memory_mib << 20,
        net_in_bytes: up_ms * (vmid % 101),
        net_out_bytes: up_ms * (vmid % 53),
        ..GuestLook::default()
    }
}
