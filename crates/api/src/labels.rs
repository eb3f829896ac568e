//! The closed lists of words in answers, for the document.
//!
//! Answers carry them as text: a client shows a word it does not know as it is. What a list may hold is
//! documented here, and the server's tests compare it with the domain's labels.

use utoipa::ToSchema;

/// Whether an app's container was made by us or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // the words are the documentation
pub enum AppClass {
    Native,
    Adopted,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // the words are the documentation
pub enum AccountRole {
    Admin,
    Operator,
    Viewer,
}

/// What an app is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // the words are the documentation
pub enum AppStatus {
    Deploying,
    Adopting,
    Cloning,
    Running,
    Stopped,
    Updating,
    Removing,
    Error,
}

/// What a line of a pre-flight is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum PreflightSubject {
    Name,
    Place,
    Host,
    Node,
    Memory,
    Cores,
    Storage,
    Template,
    Bridge,
    Ssh,
    PublicPorts,
    InternalPorts,
    Rights,
    NameServers,
    Address,
    Apart,
    Site,
}

/// What a line of a pre-flight comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum PreflightVerdict {
    Ok,
    Warn,
    Stop,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum OperationKind {
    Deploy,
    Start,
    Stop,
    Restart,
    Remove,
    Adopt,
    Forget,
    RestoreKeys,
    Update,
}

/// Where an operation stands. `succeeded`, `failed` and `cancelled` are final; `stuck` waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum OperationState {
    Queued,
    Running,
    Unwinding,
    Succeeded,
    Failed,
    Cancelled,
    Stuck,
}

/// Where an apply stands. `done`, `failed` and `stopped` are final; `stopping` begins nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum ApplyState {
    Running,
    Stopping,
    Done,
    Failed,
    Stopped,
}

/// Where a change of an apply stands. `held_up` was not begun for what it depends on, `not_started` because of a stop; `quiet` is
/// one with nothing to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum ApplyChangeState {
    Waiting,
    Started,
    Done,
    Failed,
    HeldUp,
    NotStarted,
    Quiet,
}

/// What is done with what a source says: `plan` keeps a plan for a person, `apply` applies what takes nothing away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum SourcePolicy {
    Plan,
    Apply,
}

/// Where a source stands. `unreachable`, `wrong` and `failed` say why in `problem`; `waiting` waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum SourceState {
    New,
    Unreachable,
    Wrong,
    Waiting,
    Applying,
    AsWanted,
    Failed,
}

/// What becomes of an entry of the catalog when a commit is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum EntryFate {
    New,
    Changed,
    Gone,
}

/// Where a step of an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum StepState {
    Started,
    Succeeded,
    Failed,
    UndoStarted,
    UndoFinished,
    UndoFailed,
}

/// How far putting the helper on a node came, or taking it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum HelperState {
    Seen,
    Answers,
    Gone,
    Unfinished,
}

/// What our SSH key leads to on the nodes of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum SshKind {
    Plain,
    Helper,
}

/// Weight of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum LogLevel {
    Info,
    Warning,
    Error,
}

/// What kind of value a setting takes. A secret is sealed and never shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum SettingKind {
    Text,
    Secret,
    Integer,
    Boolean,
    Choice,
    Port,
    Path,
}

/// How a certificate is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum Trust {
    Fingerprint,
    Ca,
    System,
}

/// `hard`: the containers are destroyed. `soft`: they are left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum DeletionType {
    Hard,
    Soft,
}

/// Whether everything works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum HealthStatus {
    Healthy,
    Degraded,
}

/// How bad a finding of doctor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum FindingLevel {
    Fault,
    Unknown,
    Warning,
    Note,
    Ok,
}
