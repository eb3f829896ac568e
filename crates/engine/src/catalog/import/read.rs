//! Reads the ancestor's JSON: each field by its type, within bounds. What is not known or of another type is told and left out.

use std::collections::BTreeMap;

use proximity_domain::names::CatalogId;
use serde_json::{Map, Value};

use super::{ImportCode, ImportNote, note};

/// Services of an app, and items of each of its lists and maps.
const MOST: usize = 256;

/// An app of the ancestor's catalog.
#[derive(Debug)]
pub(super) struct App {
    pub(super) id: CatalogId,
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) description: String,
    pub(super) category: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) website: Option<String>,
    pub(super) ports: Vec<u64>,
    pub(super) min_memory_mib: Option<u64>,
    pub(super) min_cores: Option<u64>,
    pub(super) min_disk_gib: Option<u64>,
    pub(super) containers: BTreeMap<String, Container>,
}

/// One container of it.
#[derive(Debug, Default)]
pub(super) struct Container {
    pub(super) image: String,
    /// Names and values; a value is looked at and never told.
    pub(super) environment: Vec<(String, String)>,
    pub(super) network_mode: Option<String>,
    pub(super) ports: Vec<String>,
    pub(super) volumes: Vec<String>,
    pub(super) has_command: bool,
    /// Fields that ask for something of the machine.
    pub(super) asks: Vec<String>,
}

const FIELDS: [&str; 16] = [
    "id",
    "name",
    "version",
    "description",
    "icon",
    "category",
    "docker_compose",
    "ports",
    "volumes",
    "environment",
    "min_memory",
    "min_cpu",
    "min_disk",
    "tags",
    "author",
    "website",
];
const OF_CONTAINER: [&str; 8] = [
    "image",
    "environment",
    "restart",
    "network_mode",
    "ports",
    "volumes",
    "command",
    "depends_on",
];
const OF_COMPOSE: [&str; 3] = ["version", "services", "volumes"];
/// Fields of a service by which it has more than its container.
const ASKS: [&str; 7] = [
    "privileged",
    "devices",
    "cap_add",
    "pid",
    "ipc",
    "security_opt",
    "sysctls",
];

/// Where something stands, and where it is told.
struct Reader<'n> {
    notes: &'n mut Vec<ImportNote>,
}

/// The app; `None` where what has to be there is not, which is told.
pub(super) fn app(value: &Value, notes: &mut Vec<ImportNote>) -> Option<App> {
    let mut reader = Reader { notes };
    let Some(fields) = value.as_object() else {
        reader.tell(ImportCode::Unreadable, "", "it is no JSON object");
        return None;
    };
    reader.unknown(fields, "", &FIELDS);
    let id = reader.id(fields);
    let name = reader.text(fields, "", "name");
    let containers = reader.containers(fields);
    let description = reader.text(fields, "", "description");
    let name = match (name, &id) {
        (None, Some(id)) => Some(id.to_string()),
        (name, _) => name,
    };
    let app = App {
        id: id?,
        description: description.unwrap_or_else(|| name.clone().unwrap_or_default()),
        name: name?,
        version: reader.text(fields, "", "version"),
        category: reader.text(fields, "", "category"),
        tags: reader.texts(fields, "", "tags"),
        website: reader.text(fields, "", "website"),
        ports: reader.ports(fields),
        min_memory_mib: reader.number(fields, "min_memory"),
        min_cores: reader.number(fields, "min_cpu"),
        min_disk_gib: reader.number(fields, "min_disk"),
        containers,
    };
    if app.containers.is_empty() {
        let at = "docker_compose.services";
        reader.tell(ImportCode::MissingField, at, "there is no container in it");
    }
    Some(app)
}

fn below(at: &str, name: &str) -> String {
    // A name of theirs is as long as they like.
    let name: String = name.chars().take(60).collect();
    if at.is_empty() {
        name
    } else {
        format!("{at}.{name}")
    }
}

impl Reader<'_> {
    fn tell(&mut self, code: ImportCode, at: &str, message: impl Into<String>) {
        self.notes.push(note(code, at, message));
    }

    fn wrong(&mut self, at: &str, wanted: &str) {
        self.tell(
            ImportCode::WrongType,
            at,
            format!("it has to be {wanted}, and is left out"),
        );
    }

    fn unknown(&mut self, fields: &Map<String, Value>, at: &str, known: &[&str]) {
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let at = below(at, name);
            let message = "it is not known here, and is left out";
            self.tell(ImportCode::UnknownField, &at, message);
        }
    }

    fn text(&mut self, fields: &Map<String, Value>, at: &str, name: &str) -> Option<String> {
        match fields.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            _ => {
                self.wrong(&below(at, name), "a text");
                None
            }
        }
    }

    /// The texts of a list; items that are none are left out.
    fn texts(&mut self, fields: &Map<String, Value>, at: &str, name: &str) -> Vec<String> {
        let at = below(at, name);
        let mut texts = Vec::new();
        for item in self.items(fields.get(name), &at) {
            match item {
                Value::String(text) => texts.push(text.clone()),
                Value::Number(number) => texts.push(number.to_string()),
                Value::Object(fields) => {
                    // The long form of a volume.
                    let source = fields.get("source").and_then(Value::as_str);
                    let target = fields.get("target").and_then(Value::as_str);
                    texts.push([source.unwrap_or(""), target.unwrap_or("")].join(":"));
                }
                Value::Null | Value::Bool(_) | Value::Array(_) => {
                    self.wrong(&at, "a list of texts");
                }
            }
        }
        texts
    }

    fn items<'v>(&mut self, value: Option<&'v Value>, at: &str) -> &'v [Value] {
        match value {
            None | Some(Value::Null) => &[],
            Some(Value::Array(items)) => {
                if items.len() > MOST {
                    let message = format!("of {} items {MOST} are looked at", items.len());
                    self.tell(ImportCode::BadValue, at, message);
                }
                items.get(..MOST).unwrap_or(items)
            }
            Some(_) => {
                self.wrong(at, "a list");
                &[]
            }
        }
    }

    fn number(&mut self, fields: &Map<String, Value>, name: &str) -> Option<u64> {
        let value = fields.get(name)?;
        let number = value.as_f64().filter(|number| number.is_finite());
        match number {
            // A part of a core or of a MiB is a whole one; within these bounds that is exact.
            Some(number) if (0.0..=16_777_216.0).contains(&number) => Some(number.ceil() as u64),
            _ => {
                self.wrong(name, "a number from 0 to 16777216");
                None
            }
        }
    }

    fn ports(&mut self, fields: &Map<String, Value>) -> Vec<u64> {
        let mut ports = Vec::new();
        for item in self.items(fields.get("ports"), "ports") {
            match item.as_u64().filter(|port| (1..=65_535).contains(port)) {
                Some(port) => ports.push(port),
                None => self.wrong("ports", "a list of numbers from 1 to 65535"),
            }
        }
        ports
    }

    /// The id as ours are written.
    fn id(&mut self, fields: &Map<String, Value>) -> Option<CatalogId> {
        let Some(text) = self.text(fields, "", "id") else {
            self.tell(ImportCode::MissingField, "id", "it has no id");
            return None;
        };
        let plain = slug(&text, 63);
        let Ok(id) = plain.parse::<CatalogId>() else {
            let message = "no id of ours can be made of it";
            self.tell(ImportCode::MissingField, "id", message);
            return None;
        };
        if id.as_str() != text {
            self.tell(ImportCode::BadValue, "id", format!("it is {id} here"));
        }
        Some(id)
    }

    fn containers(&mut self, fields: &Map<String, Value>) -> BTreeMap<String, Container> {
        let at = "docker_compose";
        let Some(compose) = fields.get(at).and_then(Value::as_object) else {
            self.tell(ImportCode::MissingField, at, "it is no map of containers");
            return BTreeMap::new();
        };
        self.unknown(compose, at, &OF_COMPOSE);
        let at = below(at, "services");
        let Some(services) = compose.get("services").and_then(Value::as_object) else {
            self.wrong(&at, "a map");
            return BTreeMap::new();
        };
        let each = services.iter().take(MOST);
        each.filter_map(|(name, value)| {
            let at = below(&at, name);
            let Some(fields) = value.as_object() else {
                self.wrong(&at, "a map");
                return None;
            };
            Some((name.clone(), self.container(fields, &at)))
        })
        .collect()
    }

    fn container(&mut self, fields: &Map<String, Value>, at: &str) -> Container {
        let known: Vec<&str> = OF_CONTAINER.iter().chain(&ASKS).copied().collect();
        self.unknown(fields, at, &known);
        let is_asked = |name: &&&str| match fields.get(**name) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(_) => true,
        };
        let asks = ASKS.iter().filter(is_asked);
        let asks = asks.map(|name| (*name).to_owned()).collect();
        Container {
            image: self.text(fields, at, "image").unwrap_or_default(),
            environment: self.environment(fields, at),
            network_mode: self.text(fields, at, "network_mode"),
            ports: self.texts(fields, at, "ports"),
            volumes: self.texts(fields, at, "volumes"),
            has_command: fields.get("command").is_some_and(|value| !value.is_null()),
            asks,
        }
    }

    /// Variables as a map, or as a list of `NAME=value`.
    fn environment(&mut self, fields: &Map<String, Value>, at: &str) -> Vec<(String, String)> {
        let plain = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        if let Some(Value::Object(variables)) = fields.get("environment") {
            let each = variables.iter().take(MOST);
            return each
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect();
        }
        let texts = self.texts(fields, at, "environment");
        let pair = |text: &String| {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            (name.to_owned(), value.to_owned())
        };
        texts.iter().map(pair).collect()
    }
}

/// Small letters, digits and single dashes, none at either end.
pub(super) fn slug(text: &str, most: usize) -> String {
    let mut plain = String::new();
    for sign in text.chars().flat_map(char::to_lowercase) {
        match sign {
            'a'..='z' | '0'..='9' => plain.push(sign),
            _ if plain.ends_with('-') || plain.is_empty() => {}
            _ => plain.push('-'),
        }
    }
    plain.truncate(most);
    plain.trim_end_matches('-').to_owned()
}
