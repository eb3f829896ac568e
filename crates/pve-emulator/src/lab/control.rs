//! The lab's side of `pct`: answers its questions from the cluster's state, over a Unix socket in the state directory.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::error::LabError;
use super::pct::{Answer, Ask, Given, Question, SOCKET};
use crate::core::guest::GuestKey;
use crate::sim::SimDriver;

/// Most bytes of a question: a file for a simulated guest may be in it.
const LIMIT_BYTES: u64 = 72 << 20;
/// Most questions at a time.
const MAX_CONNECTIONS: usize = 256;
const TIMEOUT: Duration = Duration::from_secs(10);

/// What `pct` needs of the cluster.
#[async_trait]
pub trait GuestBook: Send + Sync + 'static {
    /// A guest's configuration as its file has it; `None` when the node has no such guest.
    async fn config(&self, guest: &GuestKey) -> Option<BTreeMap<String, String>>;
    /// The same, and that a command is run in it.
    async fn enter(&self, guest: &GuestKey) -> Option<BTreeMap<String, String>>;
    /// The configurations of all guests of a node.
    async fn guests(&self, node: &str) -> BTreeMap<u32, BTreeMap<String, String>>;
    /// Removes a guest's lock; false when the node has no such guest.
    async fn unlock(&self, guest: &GuestKey) -> bool;
}

/// The listening socket.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    exec_ms: u64,
}

impl Control {
    /// Listens in the state directory; only root may connect.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(crate) fn listen(state: &Path, exec_ms: u64) -> Result<Self, LabError> {
        let path = state.join(SOCKET);
        let what = || format!("listen on {}", path.display());
        Self::remove(state)?;
        let near = NearPath::open(state).map_err(LabError::io(what()))?;
        let listener = UnixListener::bind(near.path(SOCKET)).map_err(LabError::io(what()))?;
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, private).map_err(LabError::io(what()))?;
        Ok(Self { listener, exec_ms })
    }

    /// Removes the socket, perhaps of an earlier run.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(crate) fn remove(state: &Path) -> Result<(), LabError> {
        super::ground::remove_file(&state.join(SOCKET))
    }

    /// Answers until `stop`; `inside` leads into simulated guests.
    pub(crate) async fn serve(
        self,
        book: Arc<dyn GuestBook>,
        inside: Option<SimDriver>,
        stop: CancellationToken,
    ) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match (accepted, Arc::clone(&room).try_acquire_owned()) {
                (Ok((stream, _)), Ok(permit)) => {
                    let answering = Answering {
                        book: Arc::clone(&book),
                        inside: inside.clone(),
                        exec_ms: self.exec_ms,
                    };
                    let stop = stop.clone();
                    tokio::spawn(async move {
                        let _permit = permit;
                        tokio::select! {
                            () = stop.cancelled() => {}
                            talked = answering.talk(stream) => if let Err(error) = talked {
                                tracing::debug!(%error, "a pct call broke off");
                            },
                        }
                    });
                }
                (Ok(_), Err(_)) => tracing::warn!("too many pct calls; one refused"),
                (Err(error), _) => {
                    tracing::warn!(%error, "a pct call could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// What questions are answered from.
struct Answering {
    book: Arc<dyn GuestBook>,
    inside: Option<SimDriver>,
    exec_ms: u64,
}

impl Answering {
    /// One question, one answer. An answer may take as long as the command does; who no longer waits gets none.
    async fn talk(&self, mut stream: UnixStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.split();
        let mut reader = BufReader::new(reader.take(LIMIT_BYTES));
        let mut line = String::new();
        tokio::time::timeout(TIMEOUT, reader.read_line(&mut line)).await??;
        let ask: Ask = serde_json::from_str(&line)?;
        let mut gone = [0];
        let answer = tokio::select! {
            answer = self.answer(ask) => answer,
            _ = reader.read(&mut gone) => return Ok(()),
        };
        let mut answer = serde_json::to_vec(&answer)?;
        answer.push(b'\n');
        tokio::time::timeout(TIMEOUT, writer.write_all(&answer)).await?
    }

    async fn answer(&self, ask: Ask) -> Answer {
        let node = ask.node;
        match ask.question {
            Question::Config { vmid } => Answer::Config {
                config: self.book.config(&GuestKey { node, vmid }).await,
                exec_ms: self.exec_ms,
            },
            Question::Enter { vmid } => Answer::Config {
                config: self.book.enter(&GuestKey { node, vmid }).await,
                exec_ms: self.exec_ms,
            },
            Question::List => Answer::List {
                guests: self.book.guests(&node).await,
            },
            Question::Unlock { vmid } => Answer::Unlocked {
                found: self.book.unlock(&GuestKey { node, vmid }).await,
            },
            Question::Inside { vmid, wish } => match &self.inside {
                Some(inside) => Answer::Inside(wish.fulfil(inside, &GuestKey { node, vmid }).await),
                None => Answer::Inside(Given::Failed {
                    text: "this lab's guests are real".to_owned(),
                }),
            },
        }
    }
}

/// A short name for a directory: socket addresses hold 107 bytes, and a state directory may be deeper than that.
pub(crate) struct NearPath(OwnedFd);

impl NearPath {
    /// Opens the directory.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open(directory: &Path) -> std::io::Result<Self> {
        Ok(Self(std::fs::File::open(directory)?.into()))
    }

    /// Path of a file in it; good as long as `self` lives.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Guests;
    use crate::lab::pct::{Site, ask};
    use crate::lxc::Place;

    struct OneGuest;

    #[async_trait]
    impl GuestBook for OneGuest {
        async fn config(&self, guest: &GuestKey) -> Option<BTreeMap<String, String>> {
            let there = guest.node == "pve1" && guest.vmid == 100;
            there.then(|| BTreeMap::from([("hostname".to_owned(), "web".to_owned())]))
        }
        async fn enter(&self, guest: &GuestKey) -> Option<BTreeMap<String, String>> {
            self.config(guest).await
        }
        async fn guests(&self, node: &str) -> BTreeMap<u32, BTreeMap<String, String>> {
            let guest = GuestKey {
                node: node.to_owned(),
                vmid: 100,
            };
            self.config(&guest)
                .await
                .map(|config| (100, config))
                .into_iter()
                .collect()
        }
        async fn unlock(&self, guest: &GuestKey) -> bool {
            self.config(guest).await.is_some()
        }
    }

    #[tokio::test]
    async fn questions_are_answered_for_the_asking_node_even_from_a_deep_directory() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a".repeat(100)).join("b".repeat(100));
        std::fs::create_dir_all(&state).unwrap();
        let stop = CancellationToken::new();
        let control = Control::listen(&state, 200).unwrap();
        let serving = tokio::spawn(control.serve(Arc::new(OneGuest), None, stop.clone()));
        let on = |node: &str, question| {
            let (state, node) = (state.clone(), node.to_owned());
            let site = Site {
                state,
                node,
                place: Place::new("0000", None),
                guests: Guests::Lxc,
            };
            tokio::task::spawn_blocking(move || ask(&site, &question).unwrap())
        };
        let asked = on("pve1", Question::Config { vmid: 100 }).await.unwrap();
        assert!(matches!(
            asked,
            Answer::Config {
                config: Some(_),
                exec_ms: 200
            }
        ));
        let asked = on("pve2", Question::Config { vmid: 100 }).await.unwrap();
        assert!(matches!(asked, Answer::Config { config: None, .. }));
        let asked = on("pve1", Question::Unlock { vmid: 101 }).await.unwrap();
        assert_eq!(asked, Answer::Unlocked { found: false });
        stop.cancel();
        serving.await.unwrap();
    }
}
