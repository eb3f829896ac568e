//! `/cluster/ha`: resources, and what the manager says about itself.

use serde_json::{Map, Value, json};

use super::super::call::{Call, Outcome};
use super::super::dates;
use super::super::error::ApiError;
use super::super::ha::Resource;
use super::check_quorum;
use crate::schema::split_list;

/// A manager that has not been heard of for so long may be dead, milliseconds.
const OLD_MS: u64 = 30_000;

pub(super) fn index(_: &mut Call<'_>) -> Outcome {
    Ok(json!([{"id": "status"}, {"id": "resources"}, {"id": "groups"}, {"id": "rules"}]).into())
}

pub(super) fn status_index(_: &mut Call<'_>) -> Outcome {
    Ok(json!([{"name": "current"}, {"name": "manager_status"}]).into())
}

fn row(call: &Call<'_>, sid: &str, resource: &Resource) -> Value {
    let mut row = Map::from_iter([
        ("sid".to_owned(), json!(sid)),
        ("type".to_owned(), json!("ct")),
        ("state".to_owned(), json!(resource.state)),
        ("digest".to_owned(), json!(call.world.ha.digest())),
    ]);
    for (key, value) in &resource.options {
        let number = value.parse::<u64>().ok().filter(|_| key != "comment");
        row.insert(
            key.clone(),
            number.map_or_else(|| value.clone().into(), Value::from),
        );
    }
    Value::Object(row)
}

pub(super) fn resources(call: &mut Call<'_>) -> Outcome {
    let wanted = call.text("type").is_none_or(|kind| kind == "ct");
    let rows = call.world.ha.resources.iter().filter(|_| wanted);
    Ok(rows
        .map(|(sid, resource)| row(call, sid, resource))
        .collect::<Value>()
        .into())
}

/// `ct:100` or `100`, as the full id.
fn sid_of(call: &Call<'_>) -> Result<(String, u32), ApiError> {
    let given = call.text("sid").unwrap_or_default();
    let (kind, name) = given.split_once(':').unwrap_or(("ct", &given));
    if !matches!(kind, "ct" | "vm") {
        return Err(ApiError::died(format!("unknown section type '{kind}'")));
    }
    let vmid = name.parse().unwrap_or_default();
    Ok((format!("{kind}:{name}"), vmid))
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let (sid, _) = sid_of(call)?;
    match call.world.ha.resources.get(&sid) {
        Some(resource) => Ok(row(call, &sid, resource).into()),
        None => Err(ApiError::died(format!("no such resource '{sid}'")).into()),
    }
}

fn options(call: &Call<'_>) -> std::collections::BTreeMap<String, String> {
    let names = [
        "comment",
        "failback",
        "group",
        "max_relocate",
        "max_restart",
    ];
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), call.text(name)?)))
        .collect()
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let (sid, vmid) = sid_of(call)?;
    check_quorum(call)?;
    if !sid.starts_with("ct:") || !call.world.guests.contains_key(&vmid) {
        return Err(ApiError::died(format!("resource '{sid}' does not exist in cluster")).into());
    }
    if call.world.ha.resources.contains_key(&sid) {
        let text = format!("create resource failed: resource ID '{sid}' already defined");
        return Err(ApiError::died(text).into());
    }
    let state = call.text("state").unwrap_or_else(|| "started".into());
    let options = options(call);
    call.world.manage(vmid, &state, call.now_ms);
    if let Some(resource) = call.world.ha.resources.get_mut(&sid) {
        resource.options = options;
    }
    Ok(Value::Null.into())
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let (sid, vmid) = sid_of(call)?;
    check_quorum(call)?;
    if !call.world.ha.resources.contains_key(&sid) {
        let text = format!("update resources config failed: no such resource '{sid}'");
        return Err(ApiError::died(text).into());
    }
    let (given, removed) = (options(call), call.text("delete").unwrap_or_default());
    if let Some(state) = call.text("state") {
        call.world.request_state(vmid, &state, call.now_ms);
    }
    if let Some(resource) = call.world.ha.resources.get_mut(&sid) {
        for key in split_list(&removed) {
            resource.options.remove(key);
        }
        resource.options.extend(given);
    }
    Ok(Value::Null.into())
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let (sid, _) = sid_of(call)?;
    check_quorum(call)?;
    if call.world.ha.resources.remove(&sid).is_none() {
        let text = format!("cannot delete service '{sid}', not HA managed!");
        return Err(ApiError::died(text).into());
    }
    Ok(Value::Null.into())
}

/// Quorum, manager, fencing, local managers, resources.
pub(super) fn current(call: &mut Call<'_>) -> Outcome {
    let (world, via, now_ms) = (&*call.world, call.via.clone(), call.now_ms);
    let quorate = world.is_quorate(&via, now_ms);
    let status = if quorate {
        "OK".to_owned()
    } else {
        format!("No quorum on node '{via}'!")
    };
    let mut rows = vec![json!({
        "id": "quorum", "type": "quorum", "node": via, "status": status, "quorate": u8::from(quorate),
    })];
    let armed = world.ha.master.is_some() && !world.ha.active.is_empty();
    if let Some(master) = &world.ha.master {
        let old = now_ms > world.ha.master_ms + OLD_MS;
        let word = if old {
            "old timestamp - dead?"
        } else if armed {
            "active"
        } else {
            "idle"
        };
        let status = format!(
            "{master} ({word}, {})",
            dates::long(world.ha.master_ms / 1000)
        );
        rows.push(json!({
            "id": "master", "type": "master", "node": master, "status": status, "timestamp": world.ha.master_ms / 1000,
        }));
    }
    let (state, watchdog) = if armed {
        ("armed", "active")
    } else {
        ("standby", "standby")
    };
    let node = world.ha.master.clone().unwrap_or(via);
    rows.push(json!({
        "id": "fencing", "type": "fencing", "node": node, "armed-state": state,
        "status": format!("{state} (CRM watchdog {watchdog})"),
    }));
    if world.ha.master.is_some() {
        rows.extend(world.nodes().iter().map(|node| local(call, &node.name)));
    }
    let resources = world.ha.resources.iter();
    rows.extend(resources.map(|(sid, resource)| resource_row(call, sid, resource)));
    Ok(Value::Array(rows).into())
}

fn local(call: &Call<'_>, node: &str) -> Value {
    let ha = &call.world.ha;
    let at_ms = ha.local_ms.get(node).copied().unwrap_or_default();
    let active = ha.active.contains(node);
    let watchdog = if active { "active" } else { "standby" };
    let old = call.now_ms > at_ms + OLD_MS;
    let word = if old {
        "old timestamp - dead?"
    } else if active {
        "active"
    } else {
        "idle"
    };
    let status = format!(
        "{node} ({word}, watchdog {watchdog}, {})",
        dates::long(at_ms / 1000)
    );
    json!({"id": format!("lrm:{node}"), "type": "lrm", "node": node, "status": status, "timestamp": at_ms / 1000})
}

fn resource_row(call: &Call<'_>, sid: &str, resource: &Resource) -> Value {
    let node = call
        .world
        .guests
        .get(&resource.vmid)
        .map(|guest| guest.node.clone())
        .unwrap_or_default();
    let state = resource.current.clone().unwrap_or_else(|| "queued".into());
    let mut row = json!({
        "id": format!("service:{sid}"), "type": "service", "sid": sid, "node": node, "state": state,
        "request_state": resource.state, "status": format!("{sid} ({node}, {state})"),
        "max_restart": 1, "max_relocate": 1, "failback": 1,
    });
    if resource.current.is_some() {
        row["crm_state"] = state.into();
    }
    for (key, value) in &resource.options {
        let number = value.parse::<u64>().ok().filter(|_| key != "comment");
        row[key.as_str()] = number.map_or_else(|| value.clone().into(), Value::from);
    }
    row
}
