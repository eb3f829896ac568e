//! A recording's file with its whole fixture.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// Bases that scenarios build on; no scenario itself.
const BASES: &str = "_fixture-standard.json";
/// What tells elements of fixture lists apart, in the order they are tried.
const IDENTITIES: [&str; 8] = [
    "id", "volid", "as", "userid", "roleid", "poolid", "vmid", "sid",
];

/// Where a fixture says in which folder an OCI image starts its command.
pub const WORKING_DIR: &str = "working_dir";

/// Where a fixture says how large a template's file is.
pub const FILE_SIZE: &str = "size";

/// A value that follows from nothing a fixture says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsaid {
    /// The value of a line of a container's raw configuration.
    Line(&'static str),
    /// The size of a file with this name.
    SizeOf(String),
    /// The size of an archive that a backup made.
    Archives,
}

impl Unsaid {
    pub fn why(&self) -> &'static str {
        match self {
            Self::Line(_) => "the fixture does not say the image's working directory",
            Self::SizeOf(_) => "the fixture does not say how large the file is",
            Self::Archives => "how well an archive packs follows from no rule",
        }
    }
}

pub struct Scenario {
    pub document: Value,
    /// The fixture with its bases merged in.
    pub fixture: Value,
    pub volatile: Vec<String>,
}

/// Names of the recordings in a folder, sorted.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".json") && !name.starts_with('_')
        })
        .collect();
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

impl Scenario {
    pub fn load(path: &Path) -> Result<Self, String> {
        let document = read(path)?;
        let bases = read(&path.with_file_name(BASES))?;
        let fixture = resolve(&bases, &document["fixture"]);
        let volatile = document["volatile"].as_array().into_iter().flatten();
        let volatile = volatile
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let mut fixture = fixture;
        fixture["guest_defaults"] = bases["guest_defaults"].clone();
        Ok(Self {
            document,
            fixture,
            volatile,
        })
    }

    pub fn name(&self) -> &str {
        self.document["name"].as_str().unwrap_or("?")
    }

    pub fn steps(&self) -> &[Value] {
        self.document["steps"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// A list of the fixture.
    pub fn list(&self, key: &str) -> &[Value] {
        self.fixture[key]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// What cannot be compared because the fixture leaves it out.
    pub fn unsaid(&self) -> Vec<Unsaid> {
        let templates = self.list("templates");
        let folder = templates.iter().any(|template| {
            template["kind"] == "oci" && !template["image_config"][WORKING_DIR].is_string()
        });
        let sizes = templates
            .iter()
            .filter(|template| !template[FILE_SIZE].is_u64());
        let file = |template: &Value| {
            let name = template["volid"].as_str()?.rsplit('/').next()?;
            Some(Unsaid::SizeOf(name.to_owned()))
        };
        folder
            .then_some(Unsaid::Line("lxc.init.cwd"))
            .into_iter()
            .chain(sizes.filter_map(file))
            .chain(std::iter::once(Unsaid::Archives))
            .collect()
    }

    /// Why it cannot be set up at all.
    pub fn unsupported(&self) -> Option<&str> {
        self.fixture["unsupported"].as_str()
    }

    /// Why a step is to be left out.
    pub fn unsupported_step(&self, number: u64) -> Option<&str> {
        let step = self
            .list("unsupported_steps")
            .iter()
            .find(|entry| entry["step"] == number)?;
        Some(step["why"].as_str().unwrap_or("unsupported"))
    }
}

/// A fixture on top of its bases.
fn resolve(bases: &Value, fixture: &Value) -> Value {
    let mut whole = match fixture["base"].as_str() {
        Some(base) => resolve(bases, &bases[base]),
        None => json!({}),
    };
    for (key, value) in fixture.as_object().into_iter().flatten() {
        if key == "base" {
            continue;
        }
        match (&mut whole[key.as_str()], value) {
            (Value::Array(list), Value::Array(more)) => merge(list, more),
            (Value::Object(fields), Value::Object(more)) => merge_fields(fields, more),
            (place, value) => *place = value.clone(),
        }
    }
    whole
}

fn merge(list: &mut Vec<Value>, more: &[Value]) {
    for element in more {
        let identity = IDENTITIES.iter().find(|key| element.get(**key).is_some());
        let known = identity.and_then(|key| {
            // Grants are lists of their own: path, role and holder together.
            let grant = element.get("path").is_some();
            list.iter()
                .position(|other| !grant && other[*key] == element[*key])
        });
        match known {
            Some(at) => list[at] = element.clone(),
            None => list.push(element.clone()),
        }
    }
}

fn merge_fields(fields: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (key, value) in more {
        fields.insert(key.clone(), value.clone());
    }
}
