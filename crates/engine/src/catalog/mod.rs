//! The catalog: what can be deployed and how it is installed.
//!
//! An entry is a YAML file of a versioned format (`format.rs`, checked further by `check.rs`), read and
//! checked whole when the catalog is loaded: a bad value is an error with file, line and column, never a
//! surprise at deploy time. [`CatalogEntry::resolve`] turns an entry and a user's settings into concrete
//! steps. It is pure: whoever installs gets finished file contents and argument lists, nothing to
//! interpret and no shell text.
//!
//! Whoever writes an entry is told of everything at once by [`lint_entries`], which holds the file against a table (`table.rs`) that the
//! JSON Schema for editors ([`schema()`]) is made of as well.
//!
//! **Architecture invariant:** nothing in this module but `load.rs` touches a file.

mod check;
mod desired;
mod embed;
mod entry;
mod error;
mod escape;
mod format;
mod image;
mod import;
mod lint;
mod load;
mod made;
mod offered;
mod parse;
mod recipe;
mod resolve;
mod schema;
mod setting;
mod table;
mod template;
mod unit;
mod words;

pub use entry::{Base, CatalogEntry, OsTemplate};
pub use error::{CatalogError, CatalogErrors, SettingErrors};
pub use escape::Escape;
pub use format::{
    Alphabet, DirectoryStep, DownloadStep, ExecCheck, Generate, HttpCheck, ImageVolume, NpmStep,
    Port, PortProtocol, Protocol, Releases, RunStep, UnitFileStep, UnitState, UnitStep, Unpack,
    UserStep, VenvStep,
};
pub use image::Image;
pub use import::{ImportCode, ImportFate, ImportNote, Imported, import};
pub use lint::{Code, EntryProblem};
pub use load::{Catalog, Linted, lint_entries, lint_text};
pub(crate) use load::{FILE_NAME, MAX_ENTRIES, MAX_FILE_BYTES, kept, look_of};
pub(crate) use made::root_password;
pub(crate) use offered::place_in;
pub use offered::{
    CatalogPlaces, CatalogProblem, CatalogStats, EntryOrigin, Offered, TakenEntries, revision_of,
};
pub use parse::tree;
pub use recipe::{
    Check, FileContent, HealthCheck, ResolvedFile, ResolvedRecipe, ResolvedSetting, Step,
};
pub use schema::schema;
pub use setting::{Pattern, Setting, SettingKind, SettingValue, ShownWhen, TextRule};
pub use words::{Account, FileMode, GuestPath, PackageName, PinnedNpm, PinnedPython, UnitName};
