//! What the steps of a recipe are made of.

use super::rules::{
    ACCOUNT, ARGUMENT, CONTENT, DATE, DOWNLOAD_URL, MODE, NPM_PACKAGE, PACKAGE, PATH, PYTHON,
    SHA256, SUMMARY, UNIT,
};
use super::{Object, Shape, needed, optional};

pub(in crate::catalog) static STEP: Object = Object {
    name: "Step",
    about: "One thing to do inside the container. Each comes out the same however often it is done.",
    one_of: &[
        "apt",
        "file",
        "absent",
        "service",
        "run",
        "user",
        "directory",
        "unit",
        "venv",
        "npm",
        "download",
    ],
    fields: &[
        optional(
            "apt",
            "These Debian packages are installed.",
            Shape::Texts(&PACKAGE, 1, 64),
        ),
        optional(
            "file",
            "A file has this content, owner and mode.",
            Shape::Object(&FILE),
        ),
        optional(
            "absent",
            "There is no file or link of this path.",
            Shape::Object(&ABSENT),
        ),
        optional(
            "service",
            "A systemd unit is in a state.",
            Shape::Object(&UNIT_STATE),
        ),
        optional("run", "A program has been run once.", Shape::Object(&RUN)),
        optional(
            "user",
            "There is a system account that nobody logs in with, and its home.",
            Shape::Object(&USER),
        ),
        optional(
            "directory",
            "There is a directory with this owner and mode.",
            Shape::Object(&DIRECTORY),
        ),
        optional(
            "unit",
            "There is a systemd service of the app's own; a step service starts it.",
            Shape::Object(&UNIT_FILE),
        ),
        optional(
            "venv",
            "These Python packages are in a folder of their own; it takes python3-venv.",
            Shape::Object(&VENV),
        ),
        optional(
            "npm",
            "These packages of npm are in a folder; it takes npm.",
            Shape::Object(&NPM),
        ),
        optional(
            "download",
            "A file was fetched and is there, unpacked or as it is; it takes curl.",
            Shape::Object(&DOWNLOAD),
        ),
    ],
};

pub(in crate::catalog) static USER: Object = Object {
    name: "User",
    about: "A system account, with a group of the same name.",
    one_of: &[],
    fields: &[
        needed("name", "Its name; never root.", Shape::Text(&ACCOUNT)),
        needed(
            "home",
            "Its home, which is made and belongs to it (mode 0750).",
            Shape::Text(&PATH),
        ),
    ],
};

pub(in crate::catalog) static DIRECTORY: Object = Object {
    name: "Directory",
    about: "A directory; those above it are made if they are missing.",
    one_of: &[],
    fields: &[
        needed("path", "Where.", Shape::Text(&PATH)),
        optional(
            "mode",
            "Permission bits; 0755 unless said.",
            Shape::Text(&MODE),
        ),
        optional("owner", "User; root unless said.", Shape::Text(&ACCOUNT)),
        optional("group", "Group; root unless said.", Shape::Text(&ACCOUNT)),
    ],
};

pub(in crate::catalog) static UNIT_FILE: Object = Object {
    name: "Unit",
    about: "A systemd service that gets no new rights and finds the system read-only.",
    one_of: &[],
    fields: &[
        needed("name", "Its name without .service.", Shape::Text(&UNIT)),
        optional(
            "description",
            "What it is; its name unless said.",
            Shape::Text(&SUMMARY),
        ),
        needed(
            "exec",
            "Program (absolute path) and arguments; each is a template and stays one argument.",
            Shape::Texts(&ARGUMENT, 1, 64),
        ),
        needed("user", "Who it runs as; never root.", Shape::Text(&ACCOUNT)),
        optional(
            "group",
            "Its group; of the user's name unless said.",
            Shape::Text(&ACCOUNT),
        ),
        optional("working_directory", "Where it runs.", Shape::Text(&PATH)),
        optional(
            "environment_file",
            "A file of NAME=value lines, which has to be there.",
            Shape::Text(&PATH),
        ),
        optional(
            "after",
            "Units that are started before it.",
            Shape::Texts(&UNIT, 0, 16),
        ),
    ],
};

pub(in crate::catalog) static VENV: Object = Object {
    name: "Venv",
    about: "A folder with Python packages and what runs them.",
    one_of: &[],
    fields: &[
        needed("path", "Where.", Shape::Text(&PATH)),
        needed("packages", "What is in it.", Shape::Texts(&PYTHON, 1, 64)),
    ],
};

pub(in crate::catalog) static NPM: Object = Object {
    name: "Npm",
    about: "A folder with packages of npm.",
    one_of: &[],
    fields: &[
        needed("path", "Where.", Shape::Text(&PATH)),
        needed(
            "packages",
            "What is in it.",
            Shape::Texts(&NPM_PACKAGE, 1, 64),
        ),
    ],
};

pub(in crate::catalog) static DOWNLOAD: Object = Object {
    name: "Download",
    about: "A file that is fetched, and held against its SHA-256.",
    one_of: &[],
    fields: &[
        needed(
            "url",
            "Where it is fetched from.",
            Shape::Text(&DOWNLOAD_URL),
        ),
        optional(
            "sha256",
            "What its SHA-256 has to be; without it the entry is unpinned.",
            Shape::Text(&SHA256),
        ),
        optional(
            "read_on",
            "The day on which that was computed from what was fetched there.",
            Shape::Text(&DATE),
        ),
        needed(
            "path",
            "Where the file is put, or the folder that it is unpacked into.",
            Shape::Text(&PATH),
        ),
        optional(
            "unpack",
            "How it is unpacked; it stays as it is unless said.",
            Shape::Word(&["tar", "zip"]),
        ),
        optional(
            "strip",
            "Folders that are taken off the front of each path inside a tar; 0 unless said.",
            Shape::Integer(0, 8),
        ),
        optional(
            "mode",
            "Permission bits of a file that is not unpacked; 0644 unless said.",
            Shape::Text(&MODE),
        ),
    ],
};

pub(in crate::catalog) static FILE: Object = Object {
    name: "File",
    about: "A file; its folder is made if it is missing.",
    one_of: &[],
    fields: &[
        needed("path", "Where.", Shape::Text(&PATH)),
        optional(
            "mode",
            "Permission bits; 0644 unless said.",
            Shape::Text(&MODE),
        ),
        optional("owner", "User; root unless said.", Shape::Text(&ACCOUNT)),
        optional("group", "Group; root unless said.", Shape::Text(&ACCOUNT)),
        needed(
            "escape",
            "How values are written into this file.",
            Shape::Word(&["plain", "html", "shell-env", "nginx"]),
        ),
        needed("content", "A template.", Shape::Text(&CONTENT)),
    ],
};

pub(in crate::catalog) static ABSENT: Object = Object {
    name: "Absent",
    about: "What is taken away.",
    one_of: &[],
    fields: &[needed("path", "Where.", Shape::Text(&PATH))],
};

pub(in crate::catalog) static UNIT_STATE: Object = Object {
    name: "Service",
    about: "A systemd unit that is brought into a state.",
    one_of: &[],
    fields: &[
        needed("name", "The unit.", Shape::Text(&UNIT)),
        optional(
            "enable",
            "It starts at boot from now on; true unless said.",
            Shape::Boolean,
        ),
        needed(
            "state",
            "What it does afterwards: restarted also if it runs already.",
            Shape::Word(&["started", "restarted"]),
        ),
    ],
};

pub(in crate::catalog) static RUN: Object = Object {
    name: "Run",
    about: "A program that is run unless what it creates is there.",
    one_of: &[],
    fields: &[
        needed(
            "argv",
            "Program (absolute path) and arguments; no shell looks at them.",
            Shape::Texts(&ARGUMENT, 1, 64),
        ),
        needed(
            "creates",
            "What is there once it has run.",
            Shape::Text(&PATH),
        ),
    ],
};
