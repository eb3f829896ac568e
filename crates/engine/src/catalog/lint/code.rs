//! What kinds of mistakes an entry's file can have.

use std::fmt;

use serde::{Serialize, Serializer};

/// A kind of mistake. A code never gets another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// A file or folder cannot be read.
    Unreadable,
    /// The text is no YAML.
    NotYaml,
    /// The file is of a format that this version does not read.
    Format,
    /// A map has a field it does not know.
    UnknownField,
    /// A map has a field twice.
    RepeatedField,
    /// A field is missing.
    MissingField,
    /// A value is of another kind: a text where a map has to be.
    WrongType,
    /// A value breaks the rule of its field.
    BadValue,
    /// A map that has exactly one of several fields has none or more.
    OneKind,
    /// The fields of a setting do not go together.
    BadSetting,
    /// Two things have one name.
    NameTaken,
    /// A template or a rule names a setting that there is not.
    UnknownSetting,
    /// Nothing uses a setting.
    UnusedSetting,
    /// A template cannot be filled in.
    BadTemplate,
    /// A file with a secret in it may be read by everybody.
    ExposedSecret,
    /// A shipped entry listens on a port that takes rights.
    LowPort,
    /// Two fields contradict each other.
    Contradiction,
    /// The id is not the name of the entry's folder.
    WrongFolder,
    /// Two entries have one id.
    Twice,
    /// A field that will be, and that nothing acts on so far.
    NotYet,
    /// A download is held against nothing, and the entry does not say so.
    Unpinned,
}

impl Code {
    /// All codes, in the order in which they are explained.
    pub const ALL: [Self; 21] = [
        Self::Unreadable,
        Self::NotYaml,
        Self::Format,
        Self::UnknownField,
        Self::RepeatedField,
        Self::MissingField,
        Self::WrongType,
        Self::BadValue,
        Self::OneKind,
        Self::BadSetting,
        Self::NameTaken,
        Self::UnknownSetting,
        Self::UnusedSetting,
        Self::BadTemplate,
        Self::ExposedSecret,
        Self::LowPort,
        Self::Contradiction,
        Self::WrongFolder,
        Self::Twice,
        Self::NotYet,
        Self::Unpinned,
    ];

    /// The word that is shown.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NotYaml => "not_yaml",
            Self::Format => "format",
            Self::UnknownField => "unknown_field",
            Self::RepeatedField => "repeated_field",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::BadValue => "bad_value",
            Self::OneKind => "one_kind",
            Self::BadSetting => "bad_setting",
            Self::NameTaken => "name_taken",
            Self::UnknownSetting => "unknown_setting",
            Self::UnusedSetting => "unused_setting",
            Self::BadTemplate => "bad_template",
            Self::ExposedSecret => "exposed_secret",
            Self::LowPort => "low_port",
            Self::Contradiction => "contradiction",
            Self::WrongFolder => "wrong_folder",
            Self::Twice => "twice",
            Self::NotYet => "not_yet",
            Self::Unpinned => "unpinned",
        }
    }

    /// What to do, where nothing nearer is known.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Unreadable => "see that the file is there, is text, and may be read",
            Self::NotYaml => {
                "see that this line is indented as those around it, and put texts with a colon or a bracket in quotes"
            }
            Self::Format => "write format: 1, or use a newer version of Proximity",
            Self::UnknownField => "take it out, or correct its name",
            Self::RepeatedField => "take one of them out",
            Self::MissingField => "add it",
            Self::WrongType => {
                "write what the field is made of; proximity catalog schema tells it to editors"
            }
            Self::BadValue => "write a value that follows the rule",
            Self::OneKind => "make each of them an item of its own",
            Self::BadSetting => "change the setting so that all its fields are true at once",
            Self::NameTaken => "give it another name",
            Self::UnknownSetting => "add the setting, or correct its name",
            Self::UnusedSetting => {
                "use it as {{ settings.NAME }} in a file of the recipe, or take it out"
            }
            Self::BadTemplate => {
                "only {{ settings.NAME }}, {{ port }}, if and for are there; no filters, functions or other files"
            }
            Self::ExposedSecret => {
                "give the file mode \"0600\", or \"0640\" with the group that reads it"
            }
            Self::LowPort => "let the app listen on a port from 1024 on",
            Self::Contradiction => "change one of the two",
            Self::WrongFolder => "rename the folder or the id",
            Self::Twice => "take one of the entries out, or give it another id",
            Self::NotYet => "take it out; it would be passed over in silence",
            Self::Unpinned => {
                "fetch it, and write the SHA-256 of what came as `sha256` with the day as `read_on`; or say `unpinned: true` at the entry"
            }
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}
