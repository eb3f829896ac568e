//! From an entry and a user's settings to finished steps. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::entry::{Base, CatalogEntry, UnresolvedFile, UnresolvedStep};
use super::error::SettingErrors;
use super::escape::Escape;
use super::format::UnitFileStep;
use super::recipe::{FileContent, ResolvedFile, ResolvedRecipe, ResolvedSetting, Step};
use super::setting::{Setting, SettingValue};
use super::template::{self, Names, Settings};
use super::unit;
use super::words::{Account, FileMode, GuestPath};

impl CatalogEntry {
    /// Fills in the recipe. Settings are given by their `env` name or by their `name`; numbers and
    /// booleans may come as text; what is not given, or `null`, takes its default. What is not asked for by the values of others
    /// takes its default too, whatever is given, or has no value.
    ///
    /// # Errors
    /// [`SettingErrors`] with every wrong, missing and unknown setting. No error repeats a value.
    pub fn resolve(
        &self,
        given: &BTreeMap<String, Value>,
    ) -> Result<ResolvedRecipe, SettingErrors> {
        self.filled(given, &mut || None)
    }

    /// As [`Self::resolve`], for a new app: secrets that are not given are made, where the entry says how. `random` gives 128
    /// random bits.
    ///
    /// # Errors
    /// Those of [`Self::resolve`].
    pub fn resolve_new(
        &self,
        given: &BTreeMap<String, Value>,
        random: &mut dyn FnMut() -> u128,
    ) -> Result<ResolvedRecipe, SettingErrors> {
        self.filled(given, &mut || Some(random()))
    }

    /// Refuses what is given for settings that are not asked for, by the values of the others.
    ///
    /// # Errors
    /// [`SettingErrors`] with each of them.
    pub fn refuse_hidden(
        &self,
        asked: &Map<String, Value>,
        recipe: &ResolvedRecipe,
    ) -> Result<(), SettingErrors> {
        let mut errors = SettingErrors::default();
        let is_given = |name: &String| asked.get(name).is_some_and(|value| !value.is_null());
        for setting in &self.settings {
            let given = is_given(&setting.env) || is_given(&setting.name);
            if given && recipe.hidden.contains(&setting.env) {
                errors.add(&setting.env, setting.why_hidden());
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    fn filled(
        &self,
        given: &BTreeMap<String, Value>,
        random: &mut dyn FnMut() -> Option<u128>,
    ) -> Result<ResolvedRecipe, SettingErrors> {
        let mut errors = self.unknown(given);
        let mut values: Vec<(&Setting, SettingValue)> = Vec::new();
        let mut hidden = Vec::new();
        for setting in &self.settings {
            if setting.is_hidden(&values) {
                hidden.push(setting.env.clone());
                values.extend(setting.hidden_value().map(|value| (setting, value)));
                continue;
            }
            match pick(setting, given).and_then(|value| setting.read_or_make(value, random)) {
                Ok(value) => values.push((setting, value)),
                Err(reason) => errors.add(&setting.env, reason),
            }
        }
        if errors.is_empty() {
            errors = self.objections(&values);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let named = values
            .iter()
            .map(|(setting, value)| (setting.name.clone(), value.to_json()));
        let names = Arc::new(Names {
            settings: Arc::new(Settings(named.collect())),
            port: self.port,
        });
        let steps: Result<Vec<Step>, SettingErrors> = self
            .install
            .iter()
            .map(|step| resolve_step(step, &values, &names))
            .collect();
        let image = match &self.base {
            Base::Image(image) => Some(image.filled(&names)?),
            Base::Template(_) => None,
        };
        Ok(ResolvedRecipe {
            steps: steps?,
            image,
            health: self.health.clone(),
            port: self.port,
            hidden,
            settings: values
                .into_iter()
                .map(|(setting, value)| ResolvedSetting {
                    env: setting.env.clone(),
                    value,
                })
                .collect(),
        })
    }

    /// Takes out what is given for settings that the entry does not have.
    pub(crate) fn forget_unknown(&self, given: &mut BTreeMap<String, Value>) {
        let known = |key: &String| {
            let mut all = self.settings.iter();
            all.any(|setting| setting.env == *key || setting.name == *key)
        };
        given.retain(|key, _| known(key));
    }

    /// Settings that the entry does not have.
    pub(super) fn unknown(&self, given: &BTreeMap<String, Value>) -> SettingErrors {
        let mut errors = SettingErrors::default();
        let known = |key: &String| {
            self.settings
                .iter()
                .any(|setting| setting.env == *key || setting.name == *key)
        };
        for key in given.keys().filter(|key| !known(key)) {
            let names: Vec<&str> = self.settings.iter().map(|one| one.env.as_str()).collect();
            errors.add(
                key,
                match names.as_slice() {
                    [] => format!("is unknown; {} has no settings", self.id),
                    names => format!("is unknown; {} has {}", self.id, names.join(", ")),
                },
            );
        }
        errors
    }

    /// Values that cannot be written into the kind of file they are meant for.
    pub(super) fn objections(&self, values: &[(&Setting, SettingValue)]) -> SettingErrors {
        let mut errors = SettingErrors::default();
        if let Base::Image(image) = &self.base {
            image.objections(values, &mut errors);
        }
        for file in self.files() {
            let used = template::used_settings(&file.template).unwrap_or_default();
            for (setting, value) in values.iter().filter(|(one, _)| used.contains(&one.name)) {
                let text = value.to_json();
                let objection = text.as_str().and_then(|text| file.escape.objection(text));
                if let Some(reason) = objection {
                    errors.add(&setting.env, reason.to_owned());
                }
            }
        }
        errors
    }

    fn files(&self) -> impl Iterator<Item = &UnresolvedFile> {
        self.install.iter().filter_map(|step| match step {
            UnresolvedStep::File(file) => Some(file.as_ref()),
            UnresolvedStep::Apt(_)
            | UnresolvedStep::Absent(_)
            | UnresolvedStep::Service(_)
            | UnresolvedStep::Run(_)
            | UnresolvedStep::User(_)
            | UnresolvedStep::Directory(_)
            | UnresolvedStep::Unit(_)
            | UnresolvedStep::Venv(_)
            | UnresolvedStep::Npm(_)
            | UnresolvedStep::Download(_) => None,
        })
    }
}

/// What is given for a setting, by either of its names.
pub(super) fn pick<'a>(
    setting: &Setting,
    given: &'a BTreeMap<String, Value>,
) -> Result<Option<&'a Value>, String> {
    let by_name = given
        .get(&setting.name)
        .filter(|_| setting.name != setting.env);
    match (given.get(&setting.env), by_name) {
        (Some(_), Some(_)) => Err(format!("is given twice, as {} as well", setting.name)),
        (value, None) | (None, value) => Ok(value),
    }
}

fn resolve_step(
    step: &UnresolvedStep,
    values: &[(&Setting, SettingValue)],
    names: &Arc<Names>,
) -> Result<Step, SettingErrors> {
    Ok(match step {
        UnresolvedStep::Apt(packages) => Step::Apt(packages.clone()),
        UnresolvedStep::File(file) => Step::File(resolve_file(file, values, names)?),
        UnresolvedStep::Absent(path) => Step::Absent(path.clone()),
        UnresolvedStep::Service(service) => Step::Service(service.clone()),
        UnresolvedStep::Run(run) => Step::Run(run.clone()),
        UnresolvedStep::User(user) => Step::User(user.clone()),
        UnresolvedStep::Directory(directory) => Step::Directory(directory.clone()),
        UnresolvedStep::Unit(unit) => Step::File(resolve_unit(unit, names)?),
        UnresolvedStep::Venv(venv) => Step::Venv(venv.clone()),
        UnresolvedStep::Npm(npm) => Step::Npm(npm.clone()),
        UnresolvedStep::Download(download) => Step::Download(download.clone()),
    })
}

/// A unit is a file; that no secret is in it was checked when the entry was read. No value has control characters, but a template may
/// print some of its own, which would end the line.
fn resolve_unit(unit: &UnitFileStep, names: &Arc<Names>) -> Result<ResolvedFile, SettingErrors> {
    let place = unit::path_of(unit);
    let failed = |reason: String| SettingErrors::one(&place, reason);
    let exec: Result<Vec<String>, String> = unit
        .exec
        .iter()
        .map(|argument| template::render(argument, Escape::Plain, Arc::clone(names)))
        .collect();
    let exec = exec.map_err(failed)?;
    if exec
        .iter()
        .any(|argument| argument.contains(char::is_control))
    {
        return Err(failed("exec prints control characters".to_owned()));
    }
    let text = unit::text_of(unit, &exec);
    Ok(ResolvedFile {
        path: GuestPath::try_from(place.clone()).map_err(failed)?,
        mode: FileMode::READABLE,
        owner: Account::root(),
        group: Account::root(),
        content: FileContent::Open(text),
    })
}

fn resolve_file(
    file: &UnresolvedFile,
    values: &[(&Setting, SettingValue)],
    names: &Arc<Names>,
) -> Result<ResolvedFile, SettingErrors> {
    let place = file.shape.path.as_str();
    let failed = |reason: String| SettingErrors::one(place, reason);
    let text = template::render(&file.template, file.escape, Arc::clone(names)).map_err(failed)?;
    let used = template::used_settings(&file.template).map_err(failed)?;
    let secret = values
        .iter()
        .any(|(one, value)| value.is_secret() && used.contains(&one.name));
    let content = if secret {
        FileContent::Secret(text.into())
    } else {
        FileContent::Open(text)
    };
    Ok(ResolvedFile {
        content,
        ..file.shape.clone()
    })
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
