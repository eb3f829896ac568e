//! Names for addresses and networks; large and small letters make no difference.

use serde_json::Value;

use super::super::super::call::{Call, Outcome};
use super::super::super::error::ApiError;
use super::super::super::firewall::{Config, Row, digest_of};
use super::super::super::sections::check_digest;
use super::{load, load_locked, place, save};

fn digest(config: &Config) -> String {
    digest_of(config.aliases.values().map(|row| &row.keys))
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let config = load(call, &place(call)).own;
    let digest = digest(&config);
    let rows = config.aliases.values().map(|row| {
        let mut shown = row.shown();
        shown.insert("digest".into(), digest.clone().into());
        Value::Object(shown)
    });
    Ok(rows.collect::<Value>().into())
}

fn name(call: &Call<'_>) -> String {
    call.text("name").unwrap_or_default()
}

fn missing() -> ApiError {
    ApiError::parameter("name", "no such alias")
}

fn taken(name: &str) -> ApiError {
    ApiError::parameter("name", format!("alias '{name}' already exists"))
}

/// As it was given.
fn given(call: &Call<'_>) -> Row {
    let cidr = call.text("cidr").unwrap_or_default();
    let mut row = Row::of([("name", &name(call)), ("cidr", &cidr)]);
    row.put("comment", call.text("comment"));
    row
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let mut config = load_locked(call, &place)?.own;
    let name = name(call);
    if config.aliases.contains_key(&name.to_lowercase()) {
        return Err(taken(&name).into());
    }
    config.aliases.insert(name.to_lowercase(), given(call));
    save(call, &place, &config);
    Ok(Value::Null.into())
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let config = load(call, &place(call)).own;
    let row = config.aliases.get(&name(call).to_lowercase());
    let row = row.ok_or_else(missing)?;
    Ok(Value::Object(row.shown()).into())
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let mut config = load_locked(call, &place)?.own;
    check_digest(call.text("digest").as_deref(), &digest(&config))?;
    let key = name(call).to_lowercase();
    if !config.aliases.contains_key(&key) {
        return Err(missing().into());
    }
    let mut row = given(call);
    let new = call.text("rename").filter(|new| new.to_lowercase() != key);
    let mut new_key = key.clone();
    if let Some(new) = new {
        new_key = new.to_lowercase();
        if config.aliases.contains_key(&new_key) {
            return Err(taken(&new).into());
        }
        row.keys.insert("name".into(), new);
    }
    config.aliases.remove(&key);
    config.aliases.insert(new_key, row);
    save(call, &place, &config);
    Ok(Value::Null.into())
}

/// One that is not there goes well.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let mut config = load_locked(call, &place)?.own;
    check_digest(call.text("digest").as_deref(), &digest(&config))?;
    config.aliases.remove(&name(call).to_lowercase());
    save(call, &place, &config);
    Ok(Value::Null.into())
}
