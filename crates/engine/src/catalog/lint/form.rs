//! Holds a file against the table of what entries are made of, and tells everything that is not as it has to be.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use proximity_manifest::nearest;
use regex::Regex;

use super::Code;
use super::tree::{Content, Field, Node, Place};
use crate::catalog::table::{self, Object, Rule, Shape};

/// Characters of a value that are quoted.
const QUOTED: usize = 60;

/// Something that is wrong, with its place.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) hint: String,
}

/// All that is wrong with the form of a file.
pub(super) fn hold(root: &Node) -> Vec<Found> {
    let mut found = Vec::new();
    object(root, &table::ENTRY, "", &mut found);
    found
}

/// A name or a value as messages quote it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).collect();
    if text.chars().nth(QUOTED).is_some() {
        quoted.push('…');
    }
    format!("`{quoted}`")
}

fn told(path: &str) -> String {
    if path.is_empty() {
        "the entry".to_owned()
    } else {
        format!("`{path}`")
    }
}

/// What a value is, for people.
fn is(node: &Node) -> String {
    match &node.content {
        Content::Plain(_) if node.is_null() => "has no value".to_owned(),
        Content::Plain(text) => format!("is {}", quoted(text)),
        Content::Text(text) => format!("is the text {}", quoted(text)),
        Content::List(_) => "is a list".to_owned(),
        Content::Map(_) => "is a map".to_owned(),
    }
}

fn wrong_type(node: &Node, path: &str, wanted: &str, found: &mut Vec<Found>) {
    found.push(Found {
        place: node.place,
        code: Code::WrongType,
        message: format!("{} has to be {wanted}, and {}", told(path), is(node)),
        hint: Code::WrongType.hint().to_owned(),
    });
}

fn bad_value(node: &Node, message: String, hint: String, found: &mut Vec<Found>) {
    found.push(Found {
        place: node.place,
        code: Code::BadValue,
        message,
        hint,
    });
}

fn value(node: &Node, shape: &'static Shape, path: &str, found: &mut Vec<Found>) {
    match shape {
        Shape::Text(rule) => text(node, rule, path, found),
        Shape::Word(words) => word(node, words, path, found),
        Shape::Integer(min, max) => integer(node, (*min, *max), path, found),
        Shape::Boolean => boolean(node, path, found),
        Shape::Scalar => {
            if node.scalar().is_none() {
                wrong_type(
                    node,
                    path,
                    "a text, a whole number, or true or false",
                    found,
                );
            }
        }
        Shape::Texts(rule, least, most) => {
            list(node, (*least, *most), path, found, |item, path, found| {
                text(item, rule, path, found);
            });
        }
        Shape::Object(of) => object(node, of, path, found),
        Shape::Objects(of, least, most) => {
            list(node, (*least, *most), path, found, |item, path, found| {
                object(item, of, path, found);
            });
        }
    }
}

fn list(
    node: &Node,
    (least, most): (usize, usize),
    path: &str,
    found: &mut Vec<Found>,
    hold: impl Fn(&Node, &str, &mut Vec<Found>),
) {
    let Content::List(items) = &node.content else {
        return wrong_type(node, path, "a list", found);
    };
    if !(least..=most).contains(&items.len()) {
        let message = format!(
            "{} has to have {least} to {most} items, and has {}",
            told(path),
            items.len()
        );
        bad_value(node, message, Code::BadValue.hint().to_owned(), found);
    }
    for (n, item) in items.iter().map(Arc::as_ref).enumerate() {
        hold(item, &format!("{path}[{n}]"), found);
    }
}

fn object(node: &Node, of: &'static Object, path: &str, found: &mut Vec<Found>) {
    let Content::Map(fields) = &node.content else {
        return wrong_type(node, path, "a map", found);
    };
    // What is merged into a map is known to the loader alone.
    if fields.iter().any(|field| field.name == "<<") {
        return;
    }
    for field in fields {
        let Some(known) = of.fields.iter().find(|known| known.name == field.name) else {
            found.push(unknown(field, of, path));
            continue;
        };
        let at = below(path, known.name);
        if !field.value.is_null() {
            value(&field.value, &known.shape, &at, found);
        } else if known.required {
            wrong_type(&field.value, &at, "given", found);
        }
    }
    let there = |name: &str| fields.iter().any(|field| field.name == name);
    for missing in of
        .fields
        .iter()
        .filter(|known| known.required && !there(known.name))
    {
        found.push(Found {
            place: node.place,
            code: Code::MissingField,
            message: format!("`{}` is missing", below(path, missing.name)),
            hint: format!("add it: {}", missing.about),
        });
    }
    let kinds = of.one_of.iter().filter(|kind| there(kind)).count();
    // One that is not known is told already.
    let is_known = |name: &str| of.fields.iter().any(|known| known.name == name);
    if !of.one_of.is_empty() && kinds != 1 && fields.iter().all(|field| is_known(&field.name)) {
        let names = of.one_of.join(", ");
        found.push(Found {
            place: node.place,
            code: Code::OneKind,
            message: format!(
                "{} has to have exactly one of {names}, and has {kinds}",
                told(path)
            ),
            hint: Code::OneKind.hint().to_owned(),
        });
    }
}

/// Fields of the file that a later version will act on, and what is done so far.
const LATER: [(&str, &str); 6] = [
    ("volumes", "data lies in the root file system"),
    ("icon", "no entry is shown with a picture"),
    (
        "backup",
        "a backup is made of the whole container, and nothing is run before it",
    ),
    ("update", "a newer recipe is carried out by hand"),
    ("permissions", "every container gets the same"),
    ("depends_on", "documents say which apps come first"),
];

fn unknown(field: &Field, of: &'static Object, path: &str) -> Found {
    let later = LATER
        .iter()
        .find(|(name, _)| path.is_empty() && *name == field.name);
    if let Some((name, so_far)) = later {
        return Found {
            place: field.place,
            code: Code::NotYet,
            message: format!("`{name}` is not read yet: {so_far}"),
            hint: Code::NotYet.hint().to_owned(),
        };
    }
    let names = || of.fields.iter().map(|known| known.name);
    let hint = match nearest(&field.name, names()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let names: Vec<&str> = names().collect();
            format!("its fields are: {}", names.join(", "))
        }
    };
    Found {
        place: field.place,
        code: Code::UnknownField,
        message: format!("{} is no field of {}", quoted(&field.name), told(path)),
        hint,
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn text(node: &Node, rule: &Rule, path: &str, found: &mut Vec<Found>) {
    let Some(text) = node.scalar().filter(|_| !node.is_null()) else {
        return wrong_type(node, path, "a text", found);
    };
    if !follows(text, rule) {
        let message = format!("{} has to be {}, and {}", told(path), rule.says, is(node));
        bad_value(node, message, Code::BadValue.hint().to_owned(), found);
    }
}

fn follows(text: &str, rule: &Rule) -> bool {
    if !(rule.min..=rule.max).contains(&text.chars().count()) {
        return false;
    }
    match rule.check {
        Some(check) => check(text),
        // An expression of ours that is none is found by a test, not told to people.
        None => {
            rule.pattern.is_empty()
                || expression(rule.pattern).is_some_and(|rule| rule.is_match(text))
        }
    }
}

/// An expression of the table, which is made once.
fn expression(pattern: &'static str) -> Option<Regex> {
    static MADE: LazyLock<Mutex<BTreeMap<&'static str, Option<Regex>>>> =
        LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let expression = made.entry(pattern);
    expression
        .or_insert_with(|| Regex::new(pattern).ok())
        .clone()
}

fn word(node: &Node, words: &'static [&'static str], path: &str, found: &mut Vec<Found>) {
    let Some(text) = node.scalar() else {
        return wrong_type(node, path, "one word", found);
    };
    if words.contains(&text) {
        return;
    }
    let message = format!(
        "{} has to be one of {}, and {}",
        told(path),
        words.join(", "),
        is(node)
    );
    let hint = match nearest(text, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => Code::BadValue.hint().to_owned(),
    };
    bad_value(node, message, hint, found);
}

fn integer(node: &Node, (min, max): (i64, i64), path: &str, found: &mut Vec<Found>) {
    let number = node.scalar().and_then(|text| text.parse::<i64>().ok());
    let Some(number) = number else {
        // Numbers that are written in another way are the loader's to judge.
        let other = node.scalar().is_some_and(|text| {
            let digits = text.trim_start_matches(['+', '-']);
            digits.starts_with(|sign: char| sign.is_ascii_digit())
        });
        if !other {
            wrong_type(node, path, "a whole number", found);
        }
        return;
    };
    if !(min..=max).contains(&number) {
        let message = format!(
            "{} has to be from {min} to {max}, and is {number}",
            told(path)
        );
        bad_value(node, message, Code::BadValue.hint().to_owned(), found);
    }
}

fn boolean(node: &Node, path: &str, found: &mut Vec<Found>) {
    // As the loader reads them.
    const WORDS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "y", "n"];
    let text = node.scalar().map(str::to_ascii_lowercase);
    if !text.is_some_and(|text| WORDS.contains(&text.as_str())) {
        wrong_type(node, path, "true or false", found);
    }
}
