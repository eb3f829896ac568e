//! Against real mail servers of Debian's packages: aiosmtpd with certificate and login, OpenSMTPD down to the mailbox.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use proximity_domain::notify::Message;
use proximity_engine::notify::{Notifier, SendError, Smtp, SmtpOptions, SmtpTls};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::over_http::{delivery, evil};

const PROGRAM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/notices/programs/mail_server.py"
);

/// A certificate for `localhost`, and its key.
async fn certificate(folder: &Path) {
    let made = Command::new("/usr/bin/openssl")
        .current_dir(folder)
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(' '))
        .args("-keyout key.pem -out cert.pem -days 2 -subj /CN=localhost".split(' '))
        .args("-addext subjectAltName=DNS:localhost".split(' '))
        .args("-addext basicConstraints=critical,CA:FALSE".split(' '))
        .stderr(Stdio::null())
        .status();
    assert!(made.await.unwrap().success());
}

struct Server {
    folder: tempfile::TempDir,
    port: u16,
    said: Lines<BufReader<ChildStdout>>,
    /// When it is closed the server ends.
    _open: ChildStdin,
    _child: Child,
}

impl Server {
    async fn start(how: &str) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path()).await;
        let mut child = Command::new("/usr/bin/python3")
            .arg(PROGRAM)
            .arg(folder.path())
            .arg(how)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let open = child.stdin.take().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = said.next_line().await.unwrap().expect("python3-aiosmtpd");
        Self {
            folder,
            port: port.parse().unwrap(),
            said,
            _open: open,
            _child: child,
        }
    }

    fn options(&self, tls: SmtpTls) -> SmtpOptions {
        SmtpOptions {
            host: "localhost".to_owned(),
            port: Some(self.port),
            tls,
            ca_pem: Some(std::fs::read(self.folder.path().join("cert.pem")).unwrap()),
            login: Some(("ops".to_owned(), "hunter2".into())),
            from: "Proximity <proximity@example.org>".to_owned(),
            to: vec!["ops@example.org".to_owned(), "b@example.org".to_owned()],
        }
    }

    async fn mail(&mut self) -> serde_json::Value {
        let line = self.said.next_line().await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

async fn sent(options: SmtpOptions, message: &Message) -> Result<String, SendError> {
    Smtp::new(options).unwrap().send(message, &delivery()).await
}

/// Header and body of a mail as it came, its folded lines joined.
fn read(data: &str) -> (Vec<(String, String)>, String) {
    let (head, body) = data.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let lines = head.split("\r\n").map(|l| l.split_once(": ").expect(l));
    let headers = lines
        .map(|(n, v)| (n.to_lowercase(), v.to_owned()))
        .collect();
    (headers, body.to_owned())
}

async fn arrives_whole(how: &str, tls: SmtpTls) {
    let mut server = Server::start(how).await;
    let answer = sent(server.options(tls), &evil()).await;
    assert_eq!(answer.unwrap(), "250 2.0.0 kept");
    let mail = server.mail().await;
    assert_eq!(mail["protected"], true);
    assert_eq!(mail["login"], true);
    assert_eq!(mail["from"], "proximity@example.org");
    let to = |one: &str| serde_json::json!([one]);
    assert_eq!(mail["to"], to("ops@example.org"), "one after the other");
    let other = server.mail().await;
    assert_eq!(other["to"], to("b@example.org"), "nobody else is told");
    assert_eq!(other["data"], mail["data"]);
    let (headers, body) = read(mail["data"].as_str().unwrap());
    let one = |name: &str| {
        let found: Vec<&str> = headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| &**v)
            .collect();
        assert_eq!(found.len(), 1, "{name}: {headers:?}");
        found[0].to_owned()
    };
    assert!(!headers.iter().any(|(n, _)| n == "bcc"), "{headers:?}");
    assert!(
        one("subject").starts_with("[Proximity] critical: web"),
        "{headers:?}"
    );
    assert_eq!(
        one("message-id"),
        format!("<{}@example.org>", delivery().id)
    );
    assert_eq!(one("auto-submitted"), "auto-generated");
    assert!(one("date").contains("24 Nov 2025"), "{headers:?}");
    assert!(
        body.contains("Neither forwards nor backwards is safe"),
        "{body}"
    );
}

#[tokio::test]
async fn real_aiosmtpd_takes_mail_by_starttls() {
    arrives_whole("starttls", SmtpTls::Starttls).await;
}

#[tokio::test]
async fn real_aiosmtpd_takes_mail_by_tls() {
    arrives_whole("implicit", SmtpTls::Implicit).await;
}

#[tokio::test]
async fn real_aiosmtpd_that_does_not_know_one_recipient_takes_it_for_the_others() {
    let mut server = Server::start("starttls").await;
    let mut options = server.options(SmtpTls::Starttls);
    options.to = ["gone@example.org", "ops@example.org", "later@example.org"]
        .map(str::to_owned)
        .to_vec();
    let smtp = Smtp::new(options).unwrap();
    let first = smtp.send(&evil(), &delivery()).await.unwrap_err();
    assert!(matches!(first, SendError::NotTaken { .. }), "{first:?}");
    assert!(first.to_string().contains("come again"), "{first}");
    assert_eq!(server.mail().await["to"][0], "ops@example.org");
    let second = smtp.send(&evil(), &delivery()).await.unwrap();
    assert!(second.starts_with("250 2.0.0 kept"), "{second}");
    assert!(second.contains("not to gone@example.org"), "{second}");
    assert_eq!(
        server.mail().await["to"][0],
        "later@example.org",
        "who has it gets it once"
    );
    let mut options = server.options(SmtpTls::Starttls);
    options.to = vec!["gone@example.org".to_owned()];
    let nobody = sent(options, &evil()).await.unwrap_err();
    assert!(matches!(nobody, SendError::Refused { .. }), "{nobody:?}");
    assert!(nobody.to_string().contains("no such mailbox"), "{nobody}");
}

#[tokio::test]
async fn real_aiosmtpd_refuses_strangers_and_odd_mail() {
    let server = Server::start("starttls").await;
    let mut options = server.options(SmtpTls::Starttls);
    options.login = Some(("ops".to_owned(), "wrong-password".into()));
    let stranger = sent(options, &evil()).await.unwrap_err();
    assert!(
        matches!(stranger, SendError::NotTaken { .. }),
        "{stranger:?}"
    );
    let said = stranger.to_string();
    assert!(
        said.contains("535") || said.contains("uthentication"),
        "{said}"
    );
    assert!(!said.contains("wrong-password"), "{said}");

    let mut odd = evil();
    odd.lines.push("too odd".to_owned());
    let refused = sent(server.options(SmtpTls::Starttls), &odd)
        .await
        .unwrap_err();
    assert!(matches!(refused, SendError::Refused { .. }), "{refused:?}");
    assert!(refused.to_string().contains("too odd"), "{refused}");
}

#[tokio::test]
async fn real_aiosmtpd_with_a_certificate_nobody_vouches_for_is_sent_nothing() {
    let mut server = Server::start("starttls").await;
    let mut options = server.options(SmtpTls::Starttls);
    options.ca_pem = None;
    let refused = sent(options, &evil()).await.unwrap_err();
    assert!(matches!(refused, SendError::NotTaken { .. }), "{refused:?}");
    // One that is vouched for is the first it hears of.
    let answer = sent(server.options(SmtpTls::Starttls), &evil()).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(server.mail().await["login"], true);
}

/// In namespaces of its own, so that spool and sockets of the machine are not touched.
const OPENSMTPD: &str = r#"
set -e
mount -t tmpfs -o mode=0755 tmpfs /var/spool
mkdir -m 0711 /var/spool/smtpd
mount -t tmpfs -o mode=0755 tmpfs /run
cat > conf <<END
table all { "@" = "nobody" }
listen on lo port $1
action "keep" maildir "$PWD/mail" virtual <all>
match from any for any action "keep"
END
exec smtpd -d -f "$PWD/conf"
"#;

#[tokio::test]
async fn real_opensmtpd_delivers_to_the_mailbox() {
    let folder = tempfile::tempdir().unwrap();
    let mail = folder.path().join("mail");
    std::fs::create_dir(&mail).unwrap();
    for (path, mode) in [(folder.path(), 0o755), (&*mail, 0o777)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).unwrap();
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut server = Command::new("unshare")
        .args("--mount --propagation private --fork --pid --kill-child --mount-proc".split(' '))
        .args(["sh", "-c", OPENSMTPD, "sh", &port.to_string()])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let options = SmtpOptions {
        host: "localhost".to_owned(),
        port: Some(port),
        tls: SmtpTls::None,
        ca_pem: None,
        login: None,
        from: "proximity@example.org".to_owned(),
        to: vec!["ops@example.org".to_owned()],
    };
    let smtp = Smtp::new(options).unwrap();
    // It takes a moment to listen: until then nobody is there.
    let answer = loop {
        match smtp.send(&evil(), &delivery()).await {
            Err(SendError::NotTaken { message, .. }) if message.contains("refused") => {
                assert!(server.try_wait().unwrap().is_none(), "OpenSMTPD ended");
                tokio::task::yield_now().await;
            }
            other => break other.unwrap(),
        }
    };
    assert!(answer.starts_with("250"), "{answer}");
    let kept = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let files = std::fs::read_dir(mail.join("new")).into_iter().flatten();
            if let Some(file) = files.flatten().next() {
                break std::fs::read_to_string(file.path()).unwrap();
            }
            tokio::task::yield_now().await;
        }
    });
    let kept = kept.await.expect("the mail did not reach the mailbox");
    assert!(
        kept.contains("Subject: [Proximity] critical: web"),
        "{kept}"
    );
    assert!(!kept.lines().any(|line| line.starts_with("Bcc")), "{kept}");
    server.kill().await.unwrap();
}
