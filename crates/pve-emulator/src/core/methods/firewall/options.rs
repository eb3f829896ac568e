//! Options of a firewall.

use serde_json::{Map, Value};

use super::super::super::call::{Call, Outcome};
use super::super::super::error::ApiError;
use super::super::super::firewall::{Place, digest_of};
use super::super::super::sections::check_digest;
use super::{load, load_locked, place, save};
use crate::schema::{split_list, table};

/// Options that are texts; the others are numbers.
fn is_text(key: &str) -> bool {
    ["policy", "log_level", "log_ratelimit", "helpers"]
        .iter()
        .any(|part| key.contains(part))
}

/// Names of a place's options.
fn known(place: &Place) -> Vec<&'static str> {
    let path = match place {
        Place::Cluster | Place::Group(_) => "/cluster/firewall/options",
        Place::Node(_) => "/nodes/n/firewall/options",
        Place::Guest(_) => "/nodes/n/lxc/100/firewall/options",
    };
    let method = table().lookup("PUT", path).map(|found| found.method);
    let names = method
        .into_iter()
        .flat_map(|method| method.parameters.keys());
    let foreign = ["node", "vmid", "delete", "digest"];
    names
        .map(String::as_str)
        .filter(|name| !foreign.contains(name))
        .collect()
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let options = load(call, &place(call)).own.options;
    let digest = digest_of(std::iter::once(&options));
    let rows = options.into_iter().map(|(key, value)| {
        let number = value.parse::<i64>().ok().filter(|_| !is_text(&key));
        (key, number.map_or(Value::String(value), Value::from))
    });
    let mut shown: Map<String, Value> = rows.collect();
    shown.insert("digest".into(), digest.into());
    Ok(Value::Object(shown).into())
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let mut config = load_locked(call, &place)?.own;
    let found = digest_of(std::iter::once(&config.options));
    check_digest(call.text("digest").as_deref(), &found)?;
    let known = known(&place);
    for key in split_list(&call.text("delete").unwrap_or_default()) {
        if !known.contains(&key) {
            let text = format!("no such option '{key}'");
            return Err(ApiError::parameter("delete", text).into());
        }
        config.options.remove(key);
    }
    for key in known {
        let Some(mut value) = call.text(key) else {
            continue;
        };
        // Whoever switches it on for the cluster may say from when on; the moment stays.
        let late = value.parse::<u64>().is_ok_and(|number| number > 1);
        if place == Place::Cluster && key == "enable" && late {
            value = call.now_s().to_string();
        }
        config.options.insert(key.to_owned(), value);
    }
    save(call, &place, &config);
    Ok(Value::Null.into())
}
