//! What one field alone does not show: types of settings, use of settings, limits of origin. All of it is
//! reported with the place in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use garde::error::Path;
use garde::{Error, Report, Validate};
use proximity_domain::image::{value_objection, word_objection};
use serde::Deserialize;
use serde_json::Value;

use super::escape::Escape;
use super::format::{
    DownloadStep, EntryFile, KindFile, OciFile, Port, PortProtocol, SettingFile, StepFile, Unpack,
};
use super::lint::Code;
use super::setting::{Setting, SettingKind};
use super::template::{self, Names, Settings};

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Part of the program.
    Shipped,
    /// A folder the operator named.
    Extra,
}

/// The lowest port a shipped entry may listen on: below, a program needs more rights than it should.
const LOWEST_SHIPPED_PORT: u16 = 1024;

/// An entry's file with all checks behind it.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct CheckedFile(pub(super) EntryFile);

impl Validate for CheckedFile {
    type Context = Origin;

    fn validate_into(
        &self,
        origin: &Origin,
        parent: &mut dyn FnMut() -> Path,
        report: &mut Report,
    ) {
        self.0.validate_into(&(), parent, report);
        for finding in findings(&self.0, *origin, &parent()) {
            report.append(finding.at, Error::new(finding.reason));
        }
    }
}

/// Something that one field alone does not show.
#[derive(Debug)]
pub(super) struct Finding {
    /// The field it is about.
    pub(super) at: Path,
    /// What kind of mistake it is.
    pub(super) code: Code,
    /// What is wrong, for people.
    pub(super) reason: String,
}

/// Collects findings.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, at: Path, code: Code, reason: impl Into<String>) {
        let reason = reason.into();
        self.0.push(Finding { at, code, reason });
    }
}

/// All that is wrong beyond single fields. `root` is the path of the file itself.
pub(super) fn findings(file: &EntryFile, origin: Origin, root: &Path) -> Vec<Finding> {
    let mut found = Findings::default();
    check_ports(file, origin, root, &mut found);
    if file
        .releases
        .as_ref()
        .is_some_and(|releases| releases.all().len() != 1)
    {
        let reason = "has exactly one of github, pypi, npm and debian";
        found.add(root.join("releases"), Code::OneKind, reason);
    }
    let memory = &file.resources.memory_mib;
    if memory.min > memory.default {
        let at = root.join("resources").join("memory_mib").join("default");
        found.add(at, Code::Contradiction, "is less than min");
    }
    if file.health.kinds() != 1 {
        let reason = "has exactly one of http, tcp and exec";
        found.add(root.join("health"), Code::OneKind, reason);
    }
    check_base(file, root, &mut found);
    check_downloads(file, root, &mut found);
    check_settings(file, root, &mut found);
    check_files(file, root, &mut found);
    found.0
}

/// Whether what is fetched is held against something, or the entry says that it is not.
fn check_downloads(file: &EntryFile, root: &Path, found: &mut Findings) {
    let mut is_unpinned = false;
    for (n, step) in file.install.iter().flatten().enumerate() {
        let Some(download) = &step.download else {
            continue;
        };
        let at = root.join("install").join(n).join("download");
        is_unpinned |= download.sha256.is_none();
        if download.sha256.is_none() && !file.unpinned {
            let reason = "has no sha256, and the entry does not say unpinned: true";
            found.add(at.clone(), Code::Unpinned, reason);
        }
        check_download(download, &at, found);
    }
    if file.unpinned && !is_unpinned {
        let reason = "is true, but every download has its sha256";
        found.add(root.join("unpinned"), Code::Contradiction, reason);
    }
}

/// Whether its fields go together.
fn check_download(download: &DownloadStep, at: &Path, found: &mut Findings) {
    if download.sha256.is_some() != download.read_on.is_some() {
        let reason = "has one of sha256 and read_on; they go together";
        found.add(at.clone(), Code::Contradiction, reason);
    }
    if download.strip > 0 && download.unpack != Some(Unpack::Tar) {
        let reason = "is for what is unpacked by tar";
        found.add(at.join("strip"), Code::Contradiction, reason);
    }
    if download.mode.is_some() && download.unpack.is_some() {
        let reason = "is for a file that is not unpacked";
        found.add(at.join("mode"), Code::Contradiction, reason);
    }
}

/// Whether there is one main port, in one of the two forms, and no port is there twice.
fn check_ports(file: &EntryFile, origin: Origin, root: &Path, found: &mut Findings) {
    let short = file.port.is_some() || file.protocol.is_some();
    let Some(listed) = &file.ports else {
        for (name, there) in [
            ("port", file.port.is_some()),
            ("protocol", file.protocol.is_some()),
        ] {
            if !there {
                let reason = format!("{name} is missing; or list all ports under ports");
                found.add(root.clone(), Code::MissingField, reason);
            }
        }
        if origin == Origin::Shipped && file.port.is_some_and(|port| port < LOWEST_SHIPPED_PORT) {
            found.add(root.join("port"), Code::LowPort, low_port());
        }
        return;
    };
    let at = root.join("ports");
    if short {
        let reason = "stands in the place of port and protocol; write one or the other";
        found.add(at.clone(), Code::Contradiction, reason);
    }
    if listed.iter().filter(|port| port.main).count() != 1 {
        found.add(
            at.clone(),
            Code::OneKind,
            "has exactly one port with main: true",
        );
    }
    for (n, port) in listed.iter().enumerate() {
        let at = at.join(n);
        let before = || listed.iter().take(n);
        if before().any(|other| other.name == port.name) {
            found.add(
                at.join("name"),
                Code::NameTaken,
                "is the name of another port",
            );
        }
        let meets =
            |other: &Port| other.number == port.number && other.protocol.meets(port.protocol);
        if before().any(meets) {
            found.add(
                at.join("number"),
                Code::NameTaken,
                "is the number of another port",
            );
        }
        if port.main && port.protocol == PortProtocol::Udp {
            let reason = "of the main port is tcp or http: nothing leads to another one";
            found.add(at.join("protocol"), Code::BadValue, reason);
        }
        if origin == Origin::Shipped && port.number < LOWEST_SHIPPED_PORT {
            found.add(at.join("number"), Code::LowPort, low_port());
        }
    }
}

fn low_port() -> String {
    format!("a shipped entry listens on {LOWEST_SHIPPED_PORT} or above")
}

/// Whether its container is made of a template in which something is installed, or of an image, and of one of the two.
fn check_base(file: &EntryFile, root: &Path, found: &mut Findings) {
    match (&file.os_template, &file.oci) {
        (Some(_), Some(_)) => {
            let reason = "stands in the place of os_template and install; write one or the other";
            found.add(root.join("oci"), Code::Contradiction, reason);
        }
        (None, None) => {
            let reason =
                "os_template is missing; or say under oci which image its container is made of";
            found.add(root.clone(), Code::MissingField, reason);
        }
        (Some(_), None) if file.install.is_none() => {
            found.add(root.clone(), Code::MissingField, "install is missing");
        }
        (Some(_), None) => {}
        (None, Some(oci)) => {
            if file.install.is_some() {
                let reason = "is for containers of a template: nothing is installed in an image";
                found.add(root.join("install"), Code::Contradiction, reason);
            }
            check_image(oci, &root.join("oci"), found);
        }
    }
}

/// Whether nothing of an image is there twice.
fn check_image(oci: &OciFile, at: &Path, found: &mut Findings) {
    for (n, variable) in oci.env.iter().enumerate() {
        let mut before = oci.env.iter().take(n);
        if before.any(|other| other.name == variable.name) {
            let at = at.join("env").join(n).join("name");
            found.add(at, Code::NameTaken, "is the name of another variable");
        }
    }
    for (n, volume) in oci.volumes.iter().enumerate() {
        let mut before = oci.volumes.iter().take(n);
        if before.any(|other| other.path == volume.path) {
            let at = at.join("volumes").join(n).join("path");
            found.add(at, Code::NameTaken, "is the path of another volume");
        }
    }
}

fn check_settings(file: &EntryFile, root: &Path, found: &mut Findings) {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (n, written) in file.settings.iter().enumerate() {
        let at = root.join("settings").join(n);
        let setting = match Setting::from_file(written) {
            Ok(setting) => setting,
            Err(problems) => {
                for (field, reason) in problems {
                    // A field that is not there is reported at the setting.
                    let place = if is_written(written, field) {
                        at.join(field)
                    } else {
                        at.clone()
                    };
                    found.add(place, Code::BadSetting, format!("{field} {reason}"));
                }
                continue;
            }
        };
        check_shown(file, n, &setting, &at, found);
        let mut claimed = vec![setting.name, setting.env];
        claimed.dedup();
        for name in claimed {
            if let Some(other) = names.insert(name.clone(), n).filter(|other| *other != n) {
                let reason = format!("{name} is also what setting {} is called", other + 1);
                found.add(at.join("name"), Code::NameTaken, reason);
            }
        }
    }
}

/// Whether what a setting is shown by stands before it, is no secret, and can have the value.
fn check_shown(file: &EntryFile, n: usize, setting: &Setting, at: &Path, found: &mut Findings) {
    let Some(when) = &setting.shown_when else {
        return;
    };
    let at = at.join("shown_when");
    let mut before = file.settings.iter().take(n);
    let Some(other) = before.find(|other| other.name == when.setting) else {
        let reason = format!("no setting {} stands before this one", when.setting);
        found.add(at.join("setting"), Code::UnknownSetting, reason);
        return;
    };
    if other.kind == KindFile::Secret {
        let reason = format!("{} is a secret, and nothing shows what it is", other.name);
        found.add(at.join("setting"), Code::BadSetting, reason);
        return;
    }
    // One that is not right is told by itself.
    let Ok(other) = Setting::from_file(other) else {
        return;
    };
    let read = other.read(Some(&when.equals)).map(|value| value.to_json());
    if read.as_ref() != Ok(&when.equals) {
        let reason = format!("is no value that {} can have", other.name);
        found.add(at.join("equals"), Code::BadSetting, reason);
    }
}

fn is_written(setting: &SettingFile, field: &str) -> bool {
    match field {
        "default" => setting.default.is_some(),
        "pattern" => setting.pattern.is_some(),
        "min" => setting.min.is_some(),
        "max" => setting.max.is_some(),
        "options" => setting.options.is_some(),
        "generate" => setting.generate.is_some(),
        _ => false,
    }
}

fn check_files(file: &EntryFile, root: &Path, found: &mut Findings) {
    let tries = tries(file);
    // One that is not right is told by itself.
    let port = file
        .main_port()
        .map_or(LOWEST_SHIPPED_PORT, |(port, _)| port);
    let mut unused: Vec<usize> = (0..file.settings.len()).collect();
    let shows = |name: &str| {
        let mut conditions = file
            .settings
            .iter()
            .filter_map(|one| one.shown_when.as_ref());
        conditions.any(|when| when.setting == name)
    };
    unused.retain(|setting| !shows(&file.settings[*setting].name));
    let mut all = Vec::new();
    for (n, step) in file.install.iter().flatten().enumerate() {
        let at = root.join("install").join(n);
        if step.keys() != 1 {
            let reason = "is exactly one kind of step; more are steps of their own";
            found.add(at.clone(), Code::OneKind, reason);
        }
        all.extend(templates(step, &at));
    }
    if let Some(oci) = &file.oci {
        all.extend(image_templates(oci, &root.join("oci")));
    }
    for written in all {
        match template::used_settings(written.text) {
            Ok(used) => {
                unused.retain(|setting| !used.contains(&file.settings[*setting].name));
                if check_use(file, &written, &used, found) {
                    check_filled(&written, port, &tries, found);
                }
            }
            Err(reason) => {
                found.add(written.at, Code::BadTemplate, reason);
                return;
            }
        }
    }
    for setting in unused {
        let at = root.join("settings").join(setting).join("name");
        found.add(
            at,
            Code::UnusedSetting,
            "no file of this recipe uses this setting",
        );
    }
}

/// A template of a step.
struct Written<'a> {
    at: Path,
    text: &'a str,
    escape: Escape,
    /// What lets everybody read it, if something does.
    exposed: Option<&'static str>,
    /// What it comes to.
    comes_to: ComesTo,
}

/// What a template comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ComesTo {
    /// A text of any kind.
    Text,
    /// One argument of a command line.
    Argument,
    /// The value of a variable.
    Variable,
    /// One word of a command line that is kept as one text.
    Word,
}

impl ComesTo {
    /// Why what was printed is none.
    fn objection(self, text: &str) -> Option<&'static str> {
        match self {
            Self::Text => None,
            Self::Argument => text
                .contains(char::is_control)
                .then_some("prints control characters, which end a command line"),
            Self::Variable => value_objection(text),
            Self::Word => word_objection(text),
        }
    }
}

fn templates<'a>(step: &'a StepFile, at: &Path) -> Vec<Written<'a>> {
    let file = step.file.iter().map(|file| Written {
        at: at.join("file").join("content"),
        text: &file.content,
        escape: file.escape,
        exposed: file.mode.is_world_readable().then_some("the mode"),
        comes_to: ComesTo::Text,
    });
    let exec = step
        .unit
        .iter()
        .flat_map(|unit| unit.exec.iter().enumerate());
    let exec = exec.map(|(n, argument)| Written {
        at: at.join("unit").join("exec").join(n),
        text: argument,
        escape: Escape::Plain,
        exposed: Some("a command line"),
        comes_to: ComesTo::Argument,
    });
    file.chain(exec).collect()
}

/// The templates of what an image is started with. It stands in the container's configuration: the command is shown to all who may look at
/// the container, the variables to those who may change its options, and both are in its backups.
fn image_templates<'a>(oci: &'a OciFile, at: &Path) -> Vec<Written<'a>> {
    let words = oci.entrypoint.iter().enumerate();
    let words = words.map(|(n, word)| Written {
        at: at.join("entrypoint").join(n),
        text: word,
        escape: Escape::Plain,
        exposed: Some("a command line"),
        comes_to: ComesTo::Word,
    });
    let variables = oci.env.iter().enumerate();
    let variables = variables.map(|(n, variable)| Written {
        at: at.join("env").join(n).join("value"),
        text: &variable.value,
        escape: Escape::Plain,
        exposed: Some("the container's configuration"),
        comes_to: ComesTo::Variable,
    });
    words.chain(variables).collect()
}

/// Whether it can be filled in, whatever is not asked for.
fn check_filled(
    written: &Written<'_>,
    port: u16,
    tries: &[(Option<String>, Arc<Settings>)],
    found: &mut Findings,
) {
    for (hidden, settings) in tries {
        let names = Names {
            settings: Arc::clone(settings),
            port,
        };
        let reason = match template::render(written.text, written.escape, Arc::new(names)) {
            Err(reason) => reason,
            Ok(text) => match written.comes_to.objection(&text) {
                Some(reason) => reason.to_owned(),
                None => continue,
            },
        };
        let reason = match hidden {
            Some(name) => format!("{reason}, where {name} is not asked for and has no value"),
            None => reason,
        };
        return found.add(written.at.clone(), Code::BadTemplate, reason);
    }
}

/// Whether all settings it uses exist.
fn check_use(
    file: &EntryFile,
    written: &Written<'_>,
    used: &BTreeSet<String>,
    found: &mut Findings,
) -> bool {
    let mut known = true;
    for name in used {
        let Some(setting) = file.settings.iter().find(|setting| setting.name == *name) else {
            let reason = format!("uses settings.{name}, but there is no such setting");
            found.add(written.at.clone(), Code::UnknownSetting, reason);
            known = false;
            continue;
        };
        if let Some(exposed) = written.exposed.filter(|_| setting.kind == KindFile::Secret) {
            let reason = format!("{exposed} lets everybody read the secret {name}");
            found.add(written.at.clone(), Code::ExposedSecret, reason);
        }
    }
    known
}

/// The values to try templates with: all there are, and all but each that may be hidden and has no default.
fn tries(file: &EntryFile) -> Vec<(Option<String>, Arc<Settings>)> {
    let read = file.settings.iter();
    let read: Vec<Setting> = read
        .filter_map(|one| Setting::from_file(one).ok())
        .collect();
    let all: Vec<(String, Value)> = file
        .settings
        .iter()
        .map(|written| {
            let setting = read.iter().find(|one| one.name == written.name);
            (
                written.name.clone(),
                setting.map_or(Value::from("x"), sample),
            )
        })
        .collect();
    let mut tries = vec![(None, Arc::new(Settings(all.clone())))];
    for setting in read.iter().filter(|one| one.hidden_value().is_none()) {
        let Some(when) = &setting.shown_when else {
            continue;
        };
        let shows = read.iter().find(|one| one.name == when.setting);
        let Some(other) = shows.and_then(|shows| other_than(shows, &when.equals)) else {
            continue;
        };
        let mut without = all.clone();
        without.retain(|(name, _)| *name != setting.name);
        for (name, value) in &mut without {
            if *name == when.setting {
                *value = other.clone();
            }
        }
        tries.push((Some(setting.name.clone()), Arc::new(Settings(without))));
    }
    tries
}

/// A value to try a template with.
fn sample(setting: &Setting) -> Value {
    match &setting.kind {
        SettingKind::Text { default, .. } => Value::from(default.as_deref().unwrap_or("x")),
        SettingKind::Secret { .. } => Value::from("x"),
        SettingKind::Integer { default, min, .. } => Value::from(default.unwrap_or(*min)),
        SettingKind::Boolean { default } => Value::from(default.unwrap_or(true)),
        SettingKind::Choice { default, options } => {
            let first = options.first().map(String::as_str);
            Value::from(default.as_deref().or(first).unwrap_or_default())
        }
        SettingKind::Port { default } => Value::from(default.unwrap_or(8080)),
        SettingKind::Path { default } => Value::from(default.as_deref().unwrap_or("/srv/x")),
    }
}

/// Another value that the setting can have; `None` if none is near.
fn other_than(setting: &Setting, value: &Value) -> Option<Value> {
    let candidates: Vec<Value> = match &setting.kind {
        SettingKind::Text { .. } | SettingKind::Secret { .. } => {
            vec![Value::from("x"), Value::from("y")]
        }
        SettingKind::Integer { min, max, .. } => vec![Value::from(*min), Value::from(*max)],
        SettingKind::Boolean { .. } => vec![Value::from(true), Value::from(false)],
        SettingKind::Choice { options, .. } => options
            .iter()
            .map(|option| Value::from(option.as_str()))
            .collect(),
        SettingKind::Port { .. } => vec![Value::from(1), Value::from(2)],
        SettingKind::Path { .. } => vec![Value::from("/srv/x"), Value::from("/srv/y")],
    };
    candidates.into_iter().find(|other| other != value)
}
