//! Desired state as text: documents in YAML or JSON, read into what they want and written again.
//!
//! Flow of a reading ([`read`]): texts are cut into documents of places and values (`yaml`, the only one that knows the library);
//! each document's head says its kind; documents of values are laid together (`values`) and put into the others; each is held
//! against the shape of its kind (`kinds`, one table); then names and dependencies are looked at (`order`); what is right becomes
//! the types of [`proximity_domain::manifest`].
//! Guarantees: everything that is wrong is told with file, line, column, the line's text and a hint, as many as are found; what a
//! text may cost is bounded before it is spent (`limits`); no text makes a panic.
//!
//! **Architecture invariant:** nothing here reads a file, asks a server, or knows the catalog.

mod check;
mod given;
mod ignored;
mod kinds;
mod limits;
mod misplaced;
mod nearest;
mod node;
mod order;
mod place;
mod problem;
mod read;
mod scalar;
mod schema;
mod shape;
mod source;
mod values;
mod write;
mod yaml;

pub use limits::{MOST_BYTES, MOST_SOURCE_BYTES, MOST_SOURCES};
pub use nearest::nearest;
pub use problem::{Problem, Problems};
pub use read::{Given, Manifests, read};
pub use schema::schema;
pub use source::Source;
pub use write::{WriteError, write, write_json};
