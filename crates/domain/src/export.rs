//! What is on record, as documents of desired state: a plan of them changes nothing. Pure.
//!
//! Written is what was asked for and is kept, and not what a cluster shows: where somebody changed a container by hand, a plan of its
//! document says so. The host is named, for no container leaves its cluster by itself; the node is not, for people and high
//! availability migrate containers, and a document that named it would be at odds with the record from then on.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::app::{AppClass, StatusLabel};
use crate::ids::AppId;
use crate::ignore::Ignored;
use crate::manifest::{
    AdoptedSpec, AppSpec, Manifest, Policy, ResourceWish, RootMode, SecretReference, SettingSource,
    WantedPower,
};
use crate::names::{HostLabel, Hostname, SecretName, SettingName};
use crate::plan::{Recorded, digest};
use crate::site::NameWish;

/// Characters of each part of a secret's name that a digest ends.
const PART_CHARS: usize = 20;
/// Digits of that digest.
const DIGEST_DIGITS: usize = 12;
/// Characters of a secret's name.
const MOST_CHARS: usize = 63;

/// One app as a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The app.
    pub app: AppId,
    /// How it is to be.
    pub document: Manifest,
    /// What the document names and does not hold, by setting.
    pub secrets: Vec<ExportedSecret>,
    /// What keeps a plan of the document from being empty as things are, a sentence each.
    pub notes: Vec<String>,
}

/// A secret that a document names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedSecret {
    /// The setting whose value it is.
    pub setting: SettingName,
    /// What the document calls it.
    pub secret: SecretName,
}

/// Why there is no document of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// It is not there yet, or about to go.
    OnItsWay(StatusLabel),
    /// It was taken over, and no container is on record for it.
    NoContainer,
    /// Its host entry is gone.
    NoHost,
    /// What is on record of a setting is nothing that a document can hold.
    Setting(String),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnItsWay(status) => write!(f, "it is {}", status.label()),
            Self::NoContainer => f.write_str("no container is on record for it"),
            Self::NoHost => f.write_str("its host entry is gone"),
            Self::Setting(name) => write!(
                f,
                "what is on record of its setting {name:?} is nothing that a document can hold"
            ),
        }
    }
}

/// The document of an app: all that is on record, and nothing that a catalog could come to say otherwise. With `power` it says whether
/// the app runs, as that is on record; without, that is written where `applied` says something of it, and else left as it is.
///
/// `applied` is the document that the app was made or changed by last, if one is known: power, policy, dependencies and the names of
/// secrets are in no other record. It says nothing of an app of the other class.
///
/// # Errors
/// [`LeftOut`] where no document would be true of it.
pub fn document(
    recorded: &Recorded,
    host: Option<&HostLabel>,
    applied: Option<&Manifest>,
    power: bool,
) -> Result<Exported, LeftOut> {
    let runs = match recorded.status {
        StatusLabel::Running => Some(WantedPower::Running),
        StatusLabel::Stopped => Some(WantedPower::Stopped),
        StatusLabel::Updating | StatusLabel::Error => None,
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Removing => return Err(LeftOut::OnItsWay(recorded.status)),
    };
    let host = host.ok_or(LeftOut::NoHost)?.clone();
    let notes = match runs {
        Some(_) => Vec::new(),
        None => vec![format!(
            "it is {}: a plan of its document holds it back until that is over",
            recorded.status.label()
        )],
    };
    let of_power = |said: Option<WantedPower>| match (power, said) {
        (true, said) => runs.or(said),
        // It may have been started or stopped since, by us.
        (false, Some(said)) => Some(runs.unwrap_or(said)),
        (false, None) => None,
    };
    let name = recorded.name.clone();
    let (document, secrets) = match recorded.class {
        AppClass::Native => {
            let applied = match applied {
                Some(Manifest::App { spec, .. }) => Some(spec),
                Some(_) | None => None,
            };
            let power = of_power(applied.and_then(|applied| applied.power));
            let (spec, secrets) = app(recorded, host, applied, power)?;
            (Manifest::App { name, spec }, secrets)
        }
        AppClass::Adopted => {
            let mut spec = adopted(recorded, host, of_power(None))?;
            if let Some(Manifest::AdoptedApp { spec: applied, .. }) = applied {
                spec.power = of_power(applied.power);
                spec.policy = applied.policy;
                spec.ignore.clone_from(&applied.ignore);
                spec.depends_on.clone_from(&applied.depends_on);
                spec.stack.clone_from(&applied.stack);
            }
            (Manifest::AdoptedApp { name, spec }, Vec::new())
        }
    };
    Ok(Exported {
        app: recorded.id,
        document,
        secrets,
        notes,
    })
}

/// In their order, without those that are there already: a list of a document has nothing twice.
fn each_once<T: Clone + Ord>(all: &[T]) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let first = all.iter().filter(|one| seen.insert(*one));
    first.cloned().collect()
}

fn app(
    recorded: &Recorded,
    host: HostLabel,
    applied: Option<&AppSpec>,
    power: Option<WantedPower>,
) -> Result<(AppSpec, Vec<ExportedSecret>), LeftOut> {
    let (made, site) = (&recorded.made_with, recorded.site.as_ref());
    let mut spec = AppSpec {
        catalog_id: recorded.catalog_id.clone(),
        host: Some(host),
        node: None,
        resources: ResourceWish {
            memory_mib: Some(recorded.resources.memory_mib),
            cores: Some(recorded.resources.cores),
            disk_gib: Some(recorded.resources.disk_gib),
        },
        settings: BTreeMap::new(),
        network: (!made.network.is_usual()).then(|| Box::new(made.network.words())),
        root_access: match (made.root_password, made.root_keys.is_empty()) {
            (true, _) => Some(RootMode::Password),
            (false, false) => Some(RootMode::Keys),
            (false, true) => None,
        },
        root_keys: each_once(&made.root_keys),
        host_name: site.map(|site| NameWish::Name(site.name.clone())),
        certificate: site.and_then(|site| site.certificate.clone()).map(Box::new),
        apart_from: (!made.apart_from.is_empty()).then(|| each_once(&made.apart_from)),
        allow_unpinned: applied.is_some_and(|applied| applied.allow_unpinned),
        power,
        policy: applied.map_or(Policy::default(), |applied| applied.policy),
        ignore: applied.map_or_else(Ignored::default, |applied| applied.ignore.clone()),
        depends_on: applied.map_or_else(Vec::new, |applied| applied.depends_on.clone()),
        stack: applied.and_then(|applied| applied.stack.clone()),
    };
    let mut secrets = Vec::new();
    for (key, value) in &recorded.settings {
        let unfit = || LeftOut::Setting(key.clone());
        let setting: SettingName = key.parse().map_err(|_| unfit())?;
        let source = match value {
            Value::Null => {
                let known = applied.and_then(|applied| applied_secret(applied, &setting));
                let secret = known.or_else(|| secret_name(&recorded.name, &setting));
                let secret = secret.ok_or_else(unfit)?;
                secrets.push(ExportedSecret {
                    setting: setting.clone(),
                    secret: secret.clone(),
                });
                SettingSource::Secret(SecretReference { secret })
            }
            value => open(value).ok_or_else(unfit)?,
        };
        spec.settings.insert(setting, source);
    }
    Ok((spec, secrets))
}

/// What a document called the secret of a setting, which it may name as templates do: in small letters.
fn applied_secret(applied: &AppSpec, setting: &SettingName) -> Option<SecretName> {
    let mut settings = applied.settings.iter();
    settings.find_map(|(name, source)| match source {
        SettingSource::Secret(reference)
            if name.as_str().eq_ignore_ascii_case(setting.as_str()) =>
        {
            Some(reference.secret.clone())
        }
        _ => None,
    })
}

fn adopted(
    recorded: &Recorded,
    host: HostLabel,
    power: Option<WantedPower>,
) -> Result<AdoptedSpec, LeftOut> {
    Ok(AdoptedSpec {
        host,
        vmid: recorded.vmid.ok_or(LeftOut::NoContainer)?,
        taken_for: Some(recorded.catalog_id.clone()),
        // Nothing listens on 0, and no document says so.
        port: (recorded.port > 0).then_some(recorded.port),
        expose: recorded.exposed,
        guard: recorded.guarded,
        power,
        policy: Policy::default(),
        ignore: Ignored::default(),
        depends_on: Vec::new(),
        stack: None,
    })
}

/// A value that is no secret; `None` for what no setting is.
fn open(value: &Value) -> Option<SettingSource> {
    match value {
        Value::Bool(yes) => Some(SettingSource::Boolean(*yes)),
        Value::Number(number) => number.as_i64().map(SettingSource::Integer),
        Value::String(text) if !text.chars().any(char::is_control) => {
            Some(SettingSource::Text(text.clone()))
        }
        Value::String(_) | Value::Array(_) | Value::Object(_) | Value::Null => None,
    }
}

/// What documents call the secret of this setting of this app. No two settings have the same name, and it is the same each time: `web--password` is
/// `PASSWORD` of `web`; where that would be too long, or could be said of another setting too, both are cut and a digest ends it.
#[must_use]
pub fn secret_name(app: &Hostname, setting: &SettingName) -> Option<SecretName> {
    let (app, setting) = (app.as_str(), setting.as_str());
    let part = setting.to_ascii_lowercase().replace('_', "-");
    let plain = format!("{app}--{part}");
    let is_plain = setting.bytes().all(|b| !b.is_ascii_lowercase())
        && !app.contains("--")
        && !part.contains("--")
        && !part.ends_with('-')
        && plain.len() <= MOST_CHARS;
    if is_plain {
        return plain.parse().ok();
    }
    let cut = |text: &str| {
        let start: String = text.chars().take(PART_CHARS).collect();
        start.trim_end_matches('-').to_owned()
    };
    let all = digest([app, setting]);
    let end = all.get(..DIGEST_DIGITS)?;
    format!("{}--{}--{end}", cut(app), cut(&part)).parse().ok()
}
