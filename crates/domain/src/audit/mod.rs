//! The chain of the audit: what an entry's link is made of, and how a chain is walked and held against anchors.
//!
//! Each entry's link is the SHA-256 of the link before it and of the entry's own canonical bytes. Whoever changes, removes, adds
//! or moves an entry breaks the chain there. Whoever makes all links behind it anew, or cuts the end off, does not break it:
//! that shows against an anchor alone, a head that was written down elsewhere ([`Anchor`]).
//!
//! The log of events is another chain of the same kind ([`EventEntry`]); its oldest rows are cleared away, so it may begin behind any
//! number.

mod anchor;
mod entry;
mod event_entry;
mod walk;

pub use anchor::{Anchor, Chain, Head, LOG_TARGET};
pub use entry::{Entry, Link};
pub use event_entry::EventEntry;
pub use walk::{Break, Chained, Walk};
