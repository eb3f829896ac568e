//! PVE's asynchronous tasks: their state, their log, their lists, and waiting for them.

mod list;
mod newest;
mod outcome;
mod pace;
mod standing;
mod status;
mod watcher;

pub use list::{TaskFilter, TaskRow, TaskSource};
pub use newest::NewestTasks;
pub use outcome::TaskOutcome;
pub use status::{LogLine, TaskStatus};
pub use watcher::TaskWatcher;
