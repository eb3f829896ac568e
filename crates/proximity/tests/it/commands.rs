//! The binary from outside: a server and a gateway without a cluster, and the commands against them.

mod accounts;
mod catalog;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::door::Door;

struct World {
    dir: tempfile::TempDir,
    config: PathBuf,
    door: Door,
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.door.complaints(), Vec::<String>::new());
        }
    }
}

/// A role that runs; it is ended when dropped.
struct Role(Child);

impl Drop for Role {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.yaml");
        let server = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = format!(
            "data_dir: {}\napi:\n  listen: {server}\n",
            dir.path().join("data").display(),
        );
        std::fs::write(&config, text).unwrap();
        let door = Door::to(server);
        Self { dir, config, door }
    }

    fn kept(&self, name: &str) -> PathBuf {
        self.dir.path().join("data").join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = crate::program::proximity();
        command
            .arg("--config")
            .arg(&self.config)
            .args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// From now on the commands go through the door.
    fn serve(&self) -> Role {
        let role = self.start("serve", "serving");
        let text = std::fs::read_to_string(&self.config).unwrap();
        if !text.contains("client:") {
            let client = format!("client:\n  url: http://{}\n", self.door.address);
            std::fs::write(&self.config, text + &client).unwrap();
        }
        role
    }

    /// Starts a role and waits for its log to say `ready`.
    fn start(&self, line: &str, ready: &str) -> Role {
        let mut child = self.command(line).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let role = Role(child);
        let mut lines = lines.lines();
        let seen = lines.by_ref().any(|line| line.unwrap().contains(ready));
        assert!(seen, "{line} never said {ready:?}");
        // Somebody has to read on, or the role would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        role
    }

    fn gateway(&self) -> Role {
        let gateway = Role(
            self.command("gateway")
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let socket = self.kept("gateway/control.sock");
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            std::thread::yield_now();
        }
        gateway
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn without_a_server_the_next_command_is_named() {
    let world = World::new();
    let apps = world.run("apps");
    assert_eq!(code(&apps), 3, "{}", stderr(&apps));
    assert!(
        stderr(&apps).contains("run `proximity serve` first"),
        "{}",
        stderr(&apps)
    );
    let health = world.run("health --json");
    assert_eq!(code(&health), 1);
    let error: Value = serde_json::from_str(&stderr(&health)).unwrap();
    assert_eq!(error["error"]["code"], "not_running");
    assert!(stdout(&health).is_empty());
}

/// The test above, by somebody whose commands log in a form that does not exist.
#[test]
fn what_is_set_for_the_commands_of_this_account_is_no_part_of_a_test() {
    let again = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "commands::without_a_server_the_next_command_is_named",
        ])
        .env("PROXIMITY_LOG_FORMAT", "of no kind")
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", stdout(&again));
    assert!(stdout(&again).contains("1 passed"), "{}", stdout(&again));
}

#[test]
fn a_server_from_its_first_start_to_its_end() {
    let world = World::new();
    let mut server = world.serve();
    assert_eq!(mode(&world.kept("admin.token")), 0o600);
    assert_eq!(mode(&world.kept("secret.key")), 0o600);
    assert_eq!(mode(world.kept("admin.token").parent().unwrap()), 0o700);

    let degraded = world.run("health");
    assert_eq!(code(&degraded), 10, "{}", stderr(&degraded));
    assert!(
        stderr(&degraded).contains("the gateway: "),
        "{}",
        stderr(&degraded)
    );
    let gateway = world.gateway();
    drop(gateway);

    let apps = world.run("apps");
    assert_eq!(code(&apps), 0, "{}", stderr(&apps));
    assert!(
        stdout(&apps).contains("proximity deploy"),
        "{}",
        stdout(&apps)
    );
    let apps: Value = serde_json::from_str(&stdout(&world.run("apps --json"))).unwrap();
    assert_eq!(apps["total"], 0);
    for (line, exit, says) in [
        ("show nope", 3, "there is no app nope"),
        ("deploy nginx web", 3, "no host has been added yet"),
        ("deploy nginx Web_1", 2, "host name \"Web_1\" must be"),
        ("deploy nope web", 3, "there is no app nope in the catalog"),
        ("remove web", 2, "there is no terminal to ask at"),
        ("hosts remove nope", 3, "there is no host nope"),
        ("operations show nope", 3, "there is no operation nope"),
        ("apps --status flying", 2, "there are deploying"),
    ] {
        let output = world.run(line);
        assert_eq!(code(&output), exit, "{line}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(says),
            "{line}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("hint: "),
            "{line}: {}",
            stderr(&output)
        );
    }

    let second = world.run("serve");
    assert_eq!(code(&second), 5, "{}", stderr(&second));
    let pid = server.0.id();
    assert!(
        stderr(&second).contains(&format!("(process {pid})")),
        "{}",
        stderr(&second)
    );

    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(server.0.wait().unwrap().success());
    let token = std::fs::read_to_string(world.kept("admin.token")).unwrap();
    let again = world.serve();
    assert_eq!(
        std::fs::read_to_string(world.kept("admin.token")).unwrap(),
        token
    );
    assert_eq!(code(&world.run("apps")), 0, "the token holds across starts");
    drop(again);
}

#[test]
fn the_version_is_the_same_however_it_is_asked_for() {
    let asked = |args: &[&str]| {
        let output = crate::program::proximity().args(args).output().unwrap();
        assert_eq!(code(&output), 0, "{args:?}: {}", stderr(&output));
        stdout(&output)
    };
    let version = asked(&["version"]);
    for args in [&["--version"][..], &["-V"], &["--quiet", "--version"]] {
        assert_eq!(asked(args), version, "{args:?}");
    }
}

#[test]
fn completion_scripts_and_manual_pages_know_every_command() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.run(&format!("completion {shell}"));
        assert_eq!(code(&script), 0, "{shell}");
        for word in ["deploy", "operations", "token-file"] {
            assert!(stdout(&script).contains(word), "{shell}: {word}");
        }
    }
    let script = world.kept("proximity.bash");
    std::fs::create_dir_all(script.parent().unwrap()).unwrap();
    std::fs::write(&script, stdout(&world.run("completion bash"))).unwrap();
    let read = Command::new("bash")
        .arg("-n")
        .arg(&script)
        .output()
        .unwrap();
    assert_eq!((code(&read), stderr(&read)), (0, String::new()));
    let pages = world.kept("man");
    let missing = world.run(&format!("reference man {}", pages.display()));
    assert_eq!(code(&missing), 1, "{}", stderr(&missing));
    std::fs::create_dir_all(&pages).unwrap();
    let made = world.run(&format!("reference man {}", pages.display()));
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    for page in ["proximity.1", "proximity-deploy.1", "proximity-hosts-add.1"] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".SH"), "{page}");
    }
    // Each page that one refers to is there.
    for entry in std::fs::read_dir(&pages).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let named = text.lines().filter_map(|line| line.strip_suffix("(1)"));
        for name in named.map(|name| name.replace('\\', "")) {
            assert!(pages.join(format!("{name}.1")).exists(), "{name}");
        }
    }
}

#[test]
fn a_token_that_others_can_read_is_not_used() {
    let world = World::new();
    let _server = world.serve();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(world.kept("admin.token"), open).unwrap();
    let apps = world.run("apps");
    assert_eq!(code(&apps), 3);
    assert!(stderr(&apps).contains("chmod 600"), "{}", stderr(&apps));
}

#[test]
fn a_new_admin_token_can_be_made_when_the_first_is_lost() {
    let world = World::new();
    drop(world.serve());
    std::fs::remove_file(world.kept("admin.token")).unwrap();
    let server = world.serve();
    assert_eq!(code(&world.run("apps")), 3, "no token is made unasked");
    drop(server);
    let _server = world.start("serve --new-admin-token", "serving");
    assert_eq!(code(&world.run("apps")), 0);
}

#[test]
fn with_a_gateway_it_is_healthy() {
    let world = World::new();
    let _gateway = world.gateway();
    let _server = world.serve();
    let health = world.run("health");
    assert_eq!(code(&health), 0, "{}", stderr(&health));
    let second = world.run("gateway");
    assert_eq!(code(&second), 5, "{}", stderr(&second));
}

/// One configuration for both, with a log file: each role has its own, and says on stderr only why it does not start.
#[test]
fn roles_with_one_log_file_in_their_configuration_write_one_each() {
    let world = World::new();
    let file = |name: &str| world.dir.path().join(name);
    let text = std::fs::read_to_string(&world.config).unwrap();
    let log = format!("log:\n  file: {}\n", file("p.log").display());
    std::fs::write(&world.config, text + &log).unwrap();
    let mut gateway = world.gateway();
    let mut server = Role(world.command("serve").spawn().unwrap());
    let written = |name: &str| std::fs::read_to_string(file(name)).unwrap_or_default();
    // The last line of a server that starts.
    while !written("p.log").contains("proximity-audit-anchor") {
        assert!(server.0.try_wait().unwrap().is_none(), "the server ended");
        std::thread::yield_now();
    }
    for (line, pid) in [("serve", server.0.id()), ("gateway", gateway.0.id())] {
        let before = (written("p.log"), written("p-gateway.log"));
        let second = world.run(&format!("{line} --json"));
        assert_eq!(code(&second), 5, "{line}: {}", stderr(&second));
        let error: Value = serde_json::from_str(&stderr(&second)).unwrap();
        assert_eq!(error["error"]["code"], "already_running", "{line}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(&pid.to_string()), "{line}: {message}");
        assert_eq!((written("p.log"), written("p-gateway.log")), before);
    }
    for role in [&mut server, &mut gateway] {
        let pid = Pid::from_raw(i32::try_from(role.0.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(role.0.wait().unwrap().success());
    }
    let (server, gateway) = (written("p.log"), written("p-gateway.log"));
    assert!(server.contains(" serving "), "{server}");
    assert!(!server.contains("the gateway serves"), "{server}");
    assert!(gateway.contains("the gateway serves"), "{gateway}");
    assert!(gateway.contains("the gateway has ended"), "{gateway}");
    assert!(!gateway.contains(" serving "), "{gateway}");
}

#[test]
fn mistakes_in_the_configuration_end_every_command_that_needs_it() {
    let world = World::new();
    std::fs::write(&world.config, "api:\n  listn: 127.0.0.1:1\n").unwrap();
    for line in ["serve", "gateway", "apps", "config show"] {
        let output = world.run(line);
        assert_eq!(code(&output), 3, "{line}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("line 2 column 3"),
            "{line}: {}",
            stderr(&output)
        );
    }
    assert_eq!(code(&world.run("version")), 0);
    let mut exposed = world.command("serve");
    std::fs::write(&world.config, "").unwrap();
    let output = exposed
        .env("PROXIMITY_API_LISTEN", "0.0.0.0:7640")
        .output()
        .unwrap();
    assert_eq!(code(&output), 3);
    assert!(
        stderr(&output).contains("there is no TLS"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_environment_is_laid_over_the_file() {
    let world = World::new();
    let mut show = world.command("config show --json --quiet");
    let output = show
        .env("PROXIMITY_PORTS_PUBLIC", "20000-20009")
        .output()
        .unwrap();
    let settings: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(settings["ports"]["public"], "20000-20009");
    assert_eq!(settings["ports"]["internal"], "9100-9999");
    assert!(stderr(&output).is_empty());
}

/// What the log says of the audit is what it is held against. Without it nobody sees that its end is gone.
#[test]
fn an_audit_whose_end_was_cut_off_does_not_fit_what_the_log_says() {
    let world = World::new();
    let mut child = world
        .command("serve")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    let role = Role(child);
    let mut lines = lines.lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("proximity-audit-anchor"));
    std::thread::spawn(move || lines.for_each(drop));
    let log = world.dir.path().join("serve.log");
    std::fs::write(&log, format!("a line\n{}\nanother\n", line.unwrap())).unwrap();
    let verify = format!("audit verify --anchor {}", log.display());
    let whole = world.run(&verify);
    assert_eq!(code(&whole), 0, "{}", stderr(&whole));
    assert!(stdout(&whole).contains("1 entry, held against 1 anchor"));
    drop(role);

    let cut = "DROP TRIGGER audit_is_not_removed; DELETE FROM audit";
    proximity_testkit::world::damage(&world.dir.path().join("data"), cut).unwrap();
    let _again = world.start("serve", "serving");
    let unseen = world.run("audit verify");
    assert_eq!(code(&unseen), 0, "{}", stderr(&unseen));
    let seen = world.run(&format!("--json {verify}"));
    assert_eq!(code(&seen), 1, "{}", stdout(&seen));
    let told: Value = serde_json::from_str(&stderr(&seen)).unwrap();
    assert_eq!(told["error"]["code"], "audit_broken", "{told}");
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.contains("from 1 on were cut off"), "{message}");
    std::fs::write(&log, "nothing of the kind\n").unwrap();
    let nothing = world.run(&verify);
    assert_eq!(code(&nothing), 3, "{}", stderr(&nothing));
    assert!(stderr(&nothing).contains("no anchor of this installation"));
}

#[test]
fn documents_of_desired_state_are_looked_at_without_a_server() {
    let world = World::new();
    let folder = world.dir.path().join("apps");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("web.yaml");
    let head =
        "apiVersion: proximity/v1\nkind: App\nmetadata: {name: web}\nspec:\n  catalog_id: nginx\n";
    std::fs::write(&file, format!("{head}  host: ${{host}}\n")).unwrap();
    let line = format!("validate {} --set host=home", folder.display());
    let right = world.run(&line);
    assert_eq!(code(&right), 0, "{}{}", stdout(&right), stderr(&right));
    let said = stdout(&right);
    let (first, rest) = said.trim_end().split_once("\n  1. web\n").unwrap();
    assert_eq!(first, "1 document in 1 file is right: 1 App");
    assert!(rest.starts_with("not looked at"), "{said}");
    assert!(stderr(&right).is_empty(), "{}", stderr(&right));
    let unnamed = world.run(&format!("{line} --set hots=home"));
    assert_eq!(code(&unnamed), 0, "{}", stderr(&unnamed));
    let warning = "warning: --set:1:1: no document names the value `hots`";
    assert!(
        stderr(&unnamed).starts_with(warning),
        "{}",
        stderr(&unnamed)
    );
    assert_eq!(stdout(&unnamed), said);
    let unnamed = world.run(&format!("{line} --set hots=home --json"));
    assert_eq!(code(&unnamed), 0);
    assert!(stderr(&unnamed).is_empty(), "{}", stderr(&unnamed));
    let told: Value = serde_json::from_str(&stdout(&unnamed)).unwrap();
    assert_eq!(told["valid"], true);
    assert_eq!(told["warnings"][0]["hint"], "did you mean host?");
    std::fs::write(&file, format!("{head}  memory: 512\n")).unwrap();
    let wrong = world.run(&line);
    assert_eq!(code(&wrong), 3);
    let place = format!("{}:6:3: `memory` is no field of `spec`", file.display());
    assert!(stdout(&wrong).contains(&place), "{}", stdout(&wrong));
    assert!(stderr(&wrong).is_empty(), "{}", stderr(&wrong));
    let wrong = world.run(&format!("{line} --json"));
    assert_eq!(code(&wrong), 3);
    let told: Value = serde_json::from_str(&stdout(&wrong)).unwrap();
    assert_eq!(told["valid"], false);
    let problem = &told["problems"][0];
    assert_eq!(problem["line"], 6);
    assert_eq!(problem["column"], 3);
    assert_eq!(problem["text"], "  memory: 512");
    let missing = world.run("validate no-such-file.yaml --json");
    assert_eq!(code(&missing), 3);
    let error: Value = serde_json::from_str(&stderr(&missing)).unwrap();
    assert_eq!(error["error"]["code"], "not_found");
}

#[test]
fn sources_are_added_shown_looked_at_and_removed() {
    let world = World::new();
    let _server = world.serve();
    // Nobody listens there.
    let url = "https://127.0.0.1:9/apps.git";
    let added = world.run(&format!("sources add home {url} --path apps --json"));
    assert_eq!(code(&added), 0, "{}", stderr(&added));
    let told: Value = serde_json::from_str(&stdout(&added)).unwrap();
    assert_eq!(told["source"]["policy"], "plan");
    assert_eq!(told["hook_secret"].as_str().map(str::len), Some(64));
    assert!(stdout(&world.run("sources list")).contains(url));
    let shown = world.run("sources show home");
    assert!(stdout(&shown).contains("next look"), "{}", stdout(&shown));
    assert_eq!(code(&world.run("sources sync home")), 0);
    let preview = world.run("sources sync home --dry-run");
    assert_ne!(code(&preview), 0, "{}", stdout(&preview));
    assert_eq!(code(&world.run("sources remove home")), 0);
    for line in ["show home", "sync home", "remove home"] {
        let gone = world.run(&format!("sources {line}"));
        assert_eq!(code(&gone), 3, "{line}: {}", stderr(&gone));
    }
}

#[test]
fn secrets_come_from_stdin_and_are_never_told_and_a_plan_that_is_not_there_is_not_applied() {
    let world = World::new();
    let _server = world.serve();
    let mut set = world.command("secrets set db");
    set.stdin(Stdio::piped());
    set.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut set = set.spawn().unwrap();
    let mut stdin = set.stdin.take().unwrap();
    stdin.write_all(b"correct-horse\n").unwrap();
    drop(stdin);
    let set = set.wait_with_output().unwrap();
    assert_eq!(code(&set), 0, "{}", stderr(&set));
    let list = world.run("secrets list --json");
    let told: Value = serde_json::from_str(&stdout(&list)).unwrap();
    assert_eq!(told["secrets"][0]["name"], "db");
    for output in [&set, &list] {
        let all = stdout(output) + &stderr(output);
        assert!(!all.contains("correct-horse"), "{all}");
    }
    assert_eq!(code(&world.run("secrets remove db")), 0);
    let gone = world.run("secrets remove db");
    assert_eq!(code(&gone), 3, "{}", stderr(&gone));
    let id = "018f0000-0000-7000-8000-000000000001";
    for line in ["apply", "applies show", "applies stop", "apply --stop"] {
        let none = world.run(&format!("{line} {id}"));
        assert_eq!(code(&none), 3, "{line}: {}", stderr(&none));
    }
    let none = world.run("applies list");
    assert_eq!((code(&none), stdout(&none).trim()), (0, "no applies"));
}

#[test]
fn entries_of_a_catalog_are_looked_at_without_a_server() {
    let world = World::new();
    let folder = world.dir.path().join("entries");
    std::fs::create_dir_all(folder.join("beacon")).unwrap();
    let file = folder.join("beacon/app.yaml");
    let right = include_str!("../../../../fixtures/catalog/beacon/app.yaml");
    std::fs::write(&file, right).unwrap();
    let line = format!("catalog lint {}", folder.display());
    let looked = world.run(&line);
    assert_eq!(code(&looked), 0, "{}{}", stdout(&looked), stderr(&looked));
    assert_eq!(stdout(&looked).trim_end(), "1 file is right");
    std::fs::write(&file, right.replacen("port: 8080", "port: web", 1)).unwrap();
    let looked = world.run(&line);
    assert_eq!(code(&looked), 3, "{}", stderr(&looked));
    let place = format!("{}:14:7: `port` has to be a whole number", file.display());
    assert!(stdout(&looked).contains(&place), "{}", stdout(&looked));
    let looked = world.run(&format!("{line} --json"));
    assert_eq!(code(&looked), 3);
    let told: Value = serde_json::from_str(&stdout(&looked)).unwrap();
    assert_eq!(told["valid"], false);
    assert_eq!(told["problems"][0]["code"], "wrong_type");
    let schema = world.run("catalog schema");
    let schema: Value = serde_json::from_str(&stdout(&schema)).unwrap();
    let fields = &schema["$defs"]["Entry"]["properties"];
    assert_eq!(fields["port"]["maximum"], 65_535);
}
