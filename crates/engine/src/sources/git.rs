//! The program `git`, run so that nothing of a repository is ever run: its arguments are given one by one and never through a shell, it
//! gets an environment of its own, and every way by which it starts something else is closed.
//!
//! No work tree is ever made, so nothing is checked out: no hook, no filter, no attribute and no link of a repository takes effect, and
//! submodules are not looked at. Git itself starts `ssh` by a line of text; that line is a constant.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How ssh is started: with nothing of anybody's configuration, with the one key and the host keys of the source, in the folder of the
/// run, and without ever asking anybody.
const SSH: &str = "ssh -F none -i ./key -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes \
     -o StrictHostKeyChecking=yes -o UserKnownHostsFile=./known_hosts -o GlobalKnownHostsFile=/dev/null \
     -o UpdateHostKeys=no -o ClearAllForwardings=yes -o PermitLocalCommand=no -o ProxyCommand=none \
     -o ConnectTimeout=20 -o ServerAliveInterval=15";

/// What git is told on every run, whatever a configuration says.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=",
    "core.symlinks=false",
    "core.attributesFile=/dev/null",
    "core.askPass=",
    "credential.helper=",
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.ssh.allow=always",
    "protocol.ext.allow=never",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    // One file, however many objects come.
    "fetch.unpackLimit=1",
    "transfer.unpackLimit=1",
    // A few bytes of a pack can stand for very many: what is large goes through in pieces, and one at a time.
    "core.bigFileThreshold=16m",
    "pack.threads=1",
    "gc.auto=0",
    "maintenance.auto=false",
    // Signatures are those of SSH keys alone.
    "gpg.program=/bin/false",
    "gpg.x509.program=/bin/false",
    "gpg.minTrustLevel=fully",
];

/// What a process that reads a repository may use at most. None of them leaves a picture of its memory: that holds keys and tokens.
const MOST_USED: [(Resource, u64); 3] = [
    (Resource::Core, 0),
    // Bytes of memory.
    (Resource::As, 2 << 30),
    // Seconds of a processor, also of one that nobody ends any more because the server died.
    (Resource::Cpu, 300),
];

/// Most bytes of what git says of an error.
const MOST_SAID_BYTES: u64 = 16 * 1024;
/// How often it is looked how much has come, while something is fetched.
const MEASURE_EVERY: Duration = Duration::from_millis(200);

/// Why git did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GitError {
    /// The program is not there.
    Missing,
    /// It could not be run.
    NotRun(String),
    /// It took too long.
    TooLong(Duration),
    /// It gave more than may be.
    TooLarge(u64),
    /// It ended with this code, and said this.
    Failed(i32, String),
}

/// Git, in a folder that is there for one run alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Git<'a> {
    /// The program.
    pub(super) program: &'a Path,
    /// The folder of the run: home, working directory and place of the repository.
    pub(super) folder: &'a Path,
    /// Repositories that are folders of this machine are read.
    pub(super) allows_files: bool,
}

impl Git<'_> {
    /// Runs it, with this on its standard input, for no longer than this, and gives what it wrote.
    pub(super) async fn run(
        &self,
        argv: &[&str],
        input: &[u8],
        most_bytes: u64,
        patience: Duration,
    ) -> Result<Vec<u8>, GitError> {
        let ended = tokio::time::timeout(patience, self.run_whole(argv, input, most_bytes));
        match ended.await {
            Ok(ended) => ended,
            Err(_) => Err(GitError::TooLong(patience)),
        }
    }

    /// The same for what is fetched: it ends as soon as there is more in the folder of the run than may be.
    pub(super) async fn fetch(
        &self,
        argv: &[&str],
        most_bytes: u64,
        patience: Duration,
    ) -> Result<(), GitError> {
        let fetching = self.run(argv, &[], MOST_SAID_BYTES, patience);
        let measuring = async {
            loop {
                tokio::time::sleep(MEASURE_EVERY).await;
                if bytes_in(self.folder, 0) > most_bytes {
                    return;
                }
            }
        };
        tokio::select! {
            fetched = fetching => { fetched?; }
            () = measuring => return Err(GitError::TooLarge(most_bytes)),
        }
        match bytes_in(self.folder, 0) > most_bytes {
            true => Err(GitError::TooLarge(most_bytes)),
            false => Ok(()),
        }
    }

    async fn run_whole(
        &self,
        argv: &[&str],
        input: &[u8],
        most_bytes: u64,
    ) -> Result<Vec<u8>, GitError> {
        let mut child = self.command(argv).spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => GitError::Missing,
            _ => GitError::NotRun(e.to_string()),
        })?;
        let mut group = Group::of(&child);
        group.limit();
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (fed, out, said) = tokio::join!(
            feed(stdin, input),
            gather(stdout, most_bytes),
            gather(stderr, MOST_SAID_BYTES)
        );
        let not_run = |e: std::io::Error| GitError::NotRun(e.to_string());
        let (out, said) = (out.map_err(not_run)?, said.map_err(not_run)?);
        if out.is_cut {
            return Err(GitError::TooLarge(most_bytes));
        }
        let status = child.wait().await.map_err(not_run)?;
        group.is_over = true;
        match status.code() {
            // What it did not read it did not need.
            Some(0) => Ok(out.bytes),
            code => {
                let told = last_words(&said.bytes);
                let told = match (told.is_empty(), fed) {
                    (true, Err(e)) => e.to_string(),
                    (_, Ok(()) | Err(_)) => told,
                };
                Err(GitError::Failed(code.unwrap_or(-1), told))
            }
        }
    }

    fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        // A repository that the data directory happens to lie in has a configuration too.
        let above = self.folder.parent().unwrap_or(self.folder);
        command
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", self.folder)
            .env("GIT_CEILING_DIRECTORIES", above)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_SSH_VARIANT", "ssh")
            .env("GIT_SSH_COMMAND", SSH)
            .current_dir(self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        if self.allows_files {
            command.args(["-c", "protocol.file.allow=always"]);
        }
        command.args(argv);
        command
    }
}

/// The processes that were started, which end with this unless they have ended.
struct Group {
    leader: Option<Pid>,
    is_over: bool,
}

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            leader: id.and_then(Pid::from_raw),
            is_over: false,
        }
    }

    /// Bounds the leader, and by that all it starts from now on: it has only just begun, and has started nobody yet.
    fn limit(&self) {
        let Some(leader) = self.leader else { return };
        for (what, most) in MOST_USED {
            let limit = Rlimit {
                current: Some(most),
                maximum: Some(most),
            };
            // It may be over already, or be bounded more narrowly by whoever started the server.
            let _ = prlimit(Some(leader), what, limit);
        }
    }
}

impl Drop for Group {
    /// The leader was not waited for yet, so its number is nobody else's.
    fn drop(&mut self) {
        if let Some(leader) = self.leader.filter(|_| !self.is_over) {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn feed(stdin: Option<ChildStdin>, input: &[u8]) -> std::io::Result<()> {
    match stdin {
        Some(mut stdin) => {
            stdin.write_all(input).await?;
            stdin.shutdown().await
        }
        None => Ok(()),
    }
}

struct Gathered {
    bytes: Vec<u8>,
    /// There was more.
    is_cut: bool,
}

/// What is written, as far as it is wanted; the rest is read and thrown away for a while, so that nobody waits for it to be read.
async fn gather(
    from: Option<impl AsyncRead + Unpin>,
    most_bytes: u64,
) -> std::io::Result<Gathered> {
    let mut bytes = Vec::new();
    let Some(mut from) = from else {
        let is_cut = false;
        return Ok(Gathered { bytes, is_cut });
    };
    (&mut from).take(most_bytes).read_to_end(&mut bytes).await?;
    let mut rest = (&mut from).take(most_bytes);
    let more = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    let is_cut = more > 0;
    Ok(Gathered { bytes, is_cut })
}

/// The last thing that git said, on one line.
fn last_words(said: &[u8]) -> String {
    const LONGEST: usize = 300;
    let said = String::from_utf8_lossy(said);
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut last = "";
    for line in lines {
        // What follows an error is advice.
        let is_error = |line: &str| line.starts_with("fatal:") || line.starts_with("error:");
        if is_error(line) || !is_error(last) {
            last = line;
        }
    }
    let plain = last.chars().take(LONGEST);
    plain
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Folders inside of each other that are measured.
const MOST_DEPTH: u8 = 8;

/// How many bytes the files of a folder have.
fn bytes_in(folder: &Path, depth: u8) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() && depth < MOST_DEPTH => bytes_in(&entry.path(), depth + 1),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_told_on_one_line() {
        let said = b"remote: x\nfatal: repository 'y'\x1b[1m not found\nhint: look\n\n";
        assert_eq!(last_words(said), "fatal: repository 'y' [1m not found");
        assert_eq!(last_words(b"  only this\n"), "only this");
        assert_eq!(last_words(b""), "");
    }

    #[tokio::test]
    async fn more_than_is_wanted_is_not_kept() {
        let gathered = gather(Some(&b"abcdef"[..]), 4).await.unwrap();
        assert_eq!(
            (gathered.bytes.as_slice(), gathered.is_cut),
            (&b"abcd"[..], true)
        );
        let gathered = gather(Some(&b"abcd"[..]), 4).await.unwrap();
        assert!(!gathered.is_cut);
    }

    #[tokio::test]
    async fn no_configuration_of_a_repository_around_the_folder_counts() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("sources").join("one");
        std::fs::create_dir_all(&folder).unwrap();
        let git = |folder| Git {
            program: Path::new("git"),
            folder,
            allows_files: false,
        };
        let patience = Duration::from_secs(30);
        let (outer, inner) = (git(around.path()), git(folder.as_path()));
        outer.run(&["init"], &[], 1_000, patience).await.unwrap();
        let set = [
            "config",
            "--local",
            "url.https://evil.example.org/.insteadOf",
            "https://",
        ];
        outer.run(&set, &[], 1_000, patience).await.unwrap();
        let ask = ["config", "--get-regexp", "insteadof$"];
        let seen = outer.run(&ask, &[], 1_000, patience).await.unwrap();
        assert!(!seen.is_empty());
        let seen = inner.run(&ask, &[], 1_000, patience).await;
        assert!(matches!(seen, Err(GitError::Failed(1, _))), "{seen:?}");
    }

    #[tokio::test]
    async fn what_is_run_is_bounded_and_leaves_no_picture_of_its_memory() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git {
            program: Path::new("git"),
            folder: folder.path(),
            allows_files: false,
        };
        // It is fed after it was bounded; the parent of the shell is the process that was started.
        let look = "alias.look=!read go; cat /proc/$PPID/limits";
        let argv = ["-c", look, "look"];
        let patience = Duration::from_secs(30);
        let limits = git.run(&argv, b"go\n", 10_000, patience).await;
        let limits = String::from_utf8(limits.unwrap()).unwrap();
        let is_bounded = |what: &str, most: u64| {
            let mut lines = limits.lines().filter_map(|line| line.strip_prefix(what));
            lines.any(|rest| rest.split_whitespace().next() == Some(most.to_string().as_str()))
        };
        assert!(is_bounded("Max core file size", 0), "{limits}");
        assert!(is_bounded("Max address space", 2 << 30), "{limits}");
        assert!(is_bounded("Max cpu time", 300), "{limits}");
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_ended_and_one_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let git = |program| Git {
            program: Path::new(program),
            folder: folder.path(),
            allows_files: false,
        };
        let patience = Duration::from_millis(200);
        // What it started holds its output open: that ends with it.
        let endless = ["-c", "alias.wait=!tail -f /dev/null", "wait"];
        let ended = git("git").run(&endless, &[], 10, patience).await;
        assert_eq!(ended, Err(GitError::TooLong(patience)));
        let missing = git("no-such-git").run(&["fetch"], &[], 10, patience).await;
        assert_eq!(missing, Err(GitError::Missing));
    }
}
