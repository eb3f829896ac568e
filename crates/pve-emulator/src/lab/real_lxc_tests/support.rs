//! A private namespace around a test, a lab in it as a process of its own, and clients for its API and SSH.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};

use serde_json::Value;

use crate::lab::identity::Identity;
use crate::lab::{LabFile, check_programs, private};

/// Where the inner run finds its directory.
const DIRECTORY: &str = "PROXIMITY_LAB_TEST_DIRECTORY";

/// Runs `body` inside a private namespace with a directory of its own, by running the test `name` again in there.
/// Outside, it checks afterwards that the machine is as before.
pub(super) fn in_private_namespace(name: &str, body: impl FnOnce(&Path)) {
    if private::scope().is_some() {
        return body(&directory_of_inner_run());
    }
    if let Some(reason) = unable() {
        println!("SKIPPED: {name}: {reason}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap().into_os_string();
    let test = format!("lab::real_lxc_tests::{name}");
    let argv = [program, test.into(), "--exact".into(), "--nocapture".into()];
    let env = [(
        OsString::from(DIRECTORY),
        directory.path().as_os_str().to_owned(),
    )];
    let status = block_on(private::enter(argv.to_vec(), env.to_vec())).unwrap();
    let left = traces(directory.path());
    assert!(status.success(), "inside the namespace: {status}");
    assert_eq!(left, Vec::<String>::new(), "left on the machine");
}

#[allow(
    clippy::disallowed_methods,
    reason = "how the outer run tells the inner one"
)]
fn directory_of_inner_run() -> PathBuf {
    std::env::var_os(DIRECTORY).expect("a directory").into()
}

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// Why real containers cannot run here.
pub(super) fn unable() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    check_programs().err().map(|error| error.to_string())
}

/// The template cache all tests and `xtask try` share.
pub(super) fn cache() -> PathBuf {
    target_directory().join("../lab")
}

/// `target/debug`.
fn target_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.parent().unwrap().parent().unwrap().to_owned()
}

pub(super) fn lab_program() -> PathBuf {
    let program = target_directory().join("examples/lab");
    assert!(
        program.is_file(),
        "build the example first: cargo build --example lab"
    );
    program
}

/// What the labs in `directory` left on the machine; everything they make carries their id or path.
pub(super) fn traces(directory: &Path) -> Vec<String> {
    let mut found = processes_about(&directory.to_string_lossy());
    for entry in std::fs::read_dir(directory).unwrap() {
        let Some(identity) = Identity::read(&entry.unwrap().path()).unwrap() else {
            continue;
        };
        let (id, scope) = (identity.id, identity.scope.unwrap_or_default());
        // A guest's monitor, which outlives all processes of the guest, names itself after its place.
        found.extend(processes_about(&format!("/lxc/{id}/")));
        let rules = Command::new("nft")
            .args(["list", "tables"])
            .output()
            .unwrap();
        found.extend(lines_with(
            &String::from_utf8_lossy(&rules.stdout),
            &identity.network.bridge,
        ));
        let links = Command::new("ip").args(["-br", "link"]).output().unwrap();
        found.extend(lines_with(
            &String::from_utf8_lossy(&links.stdout),
            &format!("px{id}"),
        ));
        found.extend(lines_with(
            &String::from_utf8_lossy(&links.stdout),
            &identity.network.bridge,
        ));
        let read = |path: &str| std::fs::read_to_string(path).unwrap();
        found.extend(lines_with(
            &read("/proc/self/mountinfo"),
            &directory.to_string_lossy(),
        ));
        found.extend(lines_with(&read("/proc/net/unix"), &format!("/lxc/{id}/")));
        let groups = crate::lab::cgroup::trees(&format!("pxlab-s{scope}-"));
        found.extend(groups.iter().map(|path| path.display().to_string()));
        for path in [
            format!("/run/proximity-lab/scopes/{scope}"),
            format!("/run/lxc/lock/var/lib/lxc/{id}"),
        ] {
            found.extend(Path::new(&path).exists().then_some(path));
        }
    }
    found
}

fn lines_with(text: &str, word: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.contains(word))
        .map(str::to_owned)
        .collect()
}

/// Living processes that have the word in their arguments, this one left out.
pub(super) fn processes_about(word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.parse::<u32>().is_err() || name == std::process::id().to_string() {
            continue;
        }
        // A process may end meanwhile.
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if arguments.contains(word) {
            found.push(format!("{name}: {arguments}"));
        }
    }
    found
}

/// A lab as a process of its own, in the current namespace.
pub(super) struct Lab {
    child: Child,
    stdin: Option<ChildStdin>,
    pub(super) state: PathBuf,
    pub(super) file: LabFile,
}

impl Lab {
    /// Starts the lab at `directory/state` and waits until it is ready.
    pub(super) fn start(directory: &Path, flags: &[&str]) -> Self {
        let state = directory.join("state");
        let mut child = Command::new(lab_program())
            .arg("run")
            .args([&state, &cache()])
            .args(["--network", "private", "--die-with-parent"])
            .args(flags)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        wait_until_ready(&mut child);
        let file = LabFile::read(&state)
            .unwrap()
            .expect("lab.json of a ready lab");
        Self {
            child,
            stdin,
            state,
            file,
        }
    }

    /// Ends it without a chance to tidy up.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end and waits.
    pub(super) fn terminate(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    /// Closes its standard input, as a parent that dies does, and waits.
    pub(super) fn abandon(mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.child.wait().unwrap()
    }

    /// Calls the API of the first node with the full token; panics unless it answers 200.
    pub(super) fn api(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Value {
        let form: Vec<(String, String)> = form
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let (status, body) = block_on(self.call(method, path, form));
        assert_eq!(status, 200, "{method} {path}: {body}");
        serde_json::from_str::<Value>(&body).unwrap()["data"].take()
    }

    /// Calls it without parameters and gives back status and body, whatever they are.
    pub(super) fn answer(&self, method: &str, path: &str) -> (u16, String) {
        block_on(self.call(method, path, Vec::new()))
    }

    async fn call(&self, method: &str, path: &str, form: Vec<(String, String)>) -> (u16, String) {
        // A second install is refused, and the first one serves.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authority = std::fs::read(&self.file.ca_pem_path).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
            .build()
            .unwrap();
        let token = &self.file.tokens.full;
        let mut request = client
            .request(
                method.parse().unwrap(),
                format!("{}/api2/json{path}", self.file.api[0].url),
            )
            .header(
                "Authorization",
                format!("PVEAPIToken={}={}", token.id, token.secret),
            );
        if !form.is_empty() {
            request = request.form(&form);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Starts a task by the API and waits for its exit status.
    pub(super) fn task(&self, method: &str, path: &str, form: &[(&str, &str)]) -> String {
        let upid = self.api(method, path, form);
        let upid = upid.as_str().expect("a task").replace(':', "%3A");
        self.until(&format!("the end of {upid}"), || {
            let node = upid.split("%3A").nth(1).expect("the task's node");
            let status = self.api("GET", &format!("/nodes/{node}/tasks/{upid}/status"), &[]);
            status["exitstatus"].as_str().map(str::to_owned)
        })
    }

    /// Makes a guest on the first node; `extra` adds to or replaces the usual parameters.
    pub(super) fn create(&self, vmid: &str, extra: &[(&str, &str)]) -> String {
        self.create_on("pve1", vmid, extra)
    }

    /// Makes a guest on a node.
    pub(super) fn create_on(&self, node: &str, vmid: &str, extra: &[(&str, &str)]) -> String {
        let mut form = vec![
            ("vmid", vmid),
            ("ostemplate", self.file.template.as_str()),
            ("hostname", "web"),
            ("memory", "256"),
            ("cores", "1"),
            ("unprivileged", "1"),
            ("rootfs", "local:4"),
            ("net0", "name=eth0,bridge=vmbr0,ip=dhcp"),
        ];
        form.retain(|(name, _)| extra.iter().all(|(other, _)| name != other));
        form.extend(extra);
        self.task("POST", &format!("/nodes/{node}/lxc"), &form)
    }

    /// Makes and starts a guest and gives back its address.
    pub(super) fn boot(&self, vmid: &str) -> String {
        assert_eq!(self.create(vmid, &[]), "OK");
        assert_eq!(
            self.task("POST", &format!("/nodes/pve1/lxc/{vmid}/status/start"), &[]),
            "OK"
        );
        self.address(vmid)
    }

    /// The guest's IPv4 address, read from inside it.
    pub(super) fn address(&self, vmid: &str) -> String {
        self.until("an address", || {
            let found = self.api("GET", &format!("/nodes/pve1/lxc/{vmid}/interfaces"), &[]);
            let devices = found.as_array()?;
            let eth0 = devices.iter().find(|device| device["name"] == "eth0")?;
            Some(eth0["inet"].as_str()?.split('/').next()?.to_owned())
        })
    }

    /// Asks again until there is an answer. The API tells nobody when something changes; each question is a new TLS
    /// connection, which paces the loop, and their number bounds it.
    pub(super) fn until<T>(&self, what: &str, ask: impl Fn() -> Option<T>) -> T {
        let answer = (0..5_000).find_map(|_| ask());
        answer.unwrap_or_else(|| panic!("waited in vain for {what}"))
    }

    /// Makes a key pair that may log in, and notes the nodes' host keys.
    pub(super) fn allow_ssh(&self) {
        let key = self.state.join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()
            .expect("ssh-keygen (package openssh-client)");
        assert!(made.success());
        std::fs::copy(
            key.with_extension("pub"),
            self.state.join("authorized_keys"),
        )
        .unwrap();
        self.trust_host_keys();
    }

    pub(super) fn trust_host_keys(&self) {
        let known = self.file.ssh.iter().map(|node| {
            let (host, port) = node.address.rsplit_once(':').unwrap();
            format!("[{host}]:{port} {}\n", node.host_key)
        });
        std::fs::write(self.state.join("known_hosts"), known.collect::<String>()).unwrap();
    }

    /// Runs a command line on the node `place` with the real OpenSSH client.
    pub(super) fn ssh_on(&self, place: usize, line: impl AsRef<OsStr>, input: &[u8]) -> Output {
        let (host, port) = self.file.ssh[place].address.rsplit_once(':').unwrap();
        let known = format!(
            "UserKnownHostsFile={}",
            self.state.join("known_hosts").display()
        );
        let mut child = Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=yes",
            ])
            .args(["-o", &known, "-p", port, "-i"])
            .arg(self.state.join("key"))
            .arg(format!("root@{host}"))
            .arg(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh (package openssh-client)");
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeding = std::thread::spawn(move || {
            // A command that does not read its input closes it early.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        feeding.join().unwrap();
        output
    }

    pub(super) fn ssh(&self, line: impl AsRef<OsStr>) -> Output {
        self.ssh_on(0, line, b"")
    }

    /// Runs a command line on the first node that must succeed, and gives back what it printed.
    pub(super) fn ssh_text(&self, line: impl AsRef<OsStr>) -> String {
        let output = self.ssh(line);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Reads the lab's log until it says that it is ready; what follows is read on so that the pipe never fills.
fn wait_until_ready(child: &mut Child) {
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    loop {
        let mut line = String::new();
        let count = log.read_line(&mut line).unwrap();
        assert!(count > 0, "the lab ended early: {said}");
        said.push_str(&line);
        if line.contains("lab ready") {
            break;
        }
    }
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = log.read_to_end(&mut rest);
    });
}
