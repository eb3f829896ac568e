//! Reaching into guests: PVE's API has no exec and no file transfer for containers.

mod error;
pub mod quote;
pub mod ssh;
mod tree;

use async_trait::async_trait;
use bytes::Bytes;
use proximity_domain::guest::ContainerIdentity;
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use tokio::time::Instant;

pub use error::GuestError;
pub use tree::{PullTree, PushTree};

/// A container and the node that runs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuestTarget {
    /// The node.
    pub node: NodeName,
    /// The container.
    pub vmid: Vmid,
    /// Why it may be acted in; the helper on the node compares it, plain access does not.
    pub owner: GuestOwner,
}

/// Why a container may be acted in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GuestOwner {
    /// We made it, and it is still what we made.
    Made(ContainerIdentity),
    /// It was there before; its node's root allowed it.
    Adopted,
}

/// A command to run as root inside a guest, without a shell of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// Program and arguments, passed as they are. Not empty, no NUL.
    pub argv: Vec<String>,
    /// What it reads; `None` = nothing.
    pub stdin: Option<Bytes>,
    /// How long it may take.
    pub timeout_ms: u64,
    /// How much is kept of stdout and of stderr, each; the rest is read and dropped.
    pub max_output_bytes: usize,
    /// It is not sent from this moment on; a command that changes something has one, see [`crate::Warrant`].
    pub send_before: Option<Instant>,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code.
    pub exit_code: i32,
    /// What it printed.
    pub stdout: Bytes,
    /// What it complained.
    pub stderr: Bytes,
    /// Whether something of either was dropped.
    pub truncated: bool,
}

/// A file to put into a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Absolute path inside the guest, without `..`; its folder must exist.
    pub path: String,
    /// The whole content.
    pub content: Bytes,
    /// Permission bits, e.g. `0o644`.
    pub mode: u32,
    /// Owner inside the guest: a name or a number; `None` = root.
    pub user: Option<String>,
    /// Group inside the guest: a name or a number; `None` = root.
    pub group: Option<String>,
    /// How long it may take.
    pub timeout_ms: u64,
    /// It is not sent from this moment on, see [`crate::Warrant`].
    pub send_before: Option<Instant>,
}

/// A file to fetch from a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Absolute path inside the guest, without `..`.
    pub path: String,
    /// A larger file is refused.
    pub max_bytes: u64,
    /// How long it may take.
    pub timeout_ms: u64,
}

/// Which of a command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// What it prints.
    Stdout,
    /// What it complains.
    Stderr,
}

/// Hears what a command prints while it runs. What is heard is in the order of its stream; between the two streams there is none.
pub trait Listener: Send + Sync {
    /// More was printed: as it came, cut anywhere, also beyond what is kept. Must not block.
    fn heard(&self, stream: Stream, bytes: &[u8]);
}

/// Nobody listens.
impl Listener for () {
    fn heard(&self, _stream: Stream, _bytes: &[u8]) {}
}

/// Access into guests. Implementations do not decide whether they may: the caller checked identity and right.
#[async_trait]
pub trait GuestAccess: Send + Sync + std::fmt::Debug {
    /// Runs a command. A command that fails is an `Ok` with its exit code.
    ///
    /// # Errors
    /// [`GuestError`], which says whether the command may have run.
    async fn exec(&self, target: &GuestTarget, exec: Exec) -> Result<ExecOutput, GuestError> {
        self.exec_heard(target, exec, &()).await
    }

    /// As [`GuestAccess::exec`], and somebody hears what is printed while it runs. Dropped, it hears no more; the command is
    /// told that its streams are closed and may run on.
    ///
    /// # Errors
    /// As [`GuestAccess::exec`].
    async fn exec_heard(
        &self,
        target: &GuestTarget,
        exec: Exec,
        listener: &dyn Listener,
    ) -> Result<ExecOutput, GuestError>;

    /// Puts a file into the guest, replacing one that is there.
    ///
    /// # Errors
    /// [`GuestError`]; after [`GuestError::MaybeApplied`] the file may be there, whole or in part.
    async fn push(&self, target: &GuestTarget, push: Push) -> Result<(), GuestError>;

    /// Fetches a file.
    ///
    /// # Errors
    /// [`GuestError`].
    async fn pull(&self, target: &GuestTarget, pull: Pull) -> Result<Bytes, GuestError>;

    /// Unpacks an archive into a folder of the guest. What is there and not in the archive stays.
    ///
    /// # Errors
    /// [`GuestError`]; after [`GuestError::MaybeApplied`] and [`GuestError::Failed`] a part may be there.
    async fn push_tree(&self, target: &GuestTarget, push: PushTree) -> Result<(), GuestError> {
        tree::push(self, target, push).await
    }

    /// Fetches a folder as an archive.
    ///
    /// # Errors
    /// [`GuestError`].
    async fn pull_tree(&self, target: &GuestTarget, pull: PullTree) -> Result<Bytes, GuestError> {
        tree::pull(self, target, pull).await
    }
}
