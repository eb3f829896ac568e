//! What others do to the containers of the cluster, by its API and behind its back.

use proximity_domain::recorded::RecordedGuest;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::{StrangerLook, World};

use super::act::Hand;
use super::narrow::hide;
use super::perform::{Stage, node};

impl Stage {
    pub(super) fn take_free(&self, vmid: u32, at: &str) {
        let busy = self.machine.cluster.lock().is_busy(vmid);
        self.machine.cluster.meddle(|world, _, now_ms| {
            if !busy && world.guests().all(|(other, _)| other != vmid) {
                // There is such a node.
                let _ = world.stranger_takes_by_api(vmid, at, &StrangerLook::default(), now_ms);
            }
        });
    }

    /// The container of an app, if it has one, and the node it is on now.
    async fn guest(&self, app: u8) -> Result<Option<(String, RecordedGuest)>, String> {
        let Some(app) = self.app(app).await? else {
            return Ok(None);
        };
        let guests = self.machine.store.recorded_guests(app).await;
        let guests = guests.map_err(|e| e.to_string())?;
        let Some(guest) = guests.into_iter().next() else {
            return Ok(None);
        };
        let vmid = guest.place().vmid.get();
        let at = self.machine.cluster.meddle(|world, _, _| {
            let found = world.guests().find(|(other, _)| *other == vmid);
            found.map(|(_, guest)| guest.node.clone())
        });
        let recorded = guest.place().node.to_string();
        Ok(Some((at.unwrap_or(recorded), guest)))
    }

    /// What somebody does to the container of an app, if it has one.
    pub(super) async fn on_guest(&self, app: u8, hand: Hand) -> Result<(), String> {
        let Some((at, guest)) = self.guest(app).await? else {
            return Ok(());
        };
        let vmid = guest.place().vmid.get();
        let cluster = &self.machine.cluster;
        let alters = match hand {
            Hand::Take
            | Hand::TakeAs { .. }
            | Hand::Vanish
            | Hand::Describe
            | Hand::ChangeMac
            | Hand::Destroy => true,
            Hand::Carry { .. }
            | Hand::Lock
            | Hand::Unlock
            | Hand::Protect { .. }
            | Hand::Power { .. }
            | Hand::IgnoreShutdown
            | Hand::Hide { .. }
            | Hand::Resize => false,
        };
        // What its owner does to it is no violation.
        cluster.meddle(|_, ground, _| ground.let_go(vmid));
        if alters {
            cluster.meddle(|_, ground, _| ground.alter(vmid));
        }
        let path = format!("/nodes/{at}/lxc/{vmid}");
        let put = |key: &str, value: &str| {
            cluster.somebody_calls(Method::Put, &format!("{path}/config"), &[(key, value)]);
        };
        let post = |what: &str| {
            cluster.somebody_calls(Method::Post, &format!("{path}/status/{what}"), &[]);
        };
        // What PVE itself works on is locked: nobody destroys it or puts another one there.
        let busy = cluster.lock().is_busy(vmid);
        match hand {
            Hand::Take | Hand::TakeAs { .. } | Hand::Vanish | Hand::Carry { .. } if busy => {}
            Hand::Take => cluster.taken(vmid, &at, &StrangerLook::default()),
            // There is no copy of what has never stood.
            Hand::TakeAs { .. } if guest.rootfs_volid().is_none() => {
                cluster.taken(vmid, &at, &StrangerLook::default());
            }
            Hand::TakeAs { mark, mac } => cluster.taken(vmid, &at, &copied(&guest, mark, mac)),
            Hand::Vanish => cluster.meddle(|world, ground, _| {
                ground.over(vmid);
                // Gone already is as good.
                let _ = world.vanish(vmid);
            }),
            Hand::Carry { node: to } => cluster.meddle(|world, _, _| carry(world, vmid, node(to))),
            Hand::Lock => cluster.meddle(|world, _, _| world.set_lock(vmid, Some("backup"))),
            Hand::Unlock => cluster.meddle(|world, _, _| world.set_lock(vmid, None)),
            Hand::Describe => put("description", "mine now"),
            Hand::ChangeMac => {
                put(
                    "net0",
                    "name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=BC:24:11:AA:AA:AA",
                );
            }
            Hand::Protect { on } => put("protection", if on { "1" } else { "0" }),
            Hand::Power { on } => post(if on { "start" } else { "stop" }),
            Hand::Destroy => {
                put("protection", "0");
                cluster.somebody_calls(Method::Delete, &path, &[("force", "1")]);
            }
            Hand::IgnoreShutdown => cluster.guests.ignore_shutdown(vmid),
            Hand::Hide { on } => hide(cluster, vmid, on),
            Hand::Resize => put("cores", "1"),
        }
        Ok(())
    }
}

/// Takes a container to another node; nothing happens if it is gone already, or one of the nodes cannot be reached. PVE migrates
/// nothing that is locked (PVE::LXC::Migrate, `prepare`).
fn carry(world: &mut World, vmid: u32, to: &str) {
    let is_locked = world
        .guests()
        .any(|(other, guest)| other == vmid && guest.config.get("lock").is_some());
    if !is_locked {
        let _ = world.carry_guest(vmid, to);
    }
}

/// A container that shows some of what another one shows, as clones and restores do, never all of it: its volume is another.
fn copied(guest: &RecordedGuest, mark: bool, mac: bool) -> StrangerLook {
    let native = guest.native().filter(|_| mark);
    let net0 = mac.then(|| format!("name=eth0,bridge=vmbr0,ip=dhcp,hwaddr={}", guest.net0_mac()));
    StrangerLook {
        hostname: None,
        description: native.map(|guest| guest.identity.mark.to_string()),
        net0,
        second_volume: mark && mac,
    }
}
