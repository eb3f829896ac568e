//! Format 1 of an entry's file, as it is written. Every field of it is documented here.

use garde::Validate;
use proximity_domain::names::CatalogId;
use serde::Deserialize;

use super::escape::Escape;
use super::words::{Account, FileMode, GuestPath, PackageName, UnitName};

mod about;
mod oci;
mod steps;

pub(super) use about::ReleasesFile;
pub use about::{Port, PortProtocol, Releases};
#[cfg(test)]
pub(super) use oci::EnvFile;
pub use oci::ImageVolume;
pub(super) use oci::OciFile;
pub use steps::{DirectoryStep, DownloadStep, NpmStep, UnitFileStep, Unpack, UserStep, VenvStep};

/// The newest format this version reads.
pub(super) const FORMAT: u64 = 1;

/// The file.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(super) struct EntryFile {
    /// Always 1.
    #[allow(dead_code)] // read before everything else, from the same text
    pub(super) format: u64,
    /// The same as the folder's name.
    pub(super) id: CatalogId,
    /// For people.
    #[garde(length(chars, min = 1, max = 64), custom(one_line))]
    pub(super) name: String,
    /// Version of this recipe; it changes when the file does.
    #[garde(pattern(r"^[A-Za-z0-9][A-Za-z0-9.+~:-]{0,31}$"))]
    pub(super) version: String,
    /// One line.
    #[garde(length(chars, min = 1, max = 120), custom(one_line))]
    pub(super) summary: String,
    /// As long as needed.
    #[garde(length(chars, min = 1, max = 4000))]
    pub(super) description: String,
    /// One word.
    #[garde(pattern(r"^[a-z][a-z0-9-]{0,31}$"))]
    pub(super) category: String,
    /// Words to find it by.
    #[serde(default)]
    #[garde(length(max = 16), inner(pattern(r"^[a-z0-9][a-z0-9-]{0,31}$")))]
    pub(super) tags: Vec<String>,
    /// Home of the project.
    #[garde(pattern(r"^https://[!-~]+$"), length(max = 256))]
    pub(super) website: Option<String>,
    /// Licence of the app, as an SPDX expression.
    #[garde(
        length(max = 128),
        pattern(r"^\(?[A-Za-z0-9.+-]+\)?( (AND|OR|WITH) \(?[A-Za-z0-9.+-]+\)?)*$")
    )]
    pub(super) license: Option<String>,
    /// Where new releases of the app are told.
    #[garde(dive)]
    pub(super) releases: Option<ReleasesFile>,
    /// Something that it fetches is held against nothing.
    #[serde(default)]
    pub(super) unpinned: bool,
    /// Which template it is installed on: the file name of a PVE template up to its version, such as
    /// `debian-12-standard`.
    #[garde(pattern(r"^[a-z0-9]+(-[a-z0-9.]+){1,4}$"))]
    pub(super) os_template: Option<String>,
    /// The image that its container is made of, in the place of a template and of what is done inside.
    #[garde(dive)]
    pub(super) oci: Option<OciFile>,
    /// What the guest gets.
    #[garde(dive)]
    pub(super) resources: ResourcesFile,
    /// TCP port the app listens on inside the guest, if it is the only one.
    #[garde(range(min = 1))]
    pub(super) port: Option<u16>,
    /// What is spoken on the port.
    pub(super) protocol: Option<Protocol>,
    /// All ports the app listens on inside the guest, in the place of the two.
    #[garde(length(min = 1, max = 16), dive)]
    pub(super) ports: Option<Vec<Port>>,
    /// What a user may or must choose.
    #[serde(default)]
    #[garde(length(max = 64), dive)]
    pub(super) settings: Vec<SettingFile>,
    /// What is done inside the guest, in this order.
    #[garde(length(min = 1, max = 64), dive)]
    pub(super) install: Option<Vec<StepFile>>,
    /// How it is known that the app works.
    #[garde(dive)]
    pub(super) health: HealthFile,
}

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourcesFile {
    #[garde(dive)]
    pub(super) memory_mib: MemoryFile,
    #[garde(dive)]
    pub(super) cores: CoresFile,
    #[garde(dive)]
    pub(super) disk_gib: DiskFile,
}

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct MemoryFile {
    /// With less it does not run.
    #[garde(range(min = 16, max = 1_048_576))]
    pub(super) min: u64,
    #[garde(range(min = 16, max = 1_048_576))]
    pub(super) default: u64,
}

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct CoresFile {
    #[garde(range(min = 1, max = 256))]
    pub(super) default: u32,
}

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct DiskFile {
    #[garde(range(min = 1, max = 16_384))]
    pub(super) default: u32,
}

/// What is spoken on an app's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Anything over TCP.
    Tcp,
    /// HTTP/1.1.
    Http,
}

/// A setting; which fields belong to which type is checked in `setting.rs`.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(super) struct SettingFile {
    /// How templates call it: `{{ settings.name }}`.
    #[garde(pattern(r"^[a-z][a-z0-9_]{0,47}$"))]
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: KindFile,
    /// Its name in an app's `environment`; without it, `name` in capitals.
    #[garde(pattern(r"^[A-Z][A-Z0-9_]{0,47}$"))]
    pub(super) env: Option<String>,
    /// One sentence for people.
    #[garde(length(chars, min = 1, max = 200), custom(one_line))]
    pub(super) help: String,
    /// Must be given by the user; then it has no default.
    #[serde(default)]
    pub(super) required: bool,
    pub(super) default: Option<Scalar>,
    /// The whole value must match this regular expression (string, secret).
    pub(super) pattern: Option<String>,
    /// Least value (integer) or characters (string, secret).
    pub(super) min: Option<i64>,
    /// Greatest value (integer) or characters (string, secret).
    pub(super) max: Option<i64>,
    /// The choices (enum).
    pub(super) options: Option<Vec<String>>,
    /// It is asked for only where another setting has this value.
    pub(super) shown_when: Option<ShownWhenFile>,
    /// It is made where the user gives none (secret).
    #[garde(dive)]
    pub(super) generate: Option<Generate>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownWhenFile {
    /// The name of a setting that stands before this one.
    pub(super) setting: String,
    pub(super) equals: Scalar,
}

/// How a secret is made that nobody gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Generate {
    /// Characters.
    #[garde(range(min = 16, max = 128))]
    pub length: u64,
    /// What it is made of.
    #[serde(default)]
    pub alphabet: Alphabet,
}

/// What a secret is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alphabet {
    /// Letters and digits.
    #[default]
    Alphanumeric,
    /// Digits and the letters a to f.
    Hex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KindFile {
    String,
    Integer,
    Boolean,
    Enum,
    Secret,
    Port,
    Path,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Boolean(bool),
    Integer(i64),
    Text(String),
}

/// A step as it is written: a map with exactly one of these keys. (Not an enum: inside of one, the
/// YAML library does not know the places of values.)
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(super) struct StepFile {
    #[garde(length(min = 1, max = 64))]
    pub(super) apt: Option<Vec<PackageName>>,
    #[garde(dive)]
    pub(super) file: Option<FileFile>,
    pub(super) absent: Option<AbsentFile>,
    pub(super) service: Option<UnitStep>,
    #[garde(dive)]
    pub(super) run: Option<RunStep>,
    #[garde(dive)]
    pub(super) user: Option<UserStep>,
    #[garde(dive)]
    pub(super) directory: Option<DirectoryStep>,
    #[garde(dive)]
    pub(super) unit: Option<UnitFileStep>,
    #[garde(dive)]
    pub(super) venv: Option<VenvStep>,
    #[garde(dive)]
    pub(super) npm: Option<NpmStep>,
    #[garde(dive)]
    pub(super) download: Option<DownloadStep>,
}

impl StepFile {
    /// How many of the keys are there; 1 if the step is right.
    pub(super) fn keys(&self) -> usize {
        let Self {
            apt,
            file,
            absent,
            service,
            run,
            user,
            directory,
            unit,
            venv,
            npm,
            download,
        } = self;
        [
            apt.is_some(),
            file.is_some(),
            absent.is_some(),
            service.is_some(),
            run.is_some(),
            user.is_some(),
            directory.is_some(),
            unit.is_some(),
            venv.is_some(),
            npm.is_some(),
            download.is_some(),
        ]
        .into_iter()
        .filter(|there| *there)
        .count()
    }
}

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(super) struct FileFile {
    pub(super) path: GuestPath,
    #[serde(default = "readable")]
    pub(super) mode: FileMode,
    #[serde(default = "Account::root")]
    pub(super) owner: Account,
    #[serde(default = "Account::root")]
    pub(super) group: Account,
    /// How values are written into this file.
    pub(super) escape: Escape,
    /// A template; `{{ settings.name }}` and `{{ port }}` are what it can use.
    #[garde(length(bytes, max = 65_536))]
    pub(super) content: String,
}

fn readable() -> FileMode {
    FileMode::READABLE
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AbsentFile {
    pub(super) path: GuestPath,
}

/// A systemd unit brought into a state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitStep {
    /// The unit.
    pub name: UnitName,
    /// Starts at boot from now on.
    #[serde(default = "enabled")]
    pub enable: bool,
    /// What it does afterwards.
    pub state: UnitState,
}

fn enabled() -> bool {
    true
}

/// The state a service step ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitState {
    /// Runs; left alone if it runs already.
    Started,
    /// Runs, and was started after all earlier steps.
    Restarted,
}

/// A program run once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct RunStep {
    /// Program (absolute path) and arguments; no shell looks at them.
    #[garde(
        length(min = 1, max = 64),
        inner(length(bytes, max = 4096)),
        custom(program)
    )]
    pub argv: Vec<String>,
    /// It is not run if this exists, and has failed if it does not exist afterwards.
    pub creates: GuestPath,
}

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthFile {
    #[garde(dive)]
    pub(super) http: Option<HttpCheckFile>,
    #[garde(dive)]
    pub(super) tcp: Option<TcpCheckFile>,
    #[garde(dive)]
    pub(super) exec: Option<ExecCheck>,
    /// How long one try may take.
    #[garde(range(min = 1, max = 60))]
    #[serde(default = "health_timeout")]
    pub(super) timeout_s: u64,
    /// Pause between two attempts.
    #[garde(range(min = 1, max = 60))]
    #[serde(default = "health_interval")]
    pub(super) interval_s: u64,
    /// For so long a failed try counts for nothing.
    #[garde(range(max = 900))]
    #[serde(default)]
    pub(super) start_period_s: u64,
    /// Failed tries after which the app counts as unhealthy.
    #[garde(range(min = 1, max = 120))]
    #[serde(default = "health_attempts")]
    pub(super) attempts: u32,
}

impl HealthFile {
    /// How many kinds of checks there are; 1 if it is right.
    pub(super) fn kinds(&self) -> usize {
        [self.http.is_some(), self.tcp.is_some(), self.exec.is_some()]
            .into_iter()
            .filter(|there| *there)
            .count()
    }
}

fn health_timeout() -> u64 {
    5
}

fn health_interval() -> u64 {
    1
}

fn health_attempts() -> u32 {
    30
}

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpCheckFile {
    #[garde(length(bytes, min = 1, max = 1024), prefix("/"), custom(request_path))]
    pub(super) path: String,
    /// Without it, the entry's port.
    #[garde(range(min = 1))]
    pub(super) port: Option<u16>,
    #[serde(default = "expect_ok")]
    #[garde(range(min = 100, max = 599))]
    pub(super) expect_status: u16,
    /// Must occur in the first 64 KiB of the body.
    #[garde(length(chars, min = 4, max = 256))]
    pub(super) body_contains: String,
}

fn expect_ok() -> u16 {
    200
}

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct TcpCheckFile {
    /// Without it, the entry's port.
    #[garde(range(min = 1))]
    pub(super) port: Option<u16>,
}

/// A program inside the guest that ends with 0 when the app works. It looks, and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ExecCheck {
    /// Program (absolute path) and arguments; no shell looks at them.
    #[garde(
        length(min = 1, max = 64),
        inner(length(bytes, max = 4096)),
        custom(program)
    )]
    pub argv: Vec<String>,
}

/// A GET request and what its answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// Path, with a `/` in front.
    pub path: String,
    /// Port inside the guest.
    pub port: u16,
    /// The status that means healthy.
    pub expect_status: u16,
    /// What must occur in the first 64 KiB of the body.
    pub body_contains: String,
}

fn one_line(text: &str, _: &()) -> garde::Result {
    if text.chars().any(char::is_control) {
        return Err(garde::Error::new(
            "must be one line without control characters",
        ));
    }
    Ok(())
}

fn request_path(text: &str, _: &()) -> garde::Result {
    if text
        .chars()
        .any(|character| !character.is_ascii_graphic() || character == '#')
    {
        return Err(garde::Error::new(
            "must be printable ASCII without spaces and '#'",
        ));
    }
    Ok(())
}

fn program(argv: &[String], _: &()) -> garde::Result {
    const SHELLS: [&str; 7] = ["sh", "ash", "bash", "dash", "ksh", "zsh", "env"];
    let Some(program) = argv.first() else {
        return Ok(());
    };
    let Some((_, name)) = program
        .rsplit_once('/')
        .filter(|_| program.starts_with('/'))
    else {
        return Err(garde::Error::new("the program must be an absolute path"));
    };
    if SHELLS.contains(&name) {
        return Err(garde::Error::new(format!(
            "{name} is not run by recipes; name the program itself"
        )));
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        return Err(garde::Error::new("no argument may contain a NUL character"));
    }
    Ok(())
}
