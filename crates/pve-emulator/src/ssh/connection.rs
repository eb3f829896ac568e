//! A node's listener, and what one connection may do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::keys::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
    run_stream,
};
use russh::{Channel, ChannelOpenFailure, MethodKind, MethodSet};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::authorized::{Allowed, look_up};
use super::host_key::HostKey;
use super::processes::Processes;
use super::session::{Login, NodeShell, serve};

/// Most connections at a time.
const MAX_CONNECTIONS: usize = 128;
/// Most open channels of one connection, as sshd's `MaxSessions`.
const MAX_SESSIONS: usize = 10;
/// A client must have logged in by then.
const LOGIN_LIMIT: Duration = Duration::from_secs(30);

/// One node's SSH server.
#[derive(Debug)]
pub struct NodeSsh {
    /// Where it listens.
    pub listener: TcpListener,
    /// Its host key.
    pub host_key: HostKey,
    /// Who may log in.
    pub authorized_keys: PathBuf,
    /// What they find.
    pub shell: NodeShell,
}

impl NodeSsh {
    /// Serves until `stop`; then ends all connections and the commands they started, and returns.
    pub async fn serve(self, stop: CancellationToken) {
        let config = Arc::new(config(&self.host_key));
        let node = Arc::new(Node {
            authorized_keys: self.authorized_keys,
            shell: self.shell,
            processes: Arc::default(),
        });
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let tracker = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match (accepted, Arc::clone(&room).try_acquire_owned()) {
                (Ok((stream, peer)), Ok(permit)) => {
                    let connection = connect(Arc::clone(&config), stream, peer, Arc::clone(&node));
                    let stopped = stop.clone();
                    tracker.spawn(async move {
                        let _permit = permit;
                        tokio::select! {
                            () = connection => {}
                            () = stopped.cancelled() => {}
                        }
                    });
                }
                (Ok(_), Err(_)) => tracing::warn!("too many SSH connections; one refused"),
                (Err(error), _) => {
                    // Out of descriptors, for example: taking a breath keeps the loop from spinning.
                    tracing::warn!(%error, "an SSH connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        node.processes.kill_all();
        tracker.close();
        tracker.wait().await;
    }
}

fn config(host_key: &HostKey) -> Config {
    Config {
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        keys: vec![host_key.secret()],
        auth_rejection_time: Duration::from_millis(100),
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: 6,
        // As sshd: a silent command may run as long as it likes, a dead client is found out.
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(30)),
        keepalive_max: 3,
        nodelay: true,
        ..Config::default()
    }
}

/// What all connections of a node share.
struct Node {
    authorized_keys: PathBuf,
    shell: NodeShell,
    processes: Arc<Processes>,
}

async fn connect(config: Arc<Config>, stream: TcpStream, peer: SocketAddr, node: Arc<Node>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay could not be set");
    }
    let local = stream.local_addr().unwrap_or(peer);
    let connection = format!(
        "{} {} {} {}",
        peer.ip(),
        peer.port(),
        local.ip(),
        local.port()
    );
    let logged_in = CancellationToken::new();
    let visitor = Visitor {
        node,
        connection,
        allowed: None,
        sessions: Arc::default(),
        logged_in: logged_in.clone(),
    };
    let session = match run_stream(config, stream, visitor).await {
        Ok(session) => session,
        Err(error) => return tracing::debug!(%error, %peer, "no SSH handshake"),
    };
    tokio::pin!(session);
    let in_time = async {
        tokio::select! {
            () = logged_in.cancelled() => std::future::pending().await,
            () = tokio::time::sleep(LOGIN_LIMIT) => {}
        }
    };
    tokio::select! {
        ended = &mut session => if let Err(error) = ended {
            tracing::debug!(%error, %peer, "SSH connection ended");
        },
        () = in_time => tracing::debug!(%peer, "no login in time"),
    }
}

/// One client.
struct Visitor {
    node: Arc<Node>,
    connection: String,
    allowed: Option<Allowed>,
    sessions: Arc<AtomicUsize>,
    logged_in: CancellationToken,
}

impl Visitor {
    async fn look_up(&self, user: &str, key: &PublicKey) -> Option<Allowed> {
        if user != "root" {
            return None;
        }
        let (file, key) = (self.node.authorized_keys.clone(), key.clone());
        tokio::task::spawn_blocking(move || look_up(&file, &key))
            .await
            .ok()
            .flatten()
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        match self.look_up(user, offer.public_key).await {
            Some(_) => Ok(Auth::Accept),
            None => Ok(Auth::reject()),
        }
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.allowed = self.look_up(user, key.public_key).await;
        match self.allowed {
            Some(_) => Ok(Auth::Accept),
            None => Ok(Auth::reject()),
        }
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        self.logged_in.cancel();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(allowed) = self.allowed.clone() else {
            return Ok(());
        };
        if self.sessions.fetch_add(1, Ordering::SeqCst) >= MAX_SESSIONS {
            self.sessions.fetch_sub(1, Ordering::SeqCst);
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let login = Arc::new(Login {
            shell: self.node.shell.clone(),
            allowed,
            processes: Arc::clone(&self.node.processes),
            connection: self.connection.clone(),
        });
        let (handle, sessions) = (session.handle(), Arc::clone(&self.sessions));
        // Not tracked: a command may outlive its connection, and ends when the node does.
        tokio::spawn(async move {
            serve(channel, handle, login).await;
            sessions.fetch_sub(1, Ordering::SeqCst);
        });
        reply.accept().await;
        Ok(())
    }
}
