//! Domain and store values as wire types. Pure.

mod accounts;
mod addresses;
mod adoption;
mod applies;
mod apps;
mod catalog;
mod catalog_sources;
mod certificate;
mod doctor;
mod export;
mod helper;
mod hosts;
mod identity;
mod init;
mod inside;
mod node_loss;
mod nodes;
mod notices;
mod operations;
mod plans;
mod ports;
mod reconcile;
mod resources;
mod rollback;
mod sites;
mod sources;
mod stacks;
mod stats;
mod templates;

pub(crate) use accounts::{account, current_session, session, set_up_link};
pub(crate) use addresses::addresses;
pub(crate) use adoption::{adoption, discovery, drift, guarding, restore_preview};
pub(crate) use applies::{apply, rejected, secret};
pub(crate) use apps::{app, log_line, network, preflight, removal_plan, update_preview};
pub(crate) use catalog::{catalog_entry, catalog_problems, catalog_stats};
pub(crate) use catalog_sources::{catalog_diff, catalog_source};
pub(crate) use certificate::certificates;
pub(crate) use doctor::doctor_report;
pub(crate) use export::export;
pub(crate) use helper::{helper_report, install_helper, remove_helper};
pub(crate) use hosts::{add_host, host, host_probe};
pub(crate) use identity::reidentification;
pub(crate) use init::{init_done, init_host, init_plan, person, uninit_plan};
pub(crate) use inside::{command_output, exec_event, safe_request};
pub(crate) use node_loss::node_loss;
pub(crate) use nodes::node_list;
pub(crate) use notices::{channel_list, channel_tests};
pub(crate) use operations::operation;
pub(crate) use plans::plan;
pub(crate) use ports::port_list;
pub(crate) use reconcile::{
    archived_app, janitor_report, past_container, reconcile_report, sent_call,
};
pub(crate) use resources::{changed_fields, resource, snapshot_entry, snapshot_place};
pub(crate) use rollback::{desired_revision, rollback};
pub(crate) use sites::{shown_site, site};
pub(crate) use sources::source;
pub(crate) use stacks::{stack, stack_request, stack_run};
pub(crate) use stats::stats;
pub(crate) use templates::template;

use proximity_api::apps::{Ports, Problem};
use proximity_domain::failure::Failure;
use proximity_domain::ports::PortPair;
use proximity_domain::time::Timestamp;

/// A recorded moment as the wire shows it. One beyond what the calendar knows becomes its nearest end.
pub(crate) fn moment(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(if at.0 < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    })
}

fn problem(failure: &Failure) -> Problem {
    Problem {
        code: failure.code.clone(),
        message: failure.message.clone(),
        hint: failure.hint.clone(),
        step: failure.step.clone(),
    }
}

fn ports(pair: PortPair) -> Ports {
    Ports {
        public: pair.public,
        internal: pair.internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rfc_3339_in_utc() {
        assert_eq!(moment(Timestamp(0)).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(
            moment(Timestamp(1_700_000_000_123)).to_string(),
            "2023-11-14T22:13:20.123Z"
        );
        assert_eq!(moment(Timestamp(i64::MAX)), jiff::Timestamp::MAX);
        assert_eq!(moment(Timestamp(i64::MIN)), jiff::Timestamp::MIN);
    }
}
