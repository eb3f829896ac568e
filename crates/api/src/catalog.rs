//! `/api/catalog/`: what can be deployed.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::labels::SettingKind;

/// Answer of `GET /api/catalog/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogList {
    /// The entries that match, by id.
    pub entries: Vec<CatalogEntry>,
    /// Categories of the whole catalog, by name.
    pub categories: Vec<String>,
}

/// Query of `GET /api/catalog/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CatalogQuery {
    /// Only entries whose id, name, summary or category holds this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 200, example = "web")]
    pub q: Option<String>,
    /// Only entries of this category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
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
    /// What it is installed on, e.g. `debian-12-standard`.
    #[serde(default)]
    pub os_template: String,
    /// How it is known that it works, one sentence.
    #[serde(default)]
    pub health: String,
    /// All ports it listens on inside the container.
    #[serde(default)]
    pub ports: Vec<CatalogPort>,
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
