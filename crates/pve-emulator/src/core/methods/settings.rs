//! What a cluster and its nodes are configured with, as far as clients of containers read it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use crate::schema::split_list;

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
    }
    Ok(row.into())
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

/// Two entries in the form of the appliance index; their archives are nowhere.
pub(super) fn appliances(_: &mut Call<'_>) -> Outcome {
    let source = "http://download.proxmox.com/images";
    let row = |package: &str, os: &str, version: &str, ending: &str, headline: &str| {
        let file = format!("{package}_{version}_amd64.tar.{ending}");
        json!({
            "package": package, "os": os, "version": version, "architecture": "amd64", "type": "lxc",
            "section": "system", "headline": headline, "description": "",
            "infopage": "https://pve.proxmox.com/wiki/Linux_Container#pct_supported_distributions",
            "maintainer": "Proxmox Support Team <support@proxmox.com>", "source": source,
            "location": format!("{source}/system/{file}"), "template": file,
            "md5sum": "0".repeat(32), "sha512sum": "0".repeat(128),
        })
    };
    Ok(json!([
        row(
            "alpine-3.22-default",
            "alpine",
            "20250617",
            "xz",
            "LXC default image for alpine 3.22"
        ),
        row(
            "debian-12-standard",
            "debian-12",
            "12.12-1",
            "zst",
            "Debian 12 Bookworm (standard)"
        ),
    ])
    .into())
}
