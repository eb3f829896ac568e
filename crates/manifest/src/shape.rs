//! What a kind of document is made of, as data: what is held against it (`check`) and what describes it to editors (`schema`)
//! come from the same table (`kinds`).

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A text that follows a rule.
    Text(&'static Rule),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number of this range.
    Integer(i64, i64),
    /// Yes or no.
    Boolean,
    /// A list of different texts, at most so many.
    Texts(&'static Rule, usize),
    /// A map of exactly these fields.
    Object(&'static Object),
    /// A list of such maps, at least one and at most so many.
    Objects(&'static Object, usize),
    /// Settings of a catalog entry.
    Settings,
    /// Values, by name, of any depth.
    Values,
}

/// A rule for a text.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The same for editors, as a regular expression.
    pub(crate) pattern: &'static str,
    /// The rule; what it says is told as it is.
    pub(crate) check: fn(&str) -> Result<(), String>,
    /// What to do about a text that breaks it; `None`: what follows from the rule alone.
    pub(crate) hint: Option<fn(&str) -> String>,
}

/// A map with named fields.
#[derive(Debug)]
pub(crate) struct Object {
    /// What the schema calls it.
    pub(crate) name: &'static str,
    /// What it is, one sentence.
    pub(crate) about: &'static str,
    /// Its fields, in groups that several maps have.
    pub(crate) fields: &'static [&'static [Field]],
}

impl Object {
    pub(crate) fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().flat_map(|group| group.iter())
    }
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// What it is, one sentence.
    pub(crate) about: &'static str,
    pub(crate) required: bool,
    pub(crate) shape: Shape,
}

impl Field {
    pub(crate) const fn needed(name: &'static str, about: &'static str, shape: Shape) -> Self {
        Self {
            name,
            about,
            required: true,
            shape,
        }
    }

    pub(crate) const fn optional(name: &'static str, about: &'static str, shape: Shape) -> Self {
        Self {
            name,
            about,
            required: false,
            shape,
        }
    }
}
