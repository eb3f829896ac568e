//! An entry of the catalog: an app that can be deployed.

use std::collections::BTreeSet;
use std::fmt;

use proximity_domain::create::{Needs, Resources};
use proximity_domain::names::CatalogId;

use super::escape::Escape;
use super::format::{
    DirectoryStep, DownloadStep, EntryFile, FileFile, HealthFile, HttpCheck, NpmStep, Port,
    Protocol, Releases, RunStep, StepFile, UnitFileStep, UnitStep, UserStep, VenvStep,
};
use super::image::Image;
use super::recipe::{Check, FileContent, HealthCheck, ResolvedFile};
use super::setting::Setting;
use super::words::{GuestPath, PackageName};

/// An app that can be deployed, checked whole.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CatalogEntry {
    /// What users call it in requests.
    pub id: CatalogId,
    /// For people.
    pub name: String,
    /// Version of this recipe.
    pub version: String,
    /// One line.
    pub summary: String,
    /// As long as needed.
    pub description: String,
    /// One word.
    pub category: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Home of the project.
    pub website: Option<String>,
    /// What its container is made of.
    pub base: Base,
    /// What the guest gets.
    pub needs: Needs,
    /// Its licence, an SPDX expression.
    pub license: Option<String>,
    /// Where new releases of the app are told.
    pub releases: Option<Releases>,
    /// Something that it fetches is held against nothing: it is deployed only where that is allowed.
    pub unpinned: bool,
    /// All ports the app listens on inside the guest.
    pub ports: Vec<Port>,
    /// The TCP port among them that traffic is led to.
    pub port: u16,
    /// What is spoken on the port.
    pub protocol: Protocol,
    /// What a user may or must choose.
    pub settings: Vec<Setting>,
    pub(super) install: Vec<UnresolvedStep>,
    /// How it is known that the app works.
    pub health: HealthCheck,
}

/// What an app's container is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// An OS template, in which the app is installed.
    Template(OsTemplate),
    /// An image, which is the app.
    Image(Image),
}

impl Base {
    /// Whether a file on a storage for templates, or its volume, is this.
    #[must_use]
    pub fn matches(&self, file_or_volume: &str) -> bool {
        match self {
            Self::Template(template) => template.matches(file_or_volume),
            Self::Image(image) => file_of(file_or_volume) == image.file(),
        }
    }

    /// The image, if it is one.
    #[must_use]
    pub fn image(&self) -> Option<&Image> {
        match self {
            Self::Image(image) => Some(image),
            Self::Template(_) => None,
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(template) => template.fmt(f),
            Self::Image(image) => image.fmt(f),
        }
    }
}

/// The file of a volume such as `local:vztmpl/debian-12-standard_…`.
fn file_of(file_or_volume: &str) -> &str {
    let file = file_or_volume.rsplit(['/', ':']).next();
    file.unwrap_or(file_or_volume)
}

/// Names PVE templates by their file name up to the version, e.g. `debian-12-standard`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsTemplate(String);

impl OsTemplate {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a template file (`debian-12-standard_12.7-1_amd64.tar.zst`) or volume
    /// (`local:vztmpl/debian-12-standard_…`) is one of these.
    #[must_use]
    pub fn matches(&self, file_or_volume: &str) -> bool {
        let rest = file_of(file_or_volume).strip_prefix(self.0.as_str());
        rest.is_some_and(|rest| rest.starts_with('_'))
    }
}

impl fmt::Display for OsTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A step whose templates are not filled in yet.
#[derive(Debug, Clone)]
pub(super) enum UnresolvedStep {
    Apt(Vec<PackageName>),
    File(Box<UnresolvedFile>),
    Absent(GuestPath),
    Service(UnitStep),
    Run(RunStep),
    User(UserStep),
    Directory(DirectoryStep),
    Unit(Box<UnitFileStep>),
    Venv(VenvStep),
    Npm(NpmStep),
    Download(Box<DownloadStep>),
}

#[derive(Debug, Clone)]
pub(super) struct UnresolvedFile {
    /// Everything but the content.
    pub(super) shape: ResolvedFile,
    pub(super) escape: Escape,
    pub(super) template: String,
}

impl CatalogEntry {
    /// From a file that was checked; `None` if a setting or a step is not right all the same.
    pub(super) fn from_checked(file: EntryFile) -> Option<Self> {
        let (port, protocol) = file.main_port()?;
        let ports = file.all_ports();
        let settings = file
            .settings
            .iter()
            .map(|setting| Setting::from_file(setting).ok());
        let settings = settings.collect::<Option<Vec<Setting>>>()?;
        let base = match (file.os_template, file.oci) {
            (Some(template), None) => Base::Template(OsTemplate(template)),
            (None, Some(oci)) => Base::Image(Image::from_file(oci)?),
            (Some(_), Some(_)) | (None, None) => return None,
        };
        let install = file.install.unwrap_or_default().into_iter();
        let install = install.map(UnresolvedStep::from_file);
        let install = install.collect::<Option<Vec<UnresolvedStep>>>()?;
        let needs = Needs {
            min_memory_mib: file.resources.memory_mib.min,
            default: Resources {
                memory_mib: file.resources.memory_mib.default,
                cores: file.resources.cores.default,
                disk_gib: file.resources.disk_gib.default,
            },
        };
        let releases = file.releases.map(|releases| releases.all().pop());
        let health = health(file.health, port)?;
        Some(Self {
            id: file.id,
            name: file.name,
            version: file.version,
            summary: file.summary,
            description: file.description,
            category: file.category,
            tags: file.tags,
            website: file.website,
            base,
            needs,
            license: file.license,
            releases: releases.flatten(),
            unpinned: file.unpinned,
            ports,
            port,
            protocol,
            settings,
            install,
            health,
        })
    }

    /// Names of the Debian packages that its recipe names, each once, whatever is chosen in its settings: what can be fetched
    /// before anybody deploys it.
    #[must_use]
    pub fn packages(&self) -> BTreeSet<&str> {
        let lists = self.install.iter().filter_map(|step| match step {
            UnresolvedStep::Apt(packages) => Some(packages),
            UnresolvedStep::File(_)
            | UnresolvedStep::Absent(_)
            | UnresolvedStep::Service(_)
            | UnresolvedStep::Run(_)
            | UnresolvedStep::User(_)
            | UnresolvedStep::Directory(_)
            | UnresolvedStep::Unit(_)
            | UnresolvedStep::Venv(_)
            | UnresolvedStep::Npm(_)
            | UnresolvedStep::Download(_) => None,
        });
        lists.flatten().map(PackageName::as_str).collect()
    }
}

/// `None` unless there is exactly one kind of check.
fn health(file: HealthFile, entry_port: u16) -> Option<HealthCheck> {
    let check = match (file.http, file.tcp, file.exec) {
        (Some(http), None, None) => Check::Http(HttpCheck {
            path: http.path,
            port: http.port.unwrap_or(entry_port),
            expect_status: http.expect_status,
            body_contains: http.body_contains,
        }),
        (None, Some(tcp), None) => Check::Tcp(tcp.port.unwrap_or(entry_port)),
        (None, None, Some(exec)) => Check::Exec(exec),
        _ => return None,
    };
    Some(HealthCheck {
        check,
        timeout_ms: file.timeout_s * 1000,
        interval_ms: file.interval_s * 1000,
        start_period_ms: file.start_period_s * 1000,
        attempts: file.attempts,
    })
}

impl UnresolvedStep {
    /// `None` unless the step has exactly one kind.
    fn from_file(step: StepFile) -> Option<Self> {
        if step.keys() != 1 {
            return None;
        }
        let StepFile {
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
        } = step;
        let kinds = [
            apt.map(Self::Apt),
            file.map(|file| Self::File(Box::new(file.into()))),
            absent.map(|absent| Self::Absent(absent.path)),
            service.map(Self::Service),
            run.map(Self::Run),
            user.map(Self::User),
            directory.map(Self::Directory),
            unit.map(|unit| Self::Unit(Box::new(unit))),
            venv.map(Self::Venv),
            npm.map(Self::Npm),
            download.map(|download| Self::Download(Box::new(download))),
        ];
        kinds.into_iter().flatten().next()
    }
}

impl From<FileFile> for UnresolvedFile {
    fn from(file: FileFile) -> Self {
        let FileFile {
            path,
            mode,
            owner,
            group,
            escape,
            content,
        } = file;
        let empty = FileContent::Open(String::new());
        let shape = ResolvedFile {
            path,
            mode,
            owner,
            group,
            content: empty,
        };
        Self {
            shape,
            escape,
            template: content,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OsTemplate;

    #[test]
    fn a_template_is_known_by_its_name_up_to_the_version() {
        let template = OsTemplate("debian-12-standard".to_owned());
        for one in [
            "debian-12-standard_12.7-1_amd64.tar.zst",
            "local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst",
        ] {
            assert!(template.matches(one), "{one}");
        }
        for other in [
            "debian-12-standard",
            "debian-12-standard-extra_1_amd64.tar.zst",
            "my-debian-12-standard_12.7-1_amd64.tar.zst",
            "local:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst",
            "debian-12-standard_/evil",
        ] {
            assert!(!template.matches(other), "{other}");
        }
    }
}
