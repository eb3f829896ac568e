//! Rules of high availability: where resources belong, what belongs together or apart, and which rules cannot hold
//! (pve-ha-manager, `HA/Rules.pm` and its plugins).

use std::collections::{BTreeMap, BTreeSet};

use super::sections::Section;
use super::world::World;
use crate::schema::split_list;

/// The file the rules are in.
pub(crate) const FILE: &str = "ha/rules.cfg";

/// A rule, read.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) resources: BTreeSet<String>,
    pub(crate) what: What,
}

/// What a rule says.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Resources belong on these nodes, rather on those of a higher number.
    Nodes {
        nodes: BTreeMap<String, u64>,
        strict: bool,
    },
    /// Resources belong on one node.
    Together,
    /// Resources belong on different nodes.
    Apart,
}

/// Names and numbers of `pve1:2,pve2`.
pub(crate) fn nodes_of(list: &str) -> BTreeMap<String, u64> {
    let parts = split_list(list).into_iter().map(|part| {
        let (name, number) = part.split_once(':').unwrap_or((part, "0"));
        (name.to_owned(), number.parse().unwrap_or_default())
    });
    parts.collect()
}

/// The text of a list of nodes, sorted, numbers of 0 left out.
pub(crate) fn nodes_text(list: &str) -> String {
    let parts = nodes_of(list)
        .into_iter()
        .map(|(name, number)| match number {
            0 => name,
            _ => format!("{name}:{number}"),
        });
    parts.collect::<Vec<_>>().join(",")
}

/// The text of a list of resources, sorted.
pub(crate) fn resources_text(list: &str) -> String {
    let sorted: BTreeSet<&str> = split_list(list).into_iter().collect();
    sorted.into_iter().collect::<Vec<_>>().join(",")
}

fn read(section: &Section) -> Rule {
    let resources = section.get("resources").unwrap_or_default();
    let what = if section.kind == "node-affinity" {
        What::Nodes {
            nodes: nodes_of(section.get("nodes").unwrap_or_default()),
            strict: section.flag("strict"),
        }
    } else if section.get("affinity") == Some("positive") {
        What::Together
    } else {
        What::Apart
    };
    Rule {
        name: section.name.clone(),
        resources: split_list(resources)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        what,
    }
}

/// Rules that are not switched off.
pub(crate) fn enabled<'a>(sections: impl Iterator<Item = &'a Section>) -> Vec<Rule> {
    let on = sections.filter(|section| !section.keys.contains_key("disable"));
    on.map(read).collect()
}

/// Complaints by rule; all are about its resources.
pub(crate) type Complaints = BTreeMap<String, Vec<String>>;

/// Which rules cannot hold, with so many nodes.
pub(crate) fn complaints(rules: &[Rule], nodes: usize) -> Complaints {
    let mut found = Complaints::new();
    one_place_each(rules, &mut found);
    sizes(rules, nodes, &mut found);
    together_and_apart(rules, &mut found);
    several_priorities(rules, &mut found);
    one_place_together(rules, &mut found);
    room_apart(rules, &mut found);
    found
}

fn say(found: &mut Complaints, rule: &str, text: &str) {
    found
        .entry(rule.to_owned())
        .or_default()
        .push(text.to_owned());
}

fn placing(rules: &[Rule]) -> impl Iterator<Item = (&Rule, &BTreeMap<String, u64>)> {
    rules.iter().filter_map(|rule| match &rule.what {
        What::Nodes { nodes, .. } => Some((rule, nodes)),
        What::Together | What::Apart => None,
    })
}

fn together(rules: &[Rule]) -> impl Iterator<Item = &Rule> {
    rules
        .iter()
        .filter(|rule| matches!(rule.what, What::Together))
}

fn apart(rules: &[Rule]) -> impl Iterator<Item = &Rule> {
    rules.iter().filter(|rule| matches!(rule.what, What::Apart))
}

fn one_place_each(rules: &[Rule], found: &mut Complaints) {
    for (rule, _) in placing(rules) {
        for sid in &rule.resources {
            let users = placing(rules).filter(|(other, _)| other.resources.contains(sid));
            if users.count() > 1 {
                let text =
                    format!("resource '{sid}' is already used in another node affinity rule");
                say(found, &rule.name, &text);
            }
        }
    }
}

fn sizes(rules: &[Rule], nodes: usize, found: &mut Complaints) {
    let few = together(rules).chain(apart(rules));
    for rule in few.filter(|rule| rule.resources.len() < 2) {
        let text = "rule is ineffective as there are less than two resources";
        say(found, &rule.name, text);
    }
    for rule in apart(rules).filter(|rule| rule.resources.len() > nodes) {
        say(
            found,
            &rule.name,
            "rule defines more resources than available nodes",
        );
    }
}

/// Rules of what belongs together, those that overlap as one: their names and all their resources.
fn clusters(rules: &[Rule]) -> Vec<(Vec<String>, BTreeSet<String>)> {
    let mut sorted: Vec<&Rule> = together(rules).collect();
    sorted.sort_by_key(|rule| rule.resources.first().cloned());
    let mut clusters: Vec<(Vec<String>, BTreeSet<String>)> = Vec::new();
    for rule in sorted {
        let hit = clusters
            .iter_mut()
            .find(|(_, resources)| !resources.is_disjoint(&rule.resources));
        match hit {
            Some((names, resources)) => {
                names.push(rule.name.clone());
                resources.extend(rule.resources.iter().cloned());
            }
            None => clusters.push((vec![rule.name.clone()], rule.resources.clone())),
        }
    }
    clusters
}

fn together_and_apart(rules: &[Rule], found: &mut Complaints) {
    for (names, resources) in clusters(rules) {
        for rule in apart(rules) {
            if rule.resources.intersection(&resources).count() < 2 {
                continue;
            }
            let text = "rule shares two or more resources with a positive resource affinity rule";
            say(found, &rule.name, text);
            for name in &names {
                let text =
                    "rule shares two or more resources with a negative resource affinity rule";
                say(found, name, text);
            }
        }
    }
}

fn several_priorities(rules: &[Rule], found: &mut Complaints) {
    for rule in together(rules).chain(apart(rules)) {
        let paired: Vec<_> = placing(rules)
            .filter(|(placed, _)| !placed.resources.is_disjoint(&rule.resources))
            .collect();
        let several =
            |nodes: &BTreeMap<String, u64>| nodes.values().collect::<BTreeSet<_>>().len() > 1;
        if !paired.iter().any(|(_, nodes)| several(nodes)) {
            continue;
        }
        for (placed, _) in paired {
            let text = "resources are in a resource affinity rule and cannot be in a node affinity rule with multiple priorities";
            say(found, &placed.name, text);
        }
        let text = "resources are in node affinity rules with multiple priorities";
        say(found, &rule.name, text);
    }
}

fn one_place_together(rules: &[Rule], found: &mut Complaints) {
    for (names, resources) in clusters(rules) {
        let paired: Vec<&Rule> = placing(rules)
            .map(|(rule, _)| rule)
            .filter(|rule| !rule.resources.is_disjoint(&resources))
            .collect();
        if paired.len() < 2 {
            continue;
        }
        for rule in paired {
            let text = "at least one resource is in a positive resource affinity rule and there are other resources in at least one other node affinity rule already";
            say(found, &rule.name, text);
        }
        for name in &names {
            say(found, name, "resources are in multiple node affinity rules");
        }
    }
}

fn room_apart(rules: &[Rule], found: &mut Complaints) {
    for rule in apart(rules) {
        let paired: Vec<_> = placing(rules)
            .filter(|(placed, _)| !placed.resources.is_disjoint(&rule.resources))
            .collect();
        let located: BTreeSet<&String> = paired
            .iter()
            .flat_map(|(placed, _)| placed.resources.intersection(&rule.resources))
            .collect();
        let allowed: BTreeSet<&String> =
            paired.iter().flat_map(|(_, nodes)| nodes.keys()).collect();
        if allowed.len() >= located.len() {
            continue;
        }
        say(
            found,
            &rule.name,
            "two or more resources are restricted to less nodes than available to the resources",
        );
        for (placed, _) in paired {
            let text = "at least one resource is in a negative resource affinity rule and this rule would restrict these to less nodes than available to the resources";
            say(found, &placed.name, text);
        }
    }
}

impl World {
    /// Rules that can hold.
    pub(crate) fn ha_rules(&self) -> Vec<Rule> {
        let rules = enabled(self.file(FILE).iter());
        let wrong = complaints(&rules, self.ha_nodes());
        rules
            .into_iter()
            .filter(|rule| !wrong.contains_key(&rule.name))
            .collect()
    }

    /// How many nodes the manager knows; none before it was ever used.
    pub(crate) fn ha_nodes(&self) -> usize {
        match self.ha.master {
            Some(_) => self.nodes().len(),
            None => 0,
        }
    }

    /// Resources that belong on the node of this one, and those that belong elsewhere.
    pub(crate) fn ha_companions(&self, sid: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let rules = self.ha_rules();
        let others = |of: &BTreeSet<String>| -> Vec<String> {
            of.iter().filter(|other| *other != sid).cloned().collect()
        };
        let near = clusters(&rules).into_iter().map(|(_, resources)| resources);
        let near: BTreeSet<String> = near
            .filter(|resources| resources.contains(sid))
            .flat_map(|resources| others(&resources))
            .collect();
        let with_it = |resource: &String| resource == sid || near.contains(resource);
        let far = apart(&rules).filter(|rule| rule.resources.iter().any(with_it));
        let far = far.flat_map(|rule| rule.resources.iter().filter(|other| !with_it(other)));
        let far = far.cloned().collect();
        (near, far)
    }

    /// The nodes a resource may be on, and among them those it rather is on; `online` are those that are there.
    pub(crate) fn ha_places(&self, sid: &str, online: &[String]) -> (Vec<String>, Vec<String>) {
        let rules = self.ha_rules();
        let placed = placing(&rules).find(|(rule, _)| rule.resources.contains(sid));
        let Some((rule, nodes)) = placed else {
            return (online.to_vec(), online.to_vec());
        };
        let strict = matches!(rule.what, What::Nodes { strict: true, .. });
        let number = |name: &String| nodes.get(name).map(|number| i128::from(*number));
        let number = |name: &String| match (number(name), strict) {
            (Some(number), _) => Some(number),
            (None, true) => None,
            (None, false) => Some(-1),
        };
        let allowed: Vec<String> = online
            .iter()
            .filter(|name| number(name).is_some())
            .cloned()
            .collect();
        let highest = allowed.iter().filter_map(number).max();
        let preferred = allowed.iter().filter(|name| number(name) == highest);
        let preferred = preferred.cloned().collect();
        (allowed, preferred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, kind: &str, resources: &str, more: &[(&str, &str)]) -> Section {
        let mut keys: BTreeMap<String, String> = more
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        keys.insert("resources".into(), resources.into());
        Section {
            name: name.into(),
            kind: kind.into(),
            keys,
        }
    }

    fn said(sections: &[Section]) -> Vec<(String, String)> {
        let found = complaints(&enabled(sections.iter()), 3);
        let lines = found
            .into_iter()
            .map(|(name, texts)| (name, texts.join("|")));
        lines.collect()
    }

    #[test]
    fn a_resource_has_one_rule_of_nodes_and_what_is_off_does_not_count() {
        let nodes = [("nodes", "pve1")];
        let mut both = [
            rule("a", "node-affinity", "ct:100,ct:101", &nodes),
            rule("b", "node-affinity", "ct:101", &nodes),
        ];
        let text = "resource 'ct:101' is already used in another node affinity rule";
        let expected = [("a", text), ("b", text)].map(|(name, text)| (name.into(), text.into()));
        assert_eq!(said(&both), expected);
        both[1].keys.insert("disable".into(), "1".into());
        assert_eq!(said(&both), []);
    }

    #[test]
    fn what_belongs_apart_needs_nodes_and_does_not_belong_together() {
        let negative = [("affinity", "negative")];
        let four = rule("n", "resource-affinity", "ct:1,ct:2,ct:3,ct:4", &negative);
        assert_eq!(
            said(&[four])[0].1,
            "rule defines more resources than available nodes"
        );
        let one = rule("n", "resource-affinity", "ct:1", &negative);
        assert_eq!(
            said(&[one])[0].1,
            "rule is ineffective as there are less than two resources"
        );
        let pair = rule("n", "resource-affinity", "ct:1,ct:2", &negative);
        let near = [("affinity", "positive")];
        let both = [
            pair.clone(),
            rule("p", "resource-affinity", "ct:1,ct:2,ct:3", &near),
        ];
        let found = said(&both);
        assert!(found[0].1.contains("with a positive") && found[1].1.contains("with a negative"));
        let tight = [
            pair,
            rule("place", "node-affinity", "ct:1,ct:2", &[("nodes", "pve1")]),
        ];
        let found = said(&tight);
        assert!(
            found[0]
                .1
                .starts_with("two or more resources are restricted"),
            "{found:?}"
        );
        assert!(
            found[1].1.contains("would restrict these to less nodes"),
            "{found:?}"
        );
    }

    #[test]
    fn lists_are_written_sorted_and_without_numbers_of_nothing() {
        assert_eq!(nodes_text("pve2;pve1:3,pve3:0"), "pve1:3,pve2,pve3");
        assert_eq!(resources_text("vm:2,ct:1 ct:1"), "ct:1,vm:2");
    }
}
