//! A recipe with all values filled in: what an installer does, step by step.

use std::fmt;

use proximity_domain::image::ImageOptions;
use secrecy::{ExposeSecret, SecretString};

use super::format::{
    DirectoryStep, DownloadStep, ExecCheck, HttpCheck, NpmStep, RunStep, UnitStep, UserStep,
    VenvStep,
};
use super::setting::SettingValue;
use super::words::{Account, FileMode, GuestPath, PackageName};

/// An entry and a user's settings, ready to be carried out.
#[derive(Debug, Clone)]
pub struct ResolvedRecipe {
    /// In this order; none where the container is made of an image.
    pub steps: Vec<Step>,
    /// What the container is started with, where it is made of an image.
    pub image: Option<ImageOptions>,
    /// How it is known that the app works.
    pub health: HealthCheck,
    /// TCP port the app listens on inside the guest.
    pub port: u16,
    /// The settings with defaults filled in, in the entry's order. One that is not asked for and has no default is not among them.
    pub settings: Vec<ResolvedSetting>,
    /// The settings that are not asked for, by their `env`.
    pub hidden: Vec<String>,
}

/// A setting with its value.
#[derive(Debug, Clone)]
pub struct ResolvedSetting {
    /// Its name in an app's `environment`.
    pub env: String,
    /// The value.
    pub value: SettingValue,
}

/// One thing to do inside the guest. Each can be looked at first and repeated without harm.
#[derive(Debug, Clone)]
pub enum Step {
    /// These Debian packages are installed.
    Apt(Vec<PackageName>),
    /// A file has this content, owner and mode.
    File(ResolvedFile),
    /// There is no file or link of this path. (Never a directory: there, the step has failed.)
    Absent(GuestPath),
    /// A unit is in a state.
    Service(UnitStep),
    /// A program has been run.
    Run(RunStep),
    /// There is an account and its home.
    User(UserStep),
    /// There is a directory with this owner and mode.
    Directory(DirectoryStep),
    /// These Python packages are in a folder.
    Venv(VenvStep),
    /// These packages of npm are in a folder.
    Npm(NpmStep),
    /// A file was fetched and is there.
    Download(Box<DownloadStep>),
}

/// A file as it is to be. Its folder is made if it is missing (mode 0755, root).
#[derive(Debug, Clone)]
pub struct ResolvedFile {
    /// Where.
    pub path: GuestPath,
    /// Permission bits.
    pub mode: FileMode,
    /// User.
    pub owner: Account,
    /// Group.
    pub group: Account,
    /// What is in it.
    pub content: FileContent,
}

/// A file's content; one with a secret in it does not print.
#[derive(Clone)]
pub enum FileContent {
    /// May be shown.
    Open(String),
    /// Holds at least one secret value.
    Secret(SecretString),
}

impl FileContent {
    /// The bytes to write.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        match self {
            Self::Open(text) => text.as_bytes(),
            Self::Secret(text) => text.expose_secret().as_bytes(),
        }
    }

    /// Whether it must not be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(text) => f.debug_tuple("Open").field(text).finish(),
            Self::Secret(_) => f.write_str("Secret(hidden)"),
        }
    }
}

/// How it is known that an app works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is looked at.
    pub check: Check,
    /// How long one try may take, ms.
    pub timeout_ms: u64,
    /// Pause between two tries, ms.
    pub interval_ms: u64,
    /// For so long a failed try counts for nothing, ms.
    pub start_period_ms: u64,
    /// Failed tries after which the app counts as unhealthy.
    pub attempts: u32,
}

/// What is looked at to know whether an app works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A request and what its answer must be.
    Http(HttpCheck),
    /// This TCP port inside the guest takes a connection and keeps it.
    Tcp(u16),
    /// A program inside the guest ends with 0.
    Exec(ExecCheck),
}

impl ResolvedRecipe {
    /// The values that must not be shown.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.settings
            .iter()
            .filter_map(|setting| match &setting.value {
                SettingValue::Secret(secret) => Some(secret),
                SettingValue::Text(_) | SettingValue::Integer(_) | SettingValue::Boolean(_) => None,
            })
    }

    /// The settings for the record: secrets replaced by `null`.
    #[must_use]
    pub fn open_settings(&self) -> serde_json::Value {
        let shown = |setting: &ResolvedSetting| match &setting.value {
            SettingValue::Secret(_) => serde_json::Value::Null,
            open
            @ (SettingValue::Text(_) | SettingValue::Integer(_) | SettingValue::Boolean(_)) => {
                open.to_json()
            }
        };
        self.settings
            .iter()
            .map(|setting| (setting.env.clone(), shown(setting)))
            .collect()
    }

    /// The settings whole, as the text of a JSON object: what is sealed, and what
    /// [`super::CatalogEntry::resolve`] takes again.
    #[must_use]
    pub fn sealed_settings(&self) -> SecretString {
        let all: serde_json::Value = self
            .settings
            .iter()
            .map(|setting| (setting.env.clone(), setting.value.to_json()))
            .collect();
        all.to_string().into()
    }

    /// As [`Self::sealed_settings`], of the settings with these `env` names alone.
    pub(crate) fn sealed_settings_of(&self, names: &[String]) -> SecretString {
        let these: serde_json::Value = self
            .settings
            .iter()
            .filter(|setting| names.contains(&setting.env))
            .map(|setting| (setting.env.clone(), setting.value.to_json()))
            .collect();
        these.to_string().into()
    }
}
