//! What one field alone does not show: types of settings, use of settings, limits of origin. All of it is
//! reported with the place in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use garde::error::Path;
use garde::{Error, Report, Validate};
use serde::Deserialize;
use serde_json::Value;

use super::format::{EntryFile, FileFile, KindFile, SettingFile};
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
        let file = &self.0;
        file.validate_into(&(), parent, report);
        let root = parent();
        if *origin == Origin::Shipped && file.port < LOWEST_SHIPPED_PORT {
            let reason = format!("a shipped entry listens on {LOWEST_SHIPPED_PORT} or above");
            report.append(root.join("port"), Error::new(reason));
        }
        let memory = &file.resources.memory_mib;
        if memory.min > memory.default {
            let at = root.join("resources").join("memory_mib").join("default");
            report.append(at, Error::new("is less than min"));
        }
        check_settings(file, &root, report);
        check_files(file, &root, report);
    }
}

fn check_settings(file: &EntryFile, root: &Path, report: &mut Report) {
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
                    report.append(place, Error::new(format!("{field} {reason}")));
                }
                continue;
            }
        };
        let mut claimed = vec![setting.name, setting.env];
        claimed.dedup();
        for name in claimed {
            if let Some(other) = names.insert(name.clone(), n).filter(|other| *other != n) {
                let reason = format!("{name} is also what setting {} is called", other + 1);
                report.append(at.join("name"), Error::new(reason));
            }
        }
    }
}

fn is_written(setting: &SettingFile, field: &str) -> bool {
    match field {
        "default" => setting.default.is_some(),
        "pattern" => setting.pattern.is_some(),
        "min" => setting.min.is_some(),
        "max" => setting.max.is_some(),
        "options" => setting.options.is_some(),
        _ => false,
    }
}

fn check_files(file: &EntryFile, root: &Path, report: &mut Report) {
    let samples = Arc::new(samples(file));
    let mut unused: Vec<usize> = (0..file.settings.len()).collect();
    for (n, step) in file.install.iter().enumerate() {
        let at = root.join("install").join(n);
        if step.keys() != 1 {
            let reason =
                "is one of apt, file, absent, service and run; more are steps of their own";
            report.append(at.clone(), Error::new(reason));
        }
        let Some(written) = &step.file else { continue };
        let at = at.join("file");
        match template::used_settings(&written.content) {
            Ok(used) => {
                unused.retain(|setting| !used.contains(&file.settings[*setting].name));
                if !check_use(file, written, &used, &at, report) {
                    continue;
                }
            }
            Err(reason) => {
                report.append(at.join("content"), Error::new(reason));
                return;
            }
        }
        let names = Names {
            settings: Arc::clone(&samples),
            port: file.port,
        };
        if let Err(reason) = template::render(&written.content, written.escape, Arc::new(names)) {
            report.append(at.join("content"), Error::new(reason));
        }
    }
    for setting in unused {
        let at = root.join("settings").join(setting).join("name");
        report.append(at, Error::new("no file of this recipe uses this setting"));
    }
}

/// Whether all settings it uses exist.
fn check_use(
    file: &EntryFile,
    written: &FileFile,
    used: &BTreeSet<String>,
    at: &Path,
    report: &mut Report,
) -> bool {
    let mut known = true;
    for name in used {
        let Some(setting) = file.settings.iter().find(|setting| setting.name == *name) else {
            let reason = format!("uses settings.{name}, but there is no such setting");
            report.append(at.join("content"), Error::new(reason));
            known = false;
            continue;
        };
        let secret = setting.kind == KindFile::Secret;
        if secret && written.mode.is_world_readable() {
            let reason = format!("the mode lets everybody read the secret {name}");
            report.append(at.join("content"), Error::new(reason));
        }
    }
    known
}

/// A value for every setting, to try the templates with.
fn samples(file: &EntryFile) -> Settings {
    let sample = |setting: Setting| match setting.kind {
        SettingKind::Text { default, .. } => Value::from(default.unwrap_or_else(|| "x".to_owned())),
        SettingKind::Secret { .. } => Value::from("x"),
        SettingKind::Integer { default, min, .. } => Value::from(default.unwrap_or(min)),
        SettingKind::Boolean { default } => Value::from(default.unwrap_or(true)),
        SettingKind::Choice { default, options } => Value::from(
            default
                .or_else(|| options.first().cloned())
                .unwrap_or_default(),
        ),
    };
    let read = file.settings.iter().map(|written| {
        let value = Setting::from_file(written).map_or(Value::from("x"), sample);
        (written.name.clone(), value)
    });
    Settings(read.collect())
}
