//! What the loops found, and the archive.

use proximity_api::archive::{ArchivedApp, PastContainer, SentCall};
use proximity_api::reconcile::{JanitorReport, MassBrake, Orphan, ReconcileReport};
use proximity_engine::janitor;
use proximity_engine::reconcile;
use proximity_store::views;

use super::{moment, ports};

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

pub(crate) fn reconcile_report(report: reconcile::ReconcileReport) -> ReconcileReport {
    let result = report.result;
    ReconcileReport {
        success: result.success,
        total_apps: result.total_apps,
        real_vmids_count: count(result.real_vmids_count),
        orphans_found: count(result.orphans_found),
        expected_orphans: count(result.expected_orphans),
        anomalous_orphans: count(result.anomalous_orphans),
        orphans_purged: count(result.orphans_purged),
        errors: result.errors,
        suspected: report.suspected,
        orphans: report.orphans.into_iter().map(orphan).collect(),
        brake: report.brake.map(|brake| MassBrake {
            missing: brake.missing,
            ripe: brake.ripe,
            done: brake.done,
            limit: brake.limit,
            hint: brake.hint,
        }),
        moved: count(report.moved),
        refreshed: count(report.refreshed),
    }
}

fn orphan(view: reconcile::OrphanView) -> Orphan {
    Orphan {
        app_id: view.app.to_string(),
        hostname: view.hostname,
        host: view.host,
        vmid: view.vmid.get(),
        kind: view.kind.to_owned(),
        status: view.status.to_owned(),
        archived: view.archived,
    }
}

pub(crate) fn janitor_report(report: janitor::JanitorReport) -> JanitorReport {
    JanitorReport {
        total_transitional: count(report.result.total_transitional),
        stuck_found: count(report.result.stuck_found),
        stuck_marked_error: count(report.result.stuck_marked_error),
        lines: report.lines,
    }
}

pub(crate) fn archived_app(archived: views::ArchivedApp) -> ArchivedApp {
    let record = archived.record;
    ArchivedApp {
        id: record.id.to_string(),
        hostname: record.hostname.to_string(),
        owner: record.owner,
        catalog_id: record.catalog_id.to_string(),
        catalog_version: record.catalog_version,
        node: record.node.to_string(),
        status: record.status.label().label().to_owned(),
        ports: archived.ports.map(ports),
        created_at: moment(record.created_at),
        archived_at: moment(archived.archived_at),
        archived_by: archived.by.to_string(),
        history: None,
    }
}

/// A container that an app had; `host` is the label of its entry.
pub(crate) fn past_container(past: views::PastGuest, host: Option<String>) -> PastContainer {
    PastContainer {
        host,
        node: past.place.node.to_string(),
        vmid: past.place.vmid.get(),
        gone_at: past.gone_at.map(moment),
    }
}

/// A call that was audited.
pub(crate) fn sent_call(entry: views::AuditRow) -> SentCall {
    SentCall {
        at: moment(entry.at),
        account: entry.account,
        call: entry.action,
        target: entry.target,
        details: entry.details,
        operation_id: entry.operation.map(|id| id.to_string()),
    }
}
