//! Discovered and adopted containers.

use proximity_api::adoption::{
    AdoptedInterface, Adoption, DiscoveredContainer, Discovery, DiscoveryGap, DriftReport,
    DriftedField, DriftedKey, Guarding, KeyLeft, ResourcesAtAdoption, RestorableKey,
    RestorePreview,
};
use proximity_domain::adoption::{AdoptionRecord, without_secrets};
use proximity_domain::drift::Drift;
use proximity_domain::merge::{Merged, Verdict};
use proximity_engine::commands::{self, DiscoveredMark};

use serde_json::Value;

use super::moment;

/// What was found.
pub(crate) fn discovery(found: commands::Discovery) -> Discovery {
    let gaps = found.gaps.into_iter();
    Discovery {
        complete: found.complete,
        containers: found.containers.into_iter().map(container).collect(),
        gaps: gaps.map(|(host, why)| DiscoveryGap { host, why }).collect(),
    }
}

fn container(found: commands::Discovered) -> DiscoveredContainer {
    let why_not = why_not(&found);
    let tags = found.tags.unwrap_or_default();
    let tags = tags.split(';').filter(|tag| !tag.is_empty());
    DiscoveredContainer {
        host: found.host,
        node: found.node,
        vmid: found.vmid.get(),
        name: found.name,
        status: found.status.to_owned(),
        adoptable: why_not.is_none(),
        why_not,
        mark: found.mark.label().to_owned(),
        template: found.template,
        ha_managed: found.ha_managed,
        tags: tags.map(str::to_owned).collect(),
        pool: found.pool,
        cpus: found.cpus,
        memory_bytes: found.memory_bytes,
        disk_bytes: found.disk_bytes,
        uptime_seconds: found.uptime_s,
        suggested_type: found.suggested_type.to_owned(),
        suggested_port: found.suggested_port,
    }
}

fn why_not(found: &commands::Discovered) -> Option<String> {
    let why = match found.mark {
        DiscoveredMark::Ours => "it bears the mark of this installation, which has no record of it",
        DiscoveredMark::Foreign => "it bears the mark of another Proximity installation",
        DiscoveredMark::No | DiscoveredMark::Unread if found.template => "it is a template",
        DiscoveredMark::No | DiscoveredMark::Unread => return None,
    };
    Some(why.to_owned())
}

/// What differs from what was applied and is wanted, and from the day of adoption.
pub(crate) fn drift(view: commands::DriftView) -> DriftReport {
    let changes: Vec<DriftedKey> = view.changes.into_iter().map(drifted_key).collect();
    let is_drift = view.fields.iter().any(|field| field.verdict.is_drift());
    DriftReport {
        app_id: view.app.to_string(),
        hostname: view.hostname,
        drifted: !changes.is_empty() || is_drift,
        revision: view.wanted.map(|(revision, _)| revision),
        policy: view.wanted.map(|(_, policy)| policy.label().to_owned()),
        told_since: view.told_since.map(moment),
        fields: view.fields.into_iter().map(drifted_field).collect(),
        guarded_since: view.guarded_since.map(moment),
        changes,
        ignored: view.ignored.into_iter().map(drifted_key).collect(),
    }
}

fn drifted_key(drift: Drift) -> DriftedKey {
    let shown = |value: Option<Value>| value.map(|value| without_secrets(&drift.key, value));
    DriftedKey {
        at_adoption: shown(drift.then),
        now: shown(drift.now),
        key: drift.key.clone(),
    }
}

fn drifted_field(field: Merged) -> DriftedField {
    DriftedField {
        ignored: field.verdict == Verdict::Ignored,
        path: field.path,
        applied: field.last,
        wanted: field.wanted,
        now: field.actual,
        source: field
            .verdict
            .source()
            .map(|source| source.label().to_owned()),
    }
}

/// Whether an app is guarded.
pub(crate) fn guarding(view: commands::GuardView) -> Guarding {
    Guarding {
        app_id: view.app.id.to_string(),
        hostname: view.app.hostname.to_string(),
        guarded: view.since.is_some(),
        since: view.since.map(moment),
    }
}

/// What a restore of keys would do.
pub(crate) fn restore_preview(preview: commands::RestorePreview) -> RestorePreview {
    let keys = preview.plan.keys.into_iter().map(|restore| {
        let key = restore.drift.key;
        let shown = |value: Option<Value>| value.map(|value| without_secrets(&key, value));
        RestorableKey {
            now: shown(restore.drift.now),
            restored: shown(restore.drift.then),
            in_force: restore.in_force.label().to_owned(),
            key: key.clone(),
        }
    });
    let left = preview.plan.left.into_iter().map(|(key, why)| KeyLeft {
        key,
        why: why.to_string(),
    });
    RestorePreview {
        app_id: preview.app.to_string(),
        hostname: preview.hostname,
        digest: preview.digest,
        running: preview.running,
        keys: keys.collect(),
        left: left.collect(),
        call: preview.call,
    }
}

/// What was read on the day of adoption.
pub(crate) fn adoption(record: AdoptionRecord) -> Adoption {
    let keys = record.proxmox_config_snapshot.len();
    let config = record.proxmox_config_snapshot.into_iter();
    let figures = record.resources_at_adoption;
    let interfaces = record.network_interfaces.into_iter();
    let missing = record.missing_parts.iter();
    Adoption {
        adopted: true,
        original_vmid: record.original_vmid.get(),
        original_name: record.original_name,
        adoption_date: moment(record.adoption_date),
        suggested_type: record.suggested_type.into(),
        container_port: record.container_port,
        detected_ports: record.detected_ports,
        proxmox_config_snapshot: config
            .map(|(key, value)| (key.clone(), without_secrets(&key, value)))
            .collect(),
        config_snapshot_captured: keys > 0,
        config_keys_count: keys,
        resources_at_adoption: ResourcesAtAdoption {
            cpus: figures.cpus,
            memory_bytes: figures.memory_bytes,
            disk_bytes: figures.disk_bytes,
            uptime_seconds: figures.uptime_seconds,
        },
        status_at_adoption: record.status_at_adoption.label().to_owned(),
        network_interfaces: interfaces
            .map(|i| AdoptedInterface {
                name: i.name,
                mac: i.mac.map(|mac| mac.to_string()),
                addresses: i.addresses.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        hostname: record.hostname,
        os_type: record.os_type,
        architecture: record.architecture,
        missing_parts: missing.map(|part| part.label().to_owned()).collect(),
    }
}
