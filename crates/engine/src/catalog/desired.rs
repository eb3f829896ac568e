//! From an entry and what documents say of its settings to what is wanted. Pure.

use std::collections::BTreeMap;

use proximity_domain::manifest::SettingSource;
use proximity_domain::names::{SecretName, SettingName};
use proximity_domain::plan::WantedSetting;
use serde_json::Value;

use super::entry::CatalogEntry;
use super::error::SettingErrors;
use super::resolve::pick;
use super::setting::{Setting, SettingKind, SettingValue};

impl CatalogEntry {
    /// All settings of the entry by the name that is recorded, as these documents want them. A secret is named, and neither
    /// known nor looked at here.
    ///
    /// # Errors
    /// [`SettingErrors`] with every wrong, missing and unknown setting. No error repeats a value.
    pub fn wanted_settings(
        &self,
        given: &BTreeMap<SettingName, SettingSource>,
    ) -> Result<BTreeMap<String, WantedSetting>, SettingErrors> {
        let (values, secrets) = sorted(given);
        let mut errors = self.unknown(&values);
        let (mut wanted, mut open) = (BTreeMap::new(), Vec::<(&Setting, SettingValue)>::new());
        for setting in &self.settings {
            if setting.is_hidden(&open) {
                if values.contains_key(&setting.env) || values.contains_key(&setting.name) {
                    errors.add(&setting.env, setting.why_hidden());
                } else if let Some(value) = setting.hidden_value() {
                    wanted.insert(setting.env.clone(), WantedSetting::Open(value.to_json()));
                    open.push((setting, value));
                }
                continue;
            }
            match one(setting, &values, &secrets) {
                Ok(Read::Secret(name)) => {
                    wanted.insert(setting.env.clone(), WantedSetting::Secret(name));
                }
                Ok(Read::Open(value)) => {
                    wanted.insert(setting.env.clone(), WantedSetting::Open(value.to_json()));
                    open.push((setting, value));
                }
                Err(reason) => errors.add(&setting.env, reason),
            }
        }
        if errors.is_empty() {
            errors = self.objections(&open);
        }
        if errors.is_empty() {
            Ok(wanted)
        } else {
            Err(errors)
        }
    }
}

enum Read {
    Open(SettingValue),
    Secret(SecretName),
}

/// Values as requests give them, with `null` for each secret, and the names of those.
fn sorted(
    given: &BTreeMap<SettingName, SettingSource>,
) -> (BTreeMap<String, Value>, BTreeMap<String, SecretName>) {
    let (mut values, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for (name, source) in given {
        let name = name.as_str().to_owned();
        let value = match source {
            SettingSource::Boolean(yes) => Value::from(*yes),
            SettingSource::Integer(number) => Value::from(*number),
            SettingSource::Text(text) => Value::from(text.as_str()),
            SettingSource::Secret(secret) => {
                secrets.insert(name.clone(), secret.secret.clone());
                Value::Null
            }
        };
        values.insert(name, value);
    }
    (values, secrets)
}

fn one(
    setting: &Setting,
    values: &BTreeMap<String, Value>,
    secrets: &BTreeMap<String, SecretName>,
) -> Result<Read, String> {
    let value = pick(setting, values)?;
    let secret = secrets
        .get(&setting.env)
        .or_else(|| secrets.get(&setting.name));
    let is_secret = matches!(setting.kind, SettingKind::Secret { .. });
    match (secret, value, is_secret) {
        (Some(name), _, true) => Ok(Read::Secret(name.clone())),
        (Some(_), _, false) => {
            Err("is no secret, and is shown with the app: write its value".to_owned())
        }
        (None, Some(_), true) => {
            Err("is a secret, which no document holds: name it, as in {secret: NAME}".to_owned())
        }
        (None, value, _) => setting.read(value).map(Read::Open),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    fn given(text: &str) -> BTreeMap<SettingName, SettingSource> {
        serde_json::from_str(text).unwrap()
    }

    fn entry() -> CatalogEntry {
        let catalog = Catalog::load(&[]).unwrap();
        catalog.get(&"nginx".parse().unwrap()).unwrap().clone()
    }

    #[test]
    fn what_is_left_out_is_the_catalogs_and_what_is_wrong_is_told_at_once() {
        let entry = entry();
        let all = entry.wanted_settings(&given("{}")).unwrap();
        let recorded = entry.resolve(&BTreeMap::new()).unwrap().open_settings();
        let recorded = recorded.as_object().unwrap();
        assert_eq!(all.len(), recorded.len());
        for (name, wanted) in &all {
            assert_eq!(*wanted, WantedSetting::Open(recorded[name].clone()));
        }
        let errors =
            entry.wanted_settings(&given(r#"{"no_such": 1, "site_title": {"secret": "x"}}"#));
        let errors = errors.unwrap_err();
        let fields = errors.fields();
        assert!(fields["no_such"].contains("unknown"), "{fields:?}");
        assert!(
            fields.values().any(|why| why.contains("no secret")),
            "{fields:?}"
        );
    }

    #[test]
    fn a_secret_is_named_and_never_written() {
        let setting = Setting {
            name: "password".to_owned(),
            env: "PASSWORD".to_owned(),
            help: String::new(),
            required: true,
            kind: SettingKind::Secret {
                rule: super::super::TextRule {
                    min_chars: 1,
                    max_chars: 8,
                    pattern: None,
                },
                generate: None,
            },
            shown_when: None,
        };
        let mut entry = entry();
        entry.settings = vec![setting];
        let by_name = entry.wanted_settings(&given(r#"{"password": {"secret": "db"}}"#));
        let secret = WantedSetting::Secret("db".parse().unwrap());
        let expected = BTreeMap::from([("PASSWORD".to_owned(), secret)]);
        assert_eq!(by_name, Ok(expected));
        for (text, told) in [
            (r#"{"PASSWORD": "hunter2"}"#, "no document holds"),
            ("{}", "must be given"),
        ] {
            let errors = entry.wanted_settings(&given(text)).unwrap_err();
            assert!(errors.fields()["PASSWORD"].contains(told), "{errors}");
            assert!(!errors.to_string().contains("hunter2"));
        }
    }
}
