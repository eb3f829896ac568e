//! Names and dependencies: each name is one thing, whatever is depended on is there, and nothing goes in a circle.

use std::collections::BTreeMap;
use std::sync::Arc;

use proximity_domain::depends::layers;
use proximity_domain::manifest::Kind;
use proximity_domain::names::ManifestName;

use crate::nearest::nearest;
use crate::node::Node;
use crate::place::Place;
use crate::problem::{Collector, quoted};

/// Names a hint is looked for among.
const MOST_HINTS: usize = 500;
/// Places of a circle that its hint names.
const MOST_PLACES: usize = 5;

const NOT_GIVEN: &str = "give the document of what it depends on together with this one";

/// A document of a known kind.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) kind: Kind,
    pub(crate) root: Arc<Node>,
}

impl Document {
    /// Its name; one that is not there has no letters.
    pub(crate) fn name(&self) -> &str {
        let metadata = self.root.field("metadata");
        let named = metadata.and_then(|metadata| named(metadata));
        named.map_or("", |(name, _)| name)
    }
}

/// What can be depended on, or stands for what several depend on together.
struct Thing<'a> {
    name: &'a str,
    place: Place,
    /// By the place in the list of all things.
    needs: Vec<usize>,
    /// By name, as written.
    wishes: Vec<(&'a str, Place)>,
    is_app: bool,
}

/// The names of all apps, in layers: each app depends only on those before its layer. What is wrong is told, and then there are
/// none, as when something was told before. Documents, apps of stacks and dependencies whose names are not right are passed over.
/// `is_whole`: these are all documents there are; else nobody knows which names there are not.
pub(crate) fn order(
    documents: &[Document],
    is_whole: bool,
    found: &mut Collector<'_>,
) -> Vec<Vec<String>> {
    let mut all = All {
        is_whole,
        ..All::default()
    };
    let mut values = BTreeMap::new();
    for document in documents {
        let metadata = document.root.field("metadata");
        let Some((name, place)) = metadata.and_then(|metadata| named(metadata)) else {
            // On values nothing depends.
            all.is_whole &= document.kind == Kind::Values;
            continue;
        };
        match document.kind {
            Kind::App | Kind::AdoptedApp => {
                let spec = document.root.field("spec");
                let wishes = spec.map(|spec| wishes(spec)).unwrap_or_default();
                all.add_app((name, place), wishes, vec![], found);
            }
            Kind::Stack => all.add_stack((name, place), &document.root, found),
            Kind::Values => {
                if let Some(first) = values.insert(name, place) {
                    told_twice(name, place, first, found);
                }
            }
        }
    }
    all.resolve(found);
    let needs: Vec<Vec<usize>> = all.things.iter().map(|thing| thing.needs.clone()).collect();
    match layers(&needs) {
        Ok(_) if !found.is_empty() => Vec::new(),
        Ok(layers) => {
            let names = layers.into_iter().map(|layer| all.apps(&layer));
            names.filter(|names| !names.is_empty()).collect()
        }
        Err(circles) => {
            for circle in circles {
                all.tell(&circle, found);
            }
            Vec::new()
        }
    }
}

#[derive(Default)]
struct All<'a> {
    things: Vec<Thing<'a>>,
    /// What each name stands for: where it is in the list, and where it is written.
    names: BTreeMap<&'a str, (usize, Place)>,
    /// There are no other names.
    is_whole: bool,
}

impl<'a> All<'a> {
    fn add_app(
        &mut self,
        (name, place): (&'a str, Place),
        wishes: Vec<(&'a str, Place)>,
        needs: Vec<usize>,
        found: &mut Collector<'_>,
    ) -> usize {
        let at = self.things.len();
        self.name(name, place, at, found);
        self.things.push(Thing {
            name,
            place,
            needs,
            wishes,
            is_app: true,
        });
        at
    }

    /// A stack is two things: what all its apps wait for, and what is there once all of them are.
    fn add_stack(
        &mut self,
        (name, place): (&'a str, Place),
        root: &'a Node,
        found: &mut Collector<'_>,
    ) {
        let spec = root.field("spec");
        let begin = self.things.len();
        self.things.push(Thing {
            name,
            place,
            needs: Vec::new(),
            wishes: spec.map(|spec| wishes(spec)).unwrap_or_default(),
            is_app: false,
        });
        let apps = spec.and_then(|spec| spec.field("apps"));
        let apps = apps.map(|apps| apps.items()).unwrap_or_default();
        // One without apps is told already; what they would be called nobody knows.
        self.is_whole &= !apps.is_empty();
        let mut whole = vec![begin];
        for app in apps {
            match named(app) {
                Some(named) => whole.push(self.add_app(named, wishes(app), vec![begin], found)),
                None => self.is_whole = false,
            }
        }
        let at = self.things.len();
        self.name(name, place, at, found);
        self.things.push(Thing {
            name,
            place,
            needs: whole,
            wishes: Vec::new(),
            is_app: false,
        });
    }

    fn name(&mut self, name: &'a str, place: Place, at: usize, found: &mut Collector<'_>) {
        if let Some((_, first)) = self.names.get(name) {
            told_twice(name, place, *first, found);
        } else {
            self.names.insert(name, (at, place));
        }
    }

    /// Turns wishes into needs; names that nothing has are told.
    fn resolve(&mut self, found: &mut Collector<'_>) {
        let hints: Vec<&str> = self.names.keys().copied().take(MOST_HINTS).collect();
        for thing in &mut self.things {
            for (wish, place) in &thing.wishes {
                if let Some((at, _)) = self.names.get(wish) {
                    thing.needs.push(*at);
                    continue;
                }
                if !self.is_whole || found.passes() {
                    continue;
                }
                let hint = match nearest(wish, hints.iter().copied()) {
                    Some(name) => format!("did you mean {name}?"),
                    None => NOT_GIVEN.to_owned(),
                };
                let message = format!("there is no app or stack {} here", quoted(wish));
                found.add(*place, message, hint);
            }
        }
    }

    fn apps(&self, layer: &[usize]) -> Vec<String> {
        let things = layer.iter().filter_map(|at| self.things.get(*at));
        let apps = things.filter(|thing| thing.is_app);
        apps.map(|thing| thing.name.to_owned()).collect()
    }

    /// Tells of a circle: who depends on whom, and where that is written.
    fn tell(&self, circle: &[usize], found: &mut Collector<'_>) {
        let things: Vec<&Thing<'a>> = circle
            .iter()
            .filter_map(|at| self.things.get(*at))
            .collect();
        let mut names: Vec<&str> = things.iter().map(|thing| thing.name).collect();
        // The two things of a stack are one to people.
        names.dedup();
        let is_closed = names.len() > 1 && names.first() == names.last();
        if let Some(first) = names.first().copied().filter(|_| !is_closed) {
            names.push(first);
        }
        let shown: Vec<String> = names.iter().take(12).map(|name| quoted(name)).collect();
        let follows = circle.iter().skip(1).chain(circle.first());
        let written = things.iter().zip(follows).filter_map(|(thing, next)| {
            let wish = thing
                .wishes
                .iter()
                .find(|(wish, _)| self.names.get(wish).is_some_and(|(at, _)| at == next));
            wish.map(|(_, place)| *place)
        });
        let places: Vec<Place> = written.collect();
        let first = places.first().copied();
        let Some(place) = first.or_else(|| things.first().map(|thing| thing.place)) else {
            return;
        };
        let told = places
            .iter()
            .take(MOST_PLACES)
            .map(|place| found.told(*place));
        let told: Vec<String> = told.collect();
        let message = format!("depends_on goes in a circle: {}", shown.join(" needs "));
        let hint = format!("take one of these out: {}", told.join(", "));
        found.add(place, message, hint);
    }
}

fn told_twice(name: &str, place: Place, first: Place, found: &mut Collector<'_>) {
    let message = format!("the name {} is there twice", quoted(name));
    let hint = format!(
        "give one of them another name; it is also at {}",
        found.told(first)
    );
    found.add(place, message, hint);
}

/// The name of a map with a field of that name, if it is one.
fn named(node: &Node) -> Option<(&str, Place)> {
    let name = node.field("name")?;
    let text = name.text().filter(|text| is_name(text))?;
    Some((text, name.place))
}

/// Whether an app or a stack can be called so. What cannot is told already.
fn is_name(text: &str) -> bool {
    text.parse::<ManifestName>().is_ok()
}

/// What is depended on, by name.
fn wishes(spec: &Node) -> Vec<(&str, Place)> {
    let items = spec.field("depends_on").map(|list| list.items());
    let named = items
        .unwrap_or_default()
        .iter()
        .map(|item| (item.text(), item.place));
    named
        .filter_map(|(text, place)| text.map(|text| (text, place)))
        .filter(|(text, _)| is_name(text))
        .collect()
}
