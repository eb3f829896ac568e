//! From a text to its documents. The YAML library's way of reading is known here alone.
//!
//! Built on the library's events, for its deserializer stops at the first thing that is wrong, and knows no place for a value
//! once it is put into another document. JSON is read as what it is: YAML.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{
    ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput,
};

use crate::limits::{self, Left, MOST_DEPTH, MOST_FILLED_BYTES, MOST_NODES};
use crate::node::{Content, Entry, Node};
use crate::place::{Place, small};
use crate::problem::{Collector, quoted};
use crate::scalar;

type Events<'a> = Parser<'a, StrInput<'a>>;

/// The field that documents begin with.
const BEGIN: &str = "apiVersion";

/// The documents of a text, in order; empty ones are passed over. What is wrong is told, and ends its own document alone.
pub(crate) fn documents(
    source: usize,
    text: &str,
    left: &mut Left,
    found: &mut Collector<'_>,
) -> Vec<Arc<Node>> {
    let options = serde_saphyr::granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: limits::depth(),
        block_nesting_limit: limits::depth(),
    };
    let mut events = Parser::new_from_str_with_options(text, options);
    let mut documents = Vec::new();
    loop {
        let mut building = Building::new(small(source), text, left, found);
        match building.document(&mut events) {
            Ok(Some(document)) => documents.push(document),
            Ok(None) => return documents,
            Err(fault) => {
                found.add(fault.place, fault.message, fault.hint);
                let ends = fault.ends || found.is_full();
                if ends || !matches!(events.proceed_next_document(), Ok(true)) {
                    return documents;
                }
            }
        }
    }
}

/// What ends a document before its end.
struct Fault {
    place: Place,
    message: String,
    hint: String,
    /// Nothing more of the source is read.
    ends: bool,
}

impl Fault {
    fn new(place: Place, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            hint: hint.into(),
            ends: false,
        }
    }
}

/// A map or list that has not ended.
struct Open {
    place: Place,
    anchor: usize,
    weight: u32,
    bytes: usize,
    height: u16,
    inside: Inside,
}

enum Inside {
    List(Vec<Arc<Node>>),
    /// The fields, and the name of the one whose value comes next.
    Map(Vec<Entry>, Option<(String, Place)>),
}

/// One document while it is built.
struct Building<'a, 't> {
    source: u32,
    text: &'a str,
    left: &'a mut Left,
    found: &'a mut Collector<'t>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Arc<Node>>,
    root: Option<Arc<Node>>,
}

impl<'a, 't> Building<'a, 't> {
    fn new(source: u32, text: &'a str, left: &'a mut Left, found: &'a mut Collector<'t>) -> Self {
        Self {
            source,
            text,
            left,
            found,
            open: Vec::new(),
            anchors: BTreeMap::new(),
            root: None,
        }
    }

    /// The next document; `None` at the end of the text.
    fn document(&mut self, events: &mut Events<'_>) -> Result<Option<Arc<Node>>, Fault> {
        for next in events.by_ref() {
            let (event, span) = next.map_err(|error| self.unreadable(&error))?;
            if let Some(tag) = event.tag() {
                let message = format!("the tag {} is not read here", quoted(&tag.original()));
                let hint = "take it out; a text is put in quotes";
                return Err(Fault::new(self.place(&span), message, hint));
            }
            match event {
                Event::Scalar(text, style, anchor, _) => {
                    self.scalar(&text, style, anchor, self.place(&span))?;
                }
                Event::SequenceStart(_, anchor, _) => {
                    self.begin(Inside::List(Vec::new()), anchor, self.place(&span))?;
                }
                Event::MappingStart(_, anchor, _) => {
                    self.begin(Inside::Map(Vec::new(), None), anchor, self.place(&span))?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(),
                Event::Alias(id) => self.alias(id, self.place(&span))?,
                Event::DocumentEnd => {
                    let root = self.root.take();
                    let said = root.filter(|root| !matches!(root.content, Content::Null));
                    if said.is_some() {
                        return Ok(said);
                    }
                }
                Event::StreamEnd => return Ok(None),
                // Where a text or a document begins, and what else a later version may tell of.
                _ => {}
            }
        }
        Ok(None)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        place: Place,
    ) -> Result<(), Fault> {
        self.charge(1, place)?;
        if let Some(Open {
            inside: Inside::Map(_, name @ None),
            weight,
            bytes,
            ..
        }) = self.open.last_mut()
        {
            *name = Some((text.to_owned(), place));
            *weight = weight.saturating_add(1);
            *bytes = bytes.saturating_add(text.len());
            if anchor != 0 {
                let named = Node::leaf(place, Content::Text(text.to_owned()));
                self.anchors.insert(anchor, Arc::new(named));
            }
            return Ok(());
        }
        let content = match style {
            ScalarStyle::Plain => scalar::plain(text),
            ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Content::Text(text.to_owned()),
        };
        self.finish(Node::leaf(place, content), anchor);
        Ok(())
    }

    fn begin(&mut self, inside: Inside, anchor: usize, place: Place) -> Result<(), Fault> {
        self.charge(1, place)?;
        self.may_be_here(place)?;
        self.open.push(Open {
            place,
            anchor,
            weight: 1,
            bytes: 0,
            height: 0,
            inside,
        });
        Ok(())
    }

    /// Where the name of a field is due only a text can stand.
    fn may_be_here(&self, place: Place) -> Result<(), Fault> {
        match self.open.last() {
            Some(Open {
                inside: Inside::Map(_, None),
                ..
            }) => Err(Fault::new(
                place,
                "the name of a field has to be a text",
                "write a name and a colon",
            )),
            Some(Open {
                inside: Inside::Map(_, Some(_)) | Inside::List(_),
                ..
            })
            | None => Ok(()),
        }
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let content = match open.inside {
            Inside::List(items) => Content::List(items),
            Inside::Map(fields, _) => {
                self.tell_repeated(&fields);
                Content::Map(fields)
            }
        };
        let node = Node {
            place: open.place,
            origin: None,
            content,
            weight: open.weight,
            bytes: open.bytes,
            height: open.height,
        };
        self.finish(node, open.anchor);
    }

    /// A field that is there twice: what is meant nobody knows.
    fn tell_repeated(&mut self, fields: &[Entry]) {
        let mut ordered: Vec<&Entry> = fields.iter().collect();
        ordered.sort_by(|one, other| one.key.cmp(&other.key));
        let pairs = ordered.windows(2).filter_map(|pair| match pair {
            [first, again] if first.key == again.key => Some((*first, *again)),
            _ => None,
        });
        let pairs: Vec<(&Entry, &Entry)> = pairs.collect();
        // Documents without a line between them have all their fields twice, for one reason.
        let is_document = self.open.is_empty();
        let begins = |again: &Entry| is_document && again.key == BEGIN;
        let is_joined = pairs.iter().any(|(_, again)| begins(again));
        for (first, again) in pairs {
            let tells = begins(again) || !is_joined;
            if !tells || self.found.passes() {
                continue;
            }
            let message = format!("{} is there twice in one map", quoted(&again.key));
            let first = self.found.told(first.place);
            let hint = if is_joined {
                format!("put a line --- in front of each document; it is also at {first}")
            } else {
                format!("take one out; it is also at {first}")
            };
            self.found.add(again.place, message, hint);
        }
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), Fault> {
        self.may_be_here(place)?;
        let Some(meant) = self.anchors.get(&id).map(Arc::clone) else {
            return Err(Fault::new(
                place,
                "an alias stands inside of what it names",
                "write out what is meant",
            ));
        };
        self.charge(meant.weight, place)?;
        self.charge_bytes(meant.bytes, place)?;
        let deep = self.open.len() + usize::from(meant.height);
        if deep > limits::depth() {
            return Err(too_deep(place));
        }
        self.put(meant);
        Ok(())
    }

    /// A value is there whole.
    fn finish(&mut self, node: Node, anchor: usize) {
        let node = Arc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.put(node);
    }

    fn put(&mut self, node: Arc<Node>) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        open.weight = open.weight.saturating_add(node.weight);
        open.bytes = open.bytes.saturating_add(node.bytes);
        open.height = open.height.max(node.height.saturating_add(1));
        match &mut open.inside {
            Inside::List(items) => items.push(node),
            Inside::Map(fields, name) => {
                if let Some((key, place)) = name.take() {
                    fields.push(Entry {
                        key,
                        place,
                        value: node,
                    });
                }
            }
        }
    }

    fn charge(&mut self, nodes: u32, place: Place) -> Result<(), Fault> {
        if self.left.take_nodes(nodes) {
            return Ok(());
        }
        Err(Fault {
            ends: true,
            ..Fault::new(
                place,
                format!("from here on there are more than {MOST_NODES} fields and values"),
                "an alias counts as what it stands for; name fewer files, or write less of it",
            )
        })
    }

    /// What an alias stands for is there once more for everybody who copies or looks through it.
    fn charge_bytes(&mut self, bytes: usize, place: Place) -> Result<(), Fault> {
        if self.left.take_bytes(bytes) {
            return Ok(());
        }
        let most = MOST_FILLED_BYTES >> 20;
        Err(Fault {
            ends: true,
            ..Fault::new(
                place,
                format!("from here on aliases stand for more than {most} MiB of texts and names"),
                "name long texts in fewer places",
            )
        })
    }

    fn place(&self, span: &Span) -> Place {
        let place = self.at(&span.start);
        let end = span.end.byte_offset().map_or(place.offset, small);
        Place {
            length: end.saturating_sub(place.offset),
            ..place
        }
    }

    fn at(&self, marker: &Marker) -> Place {
        let offset = marker.byte_offset().unwrap_or(self.text.len());
        Place {
            source: self.source,
            line: small(marker.line()).max(1),
            column: small(marker.col()).saturating_add(1),
            offset: small(offset),
            length: 0,
        }
    }

    /// Whether a value is named right in front of this place without quotes; inside of brackets `{` begins a map.
    fn has_bare_name(&self, place: Place) -> bool {
        let at = place.offset as usize;
        let through = self.text.get(..=at).or_else(|| self.text.get(..at));
        let before = through.unwrap_or(self.text);
        let line = before.rsplit('\n').next();
        line.is_some_and(names_bare)
    }

    fn unreadable(&self, error: &ScanError) -> Fault {
        let place = self.at(error.marker());
        let hint = match error.kind() {
            ErrorKind::RecursionLimitExceeded => return too_deep(place),
            _ if self.has_bare_name(place) => {
                "put the text with ${ in quotes, which it needs inside of {} and []"
            }
            ErrorKind::UnknownAnchor => {
                "an alias names an anchor (&name) further up in the same document; a text that begins with * is put in quotes"
            }
            ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
                "put a text that has a colon and a blank in it in quotes; else see that this line is indented as those around it"
            }
            ErrorKind::UnknownQuotedScalarEscape
            | ErrorKind::InvalidQuotedScalarHexEscape
            | ErrorKind::InvalidUnicodeEscape => {
                "write \\\\ for one \\ in double quotes, or use single ones"
            }
            ErrorKind::DirectiveDisallowed => "take the line that begins with % out",
            ErrorKind::TabInIndentation
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabNotAllowed => "indent with blanks, not with tabs",
            ErrorKind::UnclosedQuotedScalar => "close the quotes that were opened here",
            ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofFlowSequence => "close the bracket",
            ErrorKind::UnexpectedCharacter { .. } => "put the text that begins with it in quotes",
            _ => {
                "see that this line is indented as those around it, and that a blank is behind each colon and dash"
            }
        };
        Fault::new(place, format!("this is no YAML: {}", error.info()), hint)
    }
}

/// Whether a value is named in a line's part, and outside of quotes.
fn names_bare(part: &str) -> bool {
    let before = part.rfind("${").and_then(|at| part.get(..at));
    before.is_some_and(|before| before.matches(['"', '\'']).count() % 2 == 0)
}

fn too_deep(place: Place) -> Fault {
    let message = format!("maps and lists are more than {MOST_DEPTH} deep inside of each other");
    Fault::new(place, message, "no document has a field that deep")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Text;

    /// The documents as JSON, and what is told with its place.
    fn read(text: &str) -> (Vec<String>, Vec<(u32, u32, String)>) {
        let texts = [Text::new("x", text)];
        let mut found = Collector::new(&texts);
        let documents = documents(0, text, &mut Left::all(), &mut found);
        let told = found.end().problems.into_iter();
        (
            documents
                .iter()
                .map(|node| node.json().to_string())
                .collect(),
            told.map(|problem| (problem.line, problem.column, problem.message))
                .collect(),
        )
    }

    fn first_told(text: &str) -> (u32, u32, String) {
        let (_, told) = read(text);
        told.into_iter()
            .next()
            .unwrap_or_else(|| panic!("{text:?}"))
    }

    #[test]
    fn documents_are_read_one_by_one_and_empty_ones_are_none() {
        let (documents, told) = read("a: 1\n---\n---\n# nothing\n---\n- b\n- \"1\"\n...\n");
        assert_eq!(documents, ["{\"a\":1}", "[\"b\",\"1\"]"]);
        assert_eq!(told, []);
        assert_eq!(read("").0, Vec::<String>::new());
        assert_eq!(read("# a comment\n").0, Vec::<String>::new());
    }

    #[test]
    fn json_is_read_too() {
        let text =
            "{\"a\": [1, true, null, \"x\\u00e4\\ud83d\\ude00\\/\"],\n  \"b\": {\"c\": \"\"}}";
        let (documents, told) = read(text);
        assert_eq!(told, []);
        assert_eq!(
            documents,
            ["{\"a\":[1,true,null,\"xä😀/\"],\"b\":{\"c\":\"\"}}"]
        );
    }

    #[test]
    fn what_is_wrong_in_one_document_spoils_no_other() {
        let (documents, told) = read("a: [1\n---\nb: 2\n---\nc: \"x\n---\nd: 4\n");
        assert!(documents.contains(&"{\"b\":2}".to_owned()), "{documents:?}");
        assert!(!told.is_empty());
    }

    #[test]
    fn a_field_that_is_there_twice_is_told_with_both_places() {
        let (line, column, message) = first_told("a: 1\nb: 2\na: 3\n");
        assert_eq!((line, column), (3, 1));
        assert!(message.starts_with("`a` is there twice"), "{message}");
    }

    #[test]
    fn an_alias_stands_for_what_it_names() {
        let (documents, told) = read("a: &x {b: 1}\nc: *x\n");
        assert_eq!(told, []);
        assert_eq!(documents, ["{\"a\":{\"b\":1},\"c\":{\"b\":1}}"]);
        let (line, column, message) = first_told("a: &x\n  b: *x\n");
        assert_eq!((line, column), (2, 6));
        assert!(message.contains("inside of what it names"), "{message}");
        assert_eq!(first_told("a: *nobody\n").0, 1);
    }

    #[test]
    fn tags_names_that_are_none_and_directives_are_refused() {
        let (line, column, message) = first_told("a: 1\nb: !!str 2\n");
        assert_eq!(line, 2);
        assert!(column >= 4 && message.contains("tag"), "{column} {message}");
        let (_, _, message) = first_told("? [a]\n: 1\n");
        assert!(message.contains("name of a field"), "{message}");
        assert_eq!(first_told("%YAML 1.2\n---\na: 1\n").0, 1);
    }

    /// Each alias doubles what the one before stands for: a thousand million nodes in forty lines.
    #[test]
    fn a_bomb_of_aliases_costs_what_is_left_and_no_more() {
        let mut text = "a0: &a0 [x, x]\n".to_owned();
        for n in 1..30 {
            let of = n - 1;
            text.push_str(&format!("a{n}: &a{n} [*a{of}, *a{of}]\n"));
        }
        let (documents, told) = read(&text);
        assert_eq!(documents, Vec::<String>::new());
        assert_eq!(told.len(), 1);
        assert!(told[0].2.contains("more than 200000"), "{}", told[0].2);
    }

    /// The names and texts of an alias are there once more each time, whatever few nodes they are.
    #[test]
    fn aliases_are_counted_by_bytes_too_and_end_where_they_are_too_many() {
        let text = format!("\"{}\"", "x".repeat(1 << 20));
        let names: Vec<String> = (0..1000).map(|n| format!("{n:01000}: 1")).collect();
        let map = format!("{{{}}}", names.join(", "));
        for named in [text, map] {
            let of = |aliases: usize| {
                let aliases = vec!["*x"; aliases].join(", ");
                read(&format!("a: &x {named}\nb: [{aliases}]\n---\nc: 1\n"))
            };
            let (documents, told) = of(4);
            assert_eq!((documents.len(), told.len()), (2, 0));
            let (documents, told) = of(5);
            assert_eq!((documents.len(), told.len()), (0, 1));
            let (line, _, message) = &told[0];
            assert_eq!(*line, 2);
            assert!(message.contains("more than 4 MiB"), "{message}");
        }
    }

    #[test]
    fn an_alias_counts_the_names_of_its_fields() {
        let root = |text: &str| {
            let texts = [Text::new("x", text)];
            let mut found = Collector::new(&texts);
            let documents = documents(0, text, &mut Left::all(), &mut found);
            (documents[0].weight, documents[0].bytes)
        };
        assert_eq!(root("ab: cd"), (3, 4));
        // Two maps with five names, a list, and what is in them.
        assert_eq!(root("{a: [x, y], bb: ccc, d: 7, e: {f: \"\"}}"), (13, 11));
        assert_eq!(root("a: &x {b: c}\nd: *x"), (9, 6));
    }

    #[test]
    fn aliases_add_to_the_depth() {
        let mut text = "a0: &a0 [x]\n".to_owned();
        for n in 1..40 {
            text.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
        }
        let (line, _, message) = first_told(&text);
        assert!(message.contains("deep"), "{message}");
        assert_eq!(line, 32);
    }

    #[test]
    fn depth_is_refused_where_it_begins_to_be_too_much() {
        for text in [
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
            "- ".repeat(100_000),
            format!("{}1{}", "[".repeat(40), "]".repeat(40)),
        ] {
            let (line, column, message) = first_told(&text);
            assert_eq!(line, 1);
            assert!(column <= 200, "{column}");
            assert!(message.contains("deep"), "{message}");
        }
        assert_eq!(first_told(&"? ".repeat(100_000)).0, 1);
        let fine = format!("{}1{}", "[".repeat(32), "]".repeat(32));
        assert_eq!(read(&fine).1, []);
    }
}
