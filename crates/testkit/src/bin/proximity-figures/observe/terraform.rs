//! Terraform's core: resources of its own built-in kind, in its configuration and in its state as if they had been applied.

use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::process::Command;

/// How long one plan may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// In which the kernel tells of processor time (`USER_HZ`, proc(5)), milliseconds.
const TICK_MS: u64 = 10;
/// Where the times of children that were waited for begin behind the name, in /proc/PID/stat.
const CHILDREN: usize = 13;

/// Writes what it reads. Applying it would take many times as long as planning, so the state is written as an apply leaves it.
pub(super) fn write(dir: &Path, vmids: Range<u32>) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let block = |vmid: u32| {
        format!(
            "resource \"terraform_data\" \"app{vmid}\" {{\n  input = {{ host = \"lab\", vmid = {vmid}, power = \"running\" }}\n}}\n"
        )
    };
    let blocks: String = vmids.clone().map(block).collect();
    std::fs::write(dir.join("main.tf"), blocks)?;
    let state = json!({
        "version": 4, "terraform_version": "1.0.0", "serial": 1, "lineage": "figure", "outputs": {},
        "resources": vmids.map(applied).collect::<Vec<_>>(), "check_results": null,
    });
    std::fs::write(dir.join("terraform.tfstate"), state.to_string())?;
    Ok(())
}

fn applied(vmid: u32) -> Value {
    let kind = json!({ "host": "string", "power": "string", "vmid": "number" });
    let input = json!({
        "value": { "host": "lab", "power": "running", "vmid": vmid }, "type": ["object", kind],
    });
    json!({
        "mode": "managed", "type": "terraform_data", "name": format!("app{vmid}"),
        "provider": "provider[\"terraform.io/builtin/terraform\"]",
        "instances": [{
            "schema_version": 0, "sensitive_attributes": [],
            "attributes": { "id": format!("app{vmid}"), "input": input, "output": input, "triggers_replace": null },
        }],
    })
}

/// The processor time of a plan, which must find nothing to do. It asks nobody whether there is a newer program.
pub(super) async fn plan(program: &Path, dir: &Path) -> Result<Duration> {
    let before = of_children()?;
    let mut command = Command::new(program);
    command
        .args(["plan", "-input=false", "-no-color", "-lock=false"])
        .arg("-detailed-exitcode")
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await??;
    if ended.status.code() != Some(0) {
        let said = String::from_utf8_lossy(&ended.stderr);
        bail!(
            "it ended with {} (2: it would change something): {said}",
            ended.status
        );
    }
    Ok(of_children()?.saturating_sub(before))
}

/// Processor time of all processes that were started here, have ended and were waited for.
fn of_children() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, behind) = stat.rsplit_once(')').context("no name")?;
    let mut ticks = 0;
    for field in behind.split_whitespace().skip(CHILDREN).take(2) {
        ticks += field.parse::<u64>()?;
    }
    Ok(Duration::from_millis(ticks * TICK_MS))
}
