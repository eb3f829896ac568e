//! `/api/catalog/`: what can be deployed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::labels::SettingKind;

/// Answer of `GET /api/catalog/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogList {
    /// The entries that match: with `q` those that fit best first, else by id.
    pub entries: Vec<CatalogEntry>,
    /// Categories of the whole catalog, by name.
    pub categories: Vec<String>,
    /// How many entries the whole catalog has.
    #[serde(default)]
    pub stats: CatalogStats,
    /// What is not in the catalog because something is wrong with it.
    #[serde(default)]
    pub problems: Vec<CatalogProblem>,
}

/// Counts over the whole catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogStats {
    /// All entries.
    pub entries: usize,
    /// Those of each category.
    pub by_category: BTreeMap<String, usize>,
    /// Those from each place: `shipped`, `folder:PATH` or `source:NAME`.
    pub by_source: BTreeMap<String, usize>,
    /// Shipped ones that were seen to work in a real container.
    pub verified: usize,
    /// Files and folders that something is wrong with.
    pub problems: usize,
}

/// Something that is not in the catalog, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogProblem {
    /// The file or folder; of a source `NAME@COMMIT:PATH`.
    pub place: String,
    /// What is wrong, for people; it may have several lines.
    pub message: String,
}

/// Answer of `POST /api/catalog-reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogReload {
    /// How many entries there are now.
    pub stats: CatalogStats,
    /// What is left out, and why.
    pub problems: Vec<CatalogProblem>,
}

/// Query of `GET /api/catalog/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CatalogQuery {
    /// Only entries that have each of these words somewhere: in id, name, tags, category, summary or description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 200, example = "web")]
    pub q: Option<String>,
    /// Only entries of this category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Only entries from there: `shipped`, `folder:PATH` or `source:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "shipped")]
    pub source: Option<String>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogEntry {
    /// Id, e.g. `nginx`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Version of the entry.
    pub version: String,
    /// What it is, one sentence.
    pub summary: String,
    /// e.g. `web`.
    pub category: String,
    /// Port it listens on inside the container.
    pub container_port: u16,
    /// Least memory it can do with, MiB.
    pub min_memory: u64,
    /// What it is, as long as needed.
    #[serde(default)]
    pub description: String,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Home of the project.
    #[serde(default)]
    pub website: Option<String>,
    /// Its licence, as an SPDX expression.
    #[serde(default)]
    pub license: Option<String>,
    /// Where new releases of the app are told, e.g. `github:nginx/nginx`.
    #[serde(default)]
    pub releases: Option<String>,
    /// What it is installed on, e.g. `debian-12-standard`, or the image that its container is made of, with its tag.
    #[serde(default)]
    pub os_template: String,
    /// How it is known that it works, one sentence.
    #[serde(default)]
    pub health: String,
    /// All ports it listens on inside the container.
    #[serde(default)]
    pub ports: Vec<CatalogPort>,
    /// Where it comes from: `shipped`, `folder:PATH` or `source:NAME`.
    #[serde(default)]
    pub source: String,
    /// The commit that it was taken from, of a source.
    #[serde(default)]
    pub commit: Option<String>,
    /// SHA-256 of its file. An app goes on with the file that it was made from.
    #[serde(default)]
    pub revision: String,
    /// It is shipped, and was seen to work in a real container.
    #[serde(default)]
    pub verified: bool,
    /// It fetches something that is held against no SHA-256: it is deployed only with `allow_unpinned`.
    #[serde(default)]
    pub unpinned: bool,
    /// Settings it takes at deploy.
    pub settings: Vec<CatalogSetting>,
}

/// A port that an entry's app listens on inside its container. An app's own ports lead to the main one; others are reached at the
/// container's address alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogPort {
    /// One word.
    pub name: String,
    /// Its number.
    pub number: u16,
    /// `tcp`, `udp` or `http`.
    pub protocol: String,
    /// The app's own ports lead to it.
    pub main: bool,
}

/// One setting of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogSetting {
    /// Name; `environment` and `--set` take it.
    pub name: String,
    /// Its other name, in the form of an environment variable; taken as well.
    pub env: String,
    /// What it does, one sentence.
    pub summary: String,
    /// `text`, `secret`, `integer`, `boolean`, `choice`, `port` (1 to 65535) or `path` (absolute, in its shortest form). A secret
    /// is sealed and never shown again.
    #[schema(value_type = SettingKind)]
    pub kind: String,
    /// Value unless given; `null` where there is none.
    pub default: Option<String>,
    /// The words of a choice.
    #[serde(default)]
    pub options: Vec<String>,
    /// It must be given.
    pub required: bool,
    /// Where it is not given, a secret is made.
    #[serde(default)]
    pub generated: bool,
    /// It is asked for only then; `null`: always.
    #[serde(default)]
    pub shown_when: Option<ShownWhen>,
}

/// Where a setting is asked for. Where it is not, it has its default, or no value, and none is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownWhen {
    /// Name of another setting.
    pub setting: String,
    /// The value that it has then, as text.
    pub equals: String,
}
