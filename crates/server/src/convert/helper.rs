//! The helper on a host's nodes: requests for it, and what came of them. Keys go in and never come out.

use proximity_api::helper::{HelperOnNode, HelperReport, InstallHelper, RemoveHelper};
use proximity_engine::commands::{self, HelperState};

/// The request as the engine takes it.
pub(crate) fn install_helper(body: InstallHelper) -> commands::InstallHelper {
    commands::InstallHelper {
        nodes: body.nodes,
        private_key: body
            .private_key
            .map(proximity_api::secret::Secret::into_inner),
        addresses: body.addresses,
        host_keys: body.host_keys,
        dry_run: body.dry_run,
    }
}

/// The request as the engine takes it.
pub(crate) fn remove_helper(body: RemoveHelper) -> commands::RemoveHelper {
    commands::RemoveHelper {
        private_key: body.private_key.into_inner(),
        dry_run: body.dry_run,
    }
}

/// What was done, or would be.
pub(crate) fn helper_report(report: commands::HelperReport) -> HelperReport {
    HelperReport {
        host: super::host(report.host),
        recorded: report.recorded,
        sha256: report.sha256,
        nodes: report.nodes.into_iter().map(on_node).collect(),
        apps_without_access: report.apps_without_access,
        notes: report.notes,
    }
}

fn on_node(on: commands::HelperOnNode) -> HelperOnNode {
    let state = match on.state {
        HelperState::Seen => "seen",
        HelperState::Answers => "answers",
        HelperState::Gone => "gone",
        HelperState::Unfinished => "unfinished",
    };
    HelperOnNode {
        node: on.node.into(),
        address: on.address,
        host_key: on.host_key,
        state: state.to_owned(),
        program: on.program,
        sha256_before: on.sha256_before,
        keys_file: on.keys_file,
        line: on.line,
        version: on.version,
        trouble: on.trouble,
    }
}
