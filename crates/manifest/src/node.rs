//! A document as it was written: values with their places.

use std::sync::Arc;

use serde_json::Value;

use crate::place::Place;
use crate::problem::quoted;

/// One value.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// Where it was given, if it was put in by a name.
    pub(crate) origin: Option<Place>,
    pub(crate) content: Content,
    /// How many nodes it is made of, each alias counted as what it stands for.
    pub(crate) weight: u32,
    /// Bytes of the texts and names in it, each alias counted as what it stands for.
    pub(crate) bytes: usize,
    /// How many maps and lists are inside of each other in it.
    pub(crate) height: u16,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Null,
    Boolean(bool),
    Integer(i64),
    /// A number that is no [`Content::Integer`]: a fraction, too large, or written as not everybody reads it. As it was written.
    Number(String),
    Text(String),
    List(Vec<Arc<Node>>),
    Map(Vec<Entry>),
    /// A value that could not be put in. That is told already, and nothing more is said of it.
    Lost,
}

/// One field of a map.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where its name stands.
    pub(crate) place: Place,
    pub(crate) value: Arc<Node>,
}

impl Node {
    /// A value that has no other in it.
    pub(crate) fn leaf(place: Place, content: Content) -> Self {
        let bytes = match &content {
            Content::Text(text) | Content::Number(text) => text.len(),
            Content::Null
            | Content::Boolean(_)
            | Content::Integer(_)
            | Content::List(_)
            | Content::Map(_)
            | Content::Lost => 0,
        };
        Self {
            place,
            origin: None,
            content,
            weight: 1,
            bytes,
            height: 0,
        }
    }

    /// The fields; none if it is no map.
    pub(crate) fn fields(&self) -> &[Entry] {
        match &self.content {
            Content::Map(fields) => fields,
            Content::Null
            | Content::Boolean(_)
            | Content::Integer(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::List(_)
            | Content::Lost => &[],
        }
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&Arc<Self>> {
        let mut fields = self.fields().iter();
        fields
            .find(|field| field.key == name)
            .map(|field| &field.value)
    }

    /// The values of a list; none if it is none.
    pub(crate) fn items(&self) -> &[Arc<Self>] {
        match &self.content {
            Content::List(items) => items,
            Content::Null
            | Content::Boolean(_)
            | Content::Integer(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::Map(_)
            | Content::Lost => &[],
        }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Null
            | Content::Boolean(_)
            | Content::Integer(_)
            | Content::Number(_)
            | Content::List(_)
            | Content::Map(_)
            | Content::Lost => None,
        }
    }

    /// What it is, for people: "is a list".
    pub(crate) fn is(&self) -> String {
        match &self.content {
            Content::Null | Content::Lost => "has no value".to_owned(),
            Content::Boolean(yes) => format!("is {yes}"),
            Content::Integer(number) => format!("is the number {number}"),
            Content::Number(text) => format!("is {}", quoted(text)),
            Content::Text(text) => format!("is the text {}", quoted(text)),
            Content::List(_) => "is a list".to_owned(),
            Content::Map(_) => "is a map".to_owned(),
        }
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        match &self.content {
            Content::Null | Content::Lost => Value::Null,
            Content::Boolean(yes) => Value::from(*yes),
            Content::Integer(number) => Value::from(*number),
            Content::Number(text) | Content::Text(text) => Value::from(text.as_str()),
            Content::List(items) => items.iter().map(|item| item.json()).collect(),
            Content::Map(fields) => fields
                .iter()
                .map(|field| (field.key.clone(), field.value.json()))
                .collect(),
        }
    }
}
