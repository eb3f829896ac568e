//! A trial that stays, and commands to its server.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use proximity_pve::guest::ssh::generate_keypair;
use proximity_pve_emulator::lab::LabFile;
use secrecy::ExposeSecret;

/// A lab that stays, with a server and an app on it; asked to end when dropped.
pub(crate) struct Standing {
    child: Child,
    dir: tempfile::TempDir,
    config: PathBuf,
    /// The words before a command that reaches the server where it is.
    inside: Vec<String>,
}

impl Standing {
    /// As `proximity try` with these arguments makes it.
    pub(crate) fn up(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/lab");
        let mut child = crate::program::proximity()
            .arg("try")
            .args(args)
            .arg("--template-cache")
            .arg(cache)
            .arg("--dir")
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut lines = said.lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("--config"));
        let line = line.unwrap_or_else(|| panic!("it ended before it was up"));
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "--config").unwrap();
        let config: PathBuf = words[at + 1].into();
        let inside = match args.contains(&"--private") {
            false => Vec::new(),
            true => entering(gateway(&config)),
        };
        Self {
            child,
            dir,
            config,
            inside,
        }
    }

    /// Where its files are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What the lab says of itself.
    pub(crate) fn lab(&self) -> LabFile {
        LabFile::read(&self.dir().join("lab")).unwrap().unwrap()
    }

    /// A program that reaches what runs here.
    fn reaching(&self, program: &Command) -> Command {
        let mut words = self
            .inside
            .iter()
            .map(std::ffi::OsStr::new)
            .chain([program.get_program()]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(program.get_args())
            .stdin(Stdio::null());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// A command to the server.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut program = crate::program::proximity();
        program
            .arg("--config")
            .arg(&self.config)
            .args(line.split_whitespace());
        self.reaching(&program)
    }

    /// What a program that reaches what runs here said.
    pub(crate) fn heard(&self, program: &Command) -> (i32, String, String) {
        said(self.reaching(program))
    }

    /// A command, and what it said: exit code, output, complaints.
    pub(crate) fn asked(&self, line: &str) -> (i32, String, String) {
        said(self.command(line))
    }

    pub(crate) fn done(&self, line: &str) -> String {
        let (code, said, complaint) = self.asked(line);
        assert_eq!(code, 0, "{line}: {complaint}\n{said}");
        said
    }

    pub(crate) fn refused(&self, line: &str) -> String {
        let (code, said, complaint) = self.asked(line);
        assert_ne!(code, 0, "{line}: {said}");
        complaint
    }

    /// A file that only its owner reads.
    pub(crate) fn secret_file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.dir().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    /// Root on the nodes takes this key from now on.
    pub(crate) fn let_in(&self, public_line: &str) {
        let list = self.dir().join("lab/authorized_keys");
        let keys = std::fs::read_to_string(&list).unwrap();
        let line = public_line.trim();
        std::fs::write(&list, format!("{keys}{line}\n")).unwrap();
    }

    /// Runs this on a thread that reaches what runs here.
    pub(crate) fn beside(&self, work: impl AsyncFnOnce() + Send) {
        let network = match self.inside.is_empty() {
            true => None,
            false => Some(std::fs::File::open(format!(
                "/proc/{}/ns/net",
                gateway(&self.config)
            ))),
        };
        let alone = || {
            if let Some(network) = network {
                let kind = Some(rustix::thread::LinkNameSpaceType::Network);
                rustix::thread::move_into_link_name_space(network.unwrap().as_fd(), kind).unwrap();
            }
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(work());
        };
        let ended = std::thread::scope(|scope| scope.spawn(alone).join());
        if let Err(why) = ended {
            std::panic::resume_unwind(why);
        }
    }

    /// A key that root on the nodes takes: its file, and where each node's SSH is as the command line names it.
    pub(crate) fn root_key(&self) -> (PathBuf, String) {
        let pair = generate_keypair().unwrap();
        self.let_in(&format!("{} a person", pair.public_line));
        let file = self.secret_file("root_key", pair.private_pem.expose_secret());
        let places = self.lab().ssh.into_iter();
        let places = places.map(|at| format!("--ssh-address {}={}", at.node, at.address));
        (file, places.collect::<Vec<String>>().join(" "))
    }
}

/// Exit code, output, complaints.
fn said(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complaint) = (text(&output.stdout), text(&output.stderr));
    let ended = || {
        panic!(
            "{command:?} was ended: {}: {complaint}\n{said}",
            output.status
        )
    };
    (output.status.code().unwrap_or_else(ended), said, complaint)
}

/// The gateway's process, as it is seen from outside its namespace.
fn gateway(config: &Path) -> u32 {
    let is_it = |words: &[u8]| {
        let words = String::from_utf8_lossy(words);
        words.contains("\0gateway\0") && words.contains(&*config.to_string_lossy())
    };
    let all = std::fs::read_dir("/proc").unwrap().map(Result::unwrap);
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut own = pids.filter(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| is_it(&words))
    });
    own.next().unwrap_or_else(|| panic!("there is no gateway"))
}

fn entering(pid: u32) -> Vec<String> {
    let pid = pid.to_string();
    ["nsenter", "--net", "--target", &pid, "--"]
        .map(str::to_owned)
        .to_vec()
}

impl Drop for Standing {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It may have ended by itself; the wait tells.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let ended = self.child.wait();
        if !std::thread::panicking() {
            assert!(ended.unwrap().success());
        }
    }
}
