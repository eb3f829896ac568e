//! How a shell is started.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::core::{Access, TaskTimes, Template, WorldSeed};

/// Everything [`super::Shell::start`] needs.
#[derive(Debug, Clone)]
pub struct ShellOptions {
    /// Made if absent; holds the world, the certificate, the token secrets and the control socket
    /// (all 0600).
    pub state_dir: PathBuf,
    /// One listener per node of the cluster.
    pub listen: Vec<NodeListen>,
    /// Names and addresses the certificate is also for, beside the listeners', `localhost`,
    /// `127.0.0.1` and the nodes'.
    pub certificate_names: Vec<String>,
    /// The cluster at its first start; its tokens are added from `tokens`. Later starts go on with
    /// the stored world.
    pub seed: WorldSeed,
    /// API tokens; their secrets are made at the first start.
    pub tokens: Vec<TokenWish>,
    /// Templates there are now; replaces the stored list when given.
    pub templates: Option<Vec<Template>>,
    /// Task times from now on; the stored ones when absent.
    pub task_times: Option<TaskTimes>,
}

/// A node's HTTPS listener.
#[derive(Debug, Clone)]
pub struct NodeListen {
    /// Node name.
    pub node: String,
    /// Port 0 takes a free one.
    pub address: SocketAddr,
}

/// An API token to have.
#[derive(Debug, Clone)]
pub struct TokenWish {
    /// `user@realm!name`.
    pub id: String,
    /// Its rights.
    pub access: Access,
}
