//! What a cluster and its nodes are configured with, as far as clients of containers read it.

use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use super::super::call::{Call, Outcome};
use super::super::datacenter::{self, MAC_PREFIX};
use super::super::error::ApiError;
use super::super::sections::given;
use super::super::world::{NextId, World};
use crate::schema::split_list;

/// Datacenter options; without Sys.Audit only some of them, and the tags that may be used.
pub(super) fn options(call: &mut Call<'_>) -> Outcome {
    let stored = &call.world.datacenter;
    let mut row = if call.may("/", "Sys.Audit") {
        datacenter::all(stored)
    } else {
        datacenter::open(stored)
    };
    let tags = datacenter::tag_rights(call.rights()).allowed;
    row.insert("allowed-tags".into(), json!(tags));
    Ok(Value::Object(row).into())
}

pub(super) fn set_options(call: &mut Call<'_>) -> Outcome {
    call.cluster_lock("file-datacenter_cfg", "")?;
    let mut stored = call.world.datacenter.clone();
    stored.extend(given(call, &["delete"]));
    let removed = call.text("delete").unwrap_or_default();
    for key in split_list(&removed) {
        stored.remove(key);
    }
    if stored
        .get("mac_prefix")
        .is_some_and(|text| text.eq_ignore_ascii_case(MAC_PREFIX))
    {
        stored.remove("mac_prefix");
    }
    let parts = datacenter::parts(&stored, "next-id");
    let number = |name: &str| {
        parts
            .get(name)
            .map(|text| text.parse::<u32>().unwrap_or(u32::MAX))
    };
    let next_id = NextId {
        lower: number("lower"),
        upper: number("upper"),
    };
    let (lower, upper) = next_id.bounds();
    if lower > upper {
        let broken = format!("lower ({lower}) <= upper ({upper}) boundary rule broken");
        return Err(ApiError::died(broken).into());
    }
    *call.world.next_id = next_id;
    call.world
        .random
        .set_mac_prefix(stored.get("mac_prefix").cloned());
    call.world.datacenter = stored;
    Ok(Value::Null.into())
}

/// Members as the cluster's own configuration lists them: numbers are texts.
pub(super) fn members(call: &mut Call<'_>) -> Outcome {
    let nodes = call
        .world
        .nodes()
        .iter()
        .filter(|_| call.world.cluster_name.is_some());
    let rows = nodes.map(|node| {
        json!({
            "node": node.name, "name": node.name, "nodeid": node.id.to_string(), "quorum_votes": "1",
            "ring0_addr": node.address,
        })
    });
    Ok(rows.collect::<Value>().into())
}

/// Lists of what there is none of here.
pub(super) fn none(_: &mut Call<'_>) -> Outcome {
    Ok(json!([]).into())
}

pub(super) fn time(call: &mut Call<'_>) -> Outcome {
    let now_s = call.now_s();
    Ok(json!({"timezone": "UTC", "time": now_s, "localtime": now_s}).into())
}

/// The appliances of the index: two that are in it everywhere, and the lab's own templates.
fn known_appliances(world: &World) -> Vec<Value> {
    let always = [
        ("alpine-3.22-default_20250617_amd64.tar.xz", "alpine"),
        ("debian-12-standard_12.12-1_amd64.tar.zst", "debian-12"),
    ];
    let mut rows: Vec<Value> = always
        .iter()
        .map(|(file, os)| appliance(file, os))
        .collect();
    let own = world.templates.iter().filter(|template| {
        !world.images.contains_key(&template.volid())
            && always.iter().all(|(file, _)| *file != template.file)
    });
    for template in own {
        let row = appliance(&template.file, &template.ostype);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows
}

/// An entry of the index, by a file's name: `PACKAGE_VERSION_ARCHITECTURE.tar.zst`.
fn appliance(file: &str, os: &str) -> Value {
    const SOURCE: &str = "http://download.proxmox.com/images";
    let mut parts = file.split('_');
    let package = parts.next().unwrap_or_default();
    let version = parts.next().unwrap_or_default();
    let checksum = hex::encode(Sha512::digest(file.as_bytes()));
    json!({
        "package": package, "os": os, "version": version, "architecture": "amd64", "type": "lxc",
        "section": "system", "headline": format!("LXC image {package}"), "description": "",
        "infopage": "https://pve.proxmox.com/wiki/Linux_Container#pct_supported_distributions",
        "maintainer": "Proxmox Support Team <support@proxmox.com>", "source": SOURCE,
        "location": format!("{SOURCE}/system/{file}"), "template": file,
        "md5sum": &checksum[..32], "sha512sum": checksum,
    })
}

pub(super) fn appliances(call: &mut Call<'_>) -> Outcome {
    Ok(Value::Array(known_appliances(call.world)).into())
}

/// Where an appliance would be downloaded from; nothing when none has this name.
pub(super) fn appliance_location(world: &World, template: &str) -> Option<String> {
    let rows = known_appliances(world);
    let found = rows.iter().find(|row| row["template"] == template)?;
    found["location"].as_str().map(str::to_owned)
}
