//! What a node says of itself as a machine: its settings, names and subscription.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::guest_config::normal_description;
use super::super::sections::{check_digest, given, typed};
use crate::schema::{Format, parse_property_string, split_list, table};

const CONFIG: (&str, &str) = ("PUT", "/nodes/{node}/config");
const PRICES: &str = "https://www.proxmox.com/en/proxmox-virtual-environment/pricing";

type Config = BTreeMap<String, String>;

/// The settings as their file has them; nothing when there are none.
fn text(config: &Config) -> String {
    let notes = config.get("description").map(String::as_str);
    let notes = notes.unwrap_or_default().lines();
    let mut text: String = notes.map(|line| format!("#{line}\n")).collect();
    let keys = config.iter().filter(|(key, _)| *key != "description");
    text.extend(keys.map(|(key, value)| format!("{key}: {value}\n")));
    text
}

fn digest(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| hex::encode(Sha1::digest(text.as_bytes())))
}

fn stored(call: &Call<'_>) -> Config {
    let settings = call.world.node_settings.get(&call.node);
    settings.map(|it| it.config.clone()).unwrap_or_default()
}

pub(super) fn config(call: &mut Call<'_>) -> Outcome {
    let config = stored(call);
    let mut row: Map<String, Value> = config
        .iter()
        .map(|(key, value)| {
            let value = match key.as_str() {
                "description" => normal_description(value).into(),
                key => typed(CONFIG, key, value),
            };
            (key.clone(), value)
        })
        .collect();
    row.extend(digest(&text(&config)).map(|digest| ("digest".to_owned(), digest.into())));
    if let Some(wanted) = call.text("property") {
        row.retain(|key, _| *key == wanted);
    }
    Ok(Value::Object(row).into())
}

pub(super) fn set_config(call: &mut Call<'_>) -> Outcome {
    let mut config = stored(call);
    if let Some(found) = digest(&text(&config)) {
        check_digest(call.text("digest").as_deref(), &found)?;
    }
    config.extend(given(call, &["node", "digest", "delete"]));
    for key in split_list(&call.text("delete").unwrap_or_default()) {
        config.remove(key);
    }
    config.retain(|key, value| key != "description" || !value.is_empty());
    check_domains(&config)?;
    if !call.world.is_quorate(&call.node, call.now_ms) {
        let (pid, _) = call.world.fork(&call.node.clone(), call.now_ms);
        let path = format!("/etc/pve/nodes/{}/config.tmp.{pid}", call.node);
        let text = format!("unable to open file '{path}' - Permission denied");
        return Err(ApiError::died(text).into());
    }
    let settings = call.world.node_settings.entry(call.node.clone());
    settings.or_default().config = config;
    Ok(Value::Null.into())
}

/// The parts of a setting that has parts.
fn parts(config: &Config, key: &str, kind: &str) -> BTreeMap<String, String> {
    let method = table().lookup(CONFIG.0, CONFIG.1);
    let property = method.and_then(|found| found.method.parameter(kind));
    let text = config.get(key).map(String::as_str).unwrap_or_default();
    match property.and_then(|property| property.format.as_ref()) {
        Some(Format::Keys(keys)) => parse_property_string(keys, text).unwrap_or_default(),
        Some(Format::Named(_)) | None => BTreeMap::new(),
    }
}

/// A domain gets its certificate in one way; other plugins than the one that is always there are not.
fn check_domains(config: &Config) -> Result<(), ApiError> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let alone = parts(config, "acme", "acme").remove("domains");
    for domain in alone
        .unwrap_or_default()
        .split(';')
        .filter(|it| !it.is_empty())
    {
        let domain = domain.to_lowercase();
        if seen.contains_key(&domain) {
            let text = format!("duplicate domain '{domain}' in ACME config properties");
            return Err(ApiError::died(text));
        }
        seen.insert(domain, "acme".into());
    }
    for key in (0..=5).map(|at| format!("acmedomain{at}")) {
        let Some(mut parts) = config
            .contains_key(&key)
            .then(|| parts(config, &key, "acmedomain0"))
        else {
            continue;
        };
        let domain = parts.remove("domain").unwrap_or_default().to_lowercase();
        if let Some(other) = seen.get(&domain) {
            let text = format!(
                "duplicate domain '{domain}' in ACME config properties '{key}' and '{other}'"
            );
            return Err(ApiError::died(text));
        }
        let plugin = parts
            .remove("plugin")
            .filter(|plugin| plugin != "standalone");
        if let Some(plugin) = plugin {
            let text = format!("plugin '{plugin}' for domain '{domain}' not found!");
            return Err(ApiError::died(text));
        }
        seen.insert(domain, key);
    }
    Ok(())
}

/// `/etc/hosts` as the installer writes it, unless it was changed.
fn hosts_file(call: &Call<'_>) -> String {
    let settings = call.world.node_settings.get(&call.node);
    let changed = settings.and_then(|it| it.hosts.clone());
    changed.unwrap_or_else(|| {
        let address = call
            .world
            .node(&call.node)
            .map(|node| node.address.as_str());
        let (address, name) = (address.unwrap_or_default(), &call.node);
        format!("127.0.0.1 localhost.localdomain localhost\n{address} {name}.lab {name}\n")
    })
}

pub(super) fn hosts(call: &mut Call<'_>) -> Outcome {
    let data = hosts_file(call);
    let digest = hex::encode(Sha1::digest(data.as_bytes()));
    Ok(json!({"data": data, "digest": digest}).into())
}

pub(super) fn set_hosts(call: &mut Call<'_>) -> Outcome {
    let found = hex::encode(Sha1::digest(hosts_file(call).as_bytes()));
    check_digest(call.text("digest").as_deref(), &found)?;
    let data = call.text("data");
    let settings = call.world.node_settings.entry(call.node.clone());
    settings.or_default().hosts = data;
    Ok(Value::Null.into())
}

/// There is none; who may audit the node learns what a key would be made for.
pub(super) fn subscription(call: &mut Call<'_>) -> Outcome {
    let mut row =
        json!({"status": "notfound", "message": "There is no subscription key", "url": PRICES});
    if call.may(&format!("/nodes/{}", call.node), "Sys.Audit") {
        let mut id = hex::encode_upper(Sha1::digest(call.node.as_bytes()));
        id.truncate(32);
        row["serverid"] = id.into();
    }
    Ok(row.into())
}

/// Names are looked up at these; each once.
pub(super) fn dns(call: &mut Call<'_>) -> Outcome {
    let settings = call.world.node_settings.get(&call.node);
    let row = match settings.and_then(|it| it.dns.as_ref()) {
        Some(set) => json!(set),
        None => json!({"dns1": "127.0.0.1"}),
    };
    Ok(row.into())
}

pub(super) fn set_dns(call: &mut Call<'_>) -> Outcome {
    let mut set = BTreeMap::new();
    let search = call.text("search");
    if let Some(search) = search.filter(|search| !search.is_empty() && search != "0") {
        let first = search.split_whitespace().next().unwrap_or_default();
        set.insert("search".to_owned(), first.to_owned());
    }
    let mut servers: Vec<String> = Vec::new();
    for server in ["dns1", "dns2", "dns3"]
        .iter()
        .filter_map(|key| call.text(key))
    {
        if !server.is_empty() && server != "0.0.0.0" && !servers.contains(&server) {
            servers.push(server);
        }
    }
    let numbered = servers.into_iter().zip(1..);
    set.extend(numbered.map(|(server, at)| (format!("dns{at}"), server)));
    let settings = call.world.node_settings.entry(call.node.clone());
    settings.or_default().dns = Some(set);
    Ok(Value::Null.into())
}
