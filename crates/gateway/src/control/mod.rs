//! The control socket: who may speak, and the conversation.

mod conversation;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::GatewayError;
use crate::gateway::Core;
use crate::refusal::{Refusal, RefusalCode};
pub(crate) use socket::ControlSocket;

/// Pause after the system could not give us a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts control connections.
#[derive(Debug)]
pub(crate) struct ControlServer {
    socket: ControlSocket,
    listener: UnixListener,
    core: Arc<Core>,
    clients: Arc<Semaphore>,
}

impl ControlServer {
    /// Opens the claimed socket; from here on clients can connect.
    pub(crate) fn open(mut socket: ControlSocket, core: Arc<Core>) -> Result<Self, GatewayError> {
        let listener = socket.open()?;
        let clients = Arc::new(Semaphore::new(core.limits.control_clients));
        Ok(Self {
            socket,
            listener,
            core,
            clients,
        })
    }

    /// Serves until `shutdown`, then takes the socket away, lets running requests finish and ends.
    pub(crate) async fn serve(self, shutdown: &CancellationToken) {
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.admit(stream, &tasks, shutdown),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a control connection");
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
        drop(self.listener);
        drop(self.socket);
        tasks.close();
        tasks.wait().await;
    }

    fn admit(&self, stream: UnixStream, tasks: &TaskTracker, shutdown: &CancellationToken) {
        if let Err(refusal) = check_peer(&stream) {
            tracing::warn!(%refusal, "a control connection was refused");
            conversation::refuse(stream, refusal);
            return;
        }
        let Ok(place) = Arc::clone(&self.clients).try_acquire_owned() else {
            let message = format!(
                "{} control connections are open",
                self.core.limits.control_clients
            );
            conversation::refuse(stream, Refusal::new(RefusalCode::TooManyClients, message));
            return;
        };
        let (core, shutdown) = (Arc::clone(&self.core), shutdown.clone());
        tasks.spawn(async move {
            if let Err(error) = conversation::hold(stream, &core, &shutdown).await {
                tracing::debug!(%error, "a control connection broke");
            }
            drop(place);
        });
    }
}

fn check_peer(stream: &UnixStream) -> Result<(), Refusal> {
    let refused = |message| Refusal::new(RefusalCode::Forbidden, message);
    let peer = stream
        .peer_cred()
        .map_err(|error| refused(format!("the caller cannot be identified: {error}")))?;
    let own = rustix::process::geteuid().as_raw();
    if !may_control(peer.uid(), own) {
        let message = format!("user {} may not; only user {own} and root may", peer.uid());
        return Err(refused(message));
    }
    Ok(())
}

fn may_control(peer_uid: u32, own_uid: u32) -> bool {
    peer_uid == own_uid || peer_uid == 0
}

#[cfg(test)]
mod tests {
    use super::may_control;

    #[test]
    fn only_the_own_user_and_root_may_control() {
        assert!(may_control(1000, 1000));
        assert!(may_control(0, 1000));
        assert!(may_control(0, 0));
        assert!(!may_control(1001, 1000));
        assert!(!may_control(1000, 0));
    }
}
