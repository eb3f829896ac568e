//! A way to the database that breaks at a commit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::unix;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;

/// How the next commit of a writer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It does not arrive.
    Swallowed,
    /// It is sent, and the connection is cut at once.
    Sent,
    /// The server answers; the answer does not arrive.
    Answered,
    /// In place of the server's answer comes a last word of the connection, as of something in between that gives up.
    GivenUp,
}

/// Leads to the server, until dropped.
#[derive(Debug)]
pub struct Cut {
    pub address: SocketAddr,
    next: Arc<Mutex<Option<How>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cut {
    pub async fn before(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let next = Arc::default();
        let task = tokio::spawn(lead(
            listener,
            folder.join(".s.PGSQL.5432"),
            Arc::clone(&next),
        ));
        Self {
            address,
            next,
            task,
        }
    }

    /// The next commit of a writer goes like this.
    pub fn arm(&self, how: How) {
        *self.next.lock().unwrap() = Some(how);
    }

    /// It has gone like this.
    pub fn is_spent(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }
}

async fn lead(listener: TcpListener, socket: PathBuf, next: Arc<Mutex<Option<How>>>) {
    let mut ways = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = UnixStream::connect(&socket).await.unwrap();
        ways.spawn(way(client, server, Arc::clone(&next)));
    }
}

/// One connection; both ends are closed when it ends.
async fn way(client: TcpStream, server: UnixStream, next: Arc<Mutex<Option<How>>>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (silence, silenced) = oneshot::channel();
    // Neither is told of the other's end but by being dropped with it.
    tokio::select! {
        _ = asked(from_client, to_server, &next, silence) => {}
        _ = answered(from_server, to_client, silenced) => {}
    }
}

/// Message by message, for a commit has to be known before it is sent on.
async fn asked(
    mut client: OwnedReadHalf,
    mut server: unix::OwnedWriteHalf,
    next: &Mutex<Option<How>>,
    silence: oneshot::Sender<How>,
) -> std::io::Result<()> {
    let first = message(&mut client, false).await?;
    server.write_all(&first).await?;
    let mut writes = false;
    loop {
        let message = message(&mut client, true).await?;
        let says = |word: &str| message.windows(word.len()).any(|w| w == word.as_bytes());
        // Not the sequencer's, nor a reader's.
        if says("BEGIN") {
            writes = says("SERIALIZABLE");
        }
        let how = if writes && says("COMMIT") {
            next.lock().unwrap().take()
        } else {
            None
        };
        match how {
            None => server.write_all(&message).await?,
            Some(How::Swallowed) => return Ok(()),
            Some(How::Sent) => return server.write_all(&message).await,
            Some(how @ (How::Answered | How::GivenUp)) => {
                silence.send(how).unwrap();
                server.write_all(&message).await?;
                // Until the answer is there.
                return std::future::pending().await;
            }
        }
    }
}

async fn answered(
    mut server: unix::OwnedReadHalf,
    mut client: OwnedWriteHalf,
    mut silenced: oneshot::Receiver<How>,
) -> std::io::Result<()> {
    let mut some = vec![0; 65_536];
    loop {
        let read = server.read(&mut some).await?;
        match silenced.try_recv() {
            Ok(How::GivenUp) => return client.write_all(&last_word()).await,
            Ok(_) => return Ok(()),
            Err(_) if read == 0 => return Ok(()),
            Err(_) => client.write_all(&some[..read]).await?,
        }
    }
}

/// The first one has no letter: length and the rest.
async fn message(from: &mut (impl AsyncRead + Unpin), letter: bool) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    if letter {
        message.push(from.read_u8().await?);
    }
    let length = from.read_u32().await?;
    message.extend(length.to_be_bytes());
    let mut rest = vec![0; length as usize - 4];
    from.read_exact(&mut rest).await?;
    message.extend(rest);
    Ok(message)
}

/// An error of severity FATAL whose code is none of an administrator's doing.
fn last_word() -> Vec<u8> {
    let fields = b"SFATAL\0VFATAL\0C08006\0Mthe way to the server is lost\0\0";
    let length = u32::try_from(fields.len() + 4).unwrap();
    [b"E", &length.to_be_bytes()[..], fields].concat()
}
