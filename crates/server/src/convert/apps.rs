//! Apps, their logs and plans.

use proximity_api::apps::{
    App, AppError, HostName, NetworkConfig, PlannedGuest, Preflight, PreflightLine, PreflightPlace,
    RemovalPlan, Resources, UpdatePreview, UpdatedField,
};
use proximity_domain::app::Status;
use proximity_domain::network::NetworkWish;
use proximity_domain::preflight::Amount;
use proximity_domain::recorded::RecordedGuest;
use proximity_engine::commands;
use proximity_store::records::{AppRecord, LogLevel, LogLine};
use serde_json::Value;

use super::{moment, ports, problem, shown_site};

/// An app with its host's label and its guests.
pub(crate) fn app(record: AppRecord, host_label: &str, guests: &[RecordedGuest]) -> App {
    let url = record.shown_url().map(str::to_owned);
    let made_with = record.made_with;
    let network = &made_with.network;
    App {
        id: record.id.to_string(),
        hostname: record.hostname.into(),
        class: record.class.label().to_owned(),
        catalog_id: record.catalog_id.into(),
        catalog_version: record.catalog_version,
        newer_entry: None,
        status: record.status.label().label().to_owned(),
        error: error(&record.status),
        host: HostName {
            id: record.host.to_string(),
            label: host_label.to_owned(),
        },
        node: record.node.into(),
        vmid: guests.last().map(|guest| guest.place().vmid.get()),
        config: Resources {
            memory: record.resources.memory_mib,
            cores: record.resources.cores,
            disk: record.resources.disk_gib,
        },
        environment: record.environment,
        ports: record.ports.map(ports),
        container_port: record.guest_port,
        url,
        site: record.site.map(shown_site),
        network: (!network.is_usual()).then(|| shown_network(network.words())),
        root_access: match (made_with.root_password, made_with.root_keys.is_empty()) {
            (true, _) => Some("password".to_owned()),
            (false, false) => Some("keys".to_owned()),
            (false, true) => None,
        },
        apart_from: made_with.apart_from.into_iter().map(String::from).collect(),
        operation_id: record.operation.map(|id| id.to_string()),
        owner: record.owner,
        created_at: moment(record.created_at),
        state_changed_at: moment(record.status_changed_at),
    }
}

fn error(status: &Status) -> Option<AppError> {
    match status {
        Status::Error { was, why, since } => Some(AppError {
            was: was.label().to_owned(),
            since: moment(*since),
            problem: problem(why),
        }),
        Status::Deploying
        | Status::Adopting
        | Status::Cloning
        | Status::Running
        | Status::Stopped
        | Status::Updating
        | Status::Removing => None,
    }
}

/// One line of an app's log.
pub(crate) fn log_line(line: LogLine) -> proximity_api::logs::LogLine {
    proximity_api::logs::LogLine {
        seq: line.seq,
        at: moment(line.at),
        level: match line.level {
            LogLevel::Info => "info",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
        }
        .to_owned(),
        step: line.step,
        message: line.message,
        percent: line.percent,
        operation_id: line.operation.map(|id| id.to_string()),
    }
}

/// What a removal would do.
pub(crate) fn removal_plan(plan: commands::RemovalPlan) -> RemovalPlan {
    RemovalPlan {
        app_id: plan.app.to_string(),
        hostname: plan.hostname,
        deletion_type: plan.deletion_type.to_owned(),
        guests: plan
            .guests
            .into_iter()
            .map(|guest| PlannedGuest {
                node: guest.node,
                vmid: guest.vmid,
                identity_ok: guest.identity_ok,
                protected: guest.protected,
                running: guest.running,
                trouble: guest.trouble,
                backup_jobs: guest.backup_jobs,
            })
            .collect(),
        ports: plan.ports.map(ports),
        steps: plan.steps,
    }
}

/// What a change in place would do.
pub(crate) fn update_preview(preview: commands::UpdatePreview) -> UpdatePreview {
    let changes = preview.changes.into_iter().map(|change| UpdatedField {
        path: change.path,
        from: change.from,
        to: change.to,
    });
    UpdatePreview {
        app_id: preview.app.to_string(),
        hostname: preview.hostname,
        digest: preview.digest,
        running: preview.running,
        changes: changes.collect(),
        calls: preview.calls,
        needs_confirm: preview.confirm,
    }
}

/// What a deploy would find.
pub(crate) fn preflight(found: commands::Preflight) -> Preflight {
    let place = found.place;
    Preflight {
        hostname: found.hostname,
        deployable: found.deployable,
        place: place.map(|(host, node)| PreflightPlace { host, node }),
        lines: found.lines.into_iter().map(preflight_line).collect(),
    }
}

fn preflight_line(told: commands::PreflightLine) -> PreflightLine {
    let line = told.line;
    let said = |text: String| (!text.is_empty()).then_some(text);
    PreflightLine {
        what: line.what.label().to_owned(),
        place: line.place,
        has: line.has.map(amount),
        wants: line.wants.map(amount),
        unit: line.unit.map(str::to_owned),
        verdict: line.verdict.label().to_owned(),
        code: line.code.map(str::to_owned),
        note: said(line.note),
        hint: said(told.hint),
    }
}

fn amount(amount: Amount) -> Value {
    match amount {
        Amount::Number(number) => number.into(),
        Amount::Text(text) => text.into(),
    }
}

/// A container's network as it is asked for.
pub(crate) fn network(config: NetworkConfig) -> NetworkWish {
    NetworkWish {
        bridge: config.bridge,
        vlan: config.vlan,
        ipv4: config.ipv4,
        gateway: config.gateway,
        ipv6: config.ipv6,
        gateway6: config.gateway6,
        dns: config.dns,
        search: config.search,
    }
}

/// A container's network as it was asked for.
fn shown_network(words: NetworkWish) -> NetworkConfig {
    NetworkConfig {
        bridge: words.bridge,
        vlan: words.vlan,
        ipv4: words.ipv4,
        gateway: words.gateway,
        ipv6: words.ipv6,
        gateway6: words.gateway6,
        dns: words.dns,
        search: words.search,
    }
}
