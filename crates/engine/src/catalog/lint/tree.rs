//! The text of an entry's file as values with their places. Built on the YAML library's events, for its deserializer stops at
//! the first thing that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle};

use super::form::quoted;

/// Maps and lists inside of each other.
const MOST_DEPTH: usize = 32;
/// Values of a file; an alias counts as what it stands for.
const MOST_NODES: usize = 20_000;

/// Where something stands; both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Place {
    pub(super) const FIRST: Self = Self { line: 1, column: 1 };

    fn of(marker: &Marker) -> Self {
        Self {
            line: (marker.line() as u64).max(1),
            column: marker.col() as u64 + 1,
        }
    }
}

/// One value.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
    /// How many nodes it is made of.
    weight: usize,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Written without quotes: a number, yes or no, nothing, or a text.
    Plain(String),
    /// Written in quotes or as a block.
    Text(String),
    List(Vec<Arc<Node>>),
    Map(Vec<Field>),
}

/// One field of a map.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    /// Where its name stands.
    pub(super) place: Place,
    pub(super) value: Arc<Node>,
}

/// A text that was read.
#[derive(Debug)]
pub(super) struct Tree {
    /// `None` if nothing is in it.
    pub(super) root: Option<Arc<Node>>,
    /// Fields that are there twice, with the place of the second.
    pub(super) repeated: Vec<(String, Place)>,
}

/// Why a text was not read.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) message: String,
}

impl Node {
    /// The text of a value that is neither a list nor a map.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Plain(text) | Content::Text(text) => Some(text),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// Nothing was written.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Plain(text) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Content::Map(fields) = &self.content else {
            return None;
        };
        let mut fields = fields.iter();
        fields
            .find(|field| field.name == name)
            .map(|field| field.value.as_ref())
    }

    /// The place of what a path such as `install[0].file` names, or of the nearest thing above it that is there.
    pub(super) fn place_of(&self, path: &str) -> Place {
        let parts = path
            .split(['.', '['])
            .map(|part| part.trim_end_matches(']'));
        let mut node = self;
        for part in parts.filter(|part| !part.is_empty()) {
            let next = match &node.content {
                Content::Map(_) => node.field(part),
                Content::List(items) => {
                    let at = part.parse::<usize>().ok();
                    at.and_then(|at| items.get(at)).map(Arc::as_ref)
                }
                Content::Plain(_) | Content::Text(_) => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.place
    }
}

/// Reads the first document of a text. What keeps it from being read is told with the name of the field that was read last.
pub(super) fn read(text: &str) -> Result<Tree, Fault> {
    let mut building = Building::default();
    match events(text, &mut building) {
        Ok(()) => Ok(Tree {
            root: building.root,
            repeated: building.repeated,
        }),
        Err(fault) => Err(Fault {
            message: match &building.last {
                Some(name) => format!("behind {}: {}", quoted(name), fault.message),
                None => fault.message,
            },
            place: fault.place,
        }),
    }
}

fn events(text: &str, building: &mut Building) -> Result<(), Fault> {
    let options = serde_saphyr::granit_parser::options! {
        flow_nesting_limit: MOST_DEPTH,
        block_nesting_limit: MOST_DEPTH,
    };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| Fault {
            place: Place::of(error.marker()),
            message: format!("this is no YAML: {}", error.info()),
        })?;
        let place = Place::of(&span.start);
        match event {
            Event::Scalar(text, style, anchor, _) => {
                building.scalar(&text, style, anchor, place)?
            }
            Event::SequenceStart(_, anchor, _) => {
                building.begin(Inside::List(Vec::new()), anchor, place)?;
            }
            Event::MappingStart(_, anchor, _) => {
                building.begin(Inside::Map(Vec::new(), None), anchor, place)?;
            }
            Event::SequenceEnd | Event::MappingEnd => building.end(),
            Event::Alias(id) => building.alias(id, place)?,
            Event::DocumentEnd => break,
            // Where a text or a document begins, and what else a later version may tell of.
            _ => {}
        }
    }
    Ok(())
}

enum Inside {
    List(Vec<Arc<Node>>),
    /// The fields, and the name of the one whose value comes next.
    Map(Vec<Field>, Option<(String, Place)>),
}

/// A map or list that has not ended.
struct Open {
    place: Place,
    anchor: usize,
    weight: usize,
    inside: Inside,
}

#[derive(Default)]
struct Building {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Arc<Node>>,
    nodes: usize,
    root: Option<Arc<Node>>,
    repeated: Vec<(String, Place)>,
    /// The name of the field that was read last.
    last: Option<String>,
}

impl Building {
    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        place: Place,
    ) -> Result<(), Fault> {
        self.charge(1, place)?;
        let content = match style {
            ScalarStyle::Plain => Content::Plain(text.to_owned()),
            ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Content::Text(text.to_owned()),
        };
        let node = Arc::new(Node {
            place,
            content,
            weight: 1,
        });
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        if let Some(Open {
            inside: Inside::Map(_, name @ None),
            ..
        }) = self.open.last_mut()
        {
            *name = Some((text.to_owned(), place));
            self.last = Some(text.to_owned());
            return Ok(());
        }
        self.put(node);
        Ok(())
    }

    fn begin(&mut self, inside: Inside, anchor: usize, place: Place) -> Result<(), Fault> {
        self.charge(1, place)?;
        self.may_be_here(place)?;
        self.open.push(Open {
            place,
            anchor,
            weight: 1,
            inside,
        });
        Ok(())
    }

    /// Where the name of a field is due only a text can stand.
    fn may_be_here(&self, place: Place) -> Result<(), Fault> {
        let is_name = matches!(
            self.open.last(),
            Some(Open {
                inside: Inside::Map(_, None),
                ..
            })
        );
        if is_name {
            let message = "the name of a field has to be a text".to_owned();
            return Err(Fault { place, message });
        }
        Ok(())
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let content = match open.inside {
            Inside::List(items) => Content::List(items),
            Inside::Map(fields, _) => {
                let mut seen = BTreeSet::new();
                for field in &fields {
                    if !seen.insert(field.name.as_str()) {
                        self.repeated.push((field.name.clone(), field.place));
                    }
                }
                Content::Map(fields)
            }
        };
        let node = Arc::new(Node {
            place: open.place,
            content,
            weight: open.weight,
        });
        if open.anchor != 0 {
            self.anchors.insert(open.anchor, Arc::clone(&node));
        }
        self.put(node);
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), Fault> {
        self.may_be_here(place)?;
        let Some(meant) = self.anchors.get(&id).map(Arc::clone) else {
            let message = "an alias stands inside of what it names".to_owned();
            return Err(Fault { place, message });
        };
        self.charge(meant.weight, place)?;
        self.put(meant);
        Ok(())
    }

    fn put(&mut self, node: Arc<Node>) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        open.weight = open.weight.saturating_add(node.weight);
        match &mut open.inside {
            Inside::List(items) => items.push(node),
            Inside::Map(fields, name) => {
                if let Some((name, place)) = name.take() {
                    fields.push(Field {
                        name,
                        place,
                        value: node,
                    });
                }
            }
        }
    }

    fn charge(&mut self, nodes: usize, place: Place) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MOST_NODES {
            let message = format!("from here on there are more than {MOST_NODES} values");
            return Err(Fault { place, message });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, path: &str) -> (u64, u64) {
        let tree = read(text).unwrap_or_else(|fault| panic!("{fault:?}"));
        let place = tree.root.as_ref().map(|root| root.place_of(path));
        place.map_or((0, 0), |place| (place.line, place.column))
    }

    #[test]
    fn values_are_found_by_their_path_or_by_what_is_above() {
        let text = "a: 1\nlist:\n  - x\n  - { b: two }\n";
        assert_eq!(place(text, "a"), (1, 4));
        assert_eq!(place(text, "list[1].b"), (4, 10));
        assert_eq!(place(text, "list[1].none"), (4, 5));
        assert_eq!(place(text, "list[9]"), (3, 3));
        assert_eq!(place(text, ""), (1, 1));
    }

    #[test]
    fn what_is_there_twice_is_told_with_its_place() {
        let tree = read("a: 1\nb: 2\na: 3\n").unwrap();
        assert_eq!(
            tree.repeated,
            [("a".to_owned(), Place { line: 3, column: 1 })]
        );
    }

    #[test]
    fn bombs_and_depth_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x]\n");
        for n in 1..30 {
            let of = n - 1;
            bomb.push_str(&format!("a{n}: &a{n} [*a{of}, *a{of}, *a{of}]\n"));
        }
        for text in [bomb, "[".repeat(10_000), "a: [1\n".to_owned()] {
            assert!(read(&text).is_err());
        }
        let fault = read("name: a\nother: [1\n").unwrap_err();
        assert!(fault.message.starts_with("behind `other`: "), "{fault:?}");
    }
}
