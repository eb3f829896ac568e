//! `/api/export`: what is on record, as documents of desired state.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /api/export`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// Only these apps: ids or host names, with commas between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "web,shop-db")]
    pub app: Option<String>,
    /// Only apps of this host entry (label or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How each document is written: `yaml` unless given, or `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "yaml")]
    pub format: Option<String>,
    /// With whether each app runs, as that is on record; else only of apps whose documents said something of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<bool>,
}

/// Answer of `GET /api/export`. A plan of these documents is empty, as long as no cluster differs from the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Export {
    /// One for each app, by name.
    pub documents: Vec<ExportedDocument>,
    /// What the documents name and do not hold: to be set before an app is made of them elsewhere.
    pub secrets: Vec<ExportedSecret>,
    /// Apps of which there is no document, by name.
    pub left_out: Vec<NotExported>,
}

/// An app as a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportedDocument {
    /// The app.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name, which is the document's name.
    pub name: String,
    /// `App`, whose container was made, or `AdoptedApp`, whose container was found.
    pub kind: String,
    /// The document, with a line end.
    pub text: String,
    /// What keeps a plan of it from being empty as things are.
    pub notes: Vec<String>,
}

/// A secret that a document names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportedSecret {
    /// What the document calls it.
    pub name: String,
    /// The app's host name.
    pub app: String,
    /// The setting whose value it is.
    pub setting: String,
}

/// An app of which there is no document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotExported {
    /// The app.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub name: String,
    /// Why.
    pub why: String,
}
