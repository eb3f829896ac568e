//! The helper on the lab's nodes: put there as on real ones, and what it noted of its work.

use proximity_api::helper::InstallHelper;

use super::stack::World;
use crate::failed::Failed;
use crate::output::Output;

/// Goes over to the helper on all nodes of the lab.
///
/// # Errors
/// It does not answer on one of them.
pub(super) async fn install(output: &Output, world: &World, host: &str) -> Result<(), Failed> {
    output.note("putting the helper on the lab's nodes");
    let body = InstallHelper::default();
    let report = world.client.install_helper(host, &body).await?;
    if report.recorded {
        return Ok(());
    }
    let troubles = report.nodes.iter().filter_map(|on| on.trouble.clone());
    let troubles: Vec<String> = troubles.collect();
    Err(Failed::error("try_failed", troubles.join("; "), ""))
}

/// Looks whether it was the helpers that ran the commands inside containers.
///
/// # Errors
/// They ran none.
pub(super) fn must_have_worked(world: &World) -> Result<(), Failed> {
    if commands_run(world)? > 0 {
        return Ok(());
    }
    let message =
        "the app was set up, but by their audits the helpers ran nothing inside its container";
    Err(Failed::error("try_failed", message, ""))
}

/// How many commands the helpers of all nodes ran inside containers, by their own audits.
fn commands_run(world: &World) -> Result<usize, Failed> {
    let mut count = 0;
    for node in &world.lab.ssh {
        let place = world.lab_dir.join("nodes").join(&node.node);
        let audit = place.join("helper").join("audit.log");
        let text = std::fs::read_to_string(&audit).map_err(|e| {
            let message = format!("the helper's audit {} cannot be read: {e}", audit.display());
            Failed::error("try_failed", message, "")
        })?;
        let begun = text.lines().filter(|line| {
            serde_json::from_str::<serde_json::Value>(line)
                .is_ok_and(|line| line["what"] == "begins" && !line["asked"]["vmid"].is_null())
        });
        count += begun.count();
    }
    Ok(count)
}
