//! Single values that are given beside documents. Nobody can put one in quotes there, so where a text is wanted it is a text.

use std::sync::Arc;

use crate::kinds::SECRET_REFERENCE;
use crate::node::{Content, Entry, Node};
use crate::shape::{Object, Shape};

/// The values that were given one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Singles<'a> {
    /// Each with its name.
    pub(crate) set: &'a [(String, String)],
    /// Which source the first of them is; the others follow.
    pub(crate) first: usize,
}

impl Singles<'_> {
    /// A map with its values put in, in which those of ours that stand where a text is wanted are texts, letter by letter.
    pub(crate) fn object(&self, node: &Arc<Node>, of: &'static Object) -> Arc<Node> {
        // Most of what is read is given none.
        if self.set.is_empty() {
            return Arc::clone(node);
        }
        Self::fields(node, |field| {
            let known = of.fields().find(|known| known.name == field.key);
            known.map(|known| self.value(&field.value, &known.shape))
        })
    }

    fn value(&self, node: &Arc<Node>, shape: &'static Shape) -> Arc<Node> {
        match shape {
            Shape::Text(_) => self.text(node),
            Shape::Texts(..) => Self::items(node, |item| self.text(item)),
            Shape::Object(of) => self.object(node, of),
            Shape::Objects(of, _) => Self::items(node, |item| self.object(item, of)),
            // A setting can be a number as well, but for a secret's name.
            Shape::Settings => Self::fields(node, |setting| {
                Some(self.object(&setting.value, &SECRET_REFERENCE))
            }),
            Shape::Word(_) | Shape::Integer(..) | Shape::Boolean | Shape::Values => {
                Arc::clone(node)
            }
        }
    }

    fn text(&self, node: &Arc<Node>) -> Arc<Node> {
        match (&node.content, self.given(node)) {
            (Content::Boolean(_) | Content::Integer(_), Some(text)) => {
                let origin = node.origin;
                let content = Content::Text(text.to_owned());
                Arc::new(Node {
                    origin,
                    ..Node::leaf(node.place, content)
                })
            }
            _ => Arc::clone(node),
        }
    }

    /// What a value was given as, if it is one of ours.
    fn given(&self, node: &Node) -> Option<&str> {
        let source = node.origin?.source as usize;
        let at = source.checked_sub(self.first)?;
        self.set.get(at).map(|(_, text)| text.as_str())
    }

    /// A map with other values for those of its fields that get one; what is no map stays as it is.
    fn fields(node: &Arc<Node>, other: impl Fn(&Entry) -> Option<Arc<Node>>) -> Arc<Node> {
        let Content::Map(fields) = &node.content else {
            return Arc::clone(node);
        };
        let fields = fields.iter().map(|field| Entry {
            key: field.key.clone(),
            place: field.place,
            value: other(field).unwrap_or_else(|| Arc::clone(&field.value)),
        });
        let content = Content::Map(fields.collect());
        Arc::new(Node { content, ..**node })
    }

    /// A list with other items; what is no list stays as it is.
    fn items(node: &Arc<Node>, other: impl Fn(&Arc<Node>) -> Arc<Node>) -> Arc<Node> {
        let Content::List(items) = &node.content else {
            return Arc::clone(node);
        };
        let content = Content::List(items.iter().map(other).collect());
        Arc::new(Node { content, ..**node })
    }
}
