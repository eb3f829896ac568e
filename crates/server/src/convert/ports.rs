//! Ports as the wire shows them. Whose they are is told only to those who may see the app.

use proximity_api::ports::{PortAnswer, PortList, PortRange, RestingPort, UsedPorts};
use proximity_engine::commands::{self, PortReason, PortVerdict, PortsReport, RangeView};
use proximity_store::views::{FreedPort, PortSide};

use super::moment;

/// The report for a caller who sees all apps, or only those of the account `only`.
pub(crate) fn port_list(report: PortsReport, only: Option<&str>) -> PortList {
    PortList {
        public: range(report.public),
        internal: range(report.internal),
        asked: report.asked.map(|asked| answer(asked, &report.used, only)),
        used: report.used.into_iter().map(|u| used(u, only)).collect(),
        resting: report.resting.into_iter().filter_map(resting).collect(),
        gateway_error: report.gateway,
    }
}

fn range(view: RangeView) -> PortRange {
    PortRange {
        first: view.range.first,
        last: view.range.last,
        used: view.used,
        resting: view.resting,
        free: view.free,
    }
}

fn visible(used: &commands::UsedPorts, only: Option<&str>) -> bool {
    only.is_none_or(|account| account == used.owner)
}

fn used(used: commands::UsedPorts, only: Option<&str>) -> UsedPorts {
    let visible = visible(&used, only);
    UsedPorts {
        public: used.ports.public,
        internal: used.ports.internal,
        app_id: visible.then(|| used.app.to_string()),
        hostname: visible.then_some(used.hostname),
        trouble: used.trouble,
    }
}

fn resting(freed: FreedPort) -> Option<RestingPort> {
    Some(RestingPort {
        port: freed.port,
        until: moment(freed.rests_until?),
    })
}

fn answer(asked: PortVerdict, used: &[commands::UsedPorts], only: Option<&str>) -> PortAnswer {
    let holder = match asked.reason {
        Some(PortReason::Held { app, .. }) => used.iter().find(|u| u.app == app),
        Some(PortReason::OutsideRanges | PortReason::Resting { .. }) | None => None,
    };
    let hostname = holder
        .filter(|u| visible(u, only))
        .map(|u| u.hostname.clone());
    let reason = asked.reason.map(|reason| match reason {
        PortReason::OutsideRanges => "it lies in neither range".to_owned(),
        PortReason::Held { side, .. } => {
            let side = match side {
                PortSide::Public => "public",
                PortSide::Internal => "internal",
            };
            let who = hostname.as_deref().unwrap_or("another app");
            format!("it is the {side} port of {who}")
        }
        PortReason::Resting { until } => {
            format!("it was an orphan's and rests until {}", moment(until))
        }
    });
    PortAnswer {
        port: asked.port,
        available: asked.available,
        reason,
        hostname,
    }
}
