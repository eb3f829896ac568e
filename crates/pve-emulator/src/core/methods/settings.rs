//! What a cluster and its nodes are configured with, as far as clients of containers read it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::world::{NextId, World};
use crate::schema::{Format, parse_property_string, split_list, table};

/// Prefix of generated network addresses.
const MAC_PREFIX: &str = "BC:24:11";

/// Datacenter options; without Sys.Audit only the tags that may be used.
pub(super) fn options(call: &mut Call<'_>) -> Outcome {
    let tags: BTreeSet<String> = call
        .world
        .guests()
        .filter(|(vmid, _)| call.may(&format!("/vms/{vmid}"), "VM.Audit"))
        .flat_map(|(_, guest)| {
            let list = guest.config.get("tags").unwrap_or_default();
            split_list(list)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let mut row = json!({"allowed-tags": tags});
    if call.may("/", "Sys.Audit") {
        row["mac_prefix"] = MAC_PREFIX.into();
        row["description"] = "".into();
        let NextId { lower, upper } = *call.world.next_id;
        if lower.or(upper).is_some() {
            let bounds = [("lower", lower), ("upper", upper)];
            let given = bounds
                .iter()
                .filter_map(|(k, n)| Some((*k, (*n)?.to_string())));
            row["next-id"] = json!(given.collect::<BTreeMap<_, _>>());
        }
    }
    Ok(row.into())
}

/// Of the datacenter options the one about free numbers; what is not emulated is refused.
pub(super) fn set_options(call: &mut Call<'_>) -> Outcome {
    let removed = call.text("delete").unwrap_or_default();
    let removed = split_list(&removed);
    let named = call.params.keys().map(String::as_str);
    let named = named.filter(|name| *name != "delete");
    if let Some(other) = named
        .chain(removed.iter().copied())
        .find(|name| *name != "next-id")
    {
        return Err(ApiError::not_emulated(format!("the datacenter option '{other}'")).into());
    }
    if !call.world.is_quorate(&call.via, call.now_ms) {
        let locked_out = "cfs-lock 'file-datacenter_cfg' error: no quorum!";
        return Err(ApiError::died(locked_out).into());
    }
    let mut next_id = *call.world.next_id;
    if removed.contains(&"next-id") {
        next_id = NextId::default();
    }
    if let Some(text) = call.text("next-id") {
        next_id = parse_next_id(&text)?;
    }
    let (lower, upper) = next_id.bounds();
    if lower > upper {
        let broken = format!("lower ({lower}) <= upper ({upper}) boundary rule broken");
        return Err(ApiError::died(broken).into());
    }
    *call.world.next_id = next_id;
    Ok(Value::Null.into())
}

fn parse_next_id(text: &str) -> Result<NextId, ApiError> {
    let method = table().lookup("PUT", "/cluster/options");
    let property = method.and_then(|found| found.method.parameter("next-id"));
    let Some(Format::Keys(keys)) = property.and_then(|it| it.format.as_ref()) else {
        return Err(ApiError::not_emulated("'next-id'"));
    };
    let values =
        parse_property_string(keys, text).map_err(|e| ApiError::parameter("next-id", e))?;
    let number = |name: &str| {
        let Some(text) = values.get(name) else {
            return Ok(None);
        };
        let number = text.parse::<u32>();
        number.map(Some).map_err(|_| {
            ApiError::not_emulated(format!("'{text}' as a bound of the numbers of guests"))
        })
    };
    Ok(NextId {
        lower: number("lower")?,
        upper: number("upper")?,
    })
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

pub(super) fn dns(_: &mut Call<'_>) -> Outcome {
    Ok(json!({"dns1": "127.0.0.1"}).into())
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
