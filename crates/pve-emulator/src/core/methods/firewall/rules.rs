//! Rules of a firewall, in their order.

use serde_json::Value;

use super::super::super::call::{Call, Outcome, Stop};
use super::super::super::error::ApiError;
use super::super::super::firewall::{Config, Loaded, Place, Row, digest_of, verify};
use super::super::super::sections::check_digest;
use super::{load, load_locked, place, refused, save};
use crate::schema::split_list;

/// What a rule consists of.
const PARTS: [&str; 15] = [
    "action",
    "comment",
    "dest",
    "digest",
    "dport",
    "enable",
    "icmp-type",
    "iface",
    "log",
    "macro",
    "pos",
    "proto",
    "source",
    "sport",
    "type",
];

/// The rules of a place; nothing where no file is. A group has to be there.
fn rules(place: &Place, config: &Config) -> Result<Option<Vec<Row>>, ApiError> {
    let Place::Group(name) = place else {
        return Ok(config.rules.clone());
    };
    match config.groups.get(name) {
        Some(rules) => Ok(Some(rules.clone())),
        None => {
            let text = format!("no such security group '{name}'");
            Err(ApiError::died(text))
        }
    }
}

fn keep(call: &mut Call<'_>, place: &Place, mut config: Config, rules: Vec<Row>) -> Outcome {
    match place {
        Place::Group(name) => {
            config.groups.insert(name.clone(), rules);
        }
        Place::Cluster | Place::Node(_) | Place::Guest(_) => config.rules = Some(rules),
    }
    save(call, place, &config);
    Ok(Value::Null.into())
}

fn digest(rules: &[Row]) -> String {
    digest_of(rules.iter().map(|row| &row.keys))
}

fn shown(row: &Row, at: usize, digest: &str) -> Value {
    let mut shown = row.shown();
    shown.insert("pos".into(), at.into());
    shown.insert("digest".into(), digest.into());
    Value::Object(shown)
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let rules = rules(&place, &load(call, &place).own)?.unwrap_or_default();
    let digest = digest(&rules);
    let rows = rules.iter().enumerate();
    let rows = rows.map(|(at, row)| shown(row, at, &digest));
    Ok(rows.collect::<Value>().into())
}

/// Where a rule is that has to be there.
fn position(call: &Call<'_>, count: usize) -> Result<usize, ApiError> {
    let given = call.text("pos").unwrap_or_default();
    let at = given.trim_start_matches('+').parse().ok();
    match at.filter(|at: &usize| *at < count) {
        Some(at) => Ok(at),
        None => {
            let text = format!("no rule at position {given}");
            Err(ApiError::died(text))
        }
    }
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let rules = rules(&place, &load(call, &place).own)?.unwrap_or_default();
    let at = position(call, rules.len())?;
    Ok(shown(&rules[at], at, &digest(&rules)).into())
}

/// Puts what was given into a rule; the empty text, and `-`, take away.
fn fill(call: &Call<'_>, row: &mut Row) {
    for part in PARTS {
        match call.text(part) {
            None => {}
            Some(value) if matches!(value.as_str(), "" | "-") => {
                row.keys.remove(part);
            }
            Some(value) => {
                row.keys.insert(part.to_owned(), value);
            }
        }
    }
}

fn check(row: &mut Row, loaded: &Loaded, place: &Place) -> Result<(), ApiError> {
    verify(row, loaded.sight(), place.kind(), false).map_err(refused)
}

/// A new rule comes first, and is off unless it is said to be on.
pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let loaded = load_locked(call, &place)?;
    let mut rules = rules(&place, &loaded.own)?.unwrap_or_default();
    let mut row = Row::default();
    fill(call, &mut row);
    check(&mut row, &loaded, &place)?;
    if call.text("enable").is_none() {
        row.keys.insert("enable".into(), "0".into());
    }
    rules.insert(0, row);
    keep(call, &place, loaded.own, rules)
}

/// The rules that are to be changed, if they are still what the caller saw; `line` is where Proxmox VE fails without a
/// file.
fn seen(call: &Call<'_>, place: &Place, line: u32) -> Result<(Loaded, Vec<Row>, usize), Stop> {
    let loaded = load_locked(call, place)?;
    let rules = rules(place, &loaded.own)?;
    let found = digest(rules.as_deref().unwrap_or_default());
    check_digest(call.text("digest").as_deref(), &found)?;
    let Some(rules) = rules else {
        let text = "Can't use an undefined value as an ARRAY reference";
        let place = "/usr/share/perl5/PVE/API2/Firewall/Rules.pm";
        return Err(ApiError::died(format!("{text} at {place} line {line}.")).into());
    };
    let at = position(call, rules.len())?;
    Ok((loaded, rules, at))
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let (loaded, mut rules, at) = seen(call, &place, 373)?;
    let to = call
        .number("moveto")
        .and_then(|to| usize::try_from(to).ok());
    if let Some(to) = to.filter(|to| *to != at) {
        return keep(call, &place, loaded.own, moved(&rules, at, to));
    }
    let row = &mut rules[at];
    fill(call, row);
    for part in split_list(&call.text("delete").unwrap_or_default()) {
        let text = match part {
            "type" | "action" => format!("unable to delete required property '{part}'"),
            _ if !PARTS.contains(&part) => format!("no such property ('{part}')"),
            _ => {
                row.keys.remove(part);
                continue;
            }
        };
        return Err(ApiError::parameter("delete", text).into());
    }
    check(row, &loaded, &place)?;
    keep(call, &place, loaded.own, rules)
}

/// A rule goes before the one that is at its new place.
fn moved(rules: &[Row], at: usize, to: usize) -> Vec<Row> {
    let mut moved = Vec::new();
    for (index, row) in rules.iter().enumerate().filter(|(index, _)| *index != at) {
        if index == to {
            moved.push(rules[at].clone());
        }
        moved.push(row.clone());
    }
    if to >= rules.len() {
        moved.push(rules[at].clone());
    }
    moved
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let (loaded, mut rules, at) = seen(call, &place, 462)?;
    rules.remove(at);
    keep(call, &place, loaded.own, rules)
}
