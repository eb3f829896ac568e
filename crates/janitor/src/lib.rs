//! The janitor: marks apps that are stuck on their way, and nothing else.
//!
//! No client of a cluster is a dependency of this crate or of what it depends on. The dependency picture of `cargo xtask tidy`
//! holds to that, and this example:
//!
//! ```compile_fail,E0432
//! use proximity_pve::Client;
//! ```
//!
//! What it does have can be named:
//!
//! ```
//! use proximity_store::Store;
//! ```

mod janitor;

#[cfg(feature = "bug-switches")]
pub use janitor::take_all_for_dead;
pub use janitor::{JANITOR_EVERY, Janitor, JanitorReport, JanitorResult, LEFT_LINE};
