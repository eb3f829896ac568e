//! What goes into a statement and what comes out of a column.

use std::borrow::Cow;

/// Text, integer or NULL: the only types in columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'v> {
    /// Of which type matters to PostgreSQL; what was read has the type [`Kind::Text`] always.
    Null(Kind),
    Int(i64),
    Text(Cow<'v, str>),
}

/// The types of columns and arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
}

/// Has a kind also when it is absent.
pub(crate) trait HasKind {
    const KIND: Kind;
}

impl HasKind for i64 {
    const KIND: Kind = Kind::Int;
}

impl HasKind for String {
    const KIND: Kind = Kind::Text;
}

impl HasKind for &str {
    const KIND: Kind = Kind::Text;
}

impl HasKind for &String {
    const KIND: Kind = Kind::Text;
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(value: &'v str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(value: &'v String) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl<'v, T: Into<Value<'v>> + HasKind> From<Option<T>> for Value<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null(T::KIND), Into::into)
    }
}

impl<'v> From<&'v Option<String>> for Value<'v> {
    fn from(value: &'v Option<String>) -> Self {
        value.as_deref().into()
    }
}
