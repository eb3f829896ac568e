//! `/cluster/metrics/server`: where usage is sent to. Nothing is sent; what can be reached is tested as Proxmox VE does it,
//! on a node without a network.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::sections::{Kept, Section, check_digest, fields, given, remove_keys};
use crate::schema::split_list;

const FILE: &str = "status.cfg";
const LOCK: &str = "file-status_cfg";
const METHOD: (&str, &str) = ("POST", "/cluster/metrics/server/{id}");
/// What is no key of a section; a token is not kept.
const FOREIGN: [&str; 5] = ["id", "type", "digest", "delete", "token"];

/// What a server of a kind can be told.
fn option(kind: &str, key: &str) -> Option<Kept> {
    let own: &[&str] = match kind {
        "graphite" => &["mtu", "path", "proto", "timeout"],
        "influxdb" => &[
            "api-path-prefix",
            "bucket",
            "influxdbproto",
            "max-body-size",
            "mtu",
            "organization",
            "timeout",
            "token",
            "verify-certificate",
        ],
        _ => &[
            "otel-compression",
            "otel-headers",
            "otel-max-body-size",
            "otel-path",
            "otel-protocol",
            "otel-resource-attributes",
            "otel-timeout",
            "otel-verify-ssl",
        ],
    };
    match key {
        "server" => Some(Kept::Required),
        "port" if kind == "influxdb" => Some(Kept::Required),
        "port" | "disable" => Some(Kept::Optional),
        key => own.contains(&key).then_some(Kept::Optional),
    }
}

fn check_keys(section: &Section) -> Result<(), ApiError> {
    let mut keys = section.keys.keys();
    match keys.find(|key| option(&section.kind, key).is_none()) {
        Some(key) => Err(ApiError::died(format!("unexpected property '{key}'"))),
        None => Ok(()),
    }
}

/// Names cannot be resolved, addresses answer nothing; a datagram needs no answer.
fn test(section: &Section) -> Result<(), ApiError> {
    if section.flag("disable") && section.kind != "opentelemetry" {
        return Ok(());
    }
    let server = section.get("server").unwrap_or_default();
    let named = server.parse::<IpAddr>().is_err();
    let why = if named {
        "Temporary failure in name resolution"
    } else {
        "Connection refused"
    };
    let port = section.get("port");
    let proto = section.get(match section.kind.as_str() {
        "graphite" => "proto",
        "influxdb" => "influxdbproto",
        _ => "otel-protocol",
    });
    let text = match (section.kind.as_str(), proto.unwrap_or("udp")) {
        ("graphite" | "influxdb", "udp") if !named => return Ok(()),
        ("graphite", _) => {
            let port = port.unwrap_or("2003");
            format!("couldn't create carbon socket [{server}]:{port} - {why}")
        }
        ("influxdb", "udp") => {
            let port = port.unwrap_or_default();
            format!("couldn't create influxdb socket [{server}]:{port} - {why}")
        }
        (kind, _) => {
            let prefix = if kind == "influxdb" {
                ""
            } else {
                "Connection test failed: "
            };
            let port = port.unwrap_or("4318");
            format!("{prefix}500 Can't connect to {server}:{port} ({why})")
        }
    };
    Err(ApiError::died(text))
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let mut rows: Vec<(String, Value)> = call
        .world
        .file(FILE)
        .iter()
        .map(|section| {
            let keys = fields(section, METHOD);
            let row = json!({
                "id": section.name, "type": section.kind, "disable": u8::from(section.flag("disable")),
                "server": keys.get("server"), "port": keys.get("port"),
            });
            (section.name.clone(), row)
        })
        .collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(rows
        .into_iter()
        .map(|(_, row)| row)
        .collect::<Value>()
        .into())
}

fn id(call: &Call<'_>) -> String {
    call.text("id").unwrap_or_default()
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let id = id(call);
    let Some(section) = call.world.file(FILE).get(&id) else {
        let text = format!("status server entry '{id}' does not exist");
        return Err(ApiError::died(text).into());
    };
    let mut row = fields(section, METHOD);
    row.insert("type".into(), section.kind.clone().into());
    Ok(Value::Object(row).into())
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    call.cluster_lock(LOCK, "")?;
    let section = Section {
        name: id(call),
        kind: call.text("type").unwrap_or_default(),
        keys: given(call, &FOREIGN),
    };
    if call.world.file(FILE).get(&section.name).is_some() {
        let text = format!("Metric server '{}' already exists", section.name);
        return Err(ApiError::died(text).into());
    }
    check_keys(&section)?;
    test(&section)?;
    call.world.file_mut(FILE).put(section);
    Ok(Value::Null.into())
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    call.cluster_lock(LOCK, "")?;
    let id = id(call);
    let file = call.world.file(FILE);
    check_digest(call.text("digest").as_deref(), &file.digest())?;
    let Some(mut section) = file.get(&id).cloned() else {
        return Err(ApiError::died(format!("no such server '{id}'")).into());
    };
    let changes = Section {
        keys: given(call, &FOREIGN),
        ..section.clone()
    };
    check_keys(&changes)?;
    let removed = call.text("delete").unwrap_or_default();
    let kind = section.kind.clone();
    for key in split_list(&removed) {
        remove_keys(&mut section.keys, key, |key| option(&kind, key))?;
        if changes.keys.contains_key(key) {
            let text = format!("cannot set and delete property '{key}' at the same time!");
            return Err(ApiError::died(text).into());
        }
    }
    section.keys.extend(changes.keys);
    test(&section)?;
    call.world.file_mut(FILE).put(section);
    Ok(Value::Null.into())
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    call.cluster_lock(LOCK, "")?;
    let id = id(call);
    match call.world.file_mut(FILE).remove(&id) {
        Some(_) => Ok(Value::Null.into()),
        None => {
            // Proxmox VE does not look whether it is there.
            let text = "cannot lookup undefined type! at /usr/share/perl5/PVE/API2/Cluster/MetricServer.pm line 295.";
            Err(ApiError::died(text).into())
        }
    }
}
