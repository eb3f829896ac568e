//! What the manager was asked to do with resources: it takes that in at its next look.

use super::{Resource, World, is_busy};
use crate::core::guest::GuestKey;
use crate::core::task::Work;

/// How long a shutdown may take that was not asked for with a time, seconds.
const SHUTDOWN_S: u64 = 60;

/// Takes in who was asked to move where. A node that is not there, the one a resource is on, and one with a resource
/// that it is kept apart from count for nothing; those it is kept together with come along.
pub(super) fn take_in(world: &mut World, online: &[String]) {
    take_stops(world, online);
    let asked = world.ha.resources.iter();
    let asked = asked.filter_map(|(sid, resource)| Some((sid.clone(), resource.wish.clone()?)));
    let asked: Vec<(String, (String, String))> = asked.collect();
    for (sid, (how, node)) in asked {
        let (near, far) = world.ha_companions(&sid);
        let there = |other: &String| place_of(world, other).is_some_and(|place| place == node);
        let in_vain = !online.contains(&node) || is_on(world, &sid, &node);
        if in_vain || far.iter().any(there) {
            forget(world, &sid);
            continue;
        }
        for other in near {
            let place = place_of(world, &other);
            if place.is_some_and(|place| place != node)
                && let Some(resource) = world.ha.resources.get_mut(&other)
            {
                resource.wish = Some((how.clone(), node.clone()));
            }
        }
    }
}

/// Who was asked to stop is wanted stopped from now on, if it was wanted started. One that something is done with has to wait.
fn take_stops(world: &mut World, online: &[String]) {
    let resources = world.ha.resources.iter();
    let asked = resources.filter(|(_, resource)| resource.stop_s.is_some());
    let asked: Vec<(String, u32)> = asked.map(|(sid, it)| (sid.clone(), it.vmid)).collect();
    for (sid, vmid) in asked {
        let node = world.guests.get(&vmid).map(|guest| guest.node.clone());
        let Some(node) = node.filter(|node| online.contains(node)) else {
            continue;
        };
        if is_busy(world, &GuestKey { node, vmid }) {
            continue;
        }
        let Some(resource) = world.ha.resources.get_mut(&sid) else {
            continue;
        };
        let given_up = resource.current.as_deref() == Some("error");
        if given_up || !matches!(resource.state.as_str(), "started" | "enabled") {
            resource.stop_s = None;
        } else {
            resource.state = "stopped".into();
            resource.state_meant = false;
        }
    }
}

/// How a guest that is to be stopped is stopped: kind and work of the task.
pub(super) fn stop(world: &mut World, sid: &str) -> (&'static str, Work) {
    let asked = world.ha.resources.get(sid).and_then(|it| it.stop_s);
    if asked.is_some()
        && let Some(resource) = world.ha.resources.get_mut(sid)
    {
        resource.stop_s = None;
    }
    match asked {
        Some(0) => ("vzstop", Work::Stop),
        given => {
            let timeout_s = given.unwrap_or(SHUTDOWN_S);
            let force = true;
            ("vzshutdown", Work::Shutdown { timeout_s, force })
        }
    }
}

fn forget(world: &mut World, sid: &str) {
    if let Some(resource) = world.ha.resources.get_mut(sid) {
        resource.wish = None;
    }
}

fn is_on(world: &World, sid: &str, node: &str) -> bool {
    let vmid = world.ha.resources.get(sid).map(|resource| resource.vmid);
    let guest = vmid.and_then(|vmid| world.guests.get(&vmid));
    guest.is_some_and(|guest| guest.node == node)
}

/// Where a resource that the manager knows is, or is on its way to.
fn place_of(world: &World, sid: &str) -> Option<String> {
    let resource = world.ha.resources.get(sid);
    let resource = resource.filter(|resource| resource.current.is_some())?;
    let on = || Some(world.guests.get(&resource.vmid)?.node.clone());
    resource.going_to.clone().or_else(on)
}

impl World {
    /// Asks the manager to `migrate` or `relocate` a guest; it acts at its next look.
    pub(crate) fn ask_to_move(&mut self, vmid: u32, how: &str, node: &str) {
        let resource = self.ha.resources.get_mut(&format!("ct:{vmid}"));
        if let Some(Resource { wish, stop_s, .. }) = resource {
            *wish = Some((how.to_owned(), node.to_owned()));
            *stop_s = None;
        }
    }

    /// Asks the manager to stop a guest, within so many seconds; it acts at its next look.
    pub(crate) fn ask_to_stop(&mut self, vmid: u32, timeout_s: u64) {
        let resource = self.ha.resources.get_mut(&format!("ct:{vmid}"));
        if let Some(Resource { wish, stop_s, .. }) = resource {
            *stop_s = Some(timeout_s);
            *wish = None;
        }
    }
}
