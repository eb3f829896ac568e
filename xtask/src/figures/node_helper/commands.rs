//! Commands in a real container: by the helper over one connection, and by bare `lxc-attach` on the same node.
//!
//! Both sides go through one login of OpenSSH's client each: a shell that calls `lxc-attach` again and again and says when it
//! begins and ends, and one session of the helper, asked again and again.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::super::Bench;
use super::super::trial::{Trial, TrialNode};
use super::stand::END;
use crate::clock::Stopwatch;
use crate::say;

/// Commands of one round.
pub(super) const COMMANDS: usize = 50;
/// How many more times the control lets the helper run them, which nobody counts.
const MORE: usize = 2;
/// Longest frame that is taken.
const FRAME_BYTES: usize = 1 << 20;

/// What a round of commands took, medians, milliseconds.
pub(super) struct Times {
    pub(super) bare_ms: f64,
    pub(super) helper_ms: f64,
}

impl Times {
    pub(super) fn of_bare(&self) -> f64 {
        self.helper_ms / self.bare_ms
    }
}

/// Measures both, turn by turn.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Times> {
    let folder = bench.folder("node-helper-trial")?;
    let trial = Trial::start(bench, &folder)?;
    let measured = trial
        .node()
        .and_then(|node| compare(bench, &Login::at(node, folder)?));
    let ended = trial.end();
    let times = measured?;
    ended?;
    Ok(times)
}

fn compare(bench: &Bench<'_>, login: &Login) -> Result<Times> {
    let rounds = if bench.mode.quick { 5 } else { 15 };
    let times = if bench.mode.sabotage { 1 + MORE } else { 1 };
    let mut session = Session::open(login)?;
    let (mut bare, mut helped) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(login.bare()?);
        let watch = Stopwatch::start();
        for _ in 0..COMMANDS * times {
            session.exec(&login.request)?;
        }
        helped.push(watch.elapsed().as_secs_f64() * 1e3);
    }
    session.end()?;
    let times = Times {
        bare_ms: super::median(bare),
        helper_ms: super::median(helped),
    };
    say::note(format!(
        "helper: {COMMANDS} commands took {:.0} ms bare and {:.0} ms by the helper",
        times.bare_ms, times.helper_ms
    ));
    Ok(times)
}

/// What is asked of the helper: a program that does nothing.
fn request(node: &TrialNode) -> Vec<u8> {
    let exec = json!({
        "guest": node.guest.wire(), "argv": ["/bin/true"], "timeout_ms": 10_000, "max_output_bytes": 1_000,
    });
    let mut line = json!({ "protocol": 1, "do": { "exec": exec } }).to_string();
    line.push('\n');
    line.into_bytes()
}

/// Root's way into the node.
struct Login {
    node: TrialNode,
    host: String,
    port: String,
    folder: PathBuf,
    request: Vec<u8>,
}

impl Login {
    fn at(node: TrialNode, folder: PathBuf) -> Result<Self> {
        let (host, port) = node.address.rsplit_once(':').context("no port")?;
        let (host, port) = (host.to_owned(), port.to_owned());
        node.add_key(&folder.join("key"), "")?;
        let known = format!("[{host}]:{port} {}\n", node.host_key);
        std::fs::write(folder.join("known_hosts"), known)?;
        Ok(Self {
            request: request(&node),
            node,
            host,
            port,
            folder,
        })
    }

    fn ssh(&self, line: &str) -> Result<Child> {
        let known = self.folder.join("known_hosts");
        self.node
            .within("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes"])
            .args(["-o", "StrictHostKeyChecking=yes", "-o"])
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .args(["-p", &self.port, "-i"])
            .arg(self.folder.join("key"))
            .args([&format!("root@{}", self.host), line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting ssh")
    }

    /// One round of bare `lxc-attach`, milliseconds.
    fn bare(&self) -> Result<f64> {
        let vmid = self.node.guest.vmid;
        let enter = format!("lxc-attach -n {vmid} --clear-env -- /bin/true < /dev/null");
        let script = format!(
            "{enter} || exit 1; echo begin; i=0; while [ $i -lt {COMMANDS} ]; do {enter} || exit 1; i=$((i+1)); done; echo end"
        );
        let mut child = self.ssh(&script)?;
        let output = child.stdout.take().context("no output")?;
        let mut lines = BufReader::new(output).lines();
        let mut next = |wanted: &str| match lines.next() {
            Some(Ok(line)) if line == wanted => Ok(()),
            other => bail!("bare lxc-attach did not work: {other:?} in place of {wanted}"),
        };
        next("begin")?;
        let watch = Stopwatch::start();
        next("end")?;
        let ms = watch.elapsed().as_secs_f64() * 1e3;
        child.wait()?;
        Ok(ms)
    }
}

/// A session of the helper.
struct Session {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Session {
    /// Opens it and lets it run one command, which is not counted.
    fn open(login: &Login) -> Result<Self> {
        let mut child = login.ssh(&login.node.serve)?;
        let to = child.stdin.take().context("no input")?;
        let from = child.stdout.take().context("no output")?;
        let mut session = Self { child, to, from };
        session.exec(&login.request)?;
        Ok(session)
    }

    fn exec(&mut self, request: &[u8]) -> Result<()> {
        self.to.write_all(request)?;
        self.to.flush()?;
        loop {
            let mut head = [0; 5];
            self.from
                .read_exact(&mut head)
                .context("the helper's session ended")?;
            let [kind, length @ ..] = head;
            let length = u32::from_be_bytes(length) as usize;
            if length > FRAME_BYTES {
                bail!("the helper answered with a frame of {length} bytes");
            }
            let mut content = vec![0; length];
            self.from.read_exact(&mut content)?;
            if kind == END {
                let end: Value = serde_json::from_slice(&content)?;
                if end["ended"]["exit_code"] == 0 {
                    return Ok(());
                }
                bail!("the helper did not run it: {end}");
            }
        }
    }

    fn end(self) -> Result<()> {
        let Self {
            mut child,
            to,
            from,
        } = self;
        drop((to, from));
        child.wait()?;
        Ok(())
    }
}
