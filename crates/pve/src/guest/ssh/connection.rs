//! SSH to a node: one connection, renewed when it broke, and commands on it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use proximity_domain::names::NodeName;
use russh::client::{self, AuthResult, Handle};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Preferred};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::super::{ExecOutput, GuestError, Listener, Stream};
use super::command::Job;
use super::{BadKey, HostKey, NodeAddress};

/// How long a node may take to let us in.
const CONNECT: Duration = Duration::from_secs(10);
/// Commands at the same time; sshd takes ten sessions per connection unless told otherwise.
const CONCURRENT_COMMANDS: usize = 8;
/// How long a server may have no place for another command.
const NO_PLACE: Duration = Duration::from_secs(10);
const NO_PLACE_RETRY: Duration = Duration::from_millis(20);
/// A connection that is silent for this long is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(15);
const UNANSWERED_KEEPALIVES: usize = 3;
const SSH_PORT: u16 = 22;

/// A node and the connection to it.
pub(super) struct Node {
    name: NodeName,
    user: String,
    key: Arc<PrivateKey>,
    host: String,
    port: u16,
    pinned: HostKey,
    session: tokio::sync::Mutex<Option<Arc<Handle<Checker>>>>,
    slots: Semaphore,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.user, self.host, self.port)
    }
}

/// Compares the server's host key with the pinned one, and remembers what it saw.
struct Checker {
    pinned: Option<HostKey>,
    seen: Seen,
}

type Seen = Arc<Mutex<Option<HostKey>>>;

impl client::Handler for Checker {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let key = HostKey::from_public(&shown.public_key());
        let matches = self.pinned.as_ref() == Some(&key);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(matches)
    }
}

fn split_address(address: &str) -> Result<(String, u16), BadKey> {
    let bad = || BadKey::Address(address.to_owned());
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(bad)?;
            (host, after.strip_prefix(':'))
        }
        None => match address.split_once(':') {
            // More than one colon without brackets: an IPv6 address without a port.
            Some((_, rest)) if rest.contains(':') => (address, None),
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(bad());
    }
    let port = port.map_or(Ok(SSH_PORT), str::parse).map_err(|_| bad())?;
    Ok((host.to_owned(), port))
}

fn config(pinned: Option<&HostKey>) -> client::Config {
    let mut preferred = Preferred::default();
    if let Some(pinned) = pinned {
        // A server has several keys; it shall show the one that was confirmed.
        preferred.key = Cow::Owned(vec![pinned.public().algorithm()]);
    }
    client::Config {
        preferred,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: UNANSWERED_KEEPALIVES,
        nodelay: true,
        ..client::Config::default()
    }
}

/// The host key a server shows now, for a person to compare: trust on first use. Does not log in.
///
/// # Errors
/// [`GuestError::NotSent`] if there is no SSH server, [`GuestError::Impossible`] if the address is bad.
pub async fn scan_host_key(address: &str) -> Result<HostKey, GuestError> {
    let (host, port) = split_address(address).map_err(|e| GuestError::Impossible(e.to_string()))?;
    let seen = Seen::default();
    let checker = Checker {
        pinned: None,
        seen: seen.clone(),
    };
    let connecting = client::connect(Arc::new(config(None)), (host.as_str(), port), checker);
    let why = match timeout(CONNECT, connecting).await {
        // No key is pinned, so the connection always ends at the key; the error tells only without one.
        Ok(Ok(_)) => "it showed no host key".to_owned(),
        Ok(Err(e)) => e.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    let key = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    key.ok_or(GuestError::NotSent {
        node: address.to_owned(),
        why,
    })
}

impl Node {
    pub(super) fn new(
        name: NodeName,
        user: &str,
        key: Arc<PrivateKey>,
        at: NodeAddress,
    ) -> Result<Self, BadKey> {
        let (host, port) = split_address(&at.address)?;
        Ok(Self {
            name,
            user: user.to_owned(),
            key,
            host,
            port,
            pinned: at.host_key,
            session: tokio::sync::Mutex::new(None),
            slots: Semaphore::new(CONCURRENT_COMMANDS),
        })
    }

    fn not_sent(&self, why: impl Into<String>) -> GuestError {
        GuestError::NotSent {
            node: self.name.to_string(),
            why: why.into(),
        }
    }

    fn in_doubt(&self, why: impl Into<String>) -> GuestError {
        GuestError::MaybeApplied {
            node: self.name.to_string(),
            why: why.into(),
        }
    }

    /// Runs one command line on the node and collects what it does.
    pub(super) async fn run(
        &self,
        job: Job,
        listener: &dyn Listener,
    ) -> Result<ExecOutput, GuestError> {
        let end = Instant::now() + Duration::from_millis(job.timeout_ms);
        let before_sending = async {
            let slot = self
                .slots
                .acquire()
                .await
                .map_err(|e| self.not_sent(e.to_string()))?;
            Ok::<_, GuestError>((slot, self.open_channel().await?))
        };
        let begin = job.send_before.map_or(end, |limit| limit.min(end));
        let (_slot, channel) = match timeout_at(begin, before_sending).await {
            Ok(opened) => opened?,
            Err(_) => return Err(self.not_sent("no connection in time")),
        };
        match timeout_at(end, self.converse(channel, &job, listener)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.in_doubt(format!("it did not end within {} ms", job.timeout_ms))),
        }
    }

    /// A channel on the shared connection; on a broken one, once more on a new one.
    async fn open_channel(&self) -> Result<Channel<client::Msg>, GuestError> {
        let shared = self.session(None).await?;
        match self.open_on(&shared).await {
            Ok(channel) => Ok(channel),
            Err(error @ russh::Error::ChannelOpenFailure(_)) => {
                Err(self.not_sent(format!("it takes no command now: {error}")))
            }
            Err(error) => {
                tracing::debug!(node = %self.name, %error, "SSH connection is of no use any more");
                let fresh = self.session(Some(&shared)).await?;
                let opened = self.open_on(&fresh).await;
                opened.map_err(|e| self.not_sent(e.to_string()))
            }
        }
    }

    /// Opens a channel, with patience: a server frees the place of an ended command a moment after it told us the end.
    async fn open_on(
        &self,
        session: &Handle<Checker>,
    ) -> Result<Channel<client::Msg>, russh::Error> {
        let patience = Instant::now() + NO_PLACE;
        loop {
            match session.channel_open_session().await {
                Err(russh::Error::ChannelOpenFailure(_)) if Instant::now() < patience => {
                    sleep(NO_PLACE_RETRY).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// The shared connection; a new one if there is none, it is closed, or it is the one found broken.
    async fn session(
        &self,
        broken: Option<&Arc<Handle<Checker>>>,
    ) -> Result<Arc<Handle<Checker>>, GuestError> {
        let mut shared = self.session.lock().await;
        if let Some(session) = shared.as_ref()
            && !session.is_closed()
            && broken.is_none_or(|b| !Arc::ptr_eq(b, session))
        {
            return Ok(session.clone());
        }
        *shared = None;
        let fresh = match timeout(CONNECT, self.connect()).await {
            Ok(connected) => Arc::new(connected?),
            Err(_) => return Err(self.not_sent("it did not let us in in time")),
        };
        *shared = Some(fresh.clone());
        Ok(fresh)
    }

    async fn connect(&self) -> Result<Handle<Checker>, GuestError> {
        let seen = Seen::default();
        let checker = Checker {
            pinned: Some(self.pinned.clone()),
            seen: seen.clone(),
        };
        let config = Arc::new(config(Some(&self.pinned)));
        let mut session = client::connect(config, (self.host.as_str(), self.port), checker)
            .await
            .map_err(|e| self.connect_failure(&e, &seen))?;
        let key = PrivateKeyWithHashAlg::new(self.key.clone(), None);
        let answer = session
            .authenticate_publickey(self.user.as_str(), key)
            .await;
        match answer.map_err(|e| self.not_sent(e.to_string()))? {
            AuthResult::Success => Ok(session),
            AuthResult::Failure { .. } => {
                Err(self.not_sent(format!("it does not accept our key for user {}", self.user)))
            }
        }
    }

    fn connect_failure(&self, error: &russh::Error, seen: &Seen) -> GuestError {
        let shown = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        match shown.filter(|key| *key != self.pinned) {
            Some(key) => GuestError::Untrusted {
                node: self.name.to_string(),
                seen: key.fingerprint(),
                pinned: self.pinned.fingerprint(),
            },
            None => self.not_sent(error.to_string()),
        }
    }

    /// Starts the command, feeds its input and reads until it ends.
    async fn converse(
        &self,
        channel: Channel<client::Msg>,
        job: &Job,
        listener: &dyn Listener,
    ) -> Result<ExecOutput, GuestError> {
        // Looked at last: the process may have been stopped while the channel was opened.
        if job.send_before.is_some_and(|limit| Instant::now() >= limit) {
            return Err(self.not_sent("the time in which it might be sent is over"));
        }
        channel
            .exec(true, job.line.as_bytes())
            .await
            .map_err(|e| self.not_sent(e.to_string()))?;
        let (mut reader, writer) = channel.split();
        let mut writer = Hangup::new(writer);
        let mut heard = Heard::new(job, listener);
        while heard.accepted.is_none() {
            let message = reader.wait().await;
            if !heard.take(message) {
                return Err(self.in_doubt("the connection broke before the command was confirmed"));
            }
        }
        if heard.accepted == Some(false) {
            return Err(self.not_sent("it refuses to run commands for this user"));
        }
        let hearing = async {
            loop {
                let message = reader.wait().await;
                if !heard.take(message) {
                    break;
                }
            }
        };
        tokio::select! {
            () = hearing => {}
            () = writer.feed(job.stdin.as_ref()) => {}
        }
        writer.has_ended();
        heard.outcome().map_err(|why| self.in_doubt(why))
    }
}

/// The sending side of a channel. Dropped before the command ended, it closes the channel: the library does not, and
/// a server has room for few.
struct Hangup(Option<ChannelWriteHalf<client::Msg>>);

impl Hangup {
    fn new(writer: ChannelWriteHalf<client::Msg>) -> Self {
        Self(Some(writer))
    }

    /// Sends the input and its end, then waits for good: what the command says is what counts.
    async fn feed(&self, input: Option<&Bytes>) {
        if let Some(writer) = &self.0 {
            // A command that does not read its input closes it; that is its own business.
            if let Some(input) = input
                && let Err(error) = writer.data_bytes(input.clone()).await
            {
                tracing::debug!(%error, "input was not read to its end");
            }
            if let Err(error) = writer.eof().await {
                tracing::debug!(%error, "input was not closed");
            }
        }
        std::future::pending().await
    }

    /// The other side closed the channel or is gone: there is nothing to close.
    fn has_ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                if let Err(error) = writer.close().await {
                    tracing::debug!(%error, "a channel was not closed");
                }
            });
        }
    }
}

/// What came from the node so far.
struct Heard<'a> {
    listener: &'a dyn Listener,
    accepted: Option<bool>,
    stdout: Kept,
    stderr: Kept,
    exit_code: Option<u32>,
    signal: Option<String>,
}

/// Output up to a limit.
struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    truncated: bool,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            truncated: false,
        }
    }

    fn add(&mut self, chunk: &[u8]) {
        let room = self.limit - self.bytes.len();
        let taken = chunk.get(..room).unwrap_or(chunk);
        self.bytes.extend_from_slice(taken);
        self.truncated |= taken.len() < chunk.len();
    }
}

impl<'a> Heard<'a> {
    fn new(job: &Job, listener: &'a dyn Listener) -> Self {
        Self {
            listener,
            accepted: None,
            stdout: Kept::new(job.max_stdout_bytes),
            stderr: Kept::new(job.max_stderr_bytes),
            exit_code: None,
            signal: None,
        }
    }

    /// Takes one message; false when none will follow.
    fn take(&mut self, message: Option<ChannelMsg>) -> bool {
        // The messages are the library's: what does not concern a client's command is ignored.
        match message {
            None | Some(ChannelMsg::Close) => return false,
            Some(ChannelMsg::Success) => self.accepted = Some(true),
            Some(ChannelMsg::Failure) => self.accepted = Some(false),
            Some(ChannelMsg::Data { data }) => {
                self.listener.heard(Stream::Stdout, &data);
                self.stdout.add(&data);
            }
            Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                self.listener.heard(Stream::Stderr, &data);
                self.stderr.add(&data);
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => self.exit_code = Some(exit_status),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                self.signal = Some(format!("{signal_name:?}"));
            }
            Some(_) => {}
        }
        true
    }

    fn outcome(self) -> Result<ExecOutput, String> {
        if let Some(signal) = self.signal {
            return Err(format!("the node's command was ended by signal {signal}"));
        }
        let code = self
            .exit_code
            .ok_or("the connection broke before the command ended")?;
        Ok(ExecOutput {
            exit_code: i32::try_from(code).map_err(|_| format!("exit code {code} is none"))?,
            truncated: self.stdout.truncated || self.stderr.truncated,
            stdout: self.stdout.bytes.into(),
            stderr: self.stderr.bytes.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split() {
        for (text, host, port) in [
            ("pve1", "pve1", 22),
            ("10.0.0.1:2222", "10.0.0.1", 2222),
            ("[fe80::1]:2222", "fe80::1", 2222),
            ("[fe80::1]", "fe80::1", 22),
            ("fe80::1", "fe80::1", 22),
        ] {
            assert_eq!(split_address(text), Ok((host.to_owned(), port)), "{text}");
        }
        for bad in ["", ":22", "pve1:", "pve1:x", "[fe80::1", "a b"] {
            assert!(split_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn output_beyond_the_limit_is_dropped_and_said_so() {
        let mut kept = Kept::new(5);
        kept.add(b"abc");
        assert!(!kept.truncated);
        kept.add(b"def");
        kept.add(b"ghi");
        assert_eq!(
            (kept.bytes.as_slice(), kept.truncated),
            (&b"abcde"[..], true)
        );
    }
}
