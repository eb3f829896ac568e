//! What is broken around a guest, and what is done to guests behind the API's back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::guest::{GuestChange, GuestCommand, GuestKey, GuestLook, JobId};
use crate::core::guest_config::GuestConfig;
use crate::core::task::{Task, TaskState, Work};
use crate::core::upid::Upid;
use crate::core::world::{Guest, Node, Power, Reach, World};

/// Who does what strangers do by the API.
const STRANGER: &str = "root@pam";
/// The number of a container of theirs that they clone: the task of a clone is about what it is made of.
const CLONED: &str = "9000";

/// What is broken around a guest; with its number, whoever has that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuestFaults {
    /// Starts fail in the task.
    pub boot_fails: bool,
    /// It never gets an address.
    pub no_network: bool,
}

/// What a stranger's container shows; of nothing that is absent here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StrangerLook {
    /// Its host name, instead of `stranger`.
    pub hostname: Option<String>,
    /// Its description, as a restore or a clone copies one.
    pub description: Option<String>,
    /// Its first network device.
    pub net0: Option<String>,
    /// Its root is the second volume of its number; the first one is used by nothing.
    pub second_volume: bool,
}

impl World {
    /// Breaks or mends what is around a guest.
    pub fn set_guest_faults(&mut self, vmid: u32, faults: GuestFaults) {
        if faults == GuestFaults::default() {
            self.faults.guests.remove(&vmid);
        } else {
            self.faults.guests.insert(vmid, faults);
        }
    }

    /// What is broken around a guest.
    #[must_use]
    pub fn guest_faults(&self, vmid: u32) -> GuestFaults {
        self.faults.guests.get(&vmid).copied().unwrap_or_default()
    }

    /// A guest vanishes: its configuration, its volumes, its processes and its disk, without a task.
    ///
    /// # Errors
    /// It is not there.
    pub fn vanish(&mut self, vmid: u32) -> Result<(), String> {
        let key = self.place_of(vmid)?;
        self.forget_guest(vmid);
        self.live.looks.remove(&vmid);
        self.end_processes(key.clone());
        let job = self.allocate_job();
        self.faults
            .owed
            .push(GuestCommand::Destroy { job, guest: key });
        Ok(())
    }

    /// A stranger has the number: a stopped container of theirs, made of the same template. Whoever had it vanishes.
    ///
    /// # Errors
    /// There is no such node.
    pub fn stranger_takes(&mut self, vmid: u32, node: &str, now_ms: u64) -> Result<(), String> {
        self.stranger_takes_as(vmid, node, &StrangerLook::default(), now_ms)
    }

    /// The same, with a container that shows this.
    ///
    /// # Errors
    /// There is no such node.
    pub fn stranger_takes_as(
        &mut self,
        vmid: u32,
        node: &str,
        look: &StrangerLook,
        now_ms: u64,
    ) -> Result<(), String> {
        if self.node(node).is_none() {
            return Err(format!("there is no node '{node}'"));
        }
        let stores = self.storages.iter();
        let mut stores = stores.filter(|store| store.holds("rootdir") && store.on(node));
        let storage = stores.next().map(|store| store.id.clone());
        let storage = storage.ok_or_else(|| format!("no storage for containers on {node}"))?;
        let before = self.guests.get(&vmid).cloned();
        if before.is_some() {
            self.vanish(vmid)?;
        }
        let template = before.map_or_else(
            || self.templates.first().map(|found| found.file.clone()),
            |guest| Some(guest.template),
        );
        let template = template.unwrap_or_default();
        let key = GuestKey {
            node: node.to_owned(),
            vmid,
        };
        let mut volid = self.make_volume(&storage, &key, 1 << 30, now_ms);
        if look.second_volume {
            volid = self.make_volume(&storage, &key, 1 << 30, now_ms);
        }
        let config = strangers(look, &volid);
        let spec = config.spec(&template);
        let guest = Guest {
            node: node.to_owned(),
            config,
            power: Power::Stopped,
            snapshots: BTreeMap::new(),
            template,
            created_ms: now_ms,
            broadcast: None,
            broadcast_ms: 0,
            row: None,
            scenery: false,
        };
        self.guests.insert(vmid, guest);
        let job = self.allocate_job();
        let guest = key;
        self.faults
            .owed
            .push(GuestCommand::Create { job, guest, spec });
        Ok(())
    }

    /// The same, by the API: the nodes' lists of tasks tell of the destroy of whoever had the number, and of what made theirs. That
    /// is a restore if it shows the MAC of another one, for restores keep it; a clone if it shows notes alone; else a create.
    ///
    /// # Errors
    /// There is no such node.
    pub fn stranger_takes_by_api(
        &mut self,
        vmid: u32,
        node: &str,
        look: &StrangerLook,
        now_ms: u64,
    ) -> Result<(), String> {
        let before = self.guests.get(&vmid).map(|guest| guest.node.clone());
        self.stranger_takes_as(vmid, node, look, now_ms)?;
        let number = vmid.to_string();
        if let Some(before) = before {
            self.leave_task(&before, ("vzdestroy", &number), now_ms);
        }
        let made = match (&look.description, &look.net0) {
            (_, Some(_)) => ("vzrestore", number.as_str()),
            (Some(_), None) => ("vzclone", CLONED),
            (None, None) => ("vzcreate", number.as_str()),
        };
        self.leave_task(node, made, now_ms);
        Ok(())
    }

    /// A task of a stranger's, of this kind and about this, that has ended well.
    fn leave_task(&mut self, node: &str, (kind, id): (&str, &str), now_ms: u64) {
        let (pid, pstart) = self.fork(node, now_ms);
        let now_s = now_ms / 1_000;
        self.tasks.push(Task {
            upid: Upid {
                node: node.to_owned(),
                pid,
                pstart,
                starttime_s: now_s,
                kind: kind.to_owned(),
                id: id.to_owned(),
                user: STRANGER.to_owned(),
            },
            // What it was to do is done, and nothing asks for it any more.
            work: Work::Start,
            lock: None,
            skips_lock: false,
            began: true,
            log: Vec::new(),
            warnings: 0,
            state: TaskState::Stopped {
                exit: "OK".to_owned(),
                end_s: now_s,
            },
            by: None,
        });
    }

    /// A guest is on another node now, with its disk, as an offline migration by somebody else leaves it: stopped. Both nodes
    /// have to be among a majority that can talk to each other: the configuration moves by a file system that is written with
    /// quorum alone. Only from a node without power high availability takes guests too, whose disk others can reach.
    ///
    /// # Errors
    /// There is no such guest or node, or no migration between the two can be now.
    pub fn carry_guest(&mut self, vmid: u32, to: &str) -> Result<(), String> {
        let key = self.place_of(vmid)?;
        if self.node(to).is_none() {
            return Err(format!("there is no node '{to}'"));
        }
        if key.node == to {
            return Ok(());
        }
        let is_dead = self.node(&key.node).is_some_and(|node| !node.powered);
        let from = (!is_dead).then_some(key.node.as_str());
        for node in from.into_iter().chain([to]) {
            if !self.is_among_majority(node) {
                return Err(format!("node '{node}' cannot take part in a migration"));
            }
        }
        self.move_guest(vmid, to);
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.power = Power::Stopped;
        }
        self.checks.stopped(vmid);
        self.end_processes(key.clone());
        let job = self.allocate_job();
        self.faults.owed.push(GuestCommand::Change {
            job,
            guest: key,
            change: GuestChange::Move { to: to.to_owned() },
        });
        Ok(())
    }

    /// The configuration file alone is put on another node, as `mv` below `/etc/pve` does; what runs goes on there.
    ///
    /// # Errors
    /// There is no such guest or node.
    pub fn move_config(&mut self, vmid: u32, to: &str) -> Result<(), String> {
        self.place_of(vmid)?;
        if self.node(to).is_none() {
            return Err(format!("there is no node '{to}'"));
        }
        if let Some(guest) = self.guests.get_mut(&vmid) {
            to.clone_into(&mut guest.node);
            guest.power = Power::Stopped;
        }
        Ok(())
    }

    /// The driver is to end what runs of a guest.
    pub(crate) fn end_processes(&mut self, guest: GuestKey) {
        let job = self.allocate_job();
        self.faults.owed.push(GuestCommand::Kill { job, guest });
    }

    /// The driver answered: if that was the command owed, the next one's turn has come.
    pub(crate) fn note_owed(&mut self, job: JobId) {
        if self
            .faults
            .owed
            .first()
            .is_some_and(|owed| owed.job() == job)
        {
            self.faults.owed.remove(0);
            self.live.faults.owed_given = false;
        }
    }

    /// Whether the driver has still to be told something about a guest that was changed behind the API's back.
    pub(crate) fn owes(&self, guest: &GuestKey) -> bool {
        self.faults.owed.iter().any(|owed| owed.guest() == guest)
    }

    /// The command the driver works on because it is owed.
    pub(crate) fn owed_command(&self, job: JobId) -> Option<&GuestCommand> {
        let first = self.faults.owed.first();
        first.filter(|owed| owed.job() == job)
    }

    /// The node runs, and most nodes can be talked to, itself among them.
    fn is_among_majority(&self, name: &str) -> bool {
        let is_up = |node: &&Node| node.powered && node.reach == Reach::Up;
        let up = self.nodes.iter().filter(is_up);
        up.clone().any(|node| node.name == name) && up.count() * 2 > self.nodes.len()
    }

    fn place_of(&self, vmid: u32) -> Result<GuestKey, String> {
        let guest = self.guests.get(&vmid);
        let node = guest.map(|guest| guest.node.clone());
        node.map(|node| GuestKey { node, vmid })
            .ok_or_else(|| format!("there is no guest {vmid}"))
    }

    /// What a look shows of a guest without network.
    pub(crate) fn as_faults_let_see(&self, vmid: u32, mut look: GuestLook) -> GuestLook {
        if self.guest_faults(vmid).no_network {
            let others = look.interfaces.iter_mut().filter(|net| net.name != "lo");
            others.for_each(|net| net.addresses.clear());
        }
        look
    }
}

/// The configuration of a stranger's container.
fn strangers(look: &StrangerLook, volid: &str) -> GuestConfig {
    let set = |key: &str, value: String| (key.to_owned(), value);
    let hostname = look.hostname.clone();
    let mut keys = BTreeMap::from([
        set("arch", "amd64".to_owned()),
        set(
            "hostname",
            hostname.unwrap_or_else(|| "stranger".to_owned()),
        ),
        set("memory", "512".to_owned()),
        set("ostype", "unmanaged".to_owned()),
        set("rootfs", format!("{volid},size=1G")),
        set("swap", "512".to_owned()),
        set("unprivileged", "1".to_owned()),
    ]);
    let shown = [("description", &look.description), ("net0", &look.net0)];
    keys.extend(
        shown
            .into_iter()
            .filter_map(|(key, value)| Some(set(key, value.clone()?))),
    );
    GuestConfig {
        keys,
        ..GuestConfig::default()
    }
}
