//! Root's shell on nodes, for putting the helper there and taking it away: what is sent, and what its answer means.
//!
//! A few fixed scripts run there, whose arguments go through the one quoting function; nothing else can be asked for. Files are
//! replaced whole: written beside, compared, renamed. `authorized_keys` is on PVE a link into `/etc/pve`, which all nodes share:
//! the link is followed and stays. `/etc/pve` (pmxcfs) knows renames, and neither modes nor links, so neither is set there.

use bytes::Bytes;
use proximity_domain::names::NodeName;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::super::{ExecOutput, GuestError};
use super::command::{Job, MESSAGE_BYTES, script_line};
use super::{BadKey, NodeAddress, Nodes};

/// Where the helper is on PVE's nodes.
pub const PROGRAM_FOLDER: &str = "/usr/local/sbin";
/// The helper's name.
pub const PROGRAM_NAME: &str = "proximity-node-helper";
/// PVE keeps no file of its own that is longer.
const KEYS_BYTES: usize = 1 << 20;
/// A program of some MiB over a slow line.
const TIMEOUT_MS: u64 = 60_000;

/// Exit codes of the scripts.
const NODE_TROUBLE: i32 = 91;
const CUT_SHORT: i32 = 92;
const CHANGED: i32 = 95;

/// Prints what there is, line by line, then an empty one and the list of keys. A node whose tools are not PVE's own says beside its
/// `pct` where things are; programs are installed there.
const LOOK: &str = r#"
sum() { sha256sum < "$1" | cut -c 1-64; }
echo "account $(id -un)"
echo "machine $(uname -m)"
pct=$(command -v pct) && echo "pct $pct"
folder=/usr/local/sbin
if [ -n "$pct" ] && [ -e "${pct%/*}/proximity-node-helper.places" ]; then folder=${pct%/*}; fi
echo "folder $folder"
[ -w "$folder" ] && echo "writable yes"
program=$folder/proximity-node-helper
[ -f "$program" ] && echo "program $(sum "$program")"
keys=$(readlink -f -- "$HOME/.ssh/authorized_keys") || keys=$HOME/.ssh/authorized_keys
echo "keys $keys"
[ -e "$keys" ] && echo "listed yes"
echo
[ ! -e "$keys" ] || cat -- "$keys"
"#;

/// Arguments: folder, SHA-256 of the input. The file takes its place whole.
const PUT_PROGRAM: &str = r#"
new=$1/.proximity-node-helper.$$
trap 'rm -f -- "$new"' EXIT
trap 'exit 91' HUP INT TERM PIPE
umask 077
cat > "$new" || exit 91
[ "$(sha256sum < "$new" | cut -c 1-64)" = "$2" ] || exit 92
chmod 0755 -- "$new" && sync -- "$new" && mv -f -- "$new" "$1/proximity-node-helper" || exit 91
"#;

/// Arguments: SHA-256 of the list as it was seen, or `absent`; that of the input.
const PUT_KEYS: &str = r#"
umask 077
mkdir -p -- "$HOME/.ssh" || exit 91
keys=$(readlink -f -- "$HOME/.ssh/authorized_keys") || exit 91
new=$keys.proximity.$$
trap 'rm -f -- "$new"' EXIT
trap 'exit 91' HUP INT TERM PIPE
cat > "$new" || exit 91
[ "$(sha256sum < "$new" | cut -c 1-64)" = "$2" ] || exit 92
# pmxcfs may know no sync, and keeps what it was told all the same.
sync -- "$new" 2>/dev/null || :
now=absent
if [ -e "$keys" ]; then now=$(sha256sum < "$keys" | cut -c 1-64); fi
[ "$now" = "$1" ] || exit 95
mv -f -- "$new" "$keys" || exit 91
"#;

/// Argument: folder.
const REMOVE_PROGRAM: &str = r#"rm -f -- "$1/proximity-node-helper" || exit 91"#;

/// What there is on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLook {
    /// The account.
    pub account: String,
    /// The machine's architecture in the kernel's words, e.g. `x86_64`.
    pub machine: String,
    /// PVE's `pct`, if it is found.
    pub pct: Option<String>,
    /// The folder for the helper.
    pub folder: String,
    /// Whether the account may write there.
    pub is_writable: bool,
    /// SHA-256 of the helper that is there, hex.
    pub program: Option<String>,
    /// The list of keys, links followed.
    pub keys_file: String,
    /// What is in it; none if it is not there.
    pub keys: Option<String>,
}

/// Root's shell on nodes.
///
/// Guarantees: those of its connections (pinned, shared, nothing sent twice), and that no file is ever half there.
#[derive(Debug)]
pub struct NodeRoot {
    nodes: Nodes,
}

impl NodeRoot {
    /// Access to these nodes as root. Connects when first used.
    ///
    /// # Errors
    /// [`BadKey`] if the private key (OpenSSH format, no passphrase) or an address cannot be used.
    pub fn new(
        private_key: &SecretString,
        nodes: impl IntoIterator<Item = (NodeName, NodeAddress)>,
    ) -> Result<Self, BadKey> {
        let nodes = Nodes::new("root", private_key, nodes)?;
        Ok(Self { nodes })
    }

    /// Looks at a node; nothing is changed.
    ///
    /// # Errors
    /// [`GuestError`]: not reached, or its answer makes no sense.
    pub async fn look(&self, node: &NodeName) -> Result<NodeLook, GuestError> {
        let output = self.nodes.get(node)?.run(look()?, &()).await?;
        judge_look(node, &output)
    }

    /// Puts the helper into the folder, in place of one that is there.
    ///
    /// # Errors
    /// [`GuestError`]; the old one is still there then, or the new one already.
    pub async fn put_program(
        &self,
        node: &NodeName,
        folder: &str,
        program: Bytes,
    ) -> Result<(), GuestError> {
        let job = put_program(folder, program)?;
        judge(node, &self.nodes.get(node)?.run(job, &()).await?)
    }

    /// Replaces the list of keys that was `seen` by this one.
    ///
    /// # Errors
    /// [`GuestError`], also when somebody changed the list since it was seen.
    pub async fn put_keys(
        &self,
        node: &NodeName,
        seen: Option<&str>,
        keys: String,
    ) -> Result<(), GuestError> {
        let job = put_keys(seen, keys)?;
        judge(node, &self.nodes.get(node)?.run(job, &()).await?)
    }

    /// Takes the helper out of the folder; that there is none is fine.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn remove_program(&self, node: &NodeName, folder: &str) -> Result<(), GuestError> {
        let job = job(REMOVE_PROGRAM, &[folder], None, 0)?;
        judge(node, &self.nodes.get(node)?.run(job, &()).await?)
    }
}

fn job(
    script: &str,
    arguments: &[&str],
    stdin: Option<Bytes>,
    max_stdout_bytes: usize,
) -> Result<Job, GuestError> {
    Ok(Job {
        line: script_line(script, arguments)?,
        stdin,
        timeout_ms: TIMEOUT_MS,
        send_before: None,
        max_stdout_bytes,
        max_stderr_bytes: MESSAGE_BYTES,
    })
}

fn look() -> Result<Job, GuestError> {
    job(LOOK, &[], None, KEYS_BYTES + MESSAGE_BYTES)
}

fn put_program(folder: &str, program: Bytes) -> Result<Job, GuestError> {
    let sum = sha256(&program);
    job(PUT_PROGRAM, &[folder, &sum], Some(program), 0)
}

fn put_keys(seen: Option<&str>, keys: String) -> Result<Job, GuestError> {
    let seen = seen.map_or("absent".to_owned(), |text| sha256(text.as_bytes()));
    let sum = sha256(keys.as_bytes());
    job(PUT_KEYS, &[&seen, &sum], Some(keys.into()), 0)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn failed(node: &NodeName, message: impl Into<String>) -> GuestError {
    GuestError::Failed {
        node: node.to_string(),
        message: message.into(),
    }
}

fn judge(node: &NodeName, output: &ExecOutput) -> Result<(), GuestError> {
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.exit_code {
        0 => Ok(()),
        NODE_TROUBLE => Err(failed(node, format!("its file system refuses: {said}"))),
        CUT_SHORT => Err(failed(
            node,
            "the file did not arrive whole, and is not there",
        )),
        CHANGED => Err(failed(
            node,
            "somebody else changed the list of keys in this moment, and it was left as it is",
        )),
        code => Err(failed(node, format!("exit code {code}: {said}"))),
    }
}

fn judge_look(node: &NodeName, output: &ExecOutput) -> Result<NodeLook, GuestError> {
    judge(node, output)?;
    if output.truncated {
        return Err(failed(node, "its list of keys is longer than 1 MiB"));
    }
    let text = std::str::from_utf8(&output.stdout);
    let text = text.map_err(|_| failed(node, "its list of keys is no text"))?;
    read_look(text).ok_or_else(|| {
        failed(
            node,
            "its answer makes no sense; its shell prints something of its own",
        )
    })
}

fn read_look(text: &str) -> Option<NodeLook> {
    let (head, keys) = text.split_once("\n\n")?;
    let value = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(' '));
        lines.find_map(|(key, value)| (key == name).then(|| value.to_owned()))
    };
    Some(NodeLook {
        account: value("account")?,
        machine: value("machine")?,
        pct: value("pct"),
        folder: value("folder").filter(|folder| is_path(folder))?,
        is_writable: value("writable").is_some(),
        program: value("program"),
        keys_file: value("keys")?,
        keys: value("listed").map(|_| keys.to_owned()),
    })
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    use super::*;

    /// A node's home, with its list of keys behind a link, and a folder for programs.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            for folder in ["root/.ssh", "shared", "bin"] {
                std::fs::create_dir_all(place.at(folder)).unwrap();
            }
            let link = place.at("root/.ssh/authorized_keys");
            std::os::unix::fs::symlink(place.keys(), link).unwrap();
            place.program("pct", "#!/bin/sh\n");
            std::fs::write(place.at("bin/proximity-node-helper.places"), "").unwrap();
            place
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn keys(&self) -> PathBuf {
            self.at("shared/authorized_keys")
        }

        fn program(&self, name: &str, text: &str) {
            let path = self.at("bin").join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }

        /// What the node's shell makes of it, with so much of its input.
        fn run(&self, job: &Job, input: &[u8]) -> ExecOutput {
            let mut shell = Command::new("/bin/sh")
                .args(["-c", &job.line])
                .env(
                    "PATH",
                    format!("{}:/usr/bin:/bin", self.at("bin").display()),
                )
                .env("HOME", self.at("root"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            shell.stdin.take().unwrap().write_all(input).unwrap();
            let output = shell.wait_with_output().unwrap();
            ExecOutput {
                exit_code: output.status.code().unwrap(),
                stdout: output.stdout.into(),
                stderr: output.stderr.into(),
                truncated: false,
            }
        }

        fn look(&self) -> NodeLook {
            judge_look(&node(), &self.run(&look().unwrap(), b"")).unwrap()
        }

        fn put_keys(&self, seen: Option<&str>, keys: &str) -> Result<(), GuestError> {
            let job = put_keys(seen, keys.to_owned()).unwrap();
            judge(&node(), &self.run(&job, keys.as_bytes()))
        }
    }

    fn node() -> NodeName {
        "pve1".parse().unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_look_tells_what_is_there_and_changes_nothing() {
        let place = Place::new();
        let seen = place.look();
        assert_eq!(
            (seen.program.as_deref(), seen.keys.as_deref()),
            (None, None)
        );
        assert_eq!(seen.folder, place.at("bin").to_str().unwrap());
        assert_eq!(seen.keys_file, place.keys().to_str().unwrap());
        assert!(seen.pct.unwrap().ends_with("/bin/pct") && !seen.machine.is_empty());
        assert!(seen.is_writable && !seen.account.is_empty());
        let keys = "ssh-ed25519 AAAA me\n\n# end\n";
        std::fs::write(place.keys(), keys).unwrap();
        assert_eq!(place.look().keys.as_deref(), Some(keys));
        std::fs::write(place.keys(), "").unwrap();
        assert_eq!(place.look().keys.as_deref(), Some(""));
    }

    #[test]
    fn a_node_without_places_of_its_own_gets_the_helper_where_pve_leaves_room_for_it() {
        let place = Place::new();
        std::fs::remove_file(place.at("bin/proximity-node-helper.places")).unwrap();
        assert_eq!(place.look().folder, PROGRAM_FOLDER);
    }

    #[test]
    fn the_program_is_there_whole_or_as_before() {
        let place = Place::new();
        let folder = place.at("bin");
        let folder = folder.to_str().unwrap();
        place.program("proximity-node-helper", "old");
        let before = names(&place.at("bin"));
        let job = put_program(folder, Bytes::from_static(b"new program")).unwrap();
        let cut = judge(&node(), &place.run(&job, b"new"));
        assert!(
            cut.unwrap_err()
                .to_string()
                .contains("did not arrive whole")
        );
        let path = place.at("bin/proximity-node-helper");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        judge(&node(), &place.run(&job, b"new program")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new program");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert_eq!(place.look().program, Some(sha256(b"new program")));
        assert_eq!(names(&place.at("bin")), before, "nothing else is left");
        let remove = super::job(REMOVE_PROGRAM, &[folder], None, 0).unwrap();
        for _ in 0..2 {
            judge(&node(), &place.run(&remove, b"")).unwrap();
            assert_eq!(place.look().program, None);
        }
    }

    #[test]
    fn the_list_of_keys_is_replaced_behind_its_link_if_it_is_still_the_one_that_was_seen() {
        let place = Place::new();
        place.put_keys(None, "one\n").unwrap();
        assert_eq!(std::fs::read_to_string(place.keys()).unwrap(), "one\n");
        let link = place.at("root/.ssh/authorized_keys");
        assert!(std::fs::symlink_metadata(link).unwrap().is_symlink());
        for stale in [None, Some("other\n")] {
            let error = place.put_keys(stale, "two\n").unwrap_err();
            assert!(error.to_string().contains("somebody else"), "{error}");
        }
        assert_eq!(std::fs::read_to_string(place.keys()).unwrap(), "one\n");
        place.put_keys(Some("one\n"), "two\n").unwrap();
        assert_eq!(names(&place.at("shared")), ["authorized_keys"]);
        assert_eq!(std::fs::read_to_string(place.keys()).unwrap(), "two\n");
    }

    #[test]
    fn a_shell_that_prints_more_is_not_believed() {
        let said = |text: &str| ExecOutput {
            exit_code: 0,
            stdout: text.to_owned().into(),
            stderr: Bytes::new(),
            truncated: false,
        };
        for odd in [
            "",
            "Welcome!\n\naccount root\n",
            "account root\nmachine x\nfolder rel\nkeys /k\n\n",
        ] {
            assert!(judge_look(&node(), &said(odd)).is_err(), "{odd:?}");
        }
    }
}
