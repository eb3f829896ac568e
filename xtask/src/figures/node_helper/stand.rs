//! A node in a folder: configurations of containers that "run", and a program in place of `lxc-attach` that notes whether it was
//! called.

use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Kind of the frame that ends an answer.
pub(super) const END: u8 = b'.';

/// The installation that the helper acts for.
pub(super) const INSTALLATION: &str = "00000000-0000-0000-0000-000000000001";
/// Another one on the same node.
pub(super) const ANOTHER: &str = "00000000-0000-0000-0000-0000000000ff";
pub(super) const MAC: &str = "BC:24:11:00:00:01";
pub(super) const ROOTFS: &str = "local-zfs:subvol-100-disk-0";

/// The mark of an app.
pub(super) fn mark(installation: &str, app: u32) -> String {
    format!("proximity-mark:v1:{installation}:00000000-0000-0000-0000-{app:012}:{app:032x}")
}

/// A container that the caller says it made.
pub(super) fn made(vmid: u32, mark: &str) -> Value {
    json!({ "vmid": vmid, "owner": { "made": { "mark": mark, "mac": MAC, "rootfs": ROOTFS } } })
}

/// One session's end.
pub(super) struct Said {
    pub(super) status: ExitStatus,
    pub(super) complaint: String,
    /// The ends of the answers.
    pub(super) ends: Vec<Value>,
}

/// The node.
pub(super) struct Node {
    folder: PathBuf,
    helper: PathBuf,
    /// Where the monitors of running containers listen.
    running: Vec<UnixListener>,
}

impl Node {
    /// In this folder, which is empty, with this helper.
    pub(super) fn new(folder: PathBuf, helper: &Path) -> Result<Self> {
        std::fs::create_dir(folder.join("conf"))?;
        let attach = folder.join("lxc-attach");
        let note = format!(
            "#!/bin/sh\necho >> '{}'\n",
            folder.join("entered").display()
        );
        std::fs::write(&attach, note)?;
        std::fs::set_permissions(&attach, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            folder,
            helper: helper.to_owned(),
            running: Vec::new(),
        })
    }

    /// Adds a container that runs, with this description.
    pub(super) fn add(&mut self, vmid: u32, description: &str) -> Result<()> {
        let lines = description.lines().map(|line| line.replace(':', "%3A"));
        let description: String = lines.map(|line| format!("#{line}\n")).collect();
        let conf = format!(
            "{description}arch: amd64\nnet0: name=eth0,bridge=vmbr0,hwaddr={MAC},type=veth\nrootfs: {ROOTFS},size=4G\n"
        );
        std::fs::write(self.folder.join("conf").join(format!("{vmid}.conf")), conf)?;
        let monitor = format!("{}/{vmid}/command", self.folder.join("lxc").display());
        let address = SocketAddr::from_abstract_name(monitor)?;
        self.running.push(UnixListener::bind_addr(&address)?);
        Ok(())
    }

    /// How often a container was entered.
    pub(super) fn entered(&self) -> usize {
        let noted = std::fs::read_to_string(self.folder.join("entered"));
        noted.unwrap_or_default().lines().count()
    }

    /// One session with so much address space, KiB. Everything is sent, then read.
    pub(super) fn session(&self, kib: u32, sent: &[u8]) -> Result<Said> {
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -v {kib}; exec \"$@\""), "small"])
            .arg(&self.helper)
            .args(self.places())
            .args(["serve", INSTALLATION])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting the helper")?;
        let mut stdin = child.stdin.take().context("no input")?;
        let mut stdout = child.stdout.take().context("no output")?;
        let mut bytes = Vec::new();
        std::thread::scope(|scope| -> Result<()> {
            scope.spawn(move || {
                // It may end the session before it has read all.
                let _ = stdin.write_all(sent);
            });
            stdout.read_to_end(&mut bytes)?;
            Ok(())
        })?;
        let output = child.wait_with_output()?;
        Ok(Said {
            status: output.status,
            complaint: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ends: ends(&bytes),
        })
    }

    fn places(&self) -> Vec<PathBuf> {
        let at = |name: &str| self.folder.join(name);
        let words = [
            ("--conf-dir", at("conf")),
            ("--lxc-path", at("lxc")),
            ("--lxc-attach", at("lxc-attach")),
            ("--state-dir", at("state")),
        ];
        let words = words.map(|(name, place)| [name.into(), place]);
        words.concat()
    }
}

/// The ends among frames: a kind, four bytes of length, the content.
fn ends(mut bytes: &[u8]) -> Vec<Value> {
    let mut ends = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<5>() {
        let [kind, length @ ..] = *head;
        let Some((content, rest)) = rest.split_at_checked(u32::from_be_bytes(length) as usize)
        else {
            break;
        };
        if kind == END {
            ends.extend(serde_json::from_slice::<Value>(content).ok());
        }
        bytes = rest;
    }
    ends
}

/// A request, ready to be sent.
pub(super) fn line(what: &Value) -> Vec<u8> {
    let mut line = json!({ "protocol": 1, "do": what }).to_string();
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_from_output_and_from_what_is_cut_off() {
        let bytes = b"o\0\0\0\x02{}.\0\0\0\x07{\"a\":1}.\0\0\0\x09{\"a\"";
        assert_eq!(ends(bytes), [json!({ "a": 1 })]);
    }
}
