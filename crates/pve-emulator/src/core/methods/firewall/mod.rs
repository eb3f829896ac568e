//! The firewall of the cluster, its groups, nodes and containers (pve-firewall, `API2/Firewall`).

mod aliases;
mod groups;
mod options;
mod reading;
mod rules;
mod sets;

use super::super::call::{Call, Stop};
use super::super::error::ApiError;
use super::super::firewall::{self, Config, Fault, Loaded, Place};
use super::Behaviour;

/// The behaviour of a method, by verb and what follows `/firewall`; `below` is what comes before it.
pub(super) fn behaviour(verb: &str, below: &str, rest: &str) -> Option<Behaviour> {
    match below {
        "/cluster" => of_groups(verb, rest)
            .or_else(|| of_anything(verb, rest))
            .or_else(|| of_names(verb, rest)),
        "/nodes/{node}" => of_anything(verb, rest).filter(|_| !rest.starts_with("/refs")),
        _ => of_anything(verb, rest)
            .or_else(|| of_names(verb, rest))
            .or(((verb, rest) == ("GET", "/log")).then_some(reading::log as Behaviour)),
    }
}

fn of_anything(verb: &str, rest: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match (verb, rest) {
        ("GET", "") => reading::index,
        ("GET", "/options") => options::read,
        ("PUT", "/options") => options::update,
        ("GET", "/refs") => reading::references,
        ("GET", "/rules") => rules::list,
        ("POST", "/rules") => rules::create,
        ("GET", "/rules/{pos}") => rules::read,
        ("PUT", "/rules/{pos}") => rules::update,
        ("DELETE", "/rules/{pos}") => rules::delete,
        (_, _) => return None,
    };
    Some(behaviour)
}

fn of_names(verb: &str, rest: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match (verb, rest) {
        ("GET", "/aliases") => aliases::list,
        ("POST", "/aliases") => aliases::create,
        ("GET", "/aliases/{name}") => aliases::read,
        ("PUT", "/aliases/{name}") => aliases::update,
        ("DELETE", "/aliases/{name}") => aliases::delete,
        ("GET", "/ipset") => sets::list,
        ("POST", "/ipset") => sets::create,
        ("GET", "/ipset/{name}") => sets::members,
        ("POST", "/ipset/{name}") => sets::add,
        ("DELETE", "/ipset/{name}") => sets::delete,
        ("GET", "/ipset/{name}/{cidr}") => sets::read,
        ("PUT", "/ipset/{name}/{cidr}") => sets::update,
        ("DELETE", "/ipset/{name}/{cidr}") => sets::remove,
        (_, _) => return None,
    };
    Some(behaviour)
}

fn of_groups(verb: &str, rest: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match (verb, rest) {
        ("GET", "/groups") => groups::list,
        ("POST", "/groups") => groups::create,
        ("DELETE", "/groups/{group}") => groups::delete,
        ("GET", "/groups/{group}") => rules::list,
        ("POST", "/groups/{group}") => rules::create,
        ("GET", "/groups/{group}/{pos}") => rules::read,
        ("PUT", "/groups/{group}/{pos}") => rules::update,
        ("DELETE", "/groups/{group}/{pos}") => rules::delete,
        (_, _) => return None,
    };
    Some(behaviour)
}

/// Whose configuration a call is about.
fn place(call: &Call<'_>) -> Place {
    if call.text("vmid").is_some() {
        return Place::Guest(call.guest_key().vmid);
    }
    if call.text("node").is_some() {
        return Place::Node(call.node.clone());
    }
    call.text("group").map_or(Place::Cluster, Place::Group)
}

fn load(call: &Call<'_>, place: &Place) -> Loaded {
    firewall::load(&call.world.firewall, place, call.now_s())
}

/// The same, to be changed.
fn load_locked(call: &Call<'_>, place: &Place) -> Result<Loaded, Stop> {
    call.cluster_lock(&place.lock(), "")?;
    Ok(load(call, place))
}

fn save(call: &mut Call<'_>, place: &Place, config: &Config) {
    firewall::save(&mut call.world.firewall, place, config);
}

fn refused(fault: Fault) -> ApiError {
    match fault {
        Fault::Part(part, text) => ApiError::parameter(&part, text),
        Fault::Whole(text) => ApiError::died(text),
    }
}
