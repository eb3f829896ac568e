//! Commands that people have run inside containers: bounded, without secrets, audited, and ended when nobody hears them.

use std::time::Duration;

use bytes::Bytes;
use proximity_domain::inside::{SafeCommand, SafeRequest};
use proximity_engine::commands::{Action, CreateApp, ExecApp, ExecRun, ExecStream, ExecTold};
use proximity_engine::error::EngineError;
use proximity_pve_emulator::core::Access;
use proximity_store::views::AuditRow;
use proximity_testkit::world::TestWorld;
use serde_json::json;

use crate::masked_output;

async fn with_web() -> TestWorld {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    w.settled(app.operation.unwrap()).await.unwrap();
    w
}

fn program(argv: &[&str]) -> ExecApp {
    ExecApp {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        stdin: None,
        timeout_s: 60,
    }
}

fn look(command: SafeCommand) -> SafeRequest {
    SafeRequest {
        command,
        lines: None,
        unit: None,
    }
}

async fn begun(w: &TestWorld, request: ExecApp) -> ExecRun {
    w.engine.exec(&w.actor, "web", request).await.unwrap()
}

/// All that is told of a program, each stream together, and how it came out.
async fn told(mut run: ExecRun) -> (String, String, ExecTold) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(told) = run.next().await {
        match told {
            ExecTold::Output { stream, bytes } => match stream {
                ExecStream::Stdout => out.extend(bytes),
                ExecStream::Stderr => err.extend(bytes),
            },
            end => {
                assert_eq!(run.next().await, None, "nothing follows");
                let text = |bytes| String::from_utf8(bytes).unwrap();
                return (text(out), text(err), end);
            }
        }
    }
    panic!("it has no end");
}

fn ended(exit_code: i32) -> ExecTold {
    ExecTold::Ended {
        exit_code,
        truncated: false,
    }
}

async fn audited(w: &TestWorld, action: &str) -> Vec<AuditRow> {
    let mut all = w.store.audit(1_000, 0).await.unwrap();
    all.retain(|entry| entry.action == action);
    all
}

async fn refused(w: &TestWorld, request: ExecApp) -> EngineError {
    w.engine.exec(&w.actor, "web", request).await.unwrap_err()
}

#[tokio::test]
async fn what_only_looks_changes_nothing_and_is_audited() {
    let w = with_web().await;
    let before = w.pve.changes();
    for command in [
        SafeCommand::Memory,
        SafeCommand::Processes,
        SafeCommand::Status,
        SafeCommand::Network,
    ] {
        let ran = w.engine.run_safe(&w.actor, "web", &look(command)).await;
        let ran = ran.unwrap();
        assert_eq!((ran.command, ran.exit_code), (command, 0), "{ran:?}");
        assert!(!ran.output.is_empty() && !ran.truncated, "{ran:?}");
    }
    assert_eq!(w.pve.changes(), before);
    let entries = audited(&w, "app.run").await;
    assert_eq!(entries.len(), 4);
    assert_eq!(entries[0].details["argv"], json!(["free", "-m"]));
    assert_eq!(entries[0].account, w.actor.account);
    let of_unit = SafeRequest {
        unit: Some("beacon".to_owned()),
        ..look(SafeCommand::Status)
    };
    let ran = w.engine.run_safe(&w.actor, "web", &of_unit).await.unwrap();
    assert!(ran.output.contains("ActiveState="), "{ran:?}");
    let bad = w
        .engine
        .run_safe(&w.actor, "web", &look(SafeCommand::Config))
        .await;
    assert_eq!(bad.unwrap_err().code(), "invalid_value");
    assert_eq!(audited(&w, "app.run").await.len(), 5, "nothing was sent");
}

#[tokio::test]
async fn a_program_is_run_as_it_is_and_its_exit_code_handed_on() {
    let w = with_web().await;
    let run = begun(&w, program(&["echo", "$(reboot)", "a b"])).await;
    let (out, err, end) = told(run).await;
    assert_eq!((out.as_str(), err.as_str()), ("$(reboot) a b\n", ""));
    assert_eq!(end, ended(0));
    let cat = ExecApp {
        stdin: Some(Bytes::from_static(b"from outside")),
        ..program(&["cat"])
    };
    let (out, _, end) = told(begun(&w, cat).await).await;
    assert_eq!((out.as_str(), end), ("from outside", ended(0)));
    let (_, _, end) = told(begun(&w, program(&["false"])).await).await;
    assert_eq!(end, ended(1));
    let (_, err, end) = told(begun(&w, program(&["no-such-program"])).await).await;
    assert_eq!(end, ended(127));
    assert!(err.contains("no-such-program"), "{err}");
    let entries = audited(&w, "app.exec").await;
    let argv = json!(["echo", "$(reboot)", "a b"]);
    assert_eq!(entries[0].details["argv"], argv);
    assert_eq!(entries[1].details["stdin_bytes"], 12);
    assert!(audited(&w, "app.exec_end").await.is_empty());
    let late = ExecApp {
        timeout_s: 3_601,
        ..program(&["true"])
    };
    for bad in [program(&[]), program(&["A=b"]), late] {
        assert_eq!(refused(&w, bad).await.code(), "invalid_value");
    }
}

#[tokio::test]
async fn the_secrets_of_the_app_are_in_no_answer_and_in_no_audit() {
    let folder = tempfile::tempdir().unwrap();
    let w = masked_output::world(folder.path()).await;
    masked_output::deployed(&w).await;
    let secret = masked_output::SECRET;
    let (out, _, _) = told(begun(&w, program(&["cat", "/etc/talkative.env"])).await).await;
    assert_eq!(out, "PASSWORD=\"[secret]\"\n");
    let (out, _, _) = told(begun(&w, program(&["echo", secret])).await).await;
    assert_eq!(out, "[secret]\n");
    let entry = audited(&w, "app.exec").await.pop().unwrap();
    assert_eq!(entry.details["argv"], json!(["echo", "[secret]"]));
    let logs = w
        .engine
        .run_safe(&w.actor, "web", &look(SafeCommand::Logs))
        .await;
    assert!(!logs.unwrap().output.contains(secret));
}

#[tokio::test]
async fn a_program_that_nobody_hears_any_more_is_ended() {
    let w = with_web().await;
    w.pve.guests.hang(100, "sleep");
    let is_hung = |is: bool| w.pve.guests.is_hung(100) == Some(is);
    let run = begun(&w, program(&["sleep", "3600"])).await;
    w.until(async || is_hung(true)).await.unwrap();
    drop(run);
    w.until(async || is_hung(false)).await.unwrap();
    assert_eq!(audited(&w, "app.exec_end").await.len(), 1);

    let short = ExecApp {
        timeout_s: 1,
        ..program(&["sleep", "3600"])
    };
    let run = tokio::time::timeout(Duration::from_secs(20), told(begun(&w, short).await));
    let (_, _, end) = run.await.unwrap();
    let ExecTold::Failed(failure) = end else {
        panic!("{end:?}");
    };
    assert_eq!(failure.code, "command_timed_out");
    assert!(failure.message.ends_with("was ended"), "{failure:?}");
    assert_eq!(w.pve.guests.is_hung(100), Some(false));
}

#[tokio::test]
async fn so_many_run_at_the_same_time_and_no_more() {
    let w = with_web().await;
    w.pve.guests.hang(100, "sleep");
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(begun(&w, program(&["sleep", "3600"])).await);
    }
    let full = refused(&w, program(&["true"])).await;
    assert_eq!(full.code(), "too_many_commands");
    // However many programs run, it can be looked what goes on.
    let looked = w
        .engine
        .run_safe(&w.actor, "web", &look(SafeCommand::Memory))
        .await;
    assert_eq!(looked.unwrap().exit_code, 0);
    runs.clear();
    let is_free = async || {
        let run = w.engine.exec(&w.actor, "web", program(&["true"])).await;
        run.is_ok()
    };
    w.until(is_free).await.unwrap();
}

#[tokio::test]
async fn a_look_has_its_place_until_its_end_though_nobody_waits_for_it() {
    let w = with_web().await;
    w.pve.guests.hang(100, "free");
    let (engine, actor) = (w.engine.clone(), w.actor.clone());
    let memory = look(SafeCommand::Memory);
    let waits = tokio::spawn(async move { engine.run_safe(&actor, "web", &memory).await });
    let is_hung = async || w.pve.guests.is_hung(100) == Some(true);
    w.until(is_hung).await.unwrap();
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(begun(&w, program(&["free"])).await);
    }
    let disk = look(SafeCommand::Disk);
    let full = w.engine.run_safe(&w.actor, "web", &disk).await;
    assert_eq!(full.unwrap_err().code(), "too_many_commands");
}

#[tokio::test]
async fn nothing_is_run_beside_an_operation_or_in_what_does_not_run() {
    let mut w = with_web().await;
    w.crash_worker().await;
    let stop = Action::Stop { force: false };
    let stop = w.engine.act(&w.actor, "web", stop).await.unwrap();
    assert_eq!(refused(&w, program(&["true"])).await.code(), "busy");
    let looked = w
        .engine
        .run_safe(&w.actor, "web", &look(SafeCommand::Memory))
        .await;
    assert_eq!(looked.unwrap().exit_code, 0, "looking is in nobody's way");
    w.start_worker();
    w.settled(stop.id).await.unwrap();
    let looked = w
        .engine
        .run_safe(&w.actor, "web", &look(SafeCommand::Memory))
        .await;
    assert_eq!(looked.unwrap_err().code(), "not_in_state");
    let (_, _, end) = told(begun(&w, program(&["true"])).await).await;
    let ExecTold::Failed(failure) = end else {
        panic!("{end:?}");
    };
    assert_eq!(failure.code, "not_in_state");
    let unknown = w.engine.exec(&w.actor, "nobody", program(&["true"])).await;
    assert_eq!(unknown.unwrap_err().code(), "app_not_found");
}
