//! What a state directory remembers about its lab, so that a restart or a removal finds what was made.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::file::write_atomically;
use super::network::Network;
use super::private;
use super::registry::random_hex;
use super::route::device_exists;

const FILE: &str = "identity.json";

/// A lab's names on the machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Four hex digits, part of the names of everything the lab makes.
    pub(crate) id: String,
    /// Bridge and addresses.
    pub(crate) network: Network,
    /// The private namespace it was made in, if any.
    pub(crate) scope: Option<String>,
}

impl Identity {
    /// Reads the identity of the lab at `state`, if it has one.
    ///
    /// # Errors
    /// The file is there and unreadable.
    pub(crate) fn read(state: &Path) -> Result<Option<Self>, LabError> {
        let path = state.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes)
                    .map(Some)
                    .map_err(|error| LabError::BadState {
                        path,
                        reason: error.to_string(),
                    })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LabError::Io {
                what: format!("read {}", path.display()),
                source,
            }),
        }
    }

    /// The identity of the lab at `state`; a new one is drawn for a new lab, and for one that moved to another
    /// network namespace whose addresses it might collide with.
    ///
    /// # Errors
    /// No free network, or the file cannot be written.
    pub(crate) async fn establish(state: &Path) -> Result<Self, LabError> {
        let scope = private::scope();
        let known = Self::read(state)?;
        if let Some(known) = &known
            && known.scope == scope
            && (device_exists(&known.network.bridge) || known.network.is_free().await?)
        {
            return Ok(known.clone());
        }
        let id = match known {
            Some(known) => known.id,
            None => unused_id()?,
        };
        let network = Network::choose(&id).await?;
        let fresh = Self { id, network, scope };
        fresh.write(state)?;
        Ok(fresh)
    }

    fn write(&self, state: &Path) -> Result<(), LabError> {
        let path = state.join(FILE);
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| LabError::BadState {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        write_atomically(&path, &bytes, 0o600)
            .map_err(LabError::io(format!("write {}", path.display())))
    }
}

fn unused_id() -> Result<String, LabError> {
    for _ in 0..64 {
        let id = random_hex(2)?;
        if !device_exists(&format!("pxlab{id}")) {
            return Ok(id);
        }
    }
    Err(LabError::Network("no free bridge name".to_owned()))
}
