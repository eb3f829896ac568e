//! A node's SSH server against a real client library: no guests, no root needed.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult, Handle};
use russh::keys::PrivateKeyWithHashAlg;
use russh::{ChannelMsg, Sig};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{HostKey, NodeShell, NodeSsh};

struct Server {
    directory: tempfile::TempDir,
    address: std::net::SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["home", "tmp", "bin"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let user = HostKey::load_or_make(&path("user"))
            .unwrap()
            .public_line()
            .unwrap();
        std::fs::write(path("keys"), user).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shell = NodeShell {
            home: path("home"),
            tmp: path("tmp"),
            bin: path("bin"),
        };
        let host_key = HostKey::load_or_make(&path("host")).unwrap();
        let node = NodeSsh {
            listener,
            host_key,
            authorized_keys: path("keys"),
            shell,
        };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(node.serve(stop.clone()));
        Self {
            directory,
            address,
            stop,
            serving,
        }
    }

    async fn client(&self) -> Handle<Trusting> {
        let config = Arc::new(client::Config {
            nodelay: true,
            ..client::Config::default()
        });
        let mut client = client::connect(config, self.address, Trusting)
            .await
            .unwrap();
        let key = HostKey::load_or_make(&self.directory.path().join("user"))
            .unwrap()
            .secret();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        let answer = client.authenticate_publickey("root", key).await.unwrap();
        assert!(matches!(answer, AuthResult::Success));
        client
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

type Channel = russh::Channel<client::Msg>;

async fn run(client: &Handle<Trusting>, line: &str) -> Channel {
    let channel = client.channel_open_session().await.unwrap();
    channel.exec(true, line).await.unwrap();
    channel
}

#[derive(Debug, Default, PartialEq)]
struct Heard {
    stdout: String,
    stderr: String,
    code: Option<u32>,
    signal: Option<String>,
}

async fn hear(mut channel: Channel) -> Heard {
    let mut heard = Heard::default();
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => heard.stdout.push_str(&String::from_utf8_lossy(&data)),
            ChannelMsg::ExtendedData { data, ext: 1 } => {
                heard.stderr.push_str(&String::from_utf8_lossy(&data));
            }
            ChannelMsg::ExitStatus { exit_status } => heard.code = Some(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => {
                heard.signal = Some(format!("{signal_name:?}"));
            }
            _ => {}
        }
    }
    heard
}

/// The first bytes a command prints.
async fn first_words(channel: &mut Channel) -> String {
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Data { data }) => return String::from_utf8_lossy(&data).into_owned(),
            Some(_) => {}
            None => panic!("the channel ended"),
        }
    }
}

#[tokio::test]
async fn a_login_finds_its_own_home_and_path() {
    let server = Server::start().await;
    let client = server.client().await;
    let heard = hear(run(&client, "pwd; echo \"$HOME $TMPDIR\"; echo \"${PATH%%:*}\"").await).await;
    let path = |name: &str| server.directory.path().join(name).display().to_string();
    let expected = format!(
        "{0}\n{0} {1}\n{2}\n",
        path("home"),
        path("tmp"),
        path("bin")
    );
    assert_eq!((heard.stdout, heard.code), (expected, Some(0)));
    server.end().await;
}

#[tokio::test]
async fn codes_signals_and_both_outputs_arrive() {
    let server = Server::start().await;
    let client = server.client().await;
    let heard = hear(run(&client, "echo out; echo err >&2; exit 3").await).await;
    let expected = Heard {
        stdout: "out\n".into(),
        stderr: "err\n".into(),
        code: Some(3),
        signal: None,
    };
    assert_eq!(heard, expected);
    let mut waiting = run(&client, "echo ready; exec sleep 600").await;
    assert_eq!(first_words(&mut waiting).await, "ready\n");
    waiting.signal(Sig::TERM).await.unwrap();
    let heard = hear(waiting).await;
    assert_eq!((heard.code, heard.signal.as_deref()), (None, Some("TERM")));
    server.end().await;
}

#[tokio::test]
async fn a_command_that_does_not_read_does_not_stop_the_others() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut deaf = run(&client, "echo ready; exec sleep 600").await;
    assert_eq!(first_words(&mut deaf).await, "ready\n");
    // More than pipe and window hold.
    deaf.data(&vec![b'x'; 8 << 20][..]).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(20), async {
        hear(run(&client, "echo still here").await).await
    });
    assert_eq!(heard.await.unwrap().stdout, "still here\n");
    deaf.signal(Sig::KILL).await.unwrap();
    assert_eq!(hear(deaf).await.signal.as_deref(), Some("KILL"));
    server.end().await;
}

#[tokio::test]
async fn a_connection_has_ten_sessions_and_gets_them_back() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut channel = run(&client, "echo ready; cat").await;
        first_words(&mut channel).await;
        open.push(channel);
    }
    assert!(client.channel_open_session().await.is_err(), "the eleventh");
    for channel in open {
        channel.eof().await.unwrap();
        assert_eq!(hear(channel).await.code, Some(0));
    }
    // The last one's place is free as soon as its task has ended.
    let again = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Ok(channel) = client.channel_open_session().await {
                return channel;
            }
        }
    });
    again.await.unwrap();
    server.end().await;
}

#[tokio::test]
async fn terminals_and_subsystems_are_refused() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel
        .request_pty(true, "xterm", 80, 24, 0, 0, &[])
        .await
        .unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    channel.set_env(true, "LC_ALL", "C").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Success)));
    channel.set_env(true, "LD_PRELOAD", "/x").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    channel
        .exec(true, "echo \"$LC_ALL$LD_PRELOAD\"")
        .await
        .unwrap();
    assert_eq!(hear(channel).await.stdout, "C\n");
    server.end().await;
}

#[tokio::test]
async fn nobody_else_logs_in() {
    let server = Server::start().await;
    let config = Arc::new(client::Config::default());
    let mut client = client::connect(config, server.address, Trusting)
        .await
        .unwrap();
    let key = |name: &str| {
        let key = HostKey::load_or_make(&server.directory.path().join(name))
            .unwrap()
            .secret();
        PrivateKeyWithHashAlg::new(Arc::new(key), None)
    };
    let answer = client
        .authenticate_publickey("root", key("stranger"))
        .await
        .unwrap();
    assert!(matches!(answer, AuthResult::Failure { .. }));
    let answer = client
        .authenticate_publickey("bob", key("user"))
        .await
        .unwrap();
    assert!(matches!(answer, AuthResult::Failure { .. }));
    let answer = client.authenticate_password("root", "").await.unwrap();
    assert!(matches!(answer, AuthResult::Failure { .. }));
    server.end().await;
}

#[tokio::test]
async fn a_command_outlives_its_client_but_not_its_node() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut channel = run(&client, "echo $$; exec sleep 600").await;
    let pid = first_words(&mut channel).await;
    let place = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
    drop((channel, client));
    // The connection is gone when the server has answered another one after it.
    hear(run(&server.client().await, "true").await).await;
    assert!(place.exists(), "as under a real sshd");
    server.end().await;
    // Killed and waited for, or a moment from it.
    let gone = tokio::time::timeout(Duration::from_secs(20), async {
        while place.exists() {
            tokio::task::yield_now().await;
        }
    });
    gone.await.unwrap();
}
