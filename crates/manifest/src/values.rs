//! Values and the documents that name them: `${a.b}`.
//!
//! A text that is one name and nothing else becomes the value, with its kind; in a longer text the value stands as it is written.
//! `$${` is `${` itself. Names of fields are never put in, and a value names no other.

use std::collections::btree_map::Entry as Seat;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::kinds::VALUE;
use crate::limits::Left;
use crate::nearest::nearest;
use crate::node::{Content, Entry, Node};
use crate::place::Place;
use crate::problem::{Collector, quoted};

/// Names of values that a hint is looked for among.
const MOST_HINTS: usize = 500;
/// Bytes of such a name; one that is right has fewer.
const MOST_HINT_BYTES: usize = 2048;
const NO_NAME: &str = "a name is words with dots between; `$${` is `${` itself";
const NO_VALUES: &str = "no values are given: add a document of kind Values, or --set";
const NO_SECRET: &str = "a secret is no value; a setting names one as {secret: NAME}";
/// How deep values lie under names at most.
pub(crate) const MOST_PARTS: usize = 32;

/// Values by their names, part by part.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, (Place, Branch)>);

#[derive(Debug)]
enum Branch {
    Value(Arc<Node>),
    Tree(Tree),
}

impl Tree {
    /// Adds the values of a map; a name that is there already is told.
    pub(crate) fn lay(&mut self, map: &Node, found: &mut Collector<'_>) {
        let mut seen = BTreeSet::new();
        for field in map.fields() {
            // Told as a field that is there twice in one map.
            if !seen.insert(field.key.as_str()) {
                continue;
            }
            let is_tree = matches!(field.value.content, Content::Map(_));
            match self.0.entry(field.key.clone()) {
                Seat::Vacant(seat) if is_tree => {
                    let mut tree = Self::default();
                    tree.lay(&field.value, found);
                    seat.insert((field.place, Branch::Tree(tree)));
                }
                Seat::Vacant(seat) => {
                    let value = Arc::clone(&field.value);
                    seat.insert((field.place, Branch::Value(value)));
                }
                Seat::Occupied(mut seat) => match seat.get_mut() {
                    (_, Branch::Tree(tree)) if is_tree => tree.lay(&field.value, found),
                    (first, Branch::Tree(_) | Branch::Value(_)) => {
                        let message = format!("the value {} is there already", quoted(&field.key));
                        let hint = format!("take one out; it is also at {}", found.told(*first));
                        found.add(field.place, message, hint);
                    }
                },
            }
        }
    }

    /// Puts one value in, over whatever has its name.
    pub(crate) fn put(&mut self, name: &[&str], value: Arc<Node>) {
        let Some((first, rest)) = name.split_first() else {
            return;
        };
        let place = value.place;
        if rest.is_empty() {
            self.0
                .insert((*first).to_owned(), (place, Branch::Value(value)));
            return;
        }
        let fresh = || (place, Branch::Tree(Self::default()));
        let (_, branch) = self.0.entry((*first).to_owned()).or_insert_with(fresh);
        if let Branch::Value(_) = branch {
            *branch = Branch::Tree(Self::default());
        }
        if let Branch::Tree(tree) = branch {
            tree.put(rest, value);
        }
    }

    fn seek(&self, name: &str) -> Sought {
        let (first, rest) = match name.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (name, None),
        };
        match (self.0.get(first), rest) {
            (Some((_, Branch::Value(value))), None) => Sought::Value(Arc::clone(value)),
            (Some((_, Branch::Tree(_))), None) => Sought::Tree,
            (Some((_, Branch::Tree(tree))), Some(rest)) => tree.seek(rest),
            (Some((_, Branch::Value(_))), Some(_)) | (None, _) => Sought::Nothing,
        }
    }

    /// Tells of the values whose names are not among those that were named; `above` is in front of each.
    pub(crate) fn tell_unnamed(
        &self,
        above: &str,
        named: &BTreeSet<String>,
        told: &mut Collector<'_>,
    ) {
        for (part, (place, branch)) in &self.0 {
            let dot = if above.is_empty() { "" } else { "." };
            let name = format!("{above}{dot}{part}");
            match branch {
                Branch::Tree(tree) => tree.tell_unnamed(&name, named, told),
                Branch::Value(_) if named.contains(&name) || told.passes() => {}
                Branch::Value(_) => {
                    let names = named.iter().map(String::as_str).take(MOST_HINTS);
                    let hint = match nearest(&name, names) {
                        Some(near) => format!("did you mean {near}?"),
                        None => "take it out, if no document is to name it".to_owned(),
                    };
                    let message = format!("no document names the value {}", quoted(&name));
                    told.add(*place, message, hint);
                }
            }
        }
    }

    /// Adds the names of its values, until there are enough.
    fn add_names(&self, above: &str, names: &mut Vec<String>) {
        for (part, (_, branch)) in &self.0 {
            if names.len() >= MOST_HINTS {
                return;
            }
            if above.len() + part.len() > MOST_HINT_BYTES {
                continue;
            }
            let dot = if above.is_empty() { "" } else { "." };
            let name = format!("{above}{dot}{part}");
            match branch {
                Branch::Value(_) => names.push(name),
                Branch::Tree(tree) => tree.add_names(&name, names),
            }
        }
    }
}

/// What a name leads to.
enum Sought {
    Value(Arc<Node>),
    /// Values under a longer name.
    Tree,
    Nothing,
}

/// The values that a document sees.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// Those that go before others come first.
    pub(crate) trees: Vec<&'a Tree>,
}

impl Scope<'_> {
    /// What the strongest tree says that has a value of this name.
    fn seek(&self, name: &str) -> Sought {
        let mut sought = Sought::Nothing;
        if name.split('.').count() > MOST_PARTS {
            return sought;
        }
        for tree in &self.trees {
            match tree.seek(name) {
                value @ Sought::Value(_) => return value,
                Sought::Tree => sought = Sought::Tree,
                Sought::Nothing => {}
            }
        }
        sought
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for tree in &self.trees {
            tree.add_names("", &mut names);
        }
        names
    }
}

/// Puts values into a document.
pub(crate) struct Filling<'a, 't> {
    pub(crate) scope: &'a Scope<'a>,
    pub(crate) left: &'a mut Left,
    pub(crate) found: &'a mut Collector<'t>,
    /// The values that were put in, by their names.
    pub(crate) named: &'a mut BTreeSet<String>,
}

impl Filling<'_, '_> {
    /// The value with all values in it put in; the field of this name, which has values of its own, is left as it is.
    pub(crate) fn fill_but(&mut self, node: &Arc<Node>, but: &str) -> Arc<Node> {
        self.fill_map(node, Some(but))
    }

    /// The value with all values in it put in.
    pub(crate) fn fill(&mut self, node: &Arc<Node>) -> Arc<Node> {
        match &node.content {
            Content::Text(text) if text.contains("${") => self.text(node, text),
            Content::List(items) => {
                let filled: Vec<Arc<Node>> = items.iter().map(|item| self.fill(item)).collect();
                let mut pairs = items.iter().zip(&filled);
                if pairs.all(|(before, after)| Arc::ptr_eq(before, after)) {
                    return Arc::clone(node);
                }
                with(node, Content::List(filled))
            }
            Content::Map(_) => self.fill_map(node, None),
            Content::Null
            | Content::Boolean(_)
            | Content::Integer(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::Lost => Arc::clone(node),
        }
    }

    fn fill_map(&mut self, node: &Arc<Node>, but: Option<&str>) -> Arc<Node> {
        let fields = node.fields();
        let fill = |field: &Entry| {
            if but == Some(field.key.as_str()) {
                Arc::clone(&field.value)
            } else {
                self.fill(&field.value)
            }
        };
        let values: Vec<Arc<Node>> = fields.iter().map(fill).collect();
        let mut pairs = fields.iter().zip(&values);
        if pairs.all(|(before, after)| Arc::ptr_eq(&before.value, after)) {
            return Arc::clone(node);
        }
        let filled = fields.iter().zip(values).map(|(field, value)| Entry {
            key: field.key.clone(),
            place: field.place,
            value,
        });
        with(node, Content::Map(filled.collect()))
    }

    fn text(&mut self, node: &Node, text: &str) -> Arc<Node> {
        let filled = if self.left.is_passed {
            None
        } else {
            self.filled(node, text)
        };
        Arc::new(filled.unwrap_or_else(|| Node::leaf(node.place, Content::Lost)))
    }

    /// What a text becomes; `None` if it is told why it becomes nothing. What it says itself is counted where it stands, also
    /// by an alias, so that only what is put in is counted here.
    fn filled(&mut self, node: &Node, text: &str) -> Option<Node> {
        let parts = parts(text);
        if let [Part::Name(name)] = parts.as_slice() {
            let value = self.sought(node.place, name)?;
            let may = self.may_take(node.place, value.weight, value.bytes);
            return may.then(|| Node {
                place: node.place,
                origin: Some(value.place),
                ..(*value).clone()
            });
        }
        let mut filled = String::with_capacity(text.len());
        let mut origin = None;
        for part in parts {
            match part {
                Part::Said(said) => filled.push_str(said),
                Part::Name(name) => {
                    let value = self.sought(node.place, name)?;
                    filled.push_str(&self.written(node.place, name, &value)?);
                    origin = Some(value.place);
                }
                Part::Open => {
                    let message = "`${` names a value, and nothing ends the name";
                    let hint = "write ${name}; `$${` is `${` itself";
                    self.found.add(node.place, message, hint);
                    return None;
                }
            }
        }
        Some(Node {
            origin,
            ..Node::leaf(node.place, Content::Text(filled))
        })
    }

    /// The value of this name; what keeps it from being one is told.
    fn sought(&mut self, place: Place, name: &str) -> Option<Arc<Node>> {
        match self.scope.seek(name) {
            Sought::Value(value) => {
                if !self.named.contains(name) {
                    self.named.insert(name.to_owned());
                }
                Some(value)
            }
            Sought::Tree => {
                let message = format!("{} is several values, not one", quoted(name));
                let hint = format!("name one of them: {}", quoted(&format!("${{{name}.…}}")));
                self.found.add(place, message, hint);
                None
            }
            Sought::Nothing if self.found.passes() => None,
            Sought::Nothing => {
                let names = self.scope.names();
                let near = nearest(name, names.iter().map(String::as_str));
                let is_name = name.split('.').all(|part| (VALUE.check)(part).is_ok());
                let hint = match near {
                    Some(near) => format!("did you mean ${{{near}}}?"),
                    None if is_of_secrets(name) => NO_SECRET.to_owned(),
                    None if !is_name => NO_NAME.to_owned(),
                    None if names.is_empty() => NO_VALUES.to_owned(),
                    None => "add it to a document of kind Values, or give it by --set".to_owned(),
                };
                let message = format!("there is no value {}", quoted(name));
                self.found.add(place, message, hint);
                None
            }
        }
    }

    /// A value as it stands in a longer text.
    fn written(&mut self, place: Place, name: &str, value: &Node) -> Option<String> {
        let written = match &value.content {
            Content::Text(text) | Content::Number(text) => text.clone(),
            Content::Boolean(yes) => yes.to_string(),
            Content::Integer(number) => number.to_string(),
            Content::Null | Content::List(_) | Content::Map(_) | Content::Lost => {
                let (name, is) = (quoted(name), value.is());
                let message = format!("{name} {is}, and cannot stand inside of a text");
                let hint = "name it alone, without anything around it";
                self.found.add(place, message, hint);
                return None;
            }
        };
        self.may_take(place, 0, written.len()).then_some(written)
    }

    fn may_take(&mut self, place: Place, nodes: u32, bytes: usize) -> bool {
        let may = self.left.take_nodes(nodes) && self.left.take_bytes(bytes);
        if !may {
            let hint = "name long values in fewer places";
            self.found
                .add(place, "from here on values put in more than is read", hint);
        }
        may
    }
}

/// A name as other systems have it for secrets.
fn is_of_secrets(name: &str) -> bool {
    matches!(name.split(['.', ':']).next(), Some("secret" | "secrets"))
}

fn with(node: &Node, content: Content) -> Arc<Node> {
    Arc::new(Node { content, ..*node })
}

/// A part of a text that names values.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Said(&'a str),
    Name(&'a str),
    /// A name begins here and does not end.
    Open,
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            parts.extend([Part::Said(before), Part::Said("${")]);
            rest = after;
            continue;
        }
        if !before.is_empty() {
            parts.push(Part::Said(before));
        }
        let Some((name, after)) = after.split_once('}') else {
            parts.push(Part::Open);
            return parts;
        };
        parts.push(Part::Name(name.trim()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Said(rest));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Text;
    use crate::yaml;

    const VALUES: &str = "domain: example.org\nsize: 512\nlist: [a, b]\ndb:\n  name: shop\n";

    /// What a document becomes, and what is told.
    fn filled(document: &str) -> (String, Vec<(String, String)>) {
        let texts = [Text::new("values", VALUES), Text::new("document", document)];
        let mut found = Collector::new(&texts);
        let mut left = Left::all();
        let mut tree = Tree::default();
        for values in yaml::documents(0, VALUES, &mut left, &mut found) {
            tree.lay(&values, &mut found);
        }
        let documents = yaml::documents(1, document, &mut left, &mut found);
        let scope = Scope { trees: vec![&tree] };
        let mut filling = Filling {
            scope: &scope,
            left: &mut left,
            found: &mut found,
            named: &mut BTreeSet::new(),
        };
        let filled = filling.fill(&documents[0]).json().to_string();
        let told = found.end().problems.into_iter();
        (
            filled,
            told.map(|problem| (problem.message, problem.hint))
                .collect(),
        )
    }

    #[test]
    fn a_value_alone_keeps_its_kind_and_one_in_a_text_is_text() {
        for (document, expected) in [
            ("a: ${size}", "{\"a\":512}"),
            ("a: \"${ size }\"", "{\"a\":512}"),
            ("a: ${size} MiB", "{\"a\":\"512 MiB\"}"),
            ("a: ${list}", "{\"a\":[\"a\",\"b\"]}"),
            ("[\"${db.name}.${domain}\"]", "[\"shop.example.org\"]"),
            ("a: $${size}", "{\"a\":\"${size}\"}"),
            ("a: $$${size}", "{\"a\":\"$${size}\"}"),
            ("a: $5 {x}", "{\"a\":\"$5 {x}\"}"),
            ("${size}: b", "{\"${size}\":\"b\"}"),
        ] {
            assert_eq!(
                filled(document),
                (expected.to_owned(), vec![]),
                "{document}"
            );
        }
    }

    #[test]
    fn what_cannot_be_put_in_is_told_with_what_was_meant() {
        let told = |document| {
            let (_, told) = filled(document);
            assert_eq!(told.len(), 1, "{document}: {told:?}");
            told.into_iter().next().unwrap()
        };
        let (message, hint) = told("a: ${domian}");
        assert_eq!(message, "there is no value `domian`");
        assert_eq!(hint, "did you mean ${domain}?");
        assert_eq!(told("a: ${db}").0, "`db` is several values, not one");
        assert_eq!(
            told("a: x${list}").0,
            "`list` is a list, and cannot stand inside of a text"
        );
        assert!(told("a: ${x y}").1.contains("dots"));
        assert_eq!(told("a: ${secrets.db}").1, NO_SECRET);
        assert_eq!(told("a: \"${secret:db}\"").1, NO_SECRET);
        assert!(told("a: \"${size\"").0.contains("nothing ends the name"));
        assert!(told("a: ${db.name.more}").0.contains("no value"));
    }

    #[test]
    fn what_values_put_in_has_an_end() {
        let long = "x".repeat(100_000);
        let texts = [Text::new("values", ""), Text::new("document", "")];
        let mut found = Collector::new(&texts);
        let mut left = Left::all();
        let mut tree = Tree::default();
        let value = Node::leaf(Place::first(0), Content::Text(long));
        tree.put(&["long"], Arc::new(value));
        let scope = Scope { trees: vec![&tree] };
        let text = Node::leaf(Place::first(1), Content::Text("-${long}".repeat(100)));
        let mut filling = Filling {
            scope: &scope,
            left: &mut left,
            found: &mut found,
            named: &mut BTreeSet::new(),
        };
        filling.fill(&Arc::new(text));
        let told = found.end().problems;
        assert_eq!(told.len(), 1);
        assert!(told[0].message.contains("more than is read"));
    }

    /// A text that names a value which says of itself to be of so many bytes, filled so many times; what is told.
    fn told_of(bytes: usize, times: usize) -> Vec<String> {
        let texts = [Text::new("values", ""), Text::new("document", "")];
        let mut found = Collector::new(&texts);
        let mut left = Left::all();
        let mut tree = Tree::default();
        let value = Node {
            bytes,
            ..Node::leaf(Place::first(0), Content::Text("x".to_owned()))
        };
        tree.put(&["one"], Arc::new(value));
        let scope = Scope { trees: vec![&tree] };
        let text = Node::leaf(Place::first(1), Content::Text("${one}".to_owned()));
        let text = Arc::new(text);
        let list = Content::List(vec![text; times]);
        let mut filling = Filling {
            scope: &scope,
            left: &mut left,
            found: &mut found,
            named: &mut BTreeSet::new(),
        };
        filling.fill(&Arc::new(Node::leaf(Place::first(1), list)));
        let told = found.end();
        assert_eq!(told.left_out, 0);
        told.problems.into_iter().map(|told| told.message).collect()
    }

    #[test]
    fn what_a_value_counts_is_known_before_it_is_looked_through_and_told_of_once() {
        assert_eq!(told_of(1 << 20, 4), Vec::<String>::new());
        let told = told_of(1 << 20, 60);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("more than is read"), "{told:?}");
    }

    #[test]
    fn a_hint_is_not_looked_for_among_names_that_cannot_be() {
        let mut tree = Tree::default();
        let value = || Arc::new(Node::leaf(Place::first(0), Content::Integer(1)));
        let long = "x".repeat(MOST_HINT_BYTES);
        tree.put(&[long.as_str(), "a"], value());
        tree.put(&["y", "a"], value());
        let mut names = Vec::new();
        tree.add_names("", &mut names);
        assert_eq!(names, ["y.a"]);
    }

    #[test]
    fn stronger_trees_go_before_others_value_by_value() {
        let mut found = Collector::new(&[]);
        let number = |number| Arc::new(Node::leaf(Place::first(0), Content::Integer(number)));
        let (mut strong, mut weak) = (Tree::default(), Tree::default());
        weak.put(&["a", "b"], number(1));
        weak.put(&["a", "c"], number(2));
        weak.put(&["d"], number(3));
        weak.put(&["d", "e"], number(4));
        strong.put(&["a", "b"], number(5));
        let scope = Scope {
            trees: vec![&strong, &weak],
        };
        let is = |name: &str| match scope.seek(name) {
            Sought::Value(value) => value.json().to_string(),
            Sought::Tree => "tree".to_owned(),
            Sought::Nothing => "nothing".to_owned(),
        };
        assert_eq!(
            ["a.b", "a.c", "a", "d", "d.e", "e"].map(is),
            ["5", "2", "tree", "tree", "4", "nothing"]
        );
        let map = Content::Map(vec![]);
        weak.lay(&Node::leaf(Place::first(0), map), &mut found);
        assert!(found.is_empty());
    }
}
