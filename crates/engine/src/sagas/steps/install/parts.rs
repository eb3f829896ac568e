//! The parts of a recipe: packages, files, services, commands. One way into the guest for each: whoever is in there does
//! all of the part, and says what came of it.

use bytes::Bytes;
use proximity_domain::failure::Failure;
use proximity_pve::guest::ExecOutput;
use sha2::{Digest, Sha256};

use super::super::guest_output::Told;
use super::super::guest_session::{Command, GuestSession, command_failed};
use crate::catalog::{PackageName, ResolvedFile, RunStep, Step, UnitState, UnitStep};
use crate::mask::Masker;
use crate::saga::{StepError, StepResult};

/// Packages. What is there already, or lies in the guest's cache, needs no archive; and a run that was cut off may have
/// left packages half configured. What the first try complains is expected and would only worry people. Only the states at
/// the end go to standard output.
const APT: &str = r#"
export DEBIAN_FRONTEND=noninteractive
if ! apt-get -q -y --no-install-recommends --no-download install -- "$@" >/dev/null 2>&1; then
  apt-get -q update >&2 || exit
  if ! apt-get -q -y --no-install-recommends install -- "$@" >&2; then
    dpkg --configure -a >&2 || exit
    apt-get -q -y --no-install-recommends install -- "$@" >&2 || exit
  fi
fi
dpkg-query --show --showformat='${db:Status-Abbrev}\n' -- "$@"
"#;

/// A file from standard input: its path, its folder, another name there, `OWNER:GROUP`, mode. It takes its place whole, and
/// until then nobody else may read it.
const FILE: &str = r#"
umask 022
mkdir -p -- "$2" || exit
umask 077
rm -f -- "$3" || exit
{ cat > "$3" && chown -- "$4" "$3" && chmod -- "$5" "$3" && mv -f -T -- "$3" "$1"; } || {
  code=$?
  rm -f -- "$3"
  exit "$code"
}
stat --format='%a %U %G' -- "$1" && sha256sum -- "$1"
"#;

/// What [`FILE`] says at its end, of a file that is there.
const FILE_LOOK: &str = r#"stat --format='%a %U %G' -- "$1" && sha256sum -- "$1""#;

/// A unit: a verb, its name, and whether it is enabled, which reads the unit files again as well.
const UNIT: &str = r#"
if [ "$3" = enable ]; then
  systemctl enable -- "$2" || exit
else
  systemctl daemon-reload || exit
fi
systemctl "$1" -- "$2" && systemctl is-active -- "$2"
"#;

/// A program, unless what it creates is there.
const RUN: &str = r#"
creates=$1
if [ -e "$creates" ]; then exit 0; fi
shift
"$@" || exit
if [ ! -e "$creates" ]; then
  echo "it did not create $creates" >&2
  exit 1
fi
"#;

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

/// Whether the step is done already: asked only when an earlier run may have done it, and where doing it again is not the
/// same for those who look on. The commands of the others look for themselves.
pub(super) async fn is_done(session: &GuestSession<'_>, step: &Step) -> StepResult<bool> {
    match step {
        Step::File(file) => {
            let argv = ["/bin/sh", "-c", FILE_LOOK, "look", file.path.as_str()];
            Ok(is_as_wanted(&session.look(&argv).await?, file))
        }
        Step::Apt(_) | Step::Absent(_) | Step::Service(_) | Step::Run(_) => Ok(false),
    }
}

/// What is to run in the guest.
pub(super) fn command(step: &Step) -> Command {
    match step {
        Step::Apt(packages) => script("installing packages", APT, "apt", &names(packages)),
        Step::File(file) => write(file),
        Step::Absent(path) => Command::new("removing a file", &["rm", "-f", "--", path.as_str()]),
        Step::Service(unit) => serve(unit),
        Step::Run(run) => execute(run),
    }
}

/// A fixed script, its name in the guest's list of processes, and what it is about as its arguments.
fn script(doing: &'static str, script: &str, name: &str, arguments: &[&str]) -> Command {
    let argv = [&["/bin/sh", "-c", script, name], arguments].concat();
    Command::new(doing, &argv)
}

fn write(file: &ResolvedFile) -> Command {
    let path = file.path.as_str();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    // Beside it, so that it is renamed and not copied; what reads a whole folder skips such a name.
    let unfinished = format!("{folder}/.proximity-unfinished");
    let folder = if folder.is_empty() { "/" } else { folder };
    let owner = format!("{}:{}", file.owner.as_str(), file.group.as_str());
    let mode = format!("{:04o}", file.mode.bits());
    let arguments = [path, folder, &unfinished, &owner, &mode];
    Command {
        stdin: Some(Bytes::copy_from_slice(file.content.expose())),
        ..script("writing a file", FILE, "file", &arguments)
    }
}

fn serve(unit: &UnitStep) -> Command {
    let verb = match unit.state {
        UnitState::Started => "start",
        UnitState::Restarted => "restart",
    };
    let enable = if unit.enable { "enable" } else { "" };
    let arguments = [verb, unit.name.as_str(), enable];
    script("starting the service", UNIT, "service", &arguments)
}

fn execute(run: &RunStep) -> Command {
    let argv = run.argv.iter().map(String::as_str);
    let arguments: Vec<&str> = std::iter::once(run.creates.as_str()).chain(argv).collect();
    Command {
        told: Told::Everything,
        ..script("running a command of the recipe", RUN, "run", &arguments)
    }
}

/// What came of the step by what its command said.
pub(super) fn judge(
    step: &Step,
    doing: &str,
    output: &ExecOutput,
    masker: &Masker,
) -> StepResult<()> {
    if output.exit_code != 0 {
        return Err(command_failed(doing, output, masker));
    }
    match step {
        Step::Apt(packages) => judge_apt(&names(packages), output),
        Step::File(file) if !is_as_wanted(output, file) => Err(StepError::Transient(Failure::new(
            "file_differs",
            format!(
                "{} does not read back as it was written",
                file.path.as_str()
            ),
            "retry; if it happens again, look into the container",
        ))),
        Step::File(_) | Step::Absent(_) | Step::Service(_) | Step::Run(_) => Ok(()),
    }
}

/// Whether dpkg says of each package that it is installed and configured.
fn judge_apt(packages: &[&str], output: &ExecOutput) -> StepResult<()> {
    let text = String::from_utf8_lossy(&output.stdout);
    let ready = text.lines().filter(|l| l.trim_end() == "ii").count();
    if ready >= packages.len() {
        return Ok(());
    }
    Err(StepError::Failed(Failure::new(
        "packages_missing",
        format!(
            "apt-get ended well, but not all of {} are installed",
            packages.join(", ")
        ),
        "look into the container with: pct enter",
    )))
}

/// Content, mode, owner and group as read back from the guest.
fn is_as_wanted(seen: &ExecOutput, file: &ResolvedFile) -> bool {
    let hash = hex::encode(Sha256::digest(file.content.expose()));
    let wanted = format!(
        "{:o} {} {}",
        file.mode.bits(),
        file.owner.as_str(),
        file.group.as_str()
    );
    let text = String::from_utf8_lossy(&seen.stdout);
    let mut lines = text.lines();
    seen.exit_code == 0
        && lines.next() == Some(wanted.as_str())
        && lines.next().is_some_and(|sum| sum.starts_with(&hash))
}
