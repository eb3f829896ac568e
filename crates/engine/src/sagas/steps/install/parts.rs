//! The parts of a recipe: packages, files, services, commands. One way into the guest for each: whoever is in there does
//! all of the part, and says what came of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use proximity_domain::failure::Failure;
use proximity_pve::guest::ExecOutput;
use sha2::{Digest, Sha256};

use super::super::guest_output::Told;
use super::super::guest_session::{Command, GuestSession, command_failed};
use crate::catalog::{
    Account, DownloadStep, PackageName, ResolvedFile, RunStep, Step, UnitState, UnitStep, Unpack,
};
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

/// An account and its home. The account may be there; its home is its own, and no link that leads to somebody else's.
const USER: &str = r#"
umask 022
if [ -h "$2" ]; then
  echo "$2 is a link" >&2
  exit 1
fi
if ! id -u "$1" >/dev/null 2>&1; then
  useradd --system --user-group --no-create-home --home-dir="$2" --shell=/usr/sbin/nologin "$1" || exit
fi
mkdir -p -- "$2" && chown -- "$1:$1" "$2" && chmod -- 0750 "$2" && stat --format='%a %U %G' -- "$2"
"#;

/// A directory: its path, `OWNER:GROUP`, mode. What a link leads to is somebody else's.
const DIRECTORY: &str = r#"
umask 022
if [ -h "$1" ]; then
  echo "$1 is a link" >&2
  exit 1
fi
mkdir -p -- "$1" && chown -- "$2" "$1" && chmod -- "$3" "$1" && stat --format='%a %U %G' -- "$1"
"#;

/// Python packages: the folder and what is to be in it. Without `pip` in it a run that was cut off left it half made.
const VENV: &str = r#"
umask 022
folder=$1
shift
if [ ! -x "$folder/bin/pip" ]; then
  python3 -m venv "$folder" >&2 || exit
fi
"$folder/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -- "$@" >&2 || exit
"$folder/bin/python" -m pip list --format=freeze --disable-pip-version-check
"#;

/// Packages of npm: the folder and what is to be in it.
const NPM: &str = r#"
umask 022
folder=$1
shift
mkdir -p -- "$folder" || exit
npm install --prefix "$folder" --save-exact --no-audit --no-fund --no-update-notifier -- "$@" >&2 || exit
npm ls --prefix "$folder" --depth=0 --parseable --long
"#;

/// What is fetched: its address, where it goes, its SHA-256 (or `-`), how it is unpacked, folders that are taken off, mode. What was put
/// there by the same words before is left alone; the note beside it says by which. What is not as it has to be takes no place.
const DOWNLOAD: &str = r#"
umask 022
url=$1
path=$2
sum=$3
how=$4
strip=$5
mode=$6
note="$path.proximity-from"
new="$path.proximity-unfinished"
if [ -h "$path" ]; then
  echo "$path is a link" >&2
  exit 1
fi
if [ -e "$path" ] && [ -f "$note" ]; then
  read -r was words < "$note"
  if [ "$words" = "$url $how $strip $mode" ] && { [ "$sum" = - ] || [ "$was" = "$sum" ]; }; then
    echo "$was"
    exit 0
  fi
fi
rm -rf -- "$new" "$new.d" "$note" || exit
mkdir -p -- "${path%/*}" || exit
if ! curl --fail --silent --show-error --location --proto =https --proto-redir =https --connect-timeout 30 --max-time 1800 --max-filesize 4294967296 --output "$new" --url "$url" >&2; then
  rm -f -- "$new"
  exit 1
fi
was=$(sha256sum < "$new") || exit
was=${was%% *}
if [ "$sum" != - ] && [ "$was" != "$sum" ]; then
  rm -f -- "$new"
  echo "the SHA-256 of what came is $was" >&2
  exit 65
fi
if [ "$how" = file ]; then
  chmod -- "$mode" "$new" && rm -rf -- "$path" && mv -f -T -- "$new" "$path" || exit
else
  mkdir -- "$new.d" || exit
  case "$how" in
    tar) tar --extract --no-same-owner --file="$new" --directory="$new.d" --strip-components="$strip" >&2 || exit ;;
    zip) unzip -q "$new" -d "$new.d" >&2 || exit ;;
  esac
  rm -rf -- "$path" && mv -f -T -- "$new.d" "$path" && rm -f -- "$new" || exit
fi
printf '%s\n' "$was $url $how $strip $mode" > "$note" && echo "$was"
"#;

/// How [`DOWNLOAD`] ends where what came is something else.
const IS_ANOTHER: i32 = 65;
/// What stands in the place of a SHA-256 that is not known.
const ANY_SUM: &str = "-";

/// What each clone has of its own. A guest without OpenSSH has no keys; one whose keys are there keeps them.
const RENEW: &str = r#"
if [ -x /usr/bin/systemd-machine-id-setup ] && [ ! -s /etc/machine-id ]; then
  systemd-machine-id-setup >&2 || exit
fi
if [ -x /usr/bin/ssh-keygen ] && [ ! -s /etc/ssh/ssh_host_ed25519_key ]; then
  ssh-keygen -q -A >&2 || exit
  if systemctl is-enabled ssh.service >/dev/null 2>&1; then
    systemctl reset-failed ssh.service >/dev/null 2>&1
    systemctl restart ssh.service >&2 || exit
  fi
fi
exit 0
"#;

/// See [`RENEW`].
pub(super) fn renewal() -> Command {
    script("renewing the identity of the clone", RENEW, "renew", &[])
}

/// A line for the app's log.
pub(super) fn describe(step: &Step) -> String {
    match step {
        Step::Apt(packages) => format!("Installing {}", names(packages).join(", ")),
        Step::File(file) => format!("Writing {}", file.path.as_str()),
        Step::Absent(path) => format!("Removing {}", path.as_str()),
        Step::Service(service) => format!("Starting service {}", service.name.as_str()),
        Step::Run(run) => format!("Running {}", run.argv.first().map_or("", String::as_str)),
        Step::User(user) => format!("Making the account {}", user.name.as_str()),
        Step::Directory(directory) => format!("Making {}", directory.path.as_str()),
        Step::Venv(venv) => format!("Installing {}", words(&venv.packages).join(", ")),
        Step::Npm(npm) => format!("Installing {}", words(&npm.packages).join(", ")),
        Step::Download(download) => format!("Fetching {}", download.url),
    }
}

fn words<T: AsRef<str>>(words: &[T]) -> Vec<&str> {
    words.iter().map(AsRef::as_ref).collect()
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
        Step::Apt(_)
        | Step::Absent(_)
        | Step::Service(_)
        | Step::Run(_)
        | Step::User(_)
        | Step::Directory(_)
        | Step::Venv(_)
        | Step::Npm(_)
        | Step::Download(_) => Ok(false),
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
        Step::User(user) => {
            let arguments = [user.name.as_str(), user.home.as_str()];
            script("making an account", USER, "user", &arguments)
        }
        Step::Directory(directory) => {
            let owner = owner_of(&directory.owner, &directory.group);
            let mode = directory.mode.to_string();
            let arguments = [directory.path.as_str(), owner.as_str(), mode.as_str()];
            script("making a directory", DIRECTORY, "directory", &arguments)
        }
        Step::Venv(venv) => {
            let packages = words(&venv.packages);
            let arguments = [&[venv.path.as_str()], packages.as_slice()].concat();
            script("installing Python packages", VENV, "venv", &arguments)
        }
        Step::Npm(npm) => {
            let packages = words(&npm.packages);
            let arguments = [&[npm.path.as_str()], packages.as_slice()].concat();
            script("installing packages of npm", NPM, "npm", &arguments)
        }
        Step::Download(download) => fetch(download),
    }
}

fn fetch(download: &DownloadStep) -> Command {
    let how = match download.unpack {
        None => "file",
        Some(Unpack::Tar) => "tar",
        Some(Unpack::Zip) => "zip",
    };
    let strip = download.strip.to_string();
    let mode = download.file_mode().to_string();
    let arguments = [
        download.url.as_str(),
        download.path.as_str(),
        download.sha256.as_deref().unwrap_or(ANY_SUM),
        how,
        strip.as_str(),
        mode.as_str(),
    ];
    script("fetching a file", DOWNLOAD, "download", &arguments)
}

fn owner_of(owner: &Account, group: &Account) -> String {
    format!("{}:{}", owner.as_str(), group.as_str())
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
    let owner = owner_of(&file.owner, &file.group);
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
    if let Step::Download(download) = step
        && output.exit_code == IS_ANOTHER
    {
        return Err(StepError::Failed(another(download)));
    }
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
        Step::User(user) => {
            let name = user.name.as_str();
            judge_folder(user.home.as_str(), &format!("750 {name} {name}"), output)
        }
        Step::Directory(directory) => {
            let (owner, group) = (directory.owner.as_str(), directory.group.as_str());
            let wanted = format!("{:o} {owner} {group}", directory.mode.bits());
            judge_folder(directory.path.as_str(), &wanted, output)
        }
        Step::Venv(venv) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let there: BTreeSet<String> = text.lines().map(python_name).collect();
            let packages = words(&venv.packages);
            judge_packages(&packages, |package| there.contains(&python_name(package)))
        }
        Step::Npm(npm) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let there: BTreeSet<&str> = text.lines().flat_map(|line| line.split(':')).collect();
            judge_packages(&words(&npm.packages), |package| there.contains(package))
        }
        Step::Download(download) => judge_download(download, output),
        Step::File(_) | Step::Absent(_) | Step::Service(_) | Step::Run(_) => Ok(()),
    }
}

/// Whether what is there has the SHA-256 that it has to have, or any where none is known.
fn judge_download(download: &DownloadStep, output: &ExecOutput) -> StepResult<()> {
    let text = String::from_utf8_lossy(&output.stdout);
    let seen = text.lines().last().unwrap_or_default();
    let is_sum = seen.len() == 64 && seen.bytes().all(|sign| sign.is_ascii_hexdigit());
    let is_wanted = download.sha256.as_deref().is_none_or(|sum| sum == seen);
    if is_sum && is_wanted {
        return Ok(());
    }
    Err(StepError::Failed(another(download)))
}

fn another(download: &DownloadStep) -> Failure {
    Failure::new(
        "download_differs",
        format!(
            "what {} gives has not the SHA-256 that the entry says",
            download.url
        ),
        "do not use it; see what the project says of its release, and take an entry that names what is there now",
    )
}

/// Whether a folder reads back with its mode and owner.
fn judge_folder(path: &str, wanted: &str, output: &ExecOutput) -> StepResult<()> {
    let text = String::from_utf8_lossy(&output.stdout);
    if text.lines().last() == Some(wanted) {
        return Ok(());
    }
    Err(StepError::Transient(Failure::new(
        "file_differs",
        format!("{path} does not read back as it was made"),
        "retry; if it happens again, look into the container",
    )))
}

/// Python's names are the same in capitals, and with any run of `.`, `_` and `-` for one `-` (PEP 503). Of versions, `3.0` is `3.0.0`
/// (PEP 440), by either of which pip takes it; otherwise they are compared as they are.
fn python_name(pinned: &str) -> String {
    let (name, version) = pinned.trim().split_once("==").unwrap_or((pinned, ""));
    let parts = name.split(['.', '_', '-']).filter(|part| !part.is_empty());
    let name = parts.collect::<Vec<&str>>().join("-").to_ascii_lowercase();
    let mut version = version;
    while let Some(shorter) = version.strip_suffix(".0") {
        version = shorter;
    }
    format!("{name}=={version}")
}

fn judge_packages(packages: &[&str], is_there: impl Fn(&str) -> bool) -> StepResult<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !is_there(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(StepError::Failed(Failure::new(
        "packages_missing",
        format!(
            "installing ended well, but {} are not there",
            missing.join(", ")
        ),
        "look into the container with: pct enter",
    )))
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
