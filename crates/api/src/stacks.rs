//! `/api/stacks`: apps that documents put together, started and stopped in the order of what they need.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::apps::Problem;
use crate::labels::AppStatus;

/// Answer of `GET /api/stacks`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StackList {
    /// The stacks that apps belong to.
    pub stacks: Vec<Stack>,
}

/// A stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Its apps, by name.
    pub apps: Vec<StackApp>,
}

/// An app of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StackApp {
    /// Its host name in the documents.
    pub hostname: String,
    /// Its id; `null` where there is no such app any more.
    #[schema(format = "uuid")]
    pub app_id: Option<String>,
    /// What it is doing.
    #[schema(value_type = Option<AppStatus>)]
    pub status: Option<String>,
    /// The apps of the stack that it needs: they are started before it, and stopped after it.
    pub depends_on: Vec<String>,
}

/// What can be done to a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StackAction {
    /// Start its apps, each after those that it needs.
    Start,
    /// Shut its apps down, each after those that need it.
    Stop,
    /// Shut all of them down, then start all of them.
    Restart,
}

/// Body of `POST /api/stacks/{name}/action`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StackActionRequest {
    /// What to do.
    pub action: StackAction,
    /// Stop without waiting for containers to shut down (`stop`, `restart`).
    #[serde(default)]
    #[schema(required = false)]
    pub force: bool,
    /// The `run` of an answer before: that run goes on, within a day. Left out, a new one begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub run: Option<String>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StackRunState {
    /// Operations are under way; asked again with the same `run`, it goes on.
    Going,
    /// All of it is done.
    Done,
    /// Something failed, so that nothing more is begun. Asked again with the same `run` once that is mended, it goes on.
    Failed,
}

/// How far one app is on one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StackPart {
    /// Nothing was begun yet.
    Open,
    /// An operation is under way.
    Going,
    /// It is so.
    Done,
    /// It is not to be done with this app; `problem` says why, where it is not the action itself.
    Left,
    /// It failed, or the app refused it.
    Failed,
}

/// Answer of `POST /api/stacks/{name}/action`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StackRun {
    /// The stack.
    pub name: String,
    /// What is done.
    pub action: StackAction,
    /// Names the run, for the next request.
    #[schema(format = "uuid")]
    pub run: String,
    /// How far it is.
    pub state: StackRunState,
    /// Its apps, by name.
    pub apps: Vec<StackAppRun>,
}

/// How far an app is in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StackAppRun {
    /// Its host name in the documents.
    pub hostname: String,
    /// Being stopped.
    pub stop: StackAppPart,
    /// Being started.
    pub start: StackAppPart,
}

/// One way of an app in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StackAppPart {
    /// How far it is.
    pub state: StackPart,
    /// The operation that does or did it.
    #[schema(format = "uuid")]
    pub operation_id: Option<String>,
    /// Why it failed, or is left out.
    pub problem: Option<Problem>,
}
