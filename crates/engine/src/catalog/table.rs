//! What an entry's file is made of, as data: what is held against it ([`super::lint`]) and what describes it to editors
//! ([`super::schema`]) come from this table. `format.rs` says the same to the loader; tests compare the two.

mod oci;
mod rules;
mod steps;

use oci::OCI;
use rules::{
    ARGUMENT, CATEGORY, DESCRIPTION, ENV, HELP, ID, LICENSE, MARKER, NAME, NPM_NAME, OPTION,
    OS_TEMPLATE, PACKAGE, PATTERN, PYPI_NAME, REPOSITORY, REQUEST_PATH, SETTING, SUMMARY, TAG,
    VERSION, WEBSITE,
};
use steps::STEP;

/// What a value may be.
#[derive(Debug)]
pub(super) enum Shape {
    /// A text that follows a rule.
    Text(&'static Rule),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number of this range.
    Integer(i64, i64),
    /// Yes or no.
    Boolean,
    /// Yes or no, a whole number or a text.
    Scalar,
    /// A list of texts, of so many at least and at most.
    Texts(&'static Rule, usize, usize),
    /// A map of exactly these fields.
    Object(&'static Object),
    /// A list of such maps, of so many at least and at most.
    Objects(&'static Object, usize, usize),
}

/// A rule for a text.
#[derive(Debug)]
pub(super) struct Rule {
    /// Regular expression, in what JSON Schema and the regex library both read.
    pub(super) pattern: &'static str,
    /// Least number of characters.
    pub(super) min: usize,
    /// Greatest number of characters.
    pub(super) max: usize,
    /// What it is, for people: "one line of text".
    pub(super) says: &'static str,
    /// The rule itself, where the expression says less.
    pub(super) check: Option<fn(&str) -> bool>,
}

/// A map with named fields.
#[derive(Debug)]
pub(super) struct Object {
    /// What the schema calls it.
    pub(super) name: &'static str,
    /// What it is, one sentence.
    pub(super) about: &'static str,
    /// It has exactly one of these fields, if there are any.
    pub(super) one_of: &'static [&'static str],
    /// Its fields.
    pub(super) fields: &'static [Field],
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// What it is, one sentence.
    pub(super) about: &'static str,
    pub(super) required: bool,
    pub(super) shape: Shape,
}

const fn needed(name: &'static str, about: &'static str, shape: Shape) -> Field {
    Field {
        name,
        about,
        required: true,
        shape,
    }
}

const fn optional(name: &'static str, about: &'static str, shape: Shape) -> Field {
    Field {
        name,
        about,
        required: false,
        shape,
    }
}

/// The file.
pub(super) static ENTRY: Object = Object {
    name: "Entry",
    about: "An app that can be deployed, and how it is installed.",
    one_of: &[],
    fields: &[
        needed("format", "Always 1.", Shape::Integer(1, 1)),
        needed("id", "The name of the entry's folder.", Shape::Text(&ID)),
        needed("name", "Name for people.", Shape::Text(&NAME)),
        needed(
            "version",
            "Version of this recipe; it changes when the file does.",
            Shape::Text(&VERSION),
        ),
        needed("summary", "What it is, one line.", Shape::Text(&SUMMARY)),
        needed(
            "description",
            "What it is, as long as needed.",
            Shape::Text(&DESCRIPTION),
        ),
        needed("category", "One word.", Shape::Text(&CATEGORY)),
        optional("tags", "Words to find it by.", Shape::Texts(&TAG, 0, 16)),
        optional("website", "Home of the project.", Shape::Text(&WEBSITE)),
        optional(
            "os_template",
            "What it is installed on: the file name of a Proxmox VE template up to its version.",
            Shape::Text(&OS_TEMPLATE),
        ),
        optional(
            "oci",
            "The image that its container is made of, in the place of os_template and install (Proxmox VE 9.1 and later).",
            Shape::Object(&OCI),
        ),
        needed(
            "resources",
            "What the container gets.",
            Shape::Object(&RESOURCES),
        ),
        optional(
            "license",
            "Licence of the app, as an SPDX expression.",
            Shape::Text(&LICENSE),
        ),
        optional(
            "releases",
            "Where new releases of the app are told.",
            Shape::Object(&RELEASES),
        ),
        optional(
            "unpinned",
            "Something that it fetches is held against nothing; it is deployed only where that is allowed.",
            Shape::Boolean,
        ),
        optional(
            "port",
            "TCP port the app listens on inside the container, if it is the only one.",
            Shape::Integer(1, 65_535),
        ),
        optional(
            "protocol",
            "What is spoken on the port.",
            Shape::Word(&["tcp", "http"]),
        ),
        optional(
            "ports",
            "All ports the app listens on inside the container, in the place of port and protocol.",
            Shape::Objects(&PORT, 1, 16),
        ),
        optional(
            "settings",
            "What a user may or must choose.",
            Shape::Objects(&SETTINGS, 0, 64),
        ),
        optional(
            "install",
            "What is done inside the container, in this order.",
            Shape::Objects(&STEP, 1, 64),
        ),
        needed(
            "health",
            "How it is known that the app works.",
            Shape::Object(&HEALTH),
        ),
    ],
};

pub(super) static PORT: Object = Object {
    name: "Port",
    about: "A port the app listens on inside the container.",
    one_of: &[],
    fields: &[
        needed("name", "One word for people.", Shape::Text(&CATEGORY)),
        needed("number", "Its number.", Shape::Integer(1, 65_535)),
        needed(
            "protocol",
            "What is spoken on it.",
            Shape::Word(&["tcp", "udp", "http"]),
        ),
        optional(
            "main",
            "The app's own ports lead to it; one is.",
            Shape::Boolean,
        ),
    ],
};

pub(super) static RELEASES: Object = Object {
    name: "Releases",
    about: "Where new releases of the app are told.",
    one_of: &["github", "pypi", "npm", "debian"],
    fields: &[
        optional(
            "github",
            "A repository, OWNER/NAME.",
            Shape::Text(&REPOSITORY),
        ),
        optional("pypi", "A Python package.", Shape::Text(&PYPI_NAME)),
        optional("npm", "A package of npm.", Shape::Text(&NPM_NAME)),
        optional("debian", "A Debian package.", Shape::Text(&PACKAGE)),
    ],
};

pub(super) static RESOURCES: Object = Object {
    name: "Resources",
    about: "What the container gets unless asked otherwise.",
    one_of: &[],
    fields: &[
        needed("memory_mib", "Memory, MiB.", Shape::Object(&MEMORY)),
        needed("cores", "CPU cores.", Shape::Object(&CORES)),
        needed("disk_gib", "Root file system, GiB.", Shape::Object(&DISK)),
    ],
};

pub(super) static MEMORY: Object = Object {
    name: "Memory",
    about: "Memory, MiB.",
    one_of: &[],
    fields: &[
        needed(
            "min",
            "With less it does not run.",
            Shape::Integer(16, 1_048_576),
        ),
        needed("default", "What it gets.", Shape::Integer(16, 1_048_576)),
    ],
};

pub(super) static CORES: Object = Object {
    name: "Cores",
    about: "CPU cores.",
    one_of: &[],
    fields: &[needed("default", "What it gets.", Shape::Integer(1, 256))],
};

pub(super) static DISK: Object = Object {
    name: "Disk",
    about: "Root file system, GiB.",
    one_of: &[],
    fields: &[needed(
        "default",
        "What it gets.",
        Shape::Integer(1, 16_384),
    )],
};

pub(super) static SETTINGS: Object = Object {
    name: "Setting",
    about: "What a user may or must choose; which fields belong to which type is checked when the entry is read.",
    one_of: &[],
    fields: &[
        needed(
            "name",
            "How templates call it: {{ settings.name }}.",
            Shape::Text(&SETTING),
        ),
        needed(
            "type",
            "What is accepted.",
            Shape::Word(&[
                "string", "integer", "boolean", "enum", "secret", "port", "path",
            ]),
        ),
        optional(
            "env",
            "Its other name; without it, the name in capitals.",
            Shape::Text(&ENV),
        ),
        needed("help", "One sentence for people.", Shape::Text(&HELP)),
        optional(
            "required",
            "Must be given by the user; then it has no default.",
            Shape::Boolean,
        ),
        optional("default", "Taken when nothing is given.", Shape::Scalar),
        optional(
            "pattern",
            "The whole value must match this regular expression (string, secret).",
            Shape::Text(&PATTERN),
        ),
        optional(
            "min",
            "Least value (integer) or characters (string, secret).",
            Shape::Integer(i64::MIN, i64::MAX),
        ),
        optional(
            "max",
            "Greatest value (integer) or characters (string, secret).",
            Shape::Integer(i64::MIN, i64::MAX),
        ),
        optional(
            "options",
            "The choices (enum).",
            Shape::Texts(&OPTION, 2, 32),
        ),
        optional(
            "shown_when",
            "It is asked for only where another setting has a value; else it has its default, or none.",
            Shape::Object(&SHOWN_WHEN),
        ),
        optional(
            "generate",
            "It is made where the user gives none (secret).",
            Shape::Object(&GENERATE),
        ),
    ],
};

pub(super) static SHOWN_WHEN: Object = Object {
    name: "ShownWhen",
    about: "Where a setting is asked for.",
    one_of: &[],
    fields: &[
        needed(
            "setting",
            "The name of a setting that stands before this one.",
            Shape::Text(&SETTING),
        ),
        needed("equals", "The value that it has then.", Shape::Scalar),
    ],
};

pub(super) static GENERATE: Object = Object {
    name: "Generate",
    about: "How a secret is made.",
    one_of: &[],
    fields: &[
        needed("length", "Characters.", Shape::Integer(16, 128)),
        optional(
            "alphabet",
            "What it is made of; letters and digits unless said.",
            Shape::Word(&["alphanumeric", "hex"]),
        ),
    ],
};

pub(super) static HEALTH: Object = Object {
    name: "Health",
    about: "How it is known that the app works.",
    one_of: &["http", "tcp", "exec"],
    fields: &[
        optional(
            "http",
            "A request and what its answer must be.",
            Shape::Object(&HTTP),
        ),
        optional(
            "tcp",
            "A port that takes connections and keeps them.",
            Shape::Object(&TCP),
        ),
        optional(
            "exec",
            "A program inside the container that ends with 0.",
            Shape::Object(&EXEC),
        ),
        optional(
            "timeout_s",
            "How long one try may take, seconds; 5 unless said.",
            Shape::Integer(1, 60),
        ),
        optional(
            "interval_s",
            "Pause between two tries, seconds; 1 unless said.",
            Shape::Integer(1, 60),
        ),
        optional(
            "start_period_s",
            "For so long a failed try counts for nothing, seconds; 0 unless said.",
            Shape::Integer(0, 900),
        ),
        optional(
            "attempts",
            "Failed tries after which the app counts as unhealthy; 30 unless said.",
            Shape::Integer(1, 120),
        ),
    ],
};

pub(super) static HTTP: Object = Object {
    name: "HttpCheck",
    about: "A GET request and what its answer must be.",
    one_of: &[],
    fields: &[
        needed(
            "path",
            "Path, with a / in front.",
            Shape::Text(&REQUEST_PATH),
        ),
        optional(
            "port",
            "Port inside the container; the entry's unless said.",
            Shape::Integer(1, 65_535),
        ),
        optional(
            "expect_status",
            "The status that means healthy; 200 unless said.",
            Shape::Integer(100, 599),
        ),
        needed(
            "body_contains",
            "What must occur in the first 64 KiB of the body.",
            Shape::Text(&MARKER),
        ),
    ],
};

pub(super) static TCP: Object = Object {
    name: "TcpCheck",
    about: "A connection that is taken, and not ended at once without a word.",
    one_of: &[],
    fields: &[optional(
        "port",
        "Port inside the container; the entry's unless said.",
        Shape::Integer(1, 65_535),
    )],
};

pub(super) static EXEC: Object = Object {
    name: "ExecCheck",
    about: "A program that looks and changes nothing.",
    one_of: &[],
    fields: &[needed(
        "argv",
        "Program (absolute path) and arguments; no shell looks at them.",
        Shape::Texts(&ARGUMENT, 1, 64),
    )],
};

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
