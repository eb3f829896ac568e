//! The helper as its callers find it: the program, its pipes, and a node in a folder.
// Helpers of tests are tests too, though the lint sees only functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Write as _;

use proximity_node_helper::answer::End;
use proximity_node_helper::clock::Deadline;
use proximity_node_helper::limits;
use proximity_node_helper::refusal::Code;
use serde_json::{Value, json};
use support::{
    INSTALLATION, MAC, MARK, Node, ROOTFS, adopted, answers, conf, exchange, exec, guest, made,
    request,
};

fn refused(end: &End) -> Code {
    match end {
        End::Refused(trouble) => trouble.code,
        other => panic!("it was not refused: {other:?}"),
    }
}

fn ended(exit_code: i32) -> End {
    End::Ended {
        exit_code,
        truncated: false,
    }
}

#[test]
fn a_program_gets_its_arguments_and_input_as_they_are_and_its_outputs_stay_apart() {
    let node = Node::new();
    let script = r#"printf '%s\0' "$@"; cat >&2; exit 7"#;
    let odd = ["a b", "", "'\"$(touch x)`id`", "-rf", "new\nline", "ü", "*"];
    let argv: Vec<&str> = ["/bin/sh", "-c", script, "x"]
        .into_iter()
        .chain(odd)
        .collect();
    let answer = node.ask(&exec(&guest(), &argv, 5), b"\0\xff\n{}");
    assert_eq!(answer.end, ended(7));
    let wanted: Vec<u8> = odd
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect();
    assert_eq!(answer.out, wanted);
    assert_eq!(answer.err, b"\0\xff\n{}");
    assert_eq!(node.entered(), 1);
}

#[test]
fn one_session_serves_one_request_after_the_other() {
    let node = Node::new();
    let mut sent = Vec::new();
    for text in ["one", "two"] {
        sent.extend(request(&exec(&guest(), &["cat"], text.len())));
        sent.extend(text.as_bytes());
        sent.extend(request(&json!({ "version": {} })));
    }
    let answers = node.session(&sent);
    let out: Vec<&[u8]> = answers.iter().map(|a| a.out.as_slice()).collect();
    assert_eq!(out, [&b"one"[..], b"", b"two", b""]);
    assert!(matches!(answers[1].end, End::Version { protocol: 1, .. }));
}

#[test]
fn a_container_that_is_not_the_callers_is_not_entered() {
    let mut node = Node::new();
    let other_app = MARK.replace("0002:", "0003:");
    let elsewhere = MARK.replace("0001:", "0009:");
    for (vmid, text) in [
        (101, "arch: amd64\nnet0: name=eth0,hwaddr=BC:24:11:00:00:01\nrootfs: local-zfs:subvol-100-disk-0\n".to_owned()),
        (102, conf(&other_app, MAC, ROOTFS)),
        (103, conf(&elsewhere, MAC, ROOTFS)),
        (104, conf(MARK, "BC:24:11:00:00:02", ROOTFS)),
        (105, conf(MARK, MAC, "local-zfs:subvol-105-disk-0")),
        (106, format!("arch: amd64\n\n[old]\n{}", conf(MARK, MAC, ROOTFS))),
    ] {
        node.write_conf(vmid, &text);
        node.run(vmid);
        let answer = node.ask(&exec(&made(vmid, MARK, MAC, Some(ROOTFS)), &["id"], 0), b"");
        assert_eq!(refused(&answer.end), Code::NotYours, "{vmid}");
    }
    // Even who knows another installation's mark gets nowhere with this key.
    let answer = node.ask(
        &exec(&made(103, &elsewhere, MAC, Some(ROOTFS)), &["id"], 0),
        b"",
    );
    assert_eq!(refused(&answer.end), Code::NotYours);
    let answer = node.ask(&exec(&made(109, MARK, MAC, None), &["id"], 0), b"");
    assert_eq!(refused(&answer.end), Code::NotThere);
    assert_eq!(node.entered(), 0);
    assert_eq!(
        node.refusals()
            .matches("\"refused\":{\"code\":\"not_yours\"")
            .count(),
        7
    );
}

#[test]
fn an_adopted_container_is_entered_when_root_allowed_that_very_one() {
    let mut node = Node::new();
    let bare = "arch: amd64\nnet0: name=eth0,hwaddr=BC:24:11:00:00:09\nrootfs: local:120/a.raw\n";
    node.write_conf(120, bare);
    node.run(120);
    let ask = exec(&adopted(120), &["true"], 0);
    assert_eq!(refused(&node.ask(&ask, b"").end), Code::NotAllowed);
    // The caller has no such verb; only root's command line has.
    let verb = node.ask(&json!({ "allow": { "vmid": 120 } }), b"");
    assert_eq!(refused(&verb.end), Code::BadRequest);
    assert!(
        node.command(&["allow", "120"])
            .output()
            .unwrap()
            .status
            .success()
    );
    assert_eq!(node.ask(&ask, b"").end, ended(0));
    node.write_conf(120, &bare.replace("a.raw", "b.raw"));
    assert_eq!(refused(&node.ask(&ask, b"").end), Code::NotAllowed);
    node.write_conf(120, bare);
    assert!(
        node.command(&["forbid", "120"])
            .output()
            .unwrap()
            .status
            .success()
    );
    assert_eq!(refused(&node.ask(&ask, b"").end), Code::NotAllowed);
    assert_eq!(node.entered(), 1);
    std::fs::write(node.at("state").join("allowed"), "nonsense\n").unwrap();
    assert_eq!(refused(&node.ask(&ask, b"").end), Code::Node);
}

#[test]
fn what_does_not_run_is_not_entered() {
    let node = Node::new();
    node.write_conf(130, &conf(MARK, MAC, ROOTFS));
    // The number of a running container begins with its number.
    node.write_conf(10, &conf(MARK, MAC, ROOTFS));
    let ours = made(130, MARK, MAC, Some(ROOTFS));
    assert_eq!(
        refused(&node.ask(&exec(&ours, &["id"], 0), b"").end),
        Code::NotRunning
    );
    let probe = |guest: &Value| node.ask(&json!({ "probe": { "guest": guest } }), b"").end;
    assert_eq!(probe(&ours), End::Probe { running: false });
    assert_eq!(probe(&guest()), End::Probe { running: true });
    assert_eq!(node.entered(), 0);
}

#[test]
fn without_all_of_its_input_nothing_runs() {
    let node = Node::new();
    let answer = node.ask(&exec(&guest(), &["cat"], 10), b"half");
    assert_eq!(refused(&answer.end), Code::CutShort);
    let push = json!({ "push": {
        "guest": guest(), "path": node.at("f"), "content_bytes": 10, "timeout_ms": 5_000,
        "what": { "file": { "mode": 0o644, "owner": "root:root" } },
    }});
    assert_eq!(refused(&node.ask(&push, b"half").end), Code::CutShort);
    assert_eq!(node.entered(), 0);
}

#[test]
fn output_beyond_the_cap_is_dropped_and_said() {
    let node = Node::new();
    let mut ask = exec(
        &guest(),
        &["/bin/sh", "-c", "head -c 3000000 /dev/zero; echo x >&2"],
        0,
    );
    ask["exec"]["max_output_bytes"] = json!(100_000);
    let answer = node.ask(&ask, b"");
    assert_eq!(answer.out.len(), 100_000);
    assert_eq!(answer.err, b"x\n");
    assert_eq!(
        answer.end,
        End::Ended {
            exit_code: 0,
            truncated: true
        }
    );
}

#[test]
fn what_is_over_its_time_is_ended_with_all_of_its_group() {
    let node = Node::new();
    let pids = node.at("pids");
    let script = format!(
        "sleep 60 & echo $! > '{0}'; echo $$ >> '{0}'; echo begun; wait",
        pids.display()
    );
    let mut ask = exec(&guest(), &["/bin/sh", "-c", &script], 0);
    ask["exec"]["timeout_ms"] = json!(700);
    let answer = node.ask(&ask, b"");
    assert_eq!(answer.out, b"begun\n");
    assert!(
        matches!(&answer.end, End::Failed(t) if t.code == Code::TimedOut),
        "{answer:?}"
    );
    // Its minute is far from over: whoever is gone before was ended. The kernel may still be at it when the answer is here.
    let patience = Deadline::after_ms(20_000);
    for pid in std::fs::read_to_string(pids).unwrap().lines() {
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let is_over = |stat: &str| stat.is_empty() || stat.contains(") Z ");
        while !is_over(&stat()) {
            assert!(!patience.has_passed(), "{pid} is still there: {}", stat());
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_caller_who_reads_slowly_gets_all_that_was_printed() {
    // The command has ended long before the caller has taken what it printed.
    const CALLER: &str = r#"while dd bs=16384 count=1 iflag=fullblock of="$1" 2>/dev/null && [ -s "$1" ]; do
        cat "$1"; sleep 0.7; done"#;
    let node = Node::new();
    let argv = ["head", "-c", "125000", "/dev/zero"];
    let mut helper = node.begin();
    let mut stdin = helper.stdin.take().unwrap();
    stdin
        .write_all(&request(&exec(&guest(), &argv, 0)))
        .unwrap();
    drop(stdin);
    let caller = std::process::Command::new("sh")
        .args(["-c", CALLER, "sh"])
        .arg(node.at("piece"))
        .stdin(helper.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(helper.wait().unwrap().success());
    let answer = answers(&caller.stdout).remove(0);
    assert_eq!(answer.end, ended(0));
    assert_eq!(answer.out.len(), 125_000);
}

#[test]
fn something_in_the_background_does_not_hold_the_answer_up() {
    let node = Node::new();
    let pid = node.at("pid");
    let script = format!("sleep 30 & echo $! > '{}'; echo done", pid.display());
    let answer = node.ask(&exec(&guest(), &["/bin/sh", "-c", &script], 0), b"");
    assert_eq!(
        (answer.out.as_slice(), answer.end),
        (&b"done\n"[..], ended(0))
    );
    let left = std::fs::read_to_string(pid).unwrap();
    let killed = std::process::Command::new("kill")
        .arg(left.trim())
        .status()
        .unwrap();
    assert!(killed.success(), "it was to go on");
}

#[test]
fn something_in_the_background_that_never_stops_printing_does_not_make_it_late() {
    let node = Node::new();
    let pid = node.at("pid");
    let script = format!("yes & echo $! > '{}'; exit 3", pid.display());
    let mut ask = exec(&guest(), &["/bin/sh", "-c", &script], 0);
    ask["exec"]["max_output_bytes"] = json!(1_000);
    let answer = node.ask(&ask, b"");
    let End::Ended { exit_code: 3, .. } = answer.end else {
        panic!("{:?}", answer.end);
    };
    // Nobody reads what it prints any more, and that ends it.
    let left = std::fs::read_to_string(pid).unwrap();
    let stat = format!("/proc/{}/stat", left.trim());
    let patience = Deadline::after_ms(10_000);
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(!patience.has_passed(), "it goes on");
        std::thread::yield_now();
    }
}

#[test]
fn files_and_trees_go_there_and_come_back_with_their_modes() {
    let node = Node::new();
    let path = node.at("inside").join("a file");
    std::fs::create_dir(node.at("inside")).unwrap();
    let push = |bytes: usize| {
        json!({ "push": {
            "guest": guest(), "path": path, "content_bytes": bytes, "timeout_ms": 5_000,
            "what": { "file": { "mode": 0o640, "owner": "root:root" } },
        }})
    };
    let content = vec![0xa5; 300_000];
    assert_eq!(node.ask(&push(content.len()), &content).end, End::Pushed {});
    assert_eq!(node.ask(&push(0), b"").end, End::Pushed {});
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    assert_eq!(node.ask(&push(content.len()), &content).end, End::Pushed {});
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o640
    );
    let pull =
        |path: &std::path::Path, tree: bool, max: usize| {
            node.ask(&json!({ "pull": {
            "guest": guest(), "path": path, "tree": tree, "max_bytes": max, "timeout_ms": 5_000,
        }}), b"")
        };
    let whole = pull(&path, false, content.len());
    assert_eq!((whole.out, whole.end), (content.clone(), End::Pulled {}));
    let large = pull(&path, false, content.len() - 1);
    assert!(
        matches!(&large.end, End::Failed(t) if t.code == Code::TooLarge),
        "{large:?}"
    );
    assert!(
        matches!(pull(&node.at("none"), false, 9).end, End::Failed(t) if t.code == Code::Guest)
    );
    let tree = pull(&node.at("inside"), true, 10 << 20);
    assert_eq!(tree.end, End::Pulled {});
    std::fs::create_dir(node.at("copy")).unwrap();
    let push_tree = json!({ "push": {
        "guest": guest(), "path": node.at("copy"), "content_bytes": tree.out.len(), "timeout_ms": 5_000,
        "what": { "tree": {} },
    }});
    assert_eq!(node.ask(&push_tree, &tree.out).end, End::Pushed {});
    let copy = node.at("copy").join("a file");
    assert_eq!(
        std::fs::metadata(&copy).unwrap().permissions().mode() & 0o7777,
        0o640
    );
    assert_eq!(std::fs::read(&copy).unwrap(), content);
    let left: Vec<_> = std::fs::read_dir(node.at("inside")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing unfinished is left");
}

/// Begins a command that reads a line from the gate, and waits until it runs.
fn hold(node: &Node, installation: &str, ask: &Value) -> std::process::Child {
    let mut child = node.begin_for(installation);
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(&request(ask)).unwrap();
    let mut first = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    child
}

#[test]
fn so_many_are_at_work_and_none_takes_the_places_of_others() {
    let mut node = Node::new();
    let (other, third) = (
        INSTALLATION.replace("01", "02"),
        INSTALLATION.replace("01", "03"),
    );
    let mark = |installation: &str| MARK.replace(INSTALLATION, installation);
    for (vmid, installation) in [(101, &other), (102, &third)] {
        node.write_conf(vmid, &conf(&mark(installation), MAC, ROOTFS));
        node.run(vmid);
    }
    let gate = node.at("gate");
    let made_gate = std::process::Command::new("mkfifo").arg(&gate).status();
    assert!(made_gate.unwrap().success());
    let script = format!("echo at work; read x < '{}'", gate.display());
    let argv = ["/bin/sh", "-c", &script];
    let theirs =
        |vmid, of: &str, argv: &[&str]| exec(&made(vmid, &mark(of), MAC, Some(ROOTFS)), argv, 0);
    let mut held: Vec<_> = (0..limits::AT_WORK_OF_ONE)
        .map(|_| hold(&node, INSTALLATION, &exec(&guest(), &argv, 0)))
        .collect();
    let one_more = node.ask(&exec(&guest(), &["true"], 0), b"");
    assert_eq!(refused(&one_more.end), Code::Busy);
    for _ in limits::AT_WORK_OF_ONE..limits::AT_WORK {
        held.push(hold(&node, &other, &theirs(101, &other, &argv)));
    }
    let line = request(&theirs(102, &third, &["true"]));
    let full = answers(&exchange(node.begin_for(&third), [line].into_iter()));
    assert_eq!(refused(&full[0].end), Code::Busy);
    let mut opened = std::fs::OpenOptions::new().write(true).open(&gate).unwrap();
    opened
        .write_all("x\n".repeat(limits::AT_WORK).as_bytes())
        .unwrap();
    for mut child in held {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(node.ask(&exec(&guest(), &["true"], 0), b"").end, ended(0));
}

#[test]
fn who_sends_input_without_end_holds_a_place_no_longer_than_the_command_may_take() {
    let node = Node::new();
    let mut ask = exec(&guest(), &["cat"], 1 << 20);
    ask["exec"]["timeout_ms"] = json!(300);
    let mut child = node.begin();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&request(&ask)).unwrap();
    let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(1);
    // A byte now and then: never silent for long, and never done.
    let trickle = std::thread::spawn(move || {
        let wait = std::time::Duration::from_millis(20);
        while stopped.recv_timeout(wait) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            if stdin.write_all(b"x").is_err() {
                return;
            }
        }
    });
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(child.stdout.as_mut().unwrap(), &mut bytes).unwrap();
    assert!(child.wait().unwrap().success());
    drop(stop);
    trickle.join().unwrap();
    let ends = answers(&bytes);
    assert_eq!(refused(&ends[0].end), Code::CutShort);
    assert_eq!(node.entered(), 0);
}

#[test]
fn without_an_audit_nothing_is_done() {
    let node = Node::new();
    std::fs::create_dir(node.at("state").join("audit.log")).unwrap();
    let answer = node.ask(&exec(&guest(), &["true"], 0), b"");
    assert_eq!(refused(&answer.end), Code::Node);
    assert_eq!(node.entered(), 0);
}

#[test]
fn the_audit_says_who_did_what_and_how_it_ended() {
    let node = Node::new();
    node.ask(&exec(&guest(), &["sh", "-c", "exit 3"], 0), b"");
    let audit = node.audit();
    let lines: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["asked"]["argv"], json!(["sh", "-c", "exit 3"]));
    assert_eq!(lines[0]["asked"]["owner"], json!(MARK));
    assert_eq!(lines[0]["from"], json!("192.0.2.1 4000 192.0.2.2 22"));
    assert_eq!(lines[1]["end"]["ended"]["exit_code"], json!(3));
}

#[test]
fn a_thousand_refusals_leave_what_was_done_before_in_the_audit() {
    let node = Node::new();
    node.ask(&exec(&guest(), &["sh", "-c", "exit 3"], 0), b"");
    let done = node.audit();
    // As long as a line of the audit can be made: each of these characters has six in JSON.
    let word = "\u{1}".repeat(512);
    let mut argv = vec!["true"];
    argv.resize(64, &word);
    let other = made(100, &MARK.replace("0a", "0b"), MAC, Some(ROOTFS));
    let line = request(&exec(&other, &argv, 0));
    let answers = node.session(&line.repeat(1_000));
    assert_eq!(answers.len(), 1_000);
    assert!(
        answers
            .iter()
            .all(|answer| refused(&answer.end) == Code::NotYours)
    );
    assert_eq!(node.audit(), done, "what was done stays alone");
    let files = std::fs::read_dir(node.at("state")).unwrap();
    let logs = files.filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.to_string_lossy().contains(".log")
    });
    assert!(logs.count() > 2, "refusals were more than one file holds");
    for line in node.refusals().lines() {
        assert!(line.len() < 32 * 1024, "{}", line.len());
        assert!(line.contains("not_yours"), "{line}");
    }
}
