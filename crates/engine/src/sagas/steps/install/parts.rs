//! The parts of a recipe: packages, files, services, commands.

use bytes::Bytes;
use proximity_domain::failure::Failure;
use proximity_pve::guest::Push;
use sha2::{Digest, Sha256};

use super::super::guest_session::{GuestSession, command_failed};
use crate::catalog::{PackageName, ResolvedFile, RunStep, Step, UnitState, UnitStep};
use crate::saga::{StepError, StepResult};

const PUSH_MS: u64 = 60_000;

/// A line for the app's log.
pub(super) fn describe(step: &Step) -> String {
    match step {
        Step::Apt(packages) => format!("Installing {}", names(packages).join(", ")),
        Step::File(file) => format!("Writing {}", file.path.as_str()),
        Step::Absent(path) => format!("Removing {}", path.as_str()),
        Step::Service(service) => format!("Starting service {}", service.name.as_str()),
        Step::Run(run) => format!("Running {}", run.argv.first().map_or("", String::as_str)),
    }
}

fn names(packages: &[PackageName]) -> Vec<&str> {
    packages.iter().map(PackageName::as_str).collect()
}

pub(super) async fn carry_out(session: &GuestSession<'_>, step: &Step) -> StepResult<()> {
    match step {
        Step::Apt(packages) => apt(session, &names(packages)).await,
        Step::File(f) => file(session, f).await,
        Step::Absent(path) => session
            .must("removing a file", &["rm", "-f", "--", path.as_str()])
            .await
            .map(|_| ()),
        Step::Service(u) => unit(session, u).await,
        Step::Run(r) => run(session, r).await,
    }
}

async fn apt(session: &GuestSession<'_>, packages: &[&str]) -> StepResult<()> {
    if installed(session, packages).await? {
        return Ok(());
    }
    const QUIET: [&str; 2] = ["env", "DEBIAN_FRONTEND=noninteractive"];
    let update = [&QUIET[..], &["apt-get", "-q", "update"]].concat();
    session
        .must("refreshing the package lists", &update)
        .await?;
    let mut install = QUIET.to_vec();
    install.extend([
        "apt-get",
        "-q",
        "-y",
        "--no-install-recommends",
        "install",
        "--",
    ]);
    install.extend(packages);
    if session.change(&install).await?.exit_code != 0 {
        // A run that was cut off may have left packages half configured.
        let configure = [&QUIET[..], &["dpkg", "--configure", "-a"]].concat();
        session
            .must("finishing interrupted installations", &configure)
            .await?;
        session.must("installing packages", &install).await?;
    }
    if installed(session, packages).await? {
        Ok(())
    } else {
        Err(StepError::Failed(Failure::new(
            "packages_missing",
            format!(
                "apt-get ended well, but not all of {} are installed",
                packages.join(", ")
            ),
            "look into the container with: pct enter",
        )))
    }
}

/// Whether dpkg says of each package that it is installed and configured.
async fn installed(session: &GuestSession<'_>, packages: &[&str]) -> StepResult<bool> {
    let mut argv = vec![
        "dpkg-query",
        "--show",
        "--showformat=${db:Status-Abbrev}\\n",
        "--",
    ];
    argv.extend(packages);
    let output = session.look(&argv).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let ready = text.lines().filter(|l| l.trim_end() == "ii").count();
    Ok(output.exit_code == 0 && ready >= packages.len())
}

async fn file(session: &GuestSession<'_>, file: &ResolvedFile) -> StepResult<()> {
    if is_as_wanted(session, file).await? {
        return Ok(());
    }
    let path = file.path.as_str();
    if let Some((folder, _)) = path.rsplit_once('/').filter(|(f, _)| !f.is_empty()) {
        session
            .must("making a folder", &["mkdir", "-p", "--", folder])
            .await?;
    }
    session
        .push(Push {
            path: path.to_owned(),
            content: Bytes::copy_from_slice(file.content.expose()),
            mode: file.mode.bits(),
            user: Some(file.owner.as_str().to_owned()),
            group: Some(file.group.as_str().to_owned()),
            timeout_ms: PUSH_MS,
            send_before: None,
        })
        .await?;
    if is_as_wanted(session, file).await? {
        Ok(())
    } else {
        Err(StepError::Transient(Failure::new(
            "file_differs",
            format!("{path} does not read back as it was written"),
            "retry; if it happens again, look into the container",
        )))
    }
}

/// Content, mode, owner and group as read back from the guest.
async fn is_as_wanted(session: &GuestSession<'_>, file: &ResolvedFile) -> StepResult<bool> {
    // One way into the guest instead of two; the script is fixed, the path is its argument.
    const LOOK: &str = r#"stat --format='%a %U %G' -- "$1" && sha256sum -- "$1""#;
    let seen = session
        .look(&["/bin/sh", "-c", LOOK, "look", file.path.as_str()])
        .await?;
    let hash = hex::encode(Sha256::digest(file.content.expose()));
    let wanted = format!(
        "{:o} {} {}",
        file.mode.bits(),
        file.owner.as_str(),
        file.group.as_str()
    );
    let text = String::from_utf8_lossy(&seen.stdout);
    let mut lines = text.lines();
    Ok(seen.exit_code == 0
        && lines.next() == Some(wanted.as_str())
        && lines.next().is_some_and(|sum| sum.starts_with(&hash)))
}

async fn unit(session: &GuestSession<'_>, unit: &UnitStep) -> StepResult<()> {
    let name = unit.name.as_str();
    if unit.enable {
        // Reads the unit files again as well.
        session
            .must("enabling the service", &["systemctl", "enable", "--", name])
            .await?;
    } else {
        session
            .must("reading the unit files", &["systemctl", "daemon-reload"])
            .await?;
    }
    let verb = match unit.state {
        UnitState::Started => "start",
        UnitState::Restarted => "restart",
    };
    session
        .must("starting the service", &["systemctl", verb, "--", name])
        .await?;
    let active = session
        .look(&["systemctl", "is-active", "--", name])
        .await?;
    if active.exit_code == 0 {
        Ok(())
    } else {
        Err(command_failed("the service is not active", &active))
    }
}

async fn run(session: &GuestSession<'_>, run: &RunStep) -> StepResult<()> {
    if session
        .look(&["test", "-e", run.creates.as_str()])
        .await?
        .exit_code
        == 0
    {
        return Ok(());
    }
    let argv: Vec<&str> = run.argv.iter().map(String::as_str).collect();
    session
        .must("running a command of the recipe", &argv)
        .await
        .map(|_| ())
}
