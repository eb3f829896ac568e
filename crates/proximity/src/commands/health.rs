//! `proximity health`.

use proximity_api::error::ExitCode;
use proximity_api::health::Health;

use crate::context::Context;
use crate::failed::Failed;
use crate::text::details;

pub(crate) async fn run(context: &Context) -> Result<(), Failed> {
    let health = context.public_client()?.health().await?;
    context.output.result(&health, human)?;
    if health.status == "healthy" {
        return Ok(());
    }
    Err(Failed::new(
        ExitCode::HealthFailed,
        "degraded",
        format!("degraded: {}", parts(&health).join("; ")),
        "repair the part that fails; the server's log has more",
    ))
}

fn parts(health: &Health) -> Vec<String> {
    let own = [
        ("the database", &health.database),
        ("the gateway", &health.gateway),
    ];
    let own = own
        .into_iter()
        .filter(|(_, state)| *state != "ok")
        .map(|(part, state)| format!("{part}: {state}"));
    let hosts = health
        .hosts
        .iter()
        .filter(|host| !host.reachable)
        .map(|host| {
            let why = host.problem.as_deref().unwrap_or("does not answer");
            format!("host {}: {why}", host.label)
        });
    own.chain(hosts).collect()
}

fn human(health: &Health) -> String {
    let mut rows = vec![
        ("status", health.status.clone()),
        ("version", health.version.clone()),
        ("database", health.database.clone()),
        ("gateway", health.gateway.clone()),
    ];
    for host in &health.hosts {
        let state = match (&host.reachable, &host.problem) {
            (true, _) => "reachable",
            (false, Some(why)) => why,
            (false, None) => "does not answer",
        };
        rows.push(("host", format!("{}: {state}", host.label)));
    }
    details(rows)
}
