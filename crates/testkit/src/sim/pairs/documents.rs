//! Sets of documents that are drawn: apps of the catalog, and containers that were there.

use std::collections::BTreeMap;

use proximity_domain::ignore::Ignored;
use proximity_domain::manifest::{
    AdoptedSpec, AppSpec, Manifest, Policy, ResourceWish, SettingSource, WantedPower,
};
use proximity_domain::names::SettingName;

use super::super::act::{APPS, FOUND};
use super::super::chance::Chance;
use super::super::found;
use super::super::perform::hostname;

/// So many apps are made by a set at most: with those before, and those that take their place, there are ports for all.
const MOST: usize = 3;
/// Where a container that was there is said to listen.
const PORT: u16 = 8_080;

/// A set; `before` is what was applied.
#[allow(clippy::unwrap_used)] // names of the simulation
pub(super) fn drawn(chance: &mut Chance, before: &[Manifest]) -> Vec<Manifest> {
    let mut documents: Vec<Manifest> = Vec::new();
    for app in 0..APPS {
        if documents.len() == MOST || chance.one_in(3) {
            continue;
        }
        let name = hostname(app);
        let mut spec = spec(chance);
        for other in &documents {
            if chance.one_in(3) {
                spec.depends_on.push(other.name().parse().unwrap());
            }
        }
        let before = before.iter().find(|one| one.name() == name);
        if let Some(Manifest::App { spec: old, .. }) = before {
            keep_what_rests(&mut spec, old);
        }
        documents.push(Manifest::App {
            name: name.parse().unwrap(),
            spec,
        });
    }
    for app in APPS..APPS + FOUND {
        if chance.one_in(2) {
            documents.extend(adopted(chance, app));
        }
    }
    documents
}

fn spec(chance: &mut Chance) -> AppSpec {
    let mut maybe = |of: [u32; 3]| {
        let at = usize::try_from(chance.below(4)).unwrap_or(0);
        of.get(at).copied()
    };
    let resources = ResourceWish {
        memory_mib: maybe([64, 128, 256]).map(Into::into),
        cores: maybe([1, 2, 3]),
        disk_gib: maybe([1, 2, 3]),
    };
    AppSpec {
        settings: greeting(chance),
        power: Some(power(chance)),
        ..plain(resources)
    }
}

#[allow(clippy::unwrap_used)] // constants
fn plain(resources: ResourceWish) -> AppSpec {
    AppSpec {
        catalog_id: "beacon".parse().unwrap(),
        host: None,
        node: None,
        resources,
        settings: BTreeMap::new(),
        network: None,
        root_access: None,
        root_keys: Vec::new(),
        host_name: None,
        certificate: None,
        apart_from: None,
        allow_unpinned: false,
        power: None,
        policy: Policy::Warn,
        ignore: Ignored::default(),
        depends_on: Vec::new(),
        stack: None,
    }
}

#[allow(clippy::unwrap_used)] // constants
fn greeting(chance: &mut Chance) -> BTreeMap<SettingName, SettingSource> {
    let texts = ["good day", "<b>&\"quoted\"", "a: {b}"];
    let at = usize::try_from(chance.below(4)).unwrap_or(0);
    let text = texts.get(at).map(|text| (*text).to_owned());
    let given = text.map(|text| ("greeting".parse().unwrap(), SettingSource::Text(text)));
    given.into_iter().collect()
}

fn power(chance: &mut Chance) -> WantedPower {
    if chance.one_in(4) {
        WantedPower::Stopped
    } else {
        WantedPower::Running
    }
}

/// Settings of an app that is stopped, and is to be, are not changed: a plan holds that back.
fn keep_what_rests(spec: &mut AppSpec, old: &AppSpec) {
    let rests = [&*spec, old].map(|one| one.power == Some(WantedPower::Stopped));
    if rests == [true, true] {
        spec.settings = old.settings.clone();
    }
}

#[allow(clippy::unwrap_used)] // names of the simulation
fn adopted(chance: &mut Chance, app: u8) -> Option<Manifest> {
    let vmid = found::number(app)?;
    Some(Manifest::AdoptedApp {
        name: hostname(app).parse().unwrap(),
        spec: AdoptedSpec {
            host: "lab".parse().unwrap(),
            vmid: vmid.try_into().unwrap(),
            taken_for: None,
            port: Some(PORT),
            expose: chance.one_in(2),
            guard: chance.one_in(2),
            power: Some(power(chance)),
            policy: Policy::Warn,
            ignore: Ignored::default(),
            depends_on: Vec::new(),
            stack: None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_drawn_from_the_seed_and_differ_and_are_never_larger_than_there_are_ports_for() {
        let of = |seed| drawn(&mut Chance::of(seed, "pairs"), &[]);
        assert_eq!(of(1), of(1));
        let all: Vec<_> = (0..64).map(of).collect();
        assert!(all.iter().any(|set| set != &all[0]));
        let most = all.iter().map(Vec::len).max().unwrap();
        assert!(most > 1 && most <= MOST + usize::from(FOUND), "{most}");
    }

    #[test]
    fn an_app_that_rests_twice_keeps_its_settings() {
        for seed in 0..200 {
            let mut chance = Chance::of(seed, "pairs");
            let first = drawn(&mut chance, &[]);
            for one in &drawn(&mut chance, &first) {
                let before = first.iter().find(|other| other.name() == one.name());
                if let (Manifest::App { spec, .. }, Some(Manifest::App { spec: old, .. })) =
                    (one, before)
                    && [spec, old].map(|one| one.power) == [Some(WantedPower::Stopped); 2]
                {
                    assert_eq!(spec.settings, old.settings, "{seed}");
                }
            }
        }
    }
}
