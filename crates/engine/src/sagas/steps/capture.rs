//! The steps of an adoption: the whole configuration, then what may be missing. Both only read; inside is looked only where the
//! request says so.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use proximity_domain::adoption::{
    AdoptionPart, AdoptionRecord, ResourcesAtAdoption, StatusAtAdoption, keys_captured,
};
use proximity_domain::app::{Status, StatusEvent};
use proximity_domain::failure::Failure;
use proximity_domain::guest::{ContainerRef, Ownership};
use proximity_domain::interface::GuestInterface;
use proximity_domain::names::CatalogId;
use proximity_domain::sockets::{listening, settle};
use proximity_pve::cluster::GuestStatus;
use proximity_pve::guest::{Exec, GuestOwner, GuestTarget};
use proximity_pve::lxc::LxcStatus;
use proximity_store::effects::{Effects, NewLogLine};
use proximity_store::records::LogLevel;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::guest_session::guest_failure;
use super::status::status_after;
use crate::cluster::observed;
use crate::commands::refuse_what_is_marked;
use crate::saga::{Cx, Done, Guard, StepAction, StepError, StepResult, is_off, pve_failure, runs};

/// The kernel's own tables: there in every container, whatever is installed.
const PROBE: [&str; 3] = ["cat", "/proc/net/tcp", "/proc/net/tcp6"];
/// How they begin.
const TABLE_BEGINS: &[u8] = b"  sl  local_address";
const PROBE_MS: u64 = 10_000;
/// Some thousand sockets.
const PROBE_BYTES: usize = 1 << 20;
/// What is kept of them for good.
const MOST_PORTS: usize = 1_000;

/// Reads the configuration of the container that was asked for, if it is still that one.
pub(crate) struct Capture;

/// What [`Capture`] reads back.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Captured {
    config: BTreeMap<String, Value>,
}

#[async_trait]
impl StepAction for Capture {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_recorded().await?;
        // Follows it to another node, or says that it is gone or another one.
        cx.must_be_ours(&guest).await?;
        let place = guest.place();
        let read = cx.cluster.read().lxc_config(&place.node, place.vmid).await;
        let config = match read {
            Err(_) if is_off(Guard::Keys) => return Done::with_sealed(&Captured::default()),
            read => read.map_err(|e| pve_failure("reading the container's configuration", &e))?,
        };
        let seen = observed(place.clone(), &config, false);
        if let Ownership::Conflict(conflict) = guest.compare(&seen) {
            return Err(StepError::Failed(Failure::new(
                "identity_conflict",
                conflict.to_string(),
                "it changed since it was asked for; look at it, then adopt it again",
            )));
        }
        let refused = refuse_what_is_marked(&seen).err();
        if let Some(refused) = refused {
            return Err(StepError::Failed(refused.failure()));
        }
        if config.raw.is_empty() {
            return Err(StepError::Transient(Failure::new(
                "pve_unreadable",
                format!(
                    "the configuration of container {} came without a key",
                    place.vmid
                ),
                "retry reads it again",
            )));
        }
        let line = keys_captured(config.raw.len());
        let captured = Captured { config: config.raw };
        Ok(Done {
            effects: Effects {
                log: vec![cx.line(LogLevel::Info, line)],
                ..Effects::default()
            },
            ..Done::with_sealed(&captured)?
        })
    }
}

/// Reads whether it runs, what it has and uses, and its network devices.
pub(crate) struct ReadState;

/// What [`ReadState`] reads back.
#[derive(Debug, Serialize, Deserialize)]
struct StateRead {
    status: StatusAtAdoption,
    name: Option<String>,
    resources: ResourcesAtAdoption,
    interfaces: Option<Vec<GuestInterface>>,
    /// What listens inside; `None` if nobody looked, or could.
    #[serde(default)]
    sockets: Option<BTreeSet<u16>>,
}

#[async_trait]
impl StepAction for ReadState {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_recorded().await?;
        cx.must_be_ours(&guest).await?;
        let place = guest.place();
        let read = cx.cluster.read().lxc_status(&place.node, place.vmid).await;
        let seen = read.map_err(|e| pve_failure("reading the container's status", &e))?;
        let status = if runs(&seen, place.vmid)? {
            StatusAtAdoption::Running
        } else {
            StatusAtAdoption::Stopped
        };
        let (sockets, log) = match probes(cx) && status == StatusAtAdoption::Running {
            true => sockets(cx, place).await,
            false => (None, Vec::new()),
        };
        let read = StateRead {
            status,
            resources: resources(&seen),
            interfaces: interfaces(cx, place, &seen).await,
            sockets,
            name: seen.name,
        };
        let mut done = Done::with(&read)?;
        done.effects.log.extend(log);
        Ok(done)
    }
}

/// Whether the request that is on record asks to look inside: doctrine, I2.
fn probes(cx: &Cx) -> bool {
    cx.op.input.get("probe").and_then(Value::as_bool) == Some(true)
}

/// What listens inside, by one command that only reads, in the container that was recognised just now. That nobody may or can
/// look inside is no reason to give up; it is said.
async fn sockets(cx: &Cx, place: &ContainerRef) -> (Option<BTreeSet<u16>>, Vec<NewLogLine>) {
    let unread = |why: &str| {
        let line = format!("What listens inside could not be read: {why}");
        (None, vec![cx.line(LogLevel::Warning, line)])
    };
    let Some(access) = cx.cluster.guest_access() else {
        let label = cx.cluster.label();
        return unread(&format!(
            "host {label} has no way into its containers; let Proximity in: proximity hosts install-helper {label} \
             --ssh-key FILE"
        ));
    };
    let target = GuestTarget {
        node: place.node.clone(),
        vmid: place.vmid,
        owner: GuestOwner::Adopted,
    };
    let exec = Exec {
        argv: PROBE.map(str::to_owned).to_vec(),
        stdin: None,
        timeout_ms: PROBE_MS,
        max_output_bytes: PROBE_BYTES,
        send_before: None,
    };
    match access.exec(&target, exec).await {
        // A kernel without IPv6 has no second file, which `cat` complains about after it has printed the first.
        Ok(output) if output.stdout.starts_with(TABLE_BEGINS) && !output.truncated => {
            let ports = listening(&String::from_utf8_lossy(&output.stdout));
            if ports.len() > MOST_PORTS {
                return unread(&format!("{} ports are too many to be kept", ports.len()));
            }
            let told = ports.iter().map(u16::to_string).collect::<Vec<_>>();
            let line = match told.is_empty() {
                true => "Nothing listens inside".to_owned(),
                false => format!("Inside listen: {}", told.join(", ")),
            };
            (Some(ports), vec![cx.line(LogLevel::Info, line)])
        }
        Ok(output) => unread(&format!(
            "{} printed {} (exit code {})",
            PROBE.join(" "),
            if output.truncated {
                "more than can be read"
            } else {
                "nothing of the kind"
            },
            output.exit_code
        )),
        Err(e) => {
            let failure = guest_failure(&e).into_failure();
            let told = failure.map(|failure| format!("{}; {}", failure.message, failure.hint));
            unread(&told.unwrap_or_else(|| e.to_string()))
        }
    }
}

fn resources(seen: &LxcStatus) -> ResourcesAtAdoption {
    ResourcesAtAdoption {
        cpus: seen.cpus,
        memory_bytes: seen.max_memory_bytes,
        disk_bytes: seen.max_disk_bytes,
        uptime_seconds: Some(seen.uptime_s),
    }
}

/// Only a running container shows them; that they cannot be read is no reason to give up.
async fn interfaces(
    cx: &Cx,
    place: &ContainerRef,
    seen: &LxcStatus,
) -> Option<Vec<GuestInterface>> {
    if seen.status != GuestStatus::Running {
        return None;
    }
    let read = cx.cluster.read();
    match read.lxc_interfaces(&place.node, place.vmid).await {
        Ok(shown) => shown.map(|shown| shown.into_iter().map(GuestInterface::from).collect()),
        Err(e) => {
            tracing::warn!(app = %cx.app.hostname, error = %e, "network devices cannot be read");
            None
        }
    }
}

/// The record of what the steps read back, and the status that the app has from now on.
pub(crate) async fn record(cx: &Cx) -> StepResult<(AdoptionRecord, Status)> {
    let captured: Captured = output(cx, "capture_configuration")?;
    let state: StateRead = output(cx, "read_state")?;
    let guest = cx.must_have_recorded().await?;
    let config = captured.config;
    let text = |key: &str| config.get(key).and_then(Value::as_str).map(str::to_owned);
    let hostname = text("hostname");
    let event = match state.status {
        StatusAtAdoption::Running => StatusEvent::BecameRunning,
        StatusAtAdoption::Stopped => StatusEvent::BecameStopped,
    };
    let figures = state.resources;
    let usage = [figures.memory_bytes, figures.disk_bytes];
    let mut missing = Vec::new();
    if state.interfaces.is_none() {
        missing.push(AdoptionPart::NetworkInterfaces);
    }
    if figures.cpus.is_none() || usage.contains(&None) {
        missing.push(AdoptionPart::Usage);
    }
    if state.sockets.is_none() {
        missing.push(AdoptionPart::ListeningSockets);
    }
    let (kind, port) = settled(cx, state.sockets.as_ref());
    let record = AdoptionRecord {
        original_vmid: guest.place().vmid,
        original_name: state.name.or_else(|| hostname.clone()).unwrap_or_default(),
        adoption_date: cx.now(),
        suggested_type: kind,
        container_port: port,
        detected_ports: state.sockets.into_iter().flatten().collect(),
        resources_at_adoption: figures,
        status_at_adoption: state.status,
        network_interfaces: state.interfaces.unwrap_or_default(),
        hostname,
        os_type: text("ostype"),
        architecture: text("arch"),
        missing_parts: missing,
        proxmox_config_snapshot: config,
    };
    Ok((record, status_after(cx, event).await?))
}

/// What it is and where its app listens: as it was asked for, and what that left open by what listens inside.
fn settled(cx: &Cx, seen: Option<&BTreeSet<u16>>) -> (CatalogId, u16) {
    let (kind, port) = (&cx.app.catalog_id, cx.app.guest_port);
    let Some(seen) = seen.filter(|seen| !seen.is_empty()) else {
        return (kind.clone(), port);
    };
    let given = |what: &str| cx.op.input.get(what).and_then(Value::as_bool) == Some(true);
    let port = given("port_given").then_some(port);
    settle(kind, given("type_given"), port, seen)
}

fn output<T: DeserializeOwned>(cx: &Cx, step: &str) -> StepResult<T> {
    let row = cx.steps().into_iter().find(|row| row.name == step);
    let output = row.and_then(|row| row.output);
    let read = output.and_then(|output| serde_json::from_value(output).ok());
    read.ok_or_else(|| {
        StepError::Stuck(Failure::new(
            "intent_unreadable",
            format!("what {step} had read cannot be read back"),
            "report this as a bug; the container was not touched",
        ))
    })
}
