//! A host that is set up by `init`: what a person is asked, and what works afterwards with no more than the tokens made then.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use proximity_domain::time::Clock;
use proximity_pve::transport::https::{EndpointConfig, HttpsTransport, Login, Trust};
use proximity_pve::transport::{Method, Request, Transport};
use proximity_testkit::sources::RealClock;
use proximity_testkit::totp;
use serde_json::Value;

use crate::standing::Standing;

/// Prints the page of a URL.
const FETCH: &str = "import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())";

/// A command at a terminal, and what is typed there.
struct Dialogue {
    child: Child,
    typed: ChildStdin,
    shown: ChildStdout,
    text: String,
}

impl Dialogue {
    /// `script` gives it a terminal.
    fn begin(command: &Command) -> Self {
        let words = [command.get_program()]
            .into_iter()
            .chain(command.get_args());
        let line: Vec<String> = words
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let mut child = Command::new("script")
            .args([
                "--quiet",
                "--return",
                "--flush",
                "--command",
                &line.join(" "),
                "/dev/null",
            ])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (typed, shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            child,
            typed,
            shown,
            text: String::new(),
        }
    }

    /// Reads until this is shown; what was shown up to it is done with.
    fn sees(&mut self, wanted: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            if let Some(at) = self.text.find(wanted) {
                let rest = self.text.split_off(at + wanted.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let count = self.shown.read(&mut bytes).unwrap();
            assert!(count > 0, "it ended without {wanted:?}: {}", self.text);
            self.text
                .push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    fn types(&mut self, text: &str) {
        self.typed
            .write_all(format!("{text}\r").as_bytes())
            .unwrap();
        self.typed.flush().unwrap();
    }

    /// The exit code, and what was shown last.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = Vec::new();
        self.shown.read_to_end(&mut rest).unwrap();
        let text = self.text + &String::from_utf8_lossy(&rest);
        (self.child.wait().unwrap().code(), text)
    }
}

/// Gives root of the lab an authenticator.
async fn second_factor(lab: &Standing, code: &str) {
    let told = lab.lab();
    let endpoint = EndpointConfig {
        url: told.api[0].url.clone(),
        trust: Trust::Fingerprint(told.fingerprint_sha256.parse().unwrap()),
    };
    let login = Login {
        user: told.root.user.clone(),
        password: told.root.password.clone().into(),
        totp_code: None,
    };
    let root = HttpsTransport::new(vec![endpoint], login).unwrap();
    let uri = totp::uri(&told.root.user);
    let params = [
        ("type", "totp"),
        ("totp", uri.as_str()),
        ("value", code),
        ("description", "authenticator"),
    ];
    let request = Request {
        method: Method::Post,
        path: format!("/access/tfa/{}", told.root.user),
        params: params
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        timeout_ms: 10_000,
        answer_ms: None,
        send_before: None,
        reference: None,
        of_adopted: false,
    };
    let answer = root.send(request).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The lab without the host and the app that the trial made.
fn emptied(args: &[&str]) -> Standing {
    let lab = Standing::up(args);
    let apps: Value = serde_json::from_str(&lab.done("apps --json")).unwrap();
    let app = apps["apps"][0]["hostname"].as_str().unwrap().to_owned();
    lab.done(&format!("remove {app} --yes --force-stop"));
    lab.done("hosts remove lab");
    lab
}

#[tokio::test]
async fn a_person_is_asked_for_what_only_a_person_knows() {
    let lab = emptied(&["--guests", "simulated"]);
    let now = totp::step(RealClock.now().0);
    second_factor(&lab, &totp::code(now)).await;
    let told = lab.lab();
    let url = &told.api[0].url;
    let line = format!("init home {url} --user {}", told.root.user);
    let mut person = Dialogue::begin(&lab.command(&line));
    person.sees("(kept nowhere):");
    person.types(&told.root.password);
    let shown = person.sees("Is this the node's fingerprint?");
    assert!(shown.contains(&told.fingerprint_sha256), "{shown}");
    assert!(!shown.contains(&told.root.password), "{shown}");
    person.types("y");
    person.sees("(each is taken once):");
    person.types(&totp::code(now));
    let shown = person.sees("Set this up as home?");
    assert!(shown.contains("create pool proximity"), "{shown}");
    person.types("y");
    person.sees("(each is taken once):");
    person.types(&totp::code(now + 1));
    let (code, shown) = person.end();
    assert_eq!(code, Some(0), "{shown}");

    let hosts: Value = serde_json::from_str(&lab.done("hosts list --json")).unwrap();
    assert_eq!(hosts["hosts"][0]["label"], "home", "{hosts}");
    assert_eq!(hosts["hosts"][0]["pool"], "proximity", "{hosts}");
    let (code, said, _) = lab.asked("doctor --host home");
    assert_eq!(code, 0, "{said}");

    // Somebody else would have to type the code that comes next; without one nothing is done, and it is said why.
    let password = lab.secret_file("password", &told.root.password);
    let given = format!(
        "--user {} --password-file {}",
        told.root.user,
        password.display()
    );
    let complaint = lab.refused(&format!("uninit home {given} --yes"));
    assert!(complaint.contains("--totp"), "{complaint}");
    let mut other = Dialogue::begin(&lab.command(&format!("uninit home {given}")));
    other.sees("(each is taken once):");
    other.types("000000");
    let (code, shown) = other.end();
    assert_ne!(code, Some(0), "{shown}");
    assert!(
        shown.contains("PVE does not let root@pam log in"),
        "{shown}"
    );
    let hosts: Value = serde_json::from_str(&lab.done("hosts list --json")).unwrap();
    assert_eq!(hosts["hosts"].as_array().unwrap().len(), 1, "{hosts}");
}

#[test]
fn no_is_an_answer_and_changes_nothing() {
    let lab = emptied(&["--guests", "simulated"]);
    let told = lab.lab();
    let password = lab.secret_file("password", &told.root.password);
    let line = format!(
        "init home {} --user {} --password-file {} --fingerprint {}",
        told.api[0].url,
        told.root.user,
        password.display(),
        told.fingerprint_sha256
    );
    let mut person = Dialogue::begin(&lab.command(&line));
    person.sees("Set this up as home?");
    person.types("n");
    let (code, shown) = person.end();
    assert_ne!(code, Some(0), "{shown}");
    assert!(shown.contains("nothing was changed"), "{shown}");
    let plan: Value = serde_json::from_str(&lab.done(&format!("{line} --dry-run --json"))).unwrap();
    assert_eq!(plan["known"], false, "{plan}");
    let first = plan["steps"][0].as_str().unwrap();
    assert!(first.contains("create"), "all is still to be made: {plan}");
    let complaint = lab.refused(&line);
    assert!(complaint.contains("no terminal"), "{complaint}");
}

/// `init`, the helper by a key that is used once, the life of an app, `uninit`.
fn whole_life(args: &[&str]) {
    let lab = emptied(args);
    let told = lab.lab();
    let password = lab.secret_file("password", &told.root.password);
    let login = format!(
        "--user {} --password-file {}",
        told.root.user,
        password.display()
    );
    let url = &told.api[0].url;
    lab.done(&format!(
        "init home {url} {login} --fingerprint {} --yes",
        told.fingerprint_sha256
    ));
    let (key, places) = lab.root_key();
    lab.done(&format!(
        "hosts install-helper home --ssh-key {} {places} --yes",
        key.display()
    ));
    let (code, said, _) = lab.asked("doctor --host home");
    assert_eq!(code, 0, "{said}");

    lab.done("deploy nginx web1");
    let app: Value = serde_json::from_str(&lab.done("show web1 --json")).unwrap();
    let url = app["url"].as_str().unwrap_or_else(|| panic!("{app}"));
    // Where the lab's addresses are; Python is among the needed packages.
    let mut fetch = Command::new("python3");
    fetch.args(["-c", FETCH, url]);
    let (code, page, complaint) = lab.heard(&fetch);
    assert_eq!(code, 0, "{url}: {complaint}");
    assert!(page.contains("nginx"), "{page}");
    lab.done("stop web1");
    lab.done("start web1");
    lab.done("restart web1");
    let (code, _, complaint) = lab.heard(&fetch);
    assert_eq!(code, 0, "{url}: {complaint}");
    let kept = lab.refused(&format!("uninit home {login} --yes"));
    assert!(kept.contains("web1") || kept.contains("app"), "{kept}");
    lab.done("remove web1 --yes");
    let said = lab.done(&format!("uninit home {login} --yes"));
    assert!(said.contains("delete pool proximity"), "{said}");
    let hosts: Value = serde_json::from_str(&lab.done("hosts list --json")).unwrap();
    assert_eq!(hosts["hosts"].as_array().map(Vec::len), Some(0), "{hosts}");
}

#[test]
fn an_app_lives_with_exactly_the_tokens_of_init() {
    whole_life(&["--guests", "simulated"]);
}

#[test]
fn real_lxc_an_app_lives_with_exactly_the_tokens_of_init() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: real containers need root");
        return;
    }
    if let Err(missing) = proximity_pve_emulator::lab::check_programs() {
        println!("SKIPPED: {missing}");
        return;
    }
    whole_life(&["--private"]);
}
