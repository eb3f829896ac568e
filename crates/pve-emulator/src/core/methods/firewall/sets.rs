//! Sets of addresses.

use serde_json::Value;

use super::super::super::call::{Call, Outcome};
use super::super::super::error::ApiError;
use super::super::super::firewall::{Config, Loaded, Row, Sight, digest_of, is_zero_prefix};
use super::super::super::sections::check_digest;
use super::{load, load_locked, place, save};
use crate::schema::{clean_cidr, parse_cidr, scoped_alias};

fn name(call: &Call<'_>) -> String {
    call.text("name").unwrap_or_default()
}

/// What the list of sets shows of each.
fn rows(config: &Config) -> Vec<Row> {
    let rows = config.sets.keys().map(|name| {
        let mut row = Row::of([("name", name)]);
        row.put("comment", config.set_comments.get(name).cloned());
        row
    });
    rows.collect()
}

fn digest(rows: &[Row]) -> String {
    digest_of(rows.iter().map(|row| &row.keys))
}

fn shown(row: &Row, digest: &str) -> Value {
    let mut shown = row.shown();
    shown.insert("digest".into(), digest.into());
    Value::Object(shown)
}

fn listing(rows: &[Row]) -> Outcome {
    let digest = digest(rows);
    let rows = rows.iter().map(|row| shown(row, &digest));
    Ok(rows.collect::<Value>().into())
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    listing(&rows(&load(call, &place(call)).own))
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let mut config = load_locked(call, &place)?.own;
    let name = name(call);
    match call.text("rename") {
        Some(old) => rename(call, &mut config, &old, &name)?,
        None if config.sets.contains_key(&name) => {
            let text = format!("IPSet '{name}' already exists");
            return Err(ApiError::parameter("name", text).into());
        }
        None => {
            config.sets.insert(name.clone(), Vec::new());
        }
    }
    if let Some(comment) = call.text("comment") {
        config.set_comments.insert(name, comment);
    }
    save(call, &place, &config);
    Ok(Value::Null.into())
}

fn rename(call: &Call<'_>, config: &mut Config, old: &str, new: &str) -> Result<(), ApiError> {
    check_digest(call.text("digest").as_deref(), &digest(&rows(config)))?;
    if !config.sets.contains_key(old) {
        let text = format!("IPSet '{old}' does not exist");
        return Err(ApiError::parameter("name", text));
    }
    if config.sets.contains_key(new) && new != old {
        let text = format!("IPSet '{new}' does already exist");
        return Err(ApiError::parameter("name", text));
    }
    let members = config.sets.remove(old).unwrap_or_default();
    config.sets.insert(new.to_owned(), members);
    if let Some(comment) = config.set_comments.remove(old) {
        config.set_comments.insert(new.to_owned(), comment);
    }
    Ok(())
}

/// The members of a set, which has to be there.
fn find<'a>(loaded: &'a mut Loaded, name: &str) -> Result<&'a mut Vec<Row>, ApiError> {
    let members = loaded.own.sets.get_mut(name);
    members.ok_or_else(|| ApiError::died(format!("no such IPSet '{name}'")))
}

pub(super) fn members(call: &mut Call<'_>) -> Outcome {
    let mut loaded = load(call, &place(call));
    listing(find(&mut loaded, &name(call))?)
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let name = name(call);
    let mut loaded = load_locked(call, &place)?;
    if !find(&mut loaded, &name)?.is_empty() && !call.flag("force") {
        return Err(ApiError::died(format!("IPSet '{name}' is not empty")).into());
    }
    loaded.own.sets.remove(&name);
    save(call, &place, &loaded.own);
    Ok(Value::Null.into())
}

/// An alias that is there, or an address as it is kept.
fn readable(cidr: &str, loaded: &Loaded) -> Result<String, ApiError> {
    let Some((scope, alias)) = scoped_alias(cidr) else {
        let (cidr, _) = parse_cidr(&clean_cidr(cidr)).map_err(ApiError::died)?;
        return Ok(cidr);
    };
    // The cluster's own sets look in no guest.
    let sight = match &loaded.cluster {
        Some(_) => loaded.sight(),
        None => Sight {
            cluster: Some(&loaded.own),
            own: None,
        },
    };
    match sight.alias(scope, alias) {
        Some(_) => Ok(cidr.to_owned()),
        None => Err(ApiError::died(format!("no such alias '{alias}'"))),
    }
}

pub(super) fn add(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let name = name(call);
    let mut loaded = load_locked(call, &place)?;
    find(&mut loaded, &name)?;
    let cidr = readable(&call.text("cidr").unwrap_or_default(), &loaded)?;
    let members = find(&mut loaded, &name)?;
    if members.iter().any(|row| row.text("cidr") == cidr) {
        let text = format!("address '{cidr}' already exists");
        return Err(ApiError::parameter("cidr", text).into());
    }
    if is_zero_prefix(&cidr) {
        let text = "a zero prefix is not allowed in ipset entries";
        return Err(ApiError::parameter("cidr", text).into());
    }
    let mut row = Row::of([("cidr", &cidr)]);
    row.put("nomatch", call.text("nomatch"));
    row.put("comment", call.text("comment"));
    members.insert(0, row);
    save(call, &place, &loaded.own);
    Ok(Value::Null.into())
}

fn unknown() -> ApiError {
    ApiError::parameter("cidr", "no such IP/Network")
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let mut loaded = load(call, &place(call));
    let members = find(&mut loaded, &name(call))?;
    let cidr = call.text("cidr").unwrap_or_default();
    let row = members.iter().find(|row| row.text("cidr") == cidr);
    Ok(shown(row.ok_or_else(unknown)?, &digest(members)).into())
}

/// What is not given is taken away.
pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let mut loaded = load_locked(call, &place)?;
    let members = find(&mut loaded, &name(call))?;
    check_digest(call.text("digest").as_deref(), &digest(members))?;
    let cidr = call.text("cidr").unwrap_or_default();
    let row = members.iter_mut().find(|row| row.text("cidr") == cidr);
    let row = row.ok_or_else(unknown)?;
    for key in ["nomatch", "comment"] {
        row.keys.remove(key);
        row.put(key, call.text(key));
    }
    save(call, &place, &loaded.own);
    Ok(Value::Null.into())
}

/// One that is not there goes well.
pub(super) fn remove(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let mut loaded = load_locked(call, &place)?;
    let members = find(&mut loaded, &name(call))?;
    check_digest(call.text("digest").as_deref(), &digest(members))?;
    let cidr = call.text("cidr").unwrap_or_default();
    members.retain(|row| row.text("cidr") != cidr);
    save(call, &place, &loaded.own);
    Ok(Value::Null.into())
}
