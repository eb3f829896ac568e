//! Adopt: read everything there is to know of a container that is there, and record it. Nothing is written on PVE.
//!
//! Guarantees: doctrine 4. The record is committed with the app's final status, which is the container's real state. If the
//! configuration or the power state cannot be read, nothing is stored but the history of the attempt; what else is missing is
//! named in the record.

use async_trait::async_trait;
use proximity_domain::adoption::{CAPTURING, COMPLETED};
use proximity_domain::event::EventKind;
use proximity_store::effects::{Effects, GuestChange, NewEvent};
use proximity_store::records::LogLevel;
use serde_json::json;

use super::steps::capture::{Capture, ReadState, record};
use super::steps::status::event;
use crate::saga::{Calls, Cx, Ending, Row, Saga, StepResult};

const STEPS: &[Row] = &[
    Row {
        name: "capture_configuration",
        percent: 10,
        log: CAPTURING,
        cancellable: true,
        calls: Calls::Nothing,
        action: &Capture,
    },
    Row {
        name: "read_state",
        percent: 50,
        log: "Reading power, resources and network",
        cancellable: true,
        calls: Calls::Nothing,
        action: &ReadState,
    },
];

pub(super) static SAGA: Saga = Saga {
    steps: STEPS,
    ending: &AdoptEnding,
};

struct AdoptEnding;

#[async_trait]
impl Ending for AdoptEnding {
    async fn succeeded(&self, cx: &Cx) -> StepResult<Effects> {
        let (record, status) = record(cx).await?;
        let missing: Vec<&str> = record.missing_parts.iter().map(|p| p.label()).collect();
        let body = json!({
            "app": cx.app.id,
            "hostname": cx.app.hostname,
            "operation": cx.op.id,
            "vmid": record.original_vmid,
            "config_snapshot_captured": !record.proxmox_config_snapshot.is_empty(),
            "config_keys_count": record.proxmox_config_snapshot.len(),
            "status_at_adoption": record.status_at_adoption,
            "missing_parts": missing,
        });
        let mut log = Vec::new();
        if !missing.is_empty() {
            let line = format!("Not captured: {}", missing.join(", "));
            log.push(cx.line(LogLevel::Info, line));
        }
        log.push(cx.line(LogLevel::Info, COMPLETED));
        Ok(Effects {
            adoption: Some(record),
            status: Some(status),
            log,
            events: vec![NewEvent {
                kind: EventKind::AppAdopted,
                body,
            }],
            percent: Some(100),
            ..Effects::default()
        })
    }

    async fn unwound(&self, cx: &Cx) -> StepResult<Effects> {
        let guests = cx.store().recorded_guests(cx.app.id).await?;
        let adopted = guests.iter().filter_map(|guest| guest.adopted());
        let released = adopted.map(|guest| GuestChange::Released { guest: guest.id });
        Ok(Effects {
            guests: released.collect(),
            archive: true,
            log: vec![cx.line(
                LogLevel::Warning,
                "Not adopted: nothing was stored, and the container was not touched",
            )],
            events: vec![event(cx, EventKind::AppAdoptFailed)],
            ..Effects::default()
        })
    }
}
