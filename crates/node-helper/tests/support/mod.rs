//! A node for the helper: a folder of configurations, containers that "run", and a program that enters them.

#![allow(dead_code, reason = "each of the tests uses its part")]

use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use proximity_node_helper::answer::{END, ERROR_OUTPUT, End, OUTPUT};
use proximity_node_helper::ground::Ground;
use serde_json::{Value, json};

pub(crate) const INSTALLATION: &str = "00000000-0000-0000-0000-000000000001";
pub(crate) const MARK: &str = "proximity-mark:v1:00000000-0000-0000-0000-000000000001:\
                        00000000-0000-0000-0000-000000000002:0000000000000000000000000000000a";
pub(crate) const MAC: &str = "BC:24:11:00:00:01";
pub(crate) const ROOTFS: &str = "local-zfs:subvol-100-disk-0";

/// A node in a folder of its own.
pub(crate) struct Node {
    pub(crate) dir: tempfile::TempDir,
    running: Vec<UnixListener>,
}

/// What came back for one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
    pub(crate) end: End,
}

impl Node {
    /// With the container 100, which is ours and runs.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["conf", "state"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let mut node = Self {
            dir,
            running: Vec::new(),
        };
        // Notes that it was called, and gives everything on as it is.
        let entered = node.at("entered");
        node.write_attach(&format!(
            "echo \"$2\" >> '{}'\nshift 4\nexec \"$@\"\n",
            entered.display()
        ));
        node.write_conf(100, &conf(MARK, MAC, ROOTFS));
        node.run(100);
        node
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write_attach(&self, script: &str) {
        let path = self.at("lxc-attach");
        std::fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn write_conf(&self, vmid: u32, text: &str) {
        std::fs::write(self.at("conf").join(format!("{vmid}.conf")), text).unwrap();
    }

    /// Listens where the monitor of a running container does.
    pub(crate) fn run(&mut self, vmid: u32) {
        let name = format!("{}/{vmid}/command", self.at("lxc").display());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        self.running
            .push(UnixListener::bind_addr(&address).unwrap());
    }

    /// How often a container was entered.
    pub(crate) fn entered(&self) -> usize {
        std::fs::read_to_string(self.at("entered"))
            .unwrap_or_default()
            .lines()
            .count()
    }

    pub(crate) fn audit(&self) -> String {
        std::fs::read_to_string(self.at("state").join("audit.log")).unwrap_or_default()
    }

    /// What was refused.
    pub(crate) fn refusals(&self) -> String {
        std::fs::read_to_string(self.at("state").join("refused.log")).unwrap_or_default()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proximity-node-helper"));
        for (place, name) in [
            ("--conf-dir", "conf"),
            ("--lxc-path", "lxc"),
            ("--lxc-attach", "lxc-attach"),
            ("--state-dir", "state"),
        ] {
            command.arg(place).arg(self.at(name));
        }
        command.args(words);
        command
    }

    pub(crate) fn ground(&self) -> Ground {
        Ground {
            conf_dir: self.at("conf"),
            lxc_path: self.at("lxc"),
            lxc_attach: self.at("lxc-attach"),
            state_dir: self.at("state"),
        }
    }

    pub(crate) fn begin(&self) -> Child {
        self.begin_for(INSTALLATION)
    }

    /// For a key of this installation.
    pub(crate) fn begin_for(&self, installation: &str) -> Child {
        let mut command = self.command(&["serve", installation]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env("SSH_CONNECTION", "192.0.2.1 4000 192.0.2.2 22")
            .spawn()
            .unwrap()
    }

    /// One session: what is sent, and all that comes back.
    pub(crate) fn session(&self, sent: &[u8]) -> Vec<Answer> {
        let bytes = exchange(self.begin(), std::iter::once(sent.to_vec()));
        answers(&bytes)
    }

    pub(crate) fn ask(&self, what: &Value, body: &[u8]) -> Answer {
        let mut sent = request(what);
        sent.extend_from_slice(body);
        let mut answers = self.session(&sent);
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }
}

/// Sends the pieces to a helper, and gives all that comes back. It has to end well, and complain of nothing.
pub(crate) fn exchange(
    mut child: Child,
    pieces: impl Iterator<Item = Vec<u8>> + Send + 'static,
) -> Vec<u8> {
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for piece in pieces {
            // It may have ended the session.
            if stdin.write_all(&piece).is_err() {
                return;
            }
        }
    });
    let mut bytes = Vec::new();
    let mut output = child.stdout.take().unwrap();
    output.read_to_end(&mut bytes).unwrap();
    let mut complaint = String::new();
    let mut complaints = child.stderr.take().unwrap();
    complaints.read_to_string(&mut complaint).unwrap();
    writer.join().unwrap();
    let status = child.wait().unwrap();
    let well = status.success() && complaint.is_empty();
    assert!(well, "{status}: {complaint}");
    bytes
}

/// A configuration as PVE writes it.
pub(crate) fn conf(mark: &str, mac: &str, rootfs: &str) -> String {
    let mark = mark.replace(':', "%3A");
    format!(
        "#an app\n#{mark}\narch: amd64\nhostname: web\n\
         net0: name=eth0,bridge=vmbr0,hwaddr={mac},type=veth\nrootfs: {rootfs},size=4G\n"
    )
}

pub(crate) fn guest() -> Value {
    made(100, MARK, MAC, Some(ROOTFS))
}

pub(crate) fn made(vmid: u32, mark: &str, mac: &str, rootfs: Option<&str>) -> Value {
    json!({ "vmid": vmid, "owner": { "made": { "mark": mark, "mac": mac, "rootfs": rootfs } } })
}

pub(crate) fn adopted(vmid: u32) -> Value {
    json!({ "vmid": vmid, "owner": { "adopted": {} } })
}

pub(crate) fn exec(guest: &Value, argv: &[&str], stdin_bytes: usize) -> Value {
    json!({ "exec": {
        "guest": guest, "argv": argv, "stdin_bytes": stdin_bytes, "timeout_ms": 20_000, "max_output_bytes": 1 << 20,
    }})
}

pub(crate) fn request(what: &Value) -> Vec<u8> {
    let mut line = json!({ "protocol": 1, "do": what })
        .to_string()
        .into_bytes();
    line.push(b'\n');
    line
}

/// Takes the frames apart.
pub(crate) fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some((kind, rest)) = bytes.split_first() {
        let (length, rest) = rest.split_at(4);
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let (content, rest) = rest.split_at(length);
        bytes = rest;
        match *kind {
            OUTPUT => out.extend_from_slice(content),
            ERROR_OUTPUT => err.extend_from_slice(content),
            END => answers.push(Answer {
                out: std::mem::take(&mut out),
                err: std::mem::take(&mut err),
                end: serde_json::from_slice(content).unwrap(),
            }),
            other => panic!("a frame of the kind {other}"),
        }
    }
    assert!(out.is_empty() && err.is_empty(), "output without an end");
    answers
}
