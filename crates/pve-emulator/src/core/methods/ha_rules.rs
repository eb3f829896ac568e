//! `/cluster/ha/rules`, and the groups that they took the place of.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::call::{Call, Outcome, Stop};
use super::super::error::ApiError;
use super::super::ha_rules::{FILE, complaints, enabled, nodes_of, nodes_text, resources_text};
use super::super::sections::{Kept, Section, Sections, check_digest, fields, given, remove_keys};
use super::check_quorum;
use crate::schema::split_list;

const METHOD: (&str, &str) = ("POST", "/cluster/ha/rules");
const LOCK: &str = "domain-ha";
/// Parameters that are no keys of a rule.
const FOREIGN: [&str; 4] = ["rule", "type", "delete", "digest"];

fn row(call: &Call<'_>, rules: &Sections, at: usize, section: &Section) -> Value {
    let mut row = fields(section, METHOD);
    row.insert("rule".into(), section.name.clone().into());
    row.insert("type".into(), section.kind.clone().into());
    row.insert("digest".into(), rules.digest().into());
    row.insert("order".into(), (at + 1).into());
    let wrong = complaints(&enabled(rules.iter()), call.world.ha_nodes());
    if let Some(texts) = wrong.get(&section.name) {
        row.insert("errors".into(), json!({"resources": texts}));
    }
    Value::Object(row)
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let (kind, sid) = (call.text("type"), call.text("resource"));
    let rules = call.world.file(FILE);
    let affects = |section: &Section| {
        let list = section.get("resources").unwrap_or_default();
        sid.as_deref()
            .is_none_or(|sid| split_list(list).contains(&sid))
    };
    let wanted = rules
        .iter()
        .enumerate()
        .filter(|(_, section)| kind.as_ref().is_none_or(|kind| *kind == section.kind))
        .filter(|(_, section)| affects(section));
    let rows = wanted.map(|(at, section)| row(call, rules, at, section));
    Ok(rows.collect::<Value>().into())
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let name = call.text("rule").unwrap_or_default();
    let rules = call.world.file(FILE);
    let mut all = rules.iter().enumerate();
    let found = all.find(|(_, section)| section.name == name);
    match found {
        Some((at, section)) => Ok(row(call, rules, at, section).into()),
        None => Err(ApiError::died(format!("no such ha rule '{name}'")).into()),
    }
}

/// What is given, as it is written down.
fn keys(call: &Call<'_>) -> BTreeMap<String, String> {
    let mut keys = given(call, &FOREIGN);
    keys.retain(|key, value| key != "disable" || value == "1");
    for (key, value) in &mut keys {
        match key.as_str() {
            "resources" => *value = resources_text(value),
            "nodes" => *value = nodes_text(value),
            _ => {}
        }
    }
    keys
}

/// Resources have to be managed, nodes have to be there.
fn check_members(call: &Call<'_>, keys: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if let Some(list) = keys.get("resources") {
        let sids = split_list(list);
        if sids.is_empty() {
            return Err(ApiError::died("no resources were specified"));
        }
        let strange = sids
            .into_iter()
            .filter(|sid| !call.world.ha.resources.contains_key(*sid));
        let strange: Vec<&str> = strange.collect();
        if !strange.is_empty() {
            let text = format!("cannot use unmanaged resource(s) {}.", strange.join(", "));
            return Err(ApiError::died(text));
        }
    }
    if let Some(list) = keys.get("nodes") {
        let nodes = nodes_of(list);
        if nodes.is_empty() {
            return Err(ApiError::died("no nodes were specified"));
        }
        let strange = nodes
            .into_keys()
            .filter(|name| call.world.node(name).is_none());
        let strange: Vec<String> = strange.collect();
        if !strange.is_empty() {
            let text = format!("cannot use non-existent node(s) {}.", strange.join(", "));
            return Err(ApiError::died(text));
        }
    }
    Ok(())
}

/// The refusal of a rule that cannot hold carries its own code in its text.
fn check_feasible(call: &Call<'_>, rules: &Sections, name: &str) -> Result<(), ApiError> {
    let wrong = complaints(&enabled(rules.iter()), call.world.ha_nodes());
    let Some(texts) = wrong.get(name) else {
        return Ok(());
    };
    let text = format!(
        "400 Rule '{name}' is invalid.\nresources: {}",
        texts.join(", ")
    );
    Err(ApiError::died(text))
}

/// What happened under the cluster's lock, with its words before.
fn locked(failed: &str, result: Result<(), ApiError>) -> Outcome {
    match result {
        Ok(()) => Ok(Value::Null.into()),
        Err(error) => {
            let text = error.message();
            Err(ApiError::died(format!("{failed}: {}", text.trim_end())).into())
        }
    }
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    const FAILED: &str = "create ha rule failed";
    check_quorum(call)?;
    let name = call.text("rule").unwrap_or_default();
    let section = Section {
        name: name.clone(),
        kind: call.text("type").unwrap_or_default(),
        keys: keys(call),
    };
    call.cluster_lock(LOCK, FAILED)?;
    let mut rules = call.world.file(FILE).clone();
    let result = if rules.get(&name).is_some() {
        Err(ApiError::died(format!("HA rule '{name}' already defined")))
    } else {
        check_members(call, &section.keys).and_then(|()| {
            rules.put(section);
            check_feasible(call, &rules, &name)
        })
    };
    if result.is_ok() {
        *call.world.file_mut(FILE) = rules;
    }
    locked(FAILED, result)
}

fn option(kind: &str, key: &str) -> Option<Kept> {
    match (kind, key) {
        (_, "resources") | ("node-affinity", "nodes") | ("resource-affinity", "affinity") => {
            Some(Kept::Required)
        }
        (_, "disable" | "comment") | ("node-affinity", "strict") => Some(Kept::Optional),
        (_, _) => None,
    }
}

fn updated(call: &Call<'_>, name: &str, rules: &mut Sections) -> Result<(), ApiError> {
    check_digest(call.text("digest").as_deref(), &rules.digest())?;
    let Some(mut section) = rules.get(name).cloned() else {
        return Err(ApiError::died(format!("HA rule '{name}' does not exist")));
    };
    let new = keys(call);
    if let Some(key) = new.keys().find(|key| option(&section.kind, key).is_none()) {
        return Err(ApiError::died(format!("unexpected property '{key}'")));
    }
    check_members(call, &new)?;
    let removed = call.text("delete").unwrap_or_default();
    remove_keys(&mut section.keys, &removed, |key| {
        option(&section.kind, key)
    })?;
    if let Some(key) = split_list(&removed)
        .into_iter()
        .find(|key| new.contains_key(*key))
    {
        let text = format!("cannot set and delete property '{key}' at the same time!");
        return Err(ApiError::died(text));
    }
    section.keys.extend(new);
    rules.put(section);
    check_feasible(call, rules, name)
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    const FAILED: &str = "update HA rules failed";
    call.cluster_lock(LOCK, FAILED)?;
    let name = call.text("rule").unwrap_or_default();
    let mut rules = call.world.file(FILE).clone();
    let result = updated(call, &name, &mut rules);
    if result.is_ok() {
        *call.world.file_mut(FILE) = rules;
    }
    locked(FAILED, result)
}

/// One that is not there is removed as well.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    call.cluster_lock(LOCK, "delete ha rule failed")?;
    let name = call.text("rule").unwrap_or_default();
    call.world.file_mut(FILE).remove(&name);
    Ok(Value::Null.into())
}

fn migrated(what: &str) -> Outcome {
    let text = format!("cannot {what}: ha groups have been migrated to rules");
    Err(Stop::Refused(ApiError::died(text)))
}

pub(super) fn groups(_: &mut Call<'_>) -> Outcome {
    migrated("index groups")
}

pub(super) fn read_group(_: &mut Call<'_>) -> Outcome {
    migrated("read group")
}

pub(super) fn create_group(_: &mut Call<'_>) -> Outcome {
    migrated("create group")
}

pub(super) fn update_group(_: &mut Call<'_>) -> Outcome {
    migrated("update group")
}

pub(super) fn delete_group(_: &mut Call<'_>) -> Outcome {
    migrated("delete group")
}
