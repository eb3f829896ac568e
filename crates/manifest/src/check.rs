//! Holds a document against the shape of its kind, and tells everything that is not as it has to be.

use std::collections::BTreeMap;
use std::fmt;

use crate::kinds::{LINE, SECRET_REFERENCE, SETTING, VALUE};
use crate::misplaced;
use crate::nearest::nearest;
use crate::node::{Content, Entry, Node};
use crate::place::Place;
use crate::problem::{Collector, QUOTED, quoted};
use crate::shape::{Object, Rule, Shape};

/// Settings an app can have; no catalog entry has more.
pub(crate) const MOST_SETTINGS: usize = 64;
/// Characters of a rule's words that are told.
const MOST_WORDS: usize = 300;

/// What is held against what, and where in the document.
#[derive(Clone, Copy)]
struct Path<'a> {
    above: Option<&'a Path<'a>>,
    part: Part<'a>,
    /// What the whole document is made of.
    kind: &'static Object,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Document,
    Field(&'a str),
    Item(usize),
}

impl<'a> Path<'a> {
    fn field(&'a self, name: &'a str) -> Self {
        Self {
            above: Some(self),
            part: Part::Field(name),
            kind: self.kind,
        }
    }

    fn item(&'a self, at: usize) -> Self {
        Self {
            above: Some(self),
            part: Part::Item(at),
            kind: self.kind,
        }
    }

    /// As messages name it.
    fn told(&self) -> String {
        match self.part {
            Part::Document => "the document".to_owned(),
            Part::Field(_) | Part::Item(_) => quoted(&self.to_string()),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.part {
            Part::Document => Ok(()),
            Part::Field(name) => {
                let is_first = self
                    .above
                    .is_none_or(|above| matches!(above.part, Part::Document));
                // One letter more than is quoted tells that there are more.
                let end = name.char_indices().nth(QUOTED + 1).map(|(end, _)| end);
                let name = end.and_then(|end| name.get(..end)).unwrap_or(name);
                write!(f, "{}{name}", if is_first { "" } else { "." })
            }
            Part::Item(at) => write!(f, "[{at}]"),
        }
    }
}

/// Tells what of a document is not as its kind wants it.
pub(crate) fn document(root: &Node, kind: &'static Object, found: &mut Collector<'_>) {
    let path = Path {
        above: None,
        part: Part::Document,
        kind,
    };
    object(root, kind, &path, found);
}

/// Tells what is wrong with a value, and where it was given if that was elsewhere.
fn wrong(
    node: &Node,
    message: impl Into<String>,
    hint: impl Into<String>,
    found: &mut Collector<'_>,
) {
    if matches!(node.content, Content::Lost) {
        return;
    }
    let mut hint = hint.into();
    if let Some(origin) = node.origin {
        hint.push_str(&format!(" (the value is given at {})", found.told(origin)));
    }
    found.add(node.place, message, hint);
}

fn value(node: &Node, shape: &'static Shape, path: &Path<'_>, found: &mut Collector<'_>) {
    if matches!(node.content, Content::Null) {
        let message = format!("{} has no value", path.told());
        return wrong(node, message, "give it one, or leave the field out", found);
    }
    match shape {
        Shape::Text(rule) => text(node, rule, path, found),
        Shape::Word(words) => word(node, words, path, found),
        Shape::Integer(min, max) => integer(node, (*min, *max), path, found),
        Shape::Boolean => boolean(node, path, found),
        Shape::Texts(rule, most) => texts(node, rule, *most, path, found),
        Shape::Object(of) => object(node, of, path, found),
        Shape::Objects(of, most) => objects(node, of, *most, path, found),
        Shape::Settings => settings(node, path, found),
        Shape::Values => values(node, path, found),
    }
}

fn text(node: &Node, rule: &Rule, path: &Path<'_>, found: &mut Collector<'_>) {
    let hint = match &node.content {
        Content::Text(text) => {
            if let Err(why) = (rule.check)(text)
                && !found.passes()
            {
                let (message, hint) = rule_broken(text, why, rule);
                wrong(node, message, hint, found);
            }
            return;
        }
        Content::Null | Content::Boolean(_) | Content::Integer(_) | Content::Number(_) => {
            where_given(node, "put it in quotes")
        }
        Content::List(_) | Content::Map(_) | Content::Lost => {
            "write one text, without a dash or a field in front of it".to_owned()
        }
    };
    let message = format!("{} has to be a text, and {}", path.told(), node.is());
    wrong(node, message, hint, found);
}

/// What to do, and where: whoever gives a single value on the command line can write neither quotes nor a list there.
fn where_given(node: &Node, what: &str) -> String {
    match node.origin {
        Some(_) => format!("{what}, in a document of values"),
        None => what.to_owned(),
    }
}

/// What is told of a text that breaks its rule, and how it could be mended.
fn rule_broken(text: &str, why: String, rule: &Rule) -> (String, String) {
    let message = if why.chars().nth(MOST_WORDS).is_some() {
        format!("{} is not what can stand here", quoted(text))
    } else {
        why
    };
    let start: String = text.trim().chars().take(MOST_WORDS).collect();
    if let Some(hint) = rule.hint {
        return (message, hint(&start));
    }
    let mended = start.to_lowercase().replace(['_', ' ', '.'], "-");
    let hint = if (rule.check)(&mended).is_ok() && mended != text {
        format!("{} would do", quoted(&mended))
    } else {
        format!("it has to match {}", rule.pattern)
    };
    (message, hint)
}

fn word(node: &Node, words: &'static [&'static str], path: &Path<'_>, found: &mut Collector<'_>) {
    let written = node.text();
    if written.is_some_and(|text| words.contains(&text)) || found.passes() {
        return;
    }
    let meant = written.and_then(|text| nearest(text, words.iter().copied()));
    let hint = match meant {
        Some(word) => format!("did you mean {word}?"),
        None => format!("it can be: {}", words.join(", ")),
    };
    let message = format!("{} {}, which is none of its words", path.told(), node.is());
    wrong(node, message, hint, found);
}

fn integer(node: &Node, (min, max): (i64, i64), path: &Path<'_>, found: &mut Collector<'_>) {
    if matches!(node.content, Content::Integer(number) if (min..=max).contains(&number)) {
        return;
    }
    let message = format!(
        "{} {}, and has to be {min} to {max}",
        path.told(),
        node.is()
    );
    let hint = match &node.content {
        Content::Text(text) if text.parse::<i64>().is_ok() => "take the quotes away",
        Content::Integer(_) => "write a number of that range",
        Content::Null
        | Content::Boolean(_)
        | Content::Number(_)
        | Content::Text(_)
        | Content::List(_)
        | Content::Map(_)
        | Content::Lost => "write a whole number, without a unit; the field's name says which",
    };
    wrong(node, message, hint, found);
}

fn boolean(node: &Node, path: &Path<'_>, found: &mut Collector<'_>) {
    if !matches!(node.content, Content::Boolean(_)) {
        let message = format!("{} {}, and has to be true or false", path.told(), node.is());
        wrong(node, message, "write true or false, without quotes", found);
    }
}

fn texts(node: &Node, rule: &Rule, most: usize, path: &Path<'_>, found: &mut Collector<'_>) {
    let Content::List(items) = &node.content else {
        let message = format!("{} has to be a list, and {}", path.told(), node.is());
        let hint = where_given(node, "write it as a list: [one, another]");
        return wrong(node, message, hint, found);
    };
    if items.len() > most {
        let message = format!("{} has {} entries", path.told(), items.len());
        return wrong(node, message, format!("it can have {most}"), found);
    }
    let mut seen = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        text(item, rule, &path.item(at), found);
        let Some(written) = item.text() else { continue };
        if let Some(first) = seen.insert(written, item.place) {
            let hint = format!("take it out; it is also at {}", found.told(first));
            wrong(
                item,
                format!("{} is there twice", quoted(written)),
                hint,
                found,
            );
        }
    }
}

fn object(node: &Node, of: &'static Object, path: &Path<'_>, found: &mut Collector<'_>) {
    let Content::Map(fields) = &node.content else {
        let message = format!("{} has to be a map, and {}", path.told(), node.is());
        return wrong(node, message, misplaced::fields(of), found);
    };
    for field in fields {
        match of.fields().find(|known| known.name == field.key) {
            Some(known) => value(&field.value, &known.shape, &path.field(known.name), found),
            None => unknown(field.place, &field.key, of, path, found),
        }
    }
    for missing in of.fields().filter(|known| known.required) {
        if node.field(missing.name).is_none() {
            let message = format!("`{}` is missing in {}", missing.name, path.told());
            let hint = format!("add it: {}", missing.about);
            wrong(node, message, hint, found);
        }
    }
}

fn unknown(
    place: Place,
    key: &str,
    of: &'static Object,
    path: &Path<'_>,
    found: &mut Collector<'_>,
) {
    if found.passes() {
        return;
    }
    let hint = misplaced::hint(key, of, path.kind);
    let message = format!("{} is no field of {}", quoted(key), path.told());
    found.add(place, message, hint);
}

fn objects(
    node: &Node,
    of: &'static Object,
    most: usize,
    path: &Path<'_>,
    found: &mut Collector<'_>,
) {
    let Content::List(items) = &node.content else {
        let message = format!("{} has to be a list, and {}", path.told(), node.is());
        return wrong(
            node,
            message,
            "begin each of its entries with a dash; what it is called is its field `name`",
            found,
        );
    };
    if items.is_empty() || items.len() > most {
        let message = format!("{} has {} entries", path.told(), items.len());
        return wrong(node, message, format!("it can have 1 to {most}"), found);
    }
    for (at, item) in items.iter().enumerate() {
        object(item, of, &path.item(at), found);
    }
}

fn settings(node: &Node, path: &Path<'_>, found: &mut Collector<'_>) {
    let Content::Map(fields) = &node.content else {
        let message = format!("{} has to be a map, and {}", path.told(), node.is());
        return wrong(node, message, "write each setting as NAME: value", found);
    };
    if fields.len() > MOST_SETTINGS {
        let message = format!("{} has {} entries", path.told(), fields.len());
        return wrong(node, message, format!("it can have {MOST_SETTINGS}"), found);
    }
    for field in fields {
        if let Err(why) = (SETTING.check)(&field.key)
            && !found.passes()
        {
            let (message, hint) = rule_broken(&field.key, why, &SETTING);
            found.add(field.place, message, hint);
        }
        setting(&field.value, &path.field(&field.key), found);
    }
}

fn setting(node: &Node, path: &Path<'_>, found: &mut Collector<'_>) {
    match &node.content {
        Content::Boolean(_) | Content::Integer(_) | Content::Lost => {}
        Content::Text(text) => {
            if let Err(why) = (LINE.check)(text) {
                wrong(node, why, longer(text), found);
            }
        }
        Content::Map(fields) if names_secret(fields) => {
            object(node, &SECRET_REFERENCE, path, found);
        }
        Content::Null => {
            let message = format!("{} has no value", path.told());
            wrong(
                node,
                message,
                "give it one, \"\" for an empty text, or leave it out",
                found,
            );
        }
        Content::Number(_) => no_whole_number(node, path, found),
        Content::List(_) | Content::Map(_) => {
            let message = format!("{} {}", path.told(), node.is());
            let hint = "a setting is a text, a whole number, true, false, or {secret: NAME}";
            wrong(node, message, hint, found);
        }
    }
}

/// What to do about a text of more than one line.
fn longer(text: &str) -> &'static str {
    match text.strip_suffix('\n') {
        Some(line) if (LINE.check)(line).is_ok() => {
            "the break at its end is one too much: write |- for |, or >- for >"
        }
        Some(_) | None => "what is longer belongs into a file of the app",
    }
}

/// Whether a map is meant to name a secret.
fn names_secret(fields: &[Entry]) -> bool {
    let mut fields = fields.iter();
    fields.any(|field| nearest(&field.key, ["secret"]).is_some())
}

fn no_whole_number(node: &Node, path: &Path<'_>, found: &mut Collector<'_>) {
    let message = format!("{} {}, which is no whole number", path.told(), node.is());
    wrong(
        node,
        message,
        "put it in quotes, if it is meant as a text",
        found,
    );
}

fn values(node: &Node, path: &Path<'_>, found: &mut Collector<'_>) {
    let Content::Map(fields) = &node.content else {
        let message = format!("{} has to be a map, and {}", path.told(), node.is());
        return wrong(node, message, "write each value as name: value", found);
    };
    for field in fields {
        if let Err(why) = (VALUE.check)(&field.key)
            && !found.passes()
        {
            let (message, mut hint) = rule_broken(&field.key, why, &VALUE);
            if field.key.contains('.') {
                hint = "write its parts inside of each other: db: {memory: 1} for db.memory".into();
            }
            found.add(field.place, message, hint);
        }
        let path = path.field(&field.key);
        match &field.value.content {
            Content::Map(_) => values(&field.value, &path, found),
            Content::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    one_value(item, &path.item(at), found);
                }
            }
            Content::Null
            | Content::Boolean(_)
            | Content::Integer(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::Lost => one_value(&field.value, &path, found),
        }
    }
}

fn one_value(node: &Node, path: &Path<'_>, found: &mut Collector<'_>) {
    match &node.content {
        Content::Boolean(_) | Content::Integer(_) | Content::Lost => {}
        Content::Text(text) if text.contains("${") => {
            let message = format!("{} names another value, and is one itself", path.told());
            wrong(node, message, "write out what it is to be", found);
        }
        Content::Text(_) => {}
        Content::Null => {
            let message = format!("{} has no value", path.told());
            wrong(
                node,
                message,
                "give it one, or \"\" for an empty text",
                found,
            );
        }
        Content::Number(_) => no_whole_number(node, path, found),
        Content::List(_) | Content::Map(_) => {
            let message = format!("{} {}, inside of a list", path.told(), node.is());
            wrong(
                node,
                message,
                "a list has texts, whole numbers, true and false",
                found,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_way_no_more_is_written_than_can_be_quoted() {
        let root = Path {
            above: None,
            part: Part::Document,
            kind: &SECRET_REFERENCE,
        };
        let long = "ä".repeat(1 << 20);
        let (field, deeper) = ("ä".repeat(QUOTED), "b");
        let field = root.field(&field);
        assert_eq!(field.to_string().chars().count(), QUOTED);
        assert_eq!(field.field(deeper).to_string().chars().count(), QUOTED + 2);
        let field = root.field(&long);
        let item = field.item(7);
        let shown = item.to_string();
        assert_eq!(shown.chars().count(), QUOTED + 1 + "[7]".len());
        assert_eq!(item.told(), quoted(&long));
    }
}
