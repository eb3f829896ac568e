//! `/api/sources`: branches of repositories with documents.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::apps::Problem;
use crate::labels::{SourcePolicy, SourceState};
use crate::secret::Secret;

/// Body of `POST /api/sources`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddSource {
    /// Its name.
    pub name: String,
    /// The repository: `https://…`, or `ssh://…` with a key. No password is part of it.
    pub url: String,
    /// The branch: `main` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The folder or file with the documents, from the root of the repository: all of it unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Seconds from one look to the next: 300 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 30, maximum = 86400)]
    pub every_s: Option<u32>,
    /// What is done with what differs: `plan` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SourcePolicy>)]
    pub policy: Option<String>,
    /// Apps that no document of it names are removed. Such a source is the only one.
    #[serde(default)]
    pub prune: bool,
    /// Who may sign commits, as OpenSSH lists allowed signers. With it a commit that none of them has signed is not looked at.
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

/// A source, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// The repository.
    pub url: String,
    /// The branch that counts.
    pub branch: String,
    /// The folder or file with the documents; `null` = the whole repository.
    pub path: Option<String>,
    /// Seconds from one look to the next.
    pub every_s: u32,
    /// What is done with what differs.
    #[schema(value_type = SourcePolicy)]
    pub policy: String,
    /// Apps that no document of it names are removed.
    pub prune: bool,
    /// Commits have to be signed.
    pub signed: bool,
    /// It is read with a key or a token.
    pub has_credential: bool,
    /// When it was added.
    pub made_at: Timestamp,
    /// By which account, in whose name its plans are made and applied.
    pub made_by: String,
    /// Where it stands.
    #[schema(value_type = SourceState)]
    pub state: String,
    /// The commit that was looked at last.
    pub commit: Option<String>,
    /// The last commit as which all was.
    pub applied_commit: Option<String>,
    /// The plan that waits, or that is or was applied.
    #[schema(format = "uuid")]
    pub plan_id: Option<String>,
    /// Its apply.
    #[schema(format = "uuid")]
    pub apply_id: Option<String>,
    /// Why it does not go on.
    pub problem: Option<Problem>,
    /// What is wrong with the documents, fifty at most.
    pub problems: Vec<SourceProblem>,
    /// Looks in a row that came to nothing; while the repository cannot be read each is followed by a longer pause.
    pub failures: u32,
    /// When it was looked at last.
    pub looked_at: Option<Timestamp>,
    /// When it is looked at next.
    pub due_at: Timestamp,
}

/// Something that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceProblem {
    /// File, line and column, or which app it is about.
    pub place: String,
    /// What is wrong, and what to do about it.
    pub message: String,
}

/// Answer of `POST /api/sources`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddedSource {
    /// The source.
    pub source: Source,
    /// What nudges are to be signed with. It is told this once.
    pub hook_secret: String,
}

/// Answer of `GET /api/sources`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceList {
    /// All sources.
    pub sources: Vec<Source>,
}
