//! `/api/catalog-sources`: repositories with entries of the catalog.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::catalog::CatalogProblem;
use crate::labels::EntryFate;
use crate::secret::Secret;

/// Body of `POST /api/catalog-sources`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddCatalogSource {
    /// Its name.
    pub name: String,
    /// The repository: `https://…`, or `ssh://…` with a key. No password is part of it.
    pub url: String,
    /// The branch: `main` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The folder with the entries, each `ID/app.yaml` in it: the root of the repository unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Who may sign commits, as OpenSSH lists allowed signers. With it a commit that none of them has signed is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signers: Option<String>,
    /// Token that a repository over HTTPS is read with; no answer ever holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pub token: Option<Secret>,
    /// Private key that a repository over SSH is read with, without a passphrase; no answer ever holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pub ssh_key: Option<Secret>,
    /// The keys that the host of such a repository shows, as OpenSSH lists known hosts. Needed with `ssh_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
}

/// A repository with entries, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogSource {
    /// Its name.
    pub name: String,
    /// The repository.
    pub url: String,
    /// The branch that is asked for something newer.
    pub branch: String,
    /// The folder with the entries; `null` = the root of the repository.
    pub path: Option<String>,
    /// Commits have to be signed.
    pub signed: bool,
    /// It is read with a key or a token.
    pub has_credential: bool,
    /// When it was added.
    pub made_at: Timestamp,
    /// By which account.
    pub made_by: String,
    /// The commit whose entries the catalog has; `null` = nothing was taken yet.
    pub commit: Option<String>,
    /// When it was taken.
    pub taken_at: Option<Timestamp>,
    /// By which account.
    pub taken_by: Option<String>,
}

/// Answer of `GET /api/catalog-sources`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogSourceList {
    /// All of them.
    pub sources: Vec<CatalogSource>,
}

/// Body of `POST /api/catalog-sources/{source}/take`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeCatalogSource {
    /// The commit that was looked at. Where the branch has another one by now nothing is taken.
    pub commit: String,
}

/// What taking a commit changes in the catalog, or has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CatalogDiff {
    /// The source as it is now.
    pub source: CatalogSource,
    /// The commit that was read, the newest one of the branch.
    pub commit: String,
    /// Entries that differ from those of the commit that was taken before, by path.
    pub entries: Vec<EntryDiff>,
    /// How many entries are the same.
    pub same: usize,
    /// What is left out of the catalog with this commit and was not before, and why.
    pub problems: Vec<CatalogProblem>,
}

/// An entry that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EntryDiff {
    /// Its file, from the root of the repository.
    pub path: String,
    /// `new`, `changed` or `gone`.
    #[schema(value_type = EntryFate)]
    pub fate: String,
    /// Its version before; `null` where there is none.
    pub version_before: Option<String>,
    /// Its version from then on; `null` where there is none.
    pub version: Option<String>,
    /// What differs in one that is changed.
    pub changes: Vec<EntryField>,
    /// How many fields differ beyond those.
    pub left_out: usize,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EntryField {
    /// Where it is, e.g. `resources.memory_mib.min` or `install[2].apt`.
    pub path: String,
    /// As it was; `null` where there was none.
    pub from: Value,
    /// As it is; `null` where there is none any more.
    pub to: Value,
}
