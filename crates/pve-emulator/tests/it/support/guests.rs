//! Guests without containers: they keep state, refuse what a container would refuse, and can be
//! told to fail.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proximity_pve_emulator::core::guest::{
    GuestChange, GuestCommand, GuestDone, GuestError, GuestInterface, GuestKey, GuestLook,
    GuestNet, GuestOutcome, GuestSpec,
};

/// One guest.
#[derive(Debug, Clone)]
pub struct Machine {
    pub spec: GuestSpec,
    pub running: bool,
    /// Does not react to the halt signal.
    pub deaf: bool,
}

/// All guests of a cluster.
#[derive(Debug, Default)]
pub struct Machines {
    pub machines: BTreeMap<GuestKey, Machine>,
    /// Messages the next creates, starts … of these kinds fail with.
    pub fail: BTreeMap<&'static str, String>,
    /// How long a look takes, milliseconds, if not 5.
    pub look_ms: Option<u64>,
    /// Files of templates whose init does not react to the halt signal.
    pub deaf: Vec<String>,
    /// Starts run and end with an error.
    pub start_lies: bool,
    /// Commands that came, by kind.
    pub seen: Vec<(&'static str, GuestKey)>,
}

impl Machines {
    /// Runs a command; the second value is how long it takes, milliseconds.
    pub fn run(&mut self, command: &GuestCommand) -> (GuestDone, u64) {
        let kind = match command {
            GuestCommand::Create { .. } => "create",
            GuestCommand::Start { .. } => "start",
            GuestCommand::Shutdown { .. } => "shutdown",
            GuestCommand::Kill { .. } => "kill",
            GuestCommand::Destroy { .. } => "destroy",
            GuestCommand::Change { .. } => "change",
            GuestCommand::Inspect { .. } => "inspect",
        };
        self.seen.push((kind, command.guest().clone()));
        let (result, took_ms) = match self.fail.remove(kind) {
            Some(message) => (Err(GuestError::Failed(message)), 10),
            None => self.act(command),
        };
        (
            GuestDone {
                job: command.job(),
                result,
            },
            took_ms,
        )
    }

    /// Nothing on a node runs any more.
    pub fn power_off(&mut self, node: &str) {
        let there = self.machines.iter_mut().filter(|(key, _)| key.node == node);
        there.for_each(|(_, machine)| machine.running = false);
    }

    fn act(&mut self, command: &GuestCommand) -> (Result<GuestOutcome, GuestError>, u64) {
        let done = |log: &str| {
            Ok(GuestOutcome::Done {
                log: log.lines().map(str::to_owned).collect(),
            })
        };
        let key = command.guest().clone();
        match command {
            GuestCommand::Create { spec, .. } => {
                let deaf = self.deaf.contains(&spec.template);
                self.machines.insert(
                    key,
                    Machine {
                        spec: spec.clone(),
                        running: false,
                        deaf,
                    },
                );
                (done("Total bytes read: 2201600 (2.1MiB, 85MiB/s)"), 100)
            }
            GuestCommand::Start { spec, .. } => match self.adopted(&key) {
                None => (Err(GuestError::Failed("no such container".into())), 10),
                Some(machine) => {
                    machine.running = true;
                    machine.spec = spec.clone();
                    match self.start_lies {
                        true => (Err(GuestError::TimedOut), 100),
                        false => (done(""), 100),
                    }
                }
            },
            GuestCommand::Shutdown { timeout_ms, .. } => match self.machines.get_mut(&key) {
                Some(machine) if machine.running && machine.deaf => {
                    (Err(GuestError::TimedOut), *timeout_ms)
                }
                Some(machine) => {
                    machine.running = false;
                    (done(""), 100)
                }
                None => (done(""), 10),
            },
            GuestCommand::Kill { .. } => {
                self.machines
                    .get_mut(&key)
                    .into_iter()
                    .for_each(|machine| machine.running = false);
                (done(""), 50)
            }
            GuestCommand::Destroy { .. } => match self.machines.get(&key) {
                Some(machine) if machine.running => {
                    (Err(GuestError::Failed("container is running".into())), 10)
                }
                Some(_) | None => {
                    self.machines.remove(&key);
                    (done(""), 50)
                }
            },
            GuestCommand::Change { change, .. } => self.change(&key, change),
            GuestCommand::Inspect { .. } => (
                Ok(GuestOutcome::Inspected(self.look(&key))),
                self.look_ms.unwrap_or(5),
            ),
        }
    }

    /// The guest, also when its shared disk was on another node before.
    fn adopted(&mut self, key: &GuestKey) -> Option<&mut Machine> {
        if !self.machines.contains_key(key) {
            let other = self
                .machines
                .keys()
                .find(|other| other.vmid == key.vmid)?
                .clone();
            let machine = self.machines.remove(&other)?;
            self.machines.insert(key.clone(), machine);
        }
        self.machines.get_mut(key)
    }

    fn change(
        &mut self,
        key: &GuestKey,
        change: &GuestChange,
    ) -> (Result<GuestOutcome, GuestError>, u64) {
        let done = Ok(GuestOutcome::Done { log: Vec::new() });
        match change {
            GuestChange::Copy { spec, .. } => {
                let deaf = self.deaf.contains(&spec.template);
                let machine = Machine {
                    spec: spec.clone(),
                    running: false,
                    deaf,
                };
                self.machines.insert(key.clone(), machine);
            }
            GuestChange::Rollback { .. } => {
                if let Some(machine) = self.machines.get_mut(key) {
                    machine.running = false;
                }
            }
            GuestChange::Apply { spec } => {
                if let Some(machine) = self.machines.get_mut(key) {
                    machine.spec = spec.clone();
                }
            }
            GuestChange::Move { to } => {
                if let Some(machine) = self.machines.remove(key) {
                    let there = GuestKey {
                        node: to.clone(),
                        vmid: key.vmid,
                    };
                    self.machines.insert(there, machine);
                }
            }
            GuestChange::Keep { .. } | GuestChange::Drop { .. } => {}
        }
        (done, 50)
    }

    fn look(&self, key: &GuestKey) -> GuestLook {
        let Some(machine) = self.machines.get(key).filter(|machine| machine.running) else {
            return GuestLook::default();
        };
        let lo = GuestInterface {
            name: "lo".into(),
            hwaddr: "00:00:00:00:00:00".into(),
            addresses: vec![
                (IpAddr::V4(Ipv4Addr::LOCALHOST), 8),
                (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
            ],
        };
        let devices = machine.spec.nets.values().map(device);
        GuestLook {
            running: true,
            pid: Some(4_242),
            mem_bytes: 5_771_264,
            cpu_ns: 0,
            net_in_bytes: 0,
            net_out_bytes: 90,
            interfaces: std::iter::once(lo).chain(devices).collect(),
        }
    }
}

fn device(net: &GuestNet) -> GuestInterface {
    let mut addresses = Vec::new();
    if let Some((address, bits)) = net.ip.as_deref().and_then(|ip| ip.split_once('/')) {
        addresses.push((address.parse().unwrap(), bits.parse().unwrap()));
        addresses.push(("fe80::be24:11ff:fe0b:7882".parse().unwrap(), 64));
    }
    GuestInterface {
        name: net.name.clone(),
        hwaddr: net.hwaddr.to_lowercase(),
        addresses,
    }
}
