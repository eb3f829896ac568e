//! Security groups: rules by a name.

use serde_json::Value;

use super::super::super::call::{Call, Outcome};
use super::super::super::error::ApiError;
use super::super::super::firewall::{Config, Place, Row, digest_of};
use super::super::super::sections::check_digest;
use super::{load, load_locked, save};

fn rows(config: &Config) -> Vec<Row> {
    let rows = config.groups.keys().map(|name| {
        let mut row = Row::of([("group", name)]);
        row.put("comment", config.group_comments.get(name).cloned());
        row
    });
    rows.collect()
}

fn digest(rows: &[Row]) -> String {
    digest_of(rows.iter().map(|row| &row.keys))
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let rows = rows(&load(call, &Place::Cluster).own);
    let digest = digest(&rows);
    let rows = rows.iter().map(|row| {
        let mut shown = row.shown();
        shown.insert("digest".into(), digest.clone().into());
        Value::Object(shown)
    });
    Ok(rows.collect::<Value>().into())
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let mut config = load_locked(call, &Place::Cluster)?.own;
    let name = call.text("group").unwrap_or_default();
    let old = call.text("rename");
    match &old {
        Some(old) => check_rename(call, &config, old, &name)?,
        None if config.groups.contains_key(&name) => {
            let text = format!("Security group '{name}' already exists");
            return Err(ApiError::parameter("group", text).into());
        }
        None => {
            config.groups.insert(name.clone(), Vec::new());
        }
    }
    if let Some(old) = old.filter(|old| *old != name) {
        let rules = config.groups.remove(&old).unwrap_or_default();
        config.groups.insert(name.clone(), rules);
        if let Some(comment) = config.group_comments.remove(&old) {
            config.group_comments.insert(name.clone(), comment);
        }
        follow(&mut config, &old, &name);
        rename_elsewhere(call, &old, &name);
    }
    if let Some(comment) = call.text("comment") {
        config.group_comments.insert(name, comment);
    }
    save(call, &Place::Cluster, &config);
    Ok(Value::Null.into())
}

fn check_rename(call: &Call<'_>, config: &Config, old: &str, new: &str) -> Result<(), ApiError> {
    check_digest(call.text("digest").as_deref(), &digest(&rows(config)))?;
    if !config.groups.contains_key(old) {
        let text = format!("Security group '{old}' does not exist");
        return Err(ApiError::parameter("group", text));
    }
    if config.groups.contains_key(new) && new != old {
        let text = format!("Security group '{new}' does already exist");
        return Err(ApiError::parameter("group", text));
    }
    Ok(())
}

/// Rules that name the group name it as it is called now.
fn follow(config: &mut Config, old: &str, new: &str) {
    for row in config.rules.iter_mut().flatten() {
        if row.text("type") == "group" && row.text("action") == old {
            row.keys.insert("action".into(), new.to_owned());
        }
    }
}

fn rename_elsewhere(call: &mut Call<'_>, old: &str, new: &str) {
    let nodes = call.world.nodes().iter();
    let nodes = nodes.map(|node| Place::Node(node.name.clone()));
    let guests = call.world.guests().map(|(vmid, _)| Place::Guest(vmid));
    let places: Vec<Place> = nodes.chain(guests).collect();
    for place in places {
        let mut config = load(call, &place).own;
        follow(&mut config, old, new);
        save(call, &place, &config);
    }
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let mut config = load_locked(call, &Place::Cluster)?.own;
    let name = call.text("group").unwrap_or_default();
    match config.groups.get(&name) {
        None => {
            let text = format!("no such security group '{name}'");
            return Err(ApiError::died(text).into());
        }
        Some(rules) if !rules.is_empty() => {
            let text = format!("Security group '{name}' is not empty");
            return Err(ApiError::died(text).into());
        }
        Some(_) => {}
    }
    config.groups.remove(&name);
    save(call, &Place::Cluster, &config);
    Ok(Value::Null.into())
}
