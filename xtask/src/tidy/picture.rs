//! Who may use whom: the picture of ARCHITECTURE.md, checked against cargo's own answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Finding;
use crate::metadata::{Dependency, Metadata, Package};

/// For each crate the crates of ours it may use in the product; the reasons are in ADR 0001.
pub(crate) const MAY_USE: &[(&str, &[&str])] = &[
    ("proximity-domain", &[]),
    ("proximity-manifest", &["proximity-domain"]),
    (
        "proximity-pve",
        &["proximity-domain", "proximity-node-helper"],
    ),
    ("proximity-store", &["proximity-domain"]),
    (
        "proximity-janitor",
        &["proximity-domain", "proximity-store"],
    ),
    (
        "proximity-engine",
        &[
            "proximity-domain",
            "proximity-janitor",
            "proximity-manifest",
            "proximity-pve",
            "proximity-store",
        ],
    ),
    ("proximity-gateway", &[]),
    ("proximity-node-helper", &["proximity-domain"]),
    ("proximity-api", &[]),
    (
        "proximity-server",
        &[
            "proximity-api",
            "proximity-domain",
            "proximity-engine",
            "proximity-manifest",
            "proximity-store",
        ],
    ),
    ("proximity-pve-emulator", &[]),
    (
        "proximity",
        &[
            "proximity-api",
            "proximity-domain",
            "proximity-engine",
            "proximity-gateway",
            "proximity-manifest",
            "proximity-pve",
            "proximity-pve-emulator",
            "proximity-server",
            "proximity-store",
        ],
    ),
    (
        "proximity-testkit",
        &[
            "proximity-api",
            "proximity-domain",
            "proximity-engine",
            "proximity-gateway",
            "proximity-pve",
            "proximity-pve-emulator",
            "proximity-server",
            "proximity-store",
        ],
    ),
    ("xtask", &[]),
];

/// Crates that use none of ours in their tests either: their worth is that they share nothing.
const ALONE: &[&str] = &["proximity-domain", "proximity-pve-emulator", "xtask"];
/// Crates that never see each other, in tests neither.
const STRANGERS: &[(&str, &str)] = &[
    ("proximity-pve", "proximity-store"),
    ("proximity-pve", "proximity-janitor"),
];
/// Crates that must have no path to the emulator.
const WITHOUT_EMULATOR: &[&str] = &["proximity-server", "proximity-engine", "proximity-gateway"];
const EMULATOR: &str = "proximity-pve-emulator";
const TESTKIT: &str = "proximity-testkit";
const BINARY: &str = "proximity";

/// Compares the workspace with the picture.
pub(crate) fn check(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let path = shown_path(metadata, package);
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            findings.push(Finding::fault(
                &path,
                0,
                format!(
                    "{} is not in the dependency picture; add it to ARCHITECTURE.md and to \
                     xtask/src/tidy/picture.rs",
                    package.name
                ),
            ));
            continue;
        };
        for dependency in ours(metadata, package) {
            if let Some(why) = refused(package, dependency, allowed) {
                findings.push(Finding::fault(&path, 0, why));
            }
        }
    }
    findings.extend(paths_to_emulator(metadata));
    findings
}

/// The dependencies of a package that are crates of the workspace.
fn ours<'a>(metadata: &'a Metadata, package: &'a Package) -> impl Iterator<Item = &'a Dependency> {
    package.dependencies.iter().filter(|dependency| {
        metadata
            .packages
            .iter()
            .any(|other| other.name == dependency.name)
    })
}

/// Why this use is not allowed, if it is not.
fn refused(package: &Package, dependency: &Dependency, allowed: &[&str]) -> Option<String> {
    let (user, used) = (package.name.as_str(), dependency.name.as_str());
    if dependency.is_dev() {
        return refused_in_tests(user, used);
    }
    if used == TESTKIT {
        return Some(format!(
            "{user} uses {TESTKIT} outside tests; make it a dev-dependency"
        ));
    }
    if !allowed.contains(&used) {
        return Some(format!(
            "{user} uses {used}, which the dependency picture does not allow; move what it needs, \
             or change the picture by an ADR"
        ));
    }
    if user == BINARY && used == EMULATOR && !dependency.optional {
        return Some(format!(
            "{user} always contains {EMULATOR}; make it optional, behind the feature `lab`"
        ));
    }
    None
}

fn refused_in_tests(user: &str, used: &str) -> Option<String> {
    if ALONE.contains(&user) {
        return Some(format!(
            "{user} uses {used} in its tests, but shares nothing with the rest; test it from \
             outside, in {TESTKIT} or in the crate that uses both"
        ));
    }
    STRANGERS
        .iter()
        .find(|(one, other)| (*one, *other) == (user, used) || (*other, *one) == (user, used))
        .map(|_| format!("{user} and {used} never see each other, in tests neither"))
}

/// Server, engine and gateway must not reach the emulator, not even through others.
fn paths_to_emulator(metadata: &Metadata) -> Vec<Finding> {
    let uses: BTreeMap<&str, Vec<&str>> = metadata
        .packages
        .iter()
        .map(|package| {
            let product = ours(metadata, package).filter(|dependency| !dependency.is_dev());
            (
                package.name.as_str(),
                product.map(|used| used.name.as_str()).collect(),
            )
        })
        .collect();
    metadata
        .packages
        .iter()
        .filter(|package| WITHOUT_EMULATOR.contains(&package.name.as_str()))
        .filter(|package| reachable(&uses, &package.name).contains(EMULATOR))
        .map(|package| {
            let text = format!(
                "{} has a dependency path to {EMULATOR}; cut it",
                package.name
            );
            Finding::fault(&shown_path(metadata, package), 0, text)
        })
        .collect()
}

fn reachable<'a>(uses: &BTreeMap<&'a str, Vec<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = uses.get(from).into_iter().flatten().copied().collect();
    while let Some(name) = open.pop() {
        if let Some((name, next)) = uses.get_key_value(name)
            && found.insert(*name)
        {
            open.extend(next);
        }
    }
    found
}

fn shown_path(metadata: &Metadata, package: &Package) -> String {
    let path: &Path = &package.manifest_path;
    path.strip_prefix(&metadata.workspace_root)
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Kind;

    /// One line of a dependency table: name, table, optional.
    type Use<'a> = (&'a str, Option<Kind>, bool);

    fn workspace(uses: &[(&str, &[Use<'_>])]) -> Metadata {
        let names = uses.iter().map(|(name, _)| (*name, true));
        let used = uses
            .iter()
            .flat_map(|(_, used)| used.iter().map(|(name, ..)| (*name, false)));
        let mut packages: BTreeMap<&str, Package> = BTreeMap::new();
        for (name, _) in names.chain(used) {
            packages.entry(name).or_insert_with(|| Package {
                name: name.to_owned(),
                description: None,
                manifest_path: format!("/w/crates/{name}/Cargo.toml").into(),
                dependencies: Vec::new(),
            });
        }
        for (name, used) in uses {
            for (dependency, kind, optional) in *used {
                packages
                    .get_mut(name)
                    .unwrap()
                    .dependencies
                    .push(Dependency {
                        name: (*dependency).to_owned(),
                        kind: *kind,
                        optional: *optional,
                    });
            }
        }
        Metadata {
            packages: packages.into_values().collect(),
            workspace_root: "/w".into(),
            target_directory: "/w/target".into(),
        }
    }

    fn complaints(user: &str, used: &str, kind: Option<Kind>, optional: bool) -> usize {
        check(&workspace(&[(user, &[(used, kind, optional)])])).len()
    }

    #[test]
    fn what_the_picture_shows_is_allowed() {
        assert_eq!(
            complaints("proximity-engine", "proximity-store", None, false),
            0
        );
        assert_eq!(
            complaints("proximity-engine", TESTKIT, Some(Kind::Dev), false),
            0
        );
        assert_eq!(complaints("proximity", EMULATOR, None, true), 0);
    }

    #[test]
    fn what_it_does_not_show_is_a_fault() {
        for (user, used) in [
            ("proximity-domain", "proximity-store"),
            ("proximity-pve", "proximity-store"),
            ("proximity-store", "proximity-pve"),
            ("proximity-server", "proximity-pve"),
            ("proximity-server", "proximity-gateway"),
            ("proximity-gateway", "proximity-domain"),
            ("proximity-api", "proximity-domain"),
            ("proximity-manifest", "proximity-store"),
            (EMULATOR, "proximity-domain"),
            ("xtask", "proximity-domain"),
        ] {
            assert_eq!(complaints(user, used, None, false), 1, "{user} -> {used}");
            assert_eq!(
                complaints(user, used, Some(Kind::Build), false),
                1,
                "{user} -> {used}"
            );
        }
    }

    #[test]
    fn tests_have_limits_too() {
        let dev = Some(Kind::Dev);
        assert_eq!(
            complaints("proximity-pve", "proximity-store", dev, false),
            1
        );
        assert_eq!(complaints(EMULATOR, TESTKIT, dev, false), 1);
        assert_eq!(complaints("proximity-engine", TESTKIT, None, false), 1);
    }

    #[test]
    fn the_emulator_is_optional_and_out_of_reach() {
        assert_eq!(complaints("proximity", EMULATOR, None, false), 1);
        let through = workspace(&[
            ("proximity-engine", &[("proximity-store", None, false)]),
            ("proximity-store", &[(EMULATOR, None, true)]),
        ]);
        let found = check(&through);
        assert!(
            found
                .iter()
                .any(|f| f.text.contains("proximity-engine has a dependency path"))
        );
    }

    #[test]
    fn a_crate_nobody_drew_is_a_fault() {
        assert_eq!(check(&workspace(&[("proximity-new", &[])])).len(), 1);
    }
}
