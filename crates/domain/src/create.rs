//! Deciding about a request for a new app: pure, from what was asked and what was observed.

use serde::{Deserialize, Serialize};

use crate::names::{CatalogId, Hostname, NodeName};
use crate::network::Conflict;
use crate::place::NoPlace;

/// Resources of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Memory limit, MiB.
    pub memory_mib: u64,
    /// CPU cores.
    pub cores: u32,
    /// Root file system, GiB.
    pub disk_gib: u32,
}

/// What a user may leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ResourceRequest {
    /// Memory limit, MiB.
    pub memory_mib: Option<u64>,
    /// CPU cores.
    pub cores: Option<u32>,
    /// Root file system, GiB.
    pub disk_gib: Option<u32>,
}

/// What a catalog entry needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Least memory, MiB.
    pub min_memory_mib: u64,
    /// What it gets unless asked otherwise.
    pub default: Resources,
}

/// Why a new app is refused; nothing was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another live app has this name.
    #[error("the host name {0} is taken by another app")]
    HostnameTaken(Hostname),
    /// No such entry.
    #[error("there is no app {0} in the catalog")]
    UnknownCatalogId(CatalogId),
    /// The entry fetches what is held against nothing, and nobody allowed it.
    #[error("{0} is unpinned: what it fetches is held against no SHA-256")]
    Unpinned(CatalogId),
    /// Less memory than the entry needs.
    #[error("{asked} MiB of memory is less than the {needed} MiB that {app} needs")]
    TooLittleMemory {
        /// The entry.
        app: CatalogId,
        /// Asked for.
        asked: u64,
        /// Needed.
        needed: u64,
    },
    /// A figure outside of what PVE takes.
    #[error("{what} must be {min} to {max}, got {asked}")]
    OutOfRange {
        /// Which figure.
        what: &'static str,
        /// Asked for.
        asked: u64,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// No node can take it.
    #[error("{0}")]
    NoPlace(NoPlace),
    /// An address that is given is another app's.
    #[error("{0}")]
    AddressTaken(Conflict),
    /// The template was on the app's node when it was placed, and is not any more.
    #[error("the template {template} is not on node {node} any more")]
    TemplateMissing {
        /// As the catalog names it.
        template: String,
        /// The app's node.
        node: NodeName,
    },
}

/// Fills in and checks the resources.
///
/// # Errors
/// [`Refusal`] when a figure is out of range or below the entry's need.
pub fn resources(
    app: &CatalogId,
    needs: &Needs,
    asked: ResourceRequest,
) -> Result<Resources, Refusal> {
    let got = Resources {
        memory_mib: asked.memory_mib.unwrap_or(needs.default.memory_mib),
        cores: asked.cores.unwrap_or(needs.default.cores),
        disk_gib: asked.disk_gib.unwrap_or(needs.default.disk_gib),
    };
    // PVE's schema: memory 16 MiB and up, cores 1 to 8192; disk as a whole number of GiB.
    let range = |what, asked: u64, min, max| {
        if (min..=max).contains(&asked) {
            Ok(())
        } else {
            Err(Refusal::OutOfRange {
                what,
                asked,
                min,
                max,
            })
        }
    };
    range("memory (MiB)", got.memory_mib, 16, 16 << 20)?;
    range("cores", u64::from(got.cores), 1, 8192)?;
    range("disk (GiB)", u64::from(got.disk_gib), 1, 131_072)?;
    if got.memory_mib < needs.min_memory_mib {
        return Err(Refusal::TooLittleMemory {
            app: app.clone(),
            asked: got.memory_mib,
            needed: needs.min_memory_mib,
        });
    }
    Ok(got)
}
