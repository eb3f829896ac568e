//! Reads texts into what they want.

use std::collections::BTreeSet;
use std::sync::Arc;

use proximity_domain::manifest::{API_VERSION, Kind, Manifest};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::check;
use crate::given::Singles;
use crate::kinds;
use crate::limits::Left;
use crate::nearest::nearest;
use crate::node::{Content, Entry, Node};
use crate::order::{self, Document};
use crate::place::{Place, small};
use crate::problem::{Collector, Problems, quoted};
use crate::scalar;
use crate::source::{Source, Text};
use crate::values::{Filling, MOST_PARTS, Scope, Tree};
use crate::yaml;

/// What is read together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Texts with documents.
    pub documents: Vec<Source>,
    /// Texts with documents of values that go before those of `documents` and of stacks, later ones before earlier ones.
    pub values: Vec<Source>,
    /// Single values by name, which go before all others.
    pub set: Vec<(String, String)>,
}

/// Everything the texts want, with its values put in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifests {
    /// The documents, in the order of the texts.
    pub documents: Vec<Manifest>,
    /// Names of all apps in layers: each app depends only on apps in earlier ones.
    pub order: Vec<Vec<String>>,
    /// What is right, and probably not meant so: values that were given beside the documents, and that none of them names.
    pub warnings: Problems,
}

/// Reads all texts, and holds them against the kinds and against each other.
///
/// # Errors
/// Everything that is wrong, if anything is: then nothing of it counts.
pub fn read(given: &Given) -> Result<Manifests, Problems> {
    let mut texts = Text::of(given.documents.iter().chain(&given.values));
    let set = given.set.iter();
    texts.extend(set.map(|(name, value)| Text::new("--set", format!("{name}={value}"))));
    let singles = Singles {
        set: &given.set,
        first: given.documents.len() + given.values.len(),
    };
    let mut reading = Reading {
        is_whole: true,
        singles,
        texts: &texts,
        left: Left::all(),
        found: Collector::new(&texts),
        named: BTreeSet::new(),
    };
    let (own, values) = (given.documents.len(), given.values.len());
    let documents = reading.documents(0..own, &form());
    reading.is_whole = reading.found.is_empty();
    let base = reading.base(&documents);
    let layers: Vec<Tree> = (own..own + values).map(|at| reading.layer(at)).collect();
    let set = reading.set(given, own + values);
    let over: Vec<&Tree> = [&set].into_iter().chain(layers.iter().rev()).collect();
    let documents: Vec<Document> = documents
        .into_iter()
        .map(|document| reading.filled(document, &over, &base))
        .collect();
    let mut warnings = Collector::new(&texts);
    for tree in over {
        tree.tell_unnamed("", &reading.named, &mut warnings);
    }
    reading.end(documents, warnings.end())
}

struct Reading<'a> {
    /// All documents that were given are known.
    is_whole: bool,
    singles: Singles<'a>,
    texts: &'a [Text<'a>],
    left: Left,
    found: Collector<'a>,
    /// The values that documents name, by their names.
    named: BTreeSet<String>,
}

impl Reading<'_> {
    /// The documents of these texts whose kind is known; `form` says what one has to look like.
    fn documents(&mut self, which: std::ops::Range<usize>, form: &str) -> Vec<Document> {
        let mut documents = Vec::new();
        for at in which {
            let Some(text) = self.texts.get(at) else {
                break;
            };
            // Nothing more is read, or told.
            if self.left.is_passed || self.found.is_full() {
                break;
            }
            let Some(text) = text.readable(at, &mut self.found) else {
                continue;
            };
            for root in yaml::documents(at, text, &mut self.left, &mut self.found) {
                if let Some(kind) = kind(&root, form, &mut self.found) {
                    documents.push(Document { kind, root });
                }
            }
        }
        documents
    }

    /// The values of all documents of values, each of which has one place.
    fn base(&mut self, documents: &[Document]) -> Tree {
        let mut tree = Tree::default();
        for document in documents.iter().filter(|one| one.kind == Kind::Values) {
            if let Some(spec) = document.root.field("spec") {
                tree.lay(spec, &mut self.found);
            }
        }
        tree
    }

    /// The values of a text that has nothing else.
    fn layer(&mut self, at: usize) -> Tree {
        let form = format!(
            "values stand in the spec of a document of kind Values; {}",
            form()
        );
        let documents = self.documents(at..at + 1, &form);
        for document in &documents {
            if document.kind == Kind::Values {
                check::document(
                    &document.root,
                    kinds::document(Kind::Values),
                    &mut self.found,
                );
            } else {
                let kind = document.kind.label();
                let message = format!("this is no document of values, but of {kind}");
                let hint = "name its file among the documents, and files of values with --values";
                self.found.add(document.root.place, message, hint);
            }
        }
        self.base(&documents)
    }

    /// The values that were given one by one; `first` is the place of the first of their texts.
    fn set(&mut self, given: &Given, first: usize) -> Tree {
        let mut tree = Tree::default();
        for (at, (name, value)) in given.set.iter().enumerate() {
            let source = first + at;
            let readable = self.texts.get(source);
            let readable = readable.and_then(|text| text.readable(source, &mut self.found));
            let parts: Vec<&str> = name.split('.').collect();
            let place = Place::first(small(source));
            let bad = parts
                .iter()
                .find_map(|part| (kinds::VALUE.check)(part).err());
            if readable.is_none() {
                continue;
            } else if parts.len() > MOST_PARTS {
                let message = format!("{} has more than {MOST_PARTS} parts", quoted(name));
                self.found.add(place, message, "give it a shorter name");
            } else if bad.is_some() {
                let message = format!("{} is no name of a value", quoted(name));
                let pattern = kinds::VALUE.pattern;
                let hint = format!("a name is words with dots between, each matches {pattern}");
                self.found.add(place, message, hint);
            } else if value.contains("${") {
                let message = format!("{} names another value, and is one itself", quoted(name));
                self.found.add(place, message, "write out what it is to be");
            } else {
                let content = match scalar::plain(value) {
                    // Nobody can put it in quotes here.
                    Content::Null | Content::Number(_) => Content::Text(value.clone()),
                    content => content,
                };
                tree.put(&parts, Arc::new(Node::leaf(place, content)));
            }
        }
        tree
    }

    /// A document with its values put in, held against its kind.
    fn filled(&mut self, document: Document, over: &[&Tree], base: &Tree) -> Document {
        let Document { kind, root } = document;
        let mut own = Tree::default();
        if let Some(values) = stack_values(kind, &root) {
            own.lay(values, &mut self.found);
        }
        let trees = over.iter().copied().chain([&own, base]).collect();
        let mut filling = Filling {
            scope: &Scope { trees },
            left: &mut self.left,
            found: &mut self.found,
            named: &mut self.named,
        };
        let root = match kind {
            Kind::Values => root,
            Kind::App | Kind::AdoptedApp => filling.fill(&root),
            // Its own values are given in it, so they name none.
            Kind::Stack => {
                let fields = root.fields().iter().map(|field| Entry {
                    key: field.key.clone(),
                    place: field.place,
                    value: match field.key.as_str() {
                        "spec" => filling.fill_but(&field.value, "values"),
                        _ => filling.fill(&field.value),
                    },
                });
                let content = Content::Map(fields.collect());
                Arc::new(Node { content, ..*root })
            }
        };
        let root = self.singles.object(&root, kinds::document(kind));
        check::document(&root, kinds::document(kind), &mut self.found);
        Document { kind, root }
    }

    fn end(mut self, documents: Vec<Document>, warnings: Problems) -> Result<Manifests, Problems> {
        let mut manifests = Manifests {
            order: order::order(&documents, self.is_whole, &mut self.found),
            warnings,
            ..Manifests::default()
        };
        if self.found.is_empty() {
            manifests.documents.reserve_exact(documents.len());
            // As it was written each goes as soon as it is what it wants.
            for document in documents {
                match manifest(&document) {
                    Ok(manifest) => manifests.documents.push(manifest),
                    Err(why) => {
                        let message = format!("this passed its checks and is not right: {why}");
                        let hint = "this is a fault of the program: report it with the document";
                        self.found.add(document.root.place, message, hint);
                    }
                }
            }
        }
        if self.found.is_empty() {
            Ok(manifests)
        } else {
            Err(self.found.end())
        }
    }
}

fn stack_values(kind: Kind, root: &Node) -> Option<&Node> {
    let spec = root.field("spec").filter(|_| kind == Kind::Stack)?;
    spec.field("values").map(|values| &**values)
}

/// What a document looks like, for hints.
fn form() -> String {
    format!("a document is a map with apiVersion: {API_VERSION}, kind, metadata and spec")
}

/// The kind a document says it is of; what keeps it from having one is told.
fn kind(root: &Node, form: &str, found: &mut Collector<'_>) -> Option<Kind> {
    if found.is_full() {
        return None;
    }
    if !matches!(root.content, Content::Map(_)) {
        let message = format!("the document has to be a map, and {}", root.is());
        let hint = match root.content {
            Content::List(_) => "write its documents one after the other, with a line --- between",
            Content::Null
            | Content::Boolean(_)
            | Content::Integer(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::Map(_)
            | Content::Lost => form,
        };
        found.add(root.place, message, hint);
        return None;
    }
    let version = head(root, "apiVersion", form, found)?;
    if version.text() != Some(API_VERSION) {
        let message = format!("`apiVersion` {}, which is not known here", version.is());
        let hint = format!("write apiVersion: {API_VERSION}");
        found.add(version.place, message, hint);
        return None;
    }
    let all = format!("the kinds are {}", Kind::ALL.map(Kind::label).join(", "));
    let written = head(root, "kind", &all, found)?;
    let known = written.text().and_then(Kind::parse);
    if known.is_none() {
        let message = format!("`kind` {}, which is none", written.is());
        found.add(written.place, message, no_kind(written.text(), all));
    }
    known
}

/// A field without which nothing is known of a document; that it is missing, or misspelt, is told.
fn head<'a>(
    root: &'a Node,
    name: &str,
    form: &str,
    found: &mut Collector<'_>,
) -> Option<&'a Arc<Node>> {
    let value = root.field(name);
    if value.is_none() {
        let mut fields = root.fields().iter();
        match fields.find(|field| nearest(&field.key, [name]).is_some()) {
            Some(near) => {
                let message = format!("{} is no field of the document", quoted(&near.key));
                found.add(near.place, message, format!("did you mean `{name}`?"));
            }
            None => found.add(
                root.place,
                format!("`{name}` is missing in the document"),
                form,
            ),
        }
    }
    value
}

/// What to do about a kind that is none.
fn no_kind(written: Option<&str>, all: String) -> String {
    let meant = written.and_then(|text| nearest(text, Kind::ALL.map(Kind::label)));
    match (meant, written) {
        (Some(label), _) => format!("did you mean {label}?"),
        (None, Some("Container")) => {
            "one that is made for an app is an App, one that is there an AdoptedApp".to_owned()
        }
        (None, Some("Node" | "Storage" | "VirtualMachine" | "Network")) => {
            format!("nodes, storages and virtual machines are shown, and never changed; {all}")
        }
        (None, Some("Secret")) => {
            format!("a secret is no document: a setting names it, {{secret: NAME}}; {all}")
        }
        (None, _) => all,
    }
}

fn manifest(document: &Document) -> Result<Manifest, String> {
    let name = document.name();
    let spec = document.root.field("spec").map(|spec| spec.json());
    let spec = spec.unwrap_or_default();
    Ok(match document.kind {
        Kind::App => Manifest::App {
            name: name.parse().map_err(told)?,
            spec: typed(spec)?,
        },
        Kind::AdoptedApp => Manifest::AdoptedApp {
            name: name.parse().map_err(told)?,
            spec: typed(spec)?,
        },
        Kind::Stack => Manifest::Stack {
            name: name.parse().map_err(told)?,
            spec: typed(spec)?,
        },
        Kind::Values => Manifest::Values {
            name: name.parse().map_err(told)?,
            spec: typed(spec)?,
        },
    })
}

fn typed<T: DeserializeOwned>(spec: Value) -> Result<T, String> {
    serde_json::from_value(spec).map_err(told)
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
