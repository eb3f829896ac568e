//! What each call of this client needs to be allowed, by which token it is sent, and what a token of each purpose holds.
//!
//! [`TABLE`] is the one place that says so. The choice of a token ([`crate::transport::tokens`]), the roles that are made on a
//! cluster ([`grants`]), what is said about a refusal ([`lacks`]) and the page docs/reference/privileges.md come from it. It is
//! here and not in the domain because it speaks of PVE's methods, paths and parameters, which the domain does not know.

mod entry;
mod grants;
mod lack;
mod narrow;
mod needs;
mod page;
mod privilege;
mod scope;
mod table;

pub use entry::{Basis, Entry, Need, Sender, entry_of};
pub use grants::{Grant, Reason, grants};
pub use lack::{Lack, lacks};
pub use narrow::Places;
pub use page::privileges_markdown;
pub use privilege::Privilege;
pub use scope::Scope;
pub use table::TABLE;
