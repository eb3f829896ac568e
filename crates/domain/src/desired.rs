//! What documents want of each app: values put in, stacks taken apart. What a plan is applied from, and what is kept of an app that was
//! applied.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::depends::layers;
use crate::ignore::Ignored;
use crate::manifest::{AdoptedSpec, AppSpec, Kind, Manifest, Policy, SettingSource, WantedPower};
use crate::names::{Hostname, ManifestName, SecretName};

/// How an app is to be. What it depends on are apps alone, by their names, in order and each once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "spec")]
pub enum DesiredSpec {
    /// A container is made for it.
    App(AppSpec),
    /// A container that is there is taken over.
    AdoptedApp(AdoptedSpec),
}

impl DesiredSpec {
    /// What a document of one app says; `None` of a stack and of values.
    #[must_use]
    pub fn of(document: &Manifest) -> Option<Self> {
        match document {
            Manifest::App { spec, .. } => Some(Self::App(spec.clone())),
            Manifest::AdoptedApp { spec, .. } => Some(Self::AdoptedApp(spec.clone())),
            Manifest::Stack { .. } | Manifest::Values { .. } => None,
        }
    }

    /// The kind of its document.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::App(_) => Kind::App,
            Self::AdoptedApp(_) => Kind::AdoptedApp,
        }
    }

    /// What a difference leads to that somebody else made.
    #[must_use]
    pub fn policy(&self) -> Policy {
        match self {
            Self::App(spec) => spec.policy,
            Self::AdoptedApp(spec) => spec.policy,
        }
    }

    /// What of its container somebody else may change.
    #[must_use]
    pub fn ignored(&self) -> &Ignored {
        match self {
            Self::App(spec) => &spec.ignore,
            Self::AdoptedApp(spec) => &spec.ignore,
        }
    }

    /// The apps that have to be there before it.
    #[must_use]
    pub fn depends_on(&self) -> Vec<Hostname> {
        match self {
            Self::App(spec) => hosts(&spec.depends_on),
            Self::AdoptedApp(spec) => hosts(&spec.depends_on),
        }
    }

    /// The stack that it is started and stopped with.
    #[must_use]
    pub fn stack(&self) -> Option<&ManifestName> {
        match self {
            Self::App(spec) => spec.stack.as_ref(),
            Self::AdoptedApp(spec) => spec.stack.as_ref(),
        }
    }

    /// Whether it is to run; `None`: that is left as it is.
    #[must_use]
    pub fn power(&self) -> Option<WantedPower> {
        match self {
            Self::App(spec) => spec.power,
            Self::AdoptedApp(spec) => spec.power,
        }
    }

    /// Names of the secrets that its settings stand for.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<SecretName> {
        match self {
            Self::App(spec) => {
                let settings = spec.settings.values();
                let secrets = settings.filter_map(|source| match source {
                    SettingSource::Secret(reference) => Some(reference.secret.clone()),
                    SettingSource::Boolean(_)
                    | SettingSource::Integer(_)
                    | SettingSource::Text(_) => None,
                });
                secrets.collect()
            }
            Self::AdoptedApp(_) => BTreeSet::new(),
        }
    }

    /// The same, as far as it depends on these apps.
    #[must_use]
    pub fn among(&self, names: &BTreeSet<Hostname>) -> Self {
        let is_among = |need: &ManifestName| {
            let need = need.as_str().parse::<Hostname>();
            need.is_ok_and(|need| names.contains(&need))
        };
        let mut spec = self.clone();
        match &mut spec {
            Self::App(spec) => spec.depends_on.retain(is_among),
            Self::AdoptedApp(spec) => spec.depends_on.retain(is_among),
        }
        spec
    }

    /// The document that says this of an app.
    #[must_use]
    pub fn manifest(&self, name: &Hostname) -> Manifest {
        let name = name.clone();
        match self.clone() {
            Self::App(spec) => Manifest::App { name, spec },
            Self::AdoptedApp(spec) => Manifest::AdoptedApp { name, spec },
        }
    }
}

/// What is wanted of each app, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Documents(BTreeMap<Hostname, DesiredSpec>);

impl Documents {
    /// What these documents want. Whoever depends on a stack depends on each of its apps; a name that is none of the documents counts
    /// for nothing.
    #[must_use]
    pub fn of(documents: &[Manifest]) -> Self {
        let names = Names::of(documents);
        let mut all = BTreeMap::new();
        for document in documents {
            match document {
                Manifest::App { name, spec } => {
                    all.insert(name.clone(), names.app(spec, &[]));
                }
                Manifest::AdoptedApp { name, spec } => {
                    let spec = AdoptedSpec {
                        depends_on: names.apps(&spec.depends_on),
                        ..spec.clone()
                    };
                    all.insert(name.clone(), DesiredSpec::AdoptedApp(spec));
                }
                Manifest::Stack { name, spec } => {
                    for app in &spec.apps {
                        let of_app = AppSpec {
                            stack: Some(name.clone()),
                            ..app.spec.clone()
                        };
                        let of_app = names.app(&of_app, &spec.depends_on);
                        all.insert(app.name.clone(), of_app);
                    }
                }
                Manifest::Values { .. } => {}
            }
        }
        Self(all)
    }

    /// What is wanted of an app.
    #[must_use]
    pub fn get(&self, name: &Hostname) -> Option<&DesiredSpec> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Hostname, &DesiredSpec)> {
        self.0.iter()
    }

    /// Documents that say the same, one for each app.
    #[must_use]
    pub fn manifests(&self) -> Vec<Manifest> {
        let each = self.0.iter().map(|(name, spec)| spec.manifest(name));
        each.collect()
    }

    /// The names of all apps, in layers: each app depends only on those before its layer.
    #[must_use]
    pub fn order(&self) -> Vec<Vec<String>> {
        let names: Vec<&Hostname> = self.0.keys().collect();
        // Documents that go in a circle are refused before they get here, and of what was wanted before it is broken.
        let layers = layers(&self.needs()).unwrap_or_else(|_| vec![(0..names.len()).collect()]);
        let named = |layer: Vec<usize>| {
            let names = layer.into_iter().filter_map(|at| names.get(at));
            names.map(|name| name.as_str().to_owned()).collect()
        };
        layers.into_iter().map(named).collect()
    }

    /// Breaks circles, which there may be where it was wanted at different times: what goes in one depends on nothing else in it any more.
    /// Gives who depended on whom.
    pub fn break_circles(&mut self) -> Vec<(Hostname, Hostname)> {
        let names: Vec<Hostname> = self.0.keys().cloned().collect();
        let mut broken = Vec::new();
        while let Err(circles) = layers(&self.needs()) {
            for circle in circles {
                let circle = circle.into_iter().filter_map(|at| names.get(at));
                let circle: BTreeSet<&Hostname> = circle.collect();
                for &name in &circle {
                    let Some(spec) = self.0.get_mut(name) else {
                        continue;
                    };
                    let (inside, others): (BTreeSet<Hostname>, BTreeSet<Hostname>) = spec
                        .depends_on()
                        .into_iter()
                        .partition(|need| circle.contains(need));
                    *spec = spec.among(&others);
                    broken.extend(inside.into_iter().map(|need| (name.clone(), need)));
                }
            }
        }
        broken
    }

    /// The places of those that each depends on.
    fn needs(&self) -> Vec<Vec<usize>> {
        let names: Vec<&Hostname> = self.0.keys().collect();
        let needs = self.0.values().map(|spec| {
            let needs = spec.depends_on();
            let places = needs
                .iter()
                .filter_map(|need| names.binary_search(&need).ok());
            places.collect()
        });
        needs.collect()
    }

    /// Names of all secrets that settings stand for.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<SecretName> {
        self.0.values().flat_map(DesiredSpec::secrets).collect()
    }
}

/// As they are, also where they depend on apps that are not among them.
impl FromIterator<(Hostname, DesiredSpec)> for Documents {
    fn from_iter<T: IntoIterator<Item = (Hostname, DesiredSpec)>>(all: T) -> Self {
        Self(all.into_iter().collect())
    }
}

/// What each app of some documents depends on: apps alone, as [`Documents::of`] has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs(BTreeMap<Hostname, Vec<ManifestName>>);

impl Needs {
    /// Of all apps of these documents; of those that depend on nothing none is kept.
    #[must_use]
    pub fn of(documents: &[Manifest]) -> Self {
        let names = Names::of(documents);
        let mut all = BTreeMap::new();
        let mut add = |name: &Hostname, needs: Vec<ManifestName>| {
            if needs.is_empty() {
                // Of several documents with one name the last one counts.
                all.remove(name);
            } else {
                all.insert(name.clone(), needs);
            }
        };
        for document in documents {
            match document {
                Manifest::App { name, spec } => add(name, names.apps(&spec.depends_on)),
                Manifest::AdoptedApp { name, spec } => add(name, names.apps(&spec.depends_on)),
                Manifest::Stack { spec, .. } => {
                    for app in &spec.apps {
                        let wishes = app.spec.depends_on.iter().chain(&spec.depends_on);
                        add(&app.name, names.apps(wishes));
                    }
                }
                Manifest::Values { .. } => {}
            }
        }
        Self(all)
    }

    /// What an app depends on, in order and each once.
    #[must_use]
    pub fn apps(&self, name: &Hostname) -> Vec<Hostname> {
        let needs = self.0.get(name);
        needs.map(|needs| hosts(needs)).unwrap_or_default()
    }
}

/// As [`Documents::of`]; nothing of them is kept twice.
impl From<Vec<Manifest>> for Documents {
    fn from(documents: Vec<Manifest>) -> Self {
        let mut needs = Needs::of(&documents).0;
        let mut all = BTreeMap::new();
        let mut add = |name: Hostname, mut spec: DesiredSpec| {
            let depends_on = needs.remove(&name).unwrap_or_default();
            match &mut spec {
                DesiredSpec::App(spec) => spec.depends_on = depends_on,
                DesiredSpec::AdoptedApp(spec) => spec.depends_on = depends_on,
            }
            all.insert(name, spec);
        };
        for document in documents {
            match document {
                Manifest::App { name, spec } => add(name, DesiredSpec::App(spec)),
                Manifest::AdoptedApp { name, spec } => add(name, DesiredSpec::AdoptedApp(spec)),
                Manifest::Stack { name, spec } => {
                    for app in spec.apps {
                        let of_app = AppSpec {
                            stack: Some(name.clone()),
                            ..app.spec
                        };
                        add(app.name, DesiredSpec::App(of_app));
                    }
                }
                Manifest::Values { .. } => {}
            }
        }
        Self(all)
    }
}

/// Those that are names of apps.
fn hosts(names: &[ManifestName]) -> Vec<Hostname> {
    let names = names.iter();
    names
        .filter_map(|name| name.as_str().parse::<Hostname>().ok())
        .collect()
}

/// The apps that each name stands for.
struct Names<'a>(BTreeMap<&'a str, Vec<&'a Hostname>>);

impl<'a> Names<'a> {
    fn of(documents: &'a [Manifest]) -> Self {
        let mut names = BTreeMap::new();
        for document in documents {
            match document {
                Manifest::App { name, .. } | Manifest::AdoptedApp { name, .. } => {
                    names.insert(name.as_str(), vec![name]);
                }
                Manifest::Stack { name, spec } => {
                    let apps = spec.apps.iter().map(|app| &app.name);
                    names.extend(apps.clone().map(|app| (app.as_str(), vec![app])));
                    names.insert(name.as_str(), apps.collect());
                }
                Manifest::Values { .. } => {}
            }
        }
        Self(names)
    }

    fn app(&self, spec: &AppSpec, beside: &[ManifestName]) -> DesiredSpec {
        let depends_on = self.apps(spec.depends_on.iter().chain(beside));
        DesiredSpec::App(AppSpec {
            depends_on,
            ..spec.clone()
        })
    }

    fn apps<'w>(&self, wishes: impl IntoIterator<Item = &'w ManifestName>) -> Vec<ManifestName> {
        let known = wishes.into_iter();
        let known = known.filter_map(|wish| self.0.get(wish.as_str()));
        // Whatever is a host name is a name of a document as well.
        let names = known
            .flatten()
            .filter_map(|name| name.as_str().parse::<ManifestName>().ok());
        let names: BTreeSet<ManifestName> = names.collect();
        names.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::{StackApp, StackSpec};

    fn spec(catalog_id: &str, needs: &[&str]) -> AppSpec {
        serde_json::from_value(json!({
            "catalog_id": catalog_id,
            "settings": {"PASSWORD": {"secret": "db"}, "TITLE": "7", "PORT": 7, "ON": true},
            "depends_on": needs,
        }))
        .unwrap()
    }

    fn documents() -> Vec<Manifest> {
        let found = json!({"host": "home", "vmid": 105, "depends_on": ["shop", "mail"]});
        let app = |name: &str, needs: &[&str]| StackApp {
            name: name.parse().unwrap(),
            spec: spec("nginx", needs),
        };
        vec![
            Manifest::Stack {
                name: "shop".parse().unwrap(),
                spec: StackSpec {
                    apps: vec![app("web", &["dbs", "dbs"]), app("dbs", &[])],
                    values: BTreeMap::new(),
                    depends_on: vec!["mail".parse().unwrap()],
                },
            },
            Manifest::App {
                name: "mail".parse().unwrap(),
                spec: spec("mail", &["elsewhere"]),
            },
            Manifest::AdoptedApp {
                name: "old".parse().unwrap(),
                spec: serde_json::from_value(found).unwrap(),
            },
        ]
    }

    fn needs(documents: &Documents, name: &str) -> Vec<String> {
        let spec = documents.get(&name.parse().unwrap()).unwrap();
        let needs = spec.depends_on();
        needs.into_iter().map(String::from).collect()
    }

    #[test]
    fn a_dependency_on_a_stack_is_one_on_each_of_its_apps() {
        let found = Documents::of(&documents());
        assert_eq!(needs(&found, "web"), ["dbs", "mail"]);
        assert_eq!(needs(&found, "dbs"), ["mail"]);
        assert_eq!(needs(&found, "old"), ["dbs", "mail", "web"]);
        assert!(
            needs(&found, "mail").is_empty(),
            "there is no such document"
        );
        let order = [vec!["mail"], vec!["dbs"], vec!["web"], vec!["old"]];
        assert_eq!(found.order(), order);
        let secrets: Vec<String> = found.secrets().into_iter().map(String::from).collect();
        assert_eq!(secrets, ["db"]);
        let stacks = found.iter().map(|(name, spec)| {
            let stack = spec.stack().map(ManifestName::as_str);
            (name.as_str(), stack)
        });
        let wanted = [
            ("dbs", Some("shop")),
            ("mail", None),
            ("old", None),
            ("web", Some("shop")),
        ];
        assert_eq!(stacks.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn the_order_of_documents_and_what_is_made_of_them_say_the_same() {
        let mut all = documents();
        let first = Documents::of(&all);
        all.reverse();
        assert_eq!(Documents::of(&all), first);
        assert_eq!(Documents::of(&first.manifests()), first);
        assert_eq!(Documents::from(all.clone()), first);
        let needs = Needs::of(&all);
        for (name, spec) in first.iter() {
            assert_eq!(needs.apps(name), spec.depends_on(), "{name}");
        }
        assert_eq!(Documents::of(&[]).order(), Vec::<Vec<String>>::new());
    }

    #[test]
    fn what_is_kept_of_an_app_keeps_what_it_depends_on_elsewhere() {
        let all = Documents::of(&documents());
        let web: Hostname = "web".parse().unwrap();
        let spec = all.get(&web).unwrap().clone();
        let alone: Documents = [(web.clone(), spec.clone())].into_iter().collect();
        assert_eq!(needs(&alone, "web"), ["dbs", "mail"]);
        assert_eq!(alone.order(), [["web"]]);
        let read = Documents::of(&alone.manifests());
        assert!(needs(&read, "web").is_empty(), "it is read as any document");
        let there = BTreeSet::from(["mail".parse().unwrap(), web]);
        let fewer = spec.among(&there).depends_on();
        assert_eq!(
            fewer.iter().map(Hostname::as_str).collect::<Vec<_>>(),
            ["mail"]
        );
    }

    #[test]
    fn what_was_wanted_at_different_times_is_in_order_once_its_circles_are_broken() {
        let wanted = [
            ("aaa", vec!["bbb", "ddd"]),
            ("bbb", vec!["ccc"]),
            ("ccc", vec!["aaa", "elsewhere"]),
            ("ddd", vec![]),
            ("eee", vec!["aaa", "eee"]),
        ];
        let wanted = wanted.into_iter().map(|(name, needs)| {
            let spec = DesiredSpec::App(spec("nginx", &needs));
            (name.parse::<Hostname>().unwrap(), spec)
        });
        let mut all: Documents = wanted.collect();
        let broken = all.break_circles().into_iter();
        let mut broken: Vec<String> = broken
            .map(|(name, need)| format!("{name} {need}"))
            .collect();
        broken.sort_unstable();
        assert_eq!(broken, ["aaa bbb", "bbb ccc", "ccc aaa", "eee eee"]);
        assert_eq!(needs(&all, "aaa"), ["ddd"]);
        assert_eq!(needs(&all, "ccc"), ["elsewhere"]);
        assert_eq!(needs(&all, "eee"), ["aaa"]);
        let order = [vec!["bbb", "ccc", "ddd"], vec!["aaa"], vec!["eee"]];
        assert_eq!(all.order(), order);
        assert!(all.break_circles().is_empty());
    }

    #[test]
    fn they_are_read_back_as_they_were_written() {
        let first = Documents::of(&documents());
        let text = serde_json::to_string(&first).unwrap();
        assert_eq!(serde_json::from_str::<Documents>(&text).unwrap(), first);
        let old = first.get(&"old".parse().unwrap()).unwrap();
        assert_eq!(
            serde_json::to_value(old).unwrap()["kind"],
            json!("AdoptedApp")
        );
        assert_eq!(old.kind(), Kind::AdoptedApp);
    }
}
