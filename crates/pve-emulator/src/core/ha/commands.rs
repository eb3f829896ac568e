//! What the manager was asked to do with resources: it takes that in at its next look.

use super::{Resource, World};

/// Takes in who was asked to move where. A node that is not there, the one a resource is on, and one with a resource
/// that it is kept apart from count for nothing; those it is kept together with come along.
pub(super) fn take_in(world: &mut World, online: &[String]) {
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
        if let Some(Resource { wish, .. }) = resource {
            *wish = Some((how.to_owned(), node.to_owned()));
        }
    }
}
