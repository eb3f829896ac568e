//! The scripts, run by this machine's own shell.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command as Process, Stdio};

use proximity_pve::guest::ExecOutput;
use secrecy::SecretString;

use super::super::guest_session::Command;
use super::parts::{command, judge};
use crate::catalog::{FileContent, ResolvedFile, RunStep, Step};
use crate::mask::Masker;

/// Runs a command as the guest's root would, if our own user may.
fn carry_out(command: &Command) -> ExecOutput {
    let (program, arguments) = command.argv.split_first().unwrap();
    let mut child = Process::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = command.stdin.clone().unwrap_or_default();
    // Who does not read it closes it.
    let _ = child.stdin.take().unwrap().write_all(&input);
    let output = child.wait_with_output().unwrap();
    ExecOutput {
        exit_code: output.status.code().unwrap(),
        stdout: output.stdout.into(),
        stderr: output.stderr.into(),
        truncated: false,
    }
}

fn said(program: &str, argument: &str) -> String {
    let output = Process::new(program).arg(argument).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn file(path: &Path, content: &str) -> Step {
    Step::File(ResolvedFile {
        path: path.to_str().unwrap().to_owned().try_into().unwrap(),
        mode: "0640".to_owned().try_into().unwrap(),
        owner: said("id", "-un").try_into().unwrap(),
        group: said("id", "-gn").try_into().unwrap(),
        content: FileContent::Open(content.to_owned()),
    })
}

fn outcome(step: &Step) -> Result<(), String> {
    let command = command(step);
    let masker = Masker::new(&[SecretString::from("hunter2")]);
    let output = carry_out(&command);
    judge(step, command.doing, &output, &masker).map_err(|e| format!("{e:?}"))
}

#[test]
fn a_file_takes_its_place_whole_with_its_owner_and_mode_however_often() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/it's here");
    for content in ["one\n", "", "ä'$`\\\"\n"] {
        outcome(&file(&path, content)).unwrap();
        outcome(&file(&path, content)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o640);
        let made = path.parent().unwrap();
        assert_eq!(made.metadata().unwrap().mode() & 0o7777, 0o755);
        let names = std::fs::read_dir(made).unwrap().count();
        assert_eq!(names, 1, "nothing else is left");
    }
}

#[test]
fn a_link_is_replaced_and_what_it_led_to_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("link"), folder.path().join("other"));
    std::fs::write(&other, "theirs").unwrap();
    std::os::unix::fs::symlink(&other, &path).unwrap();
    outcome(&file(&path, "ours")).unwrap();
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "theirs");
    assert!(path.symlink_metadata().unwrap().is_file());
}

#[test]
fn a_file_that_cannot_take_its_place_is_a_failure_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("folder");
    std::fs::create_dir(&path).unwrap();
    let failure = outcome(&file(&path, "ours")).unwrap_err();
    assert!(failure.contains("writing a file"), "{failure}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_program_runs_until_what_it_creates_is_there_and_not_again() {
    let folder = tempfile::tempdir().unwrap();
    let (log, made) = (folder.path().join("log"), folder.path().join("made"));
    let program = folder.path().join("program");
    let text = "#!/bin/sh\necho \"$2\" >> \"$1\"\n[ \"$2\" = idle ] || touch \"$3\"\n";
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |word: &str| {
        let words = [&program, &log, &word.into(), &made].map(|w| w.display().to_string());
        outcome(&Step::Run(RunStep {
            argv: words.to_vec(),
            creates: made.to_str().unwrap().to_owned().try_into().unwrap(),
        }))
    };
    let failure = run("idle").unwrap_err();
    assert!(failure.contains("it did not create"), "{failure}");
    run("it's at work").unwrap();
    run("it's at work").unwrap();
    let lines = std::fs::read_to_string(&log).unwrap();
    assert_eq!(lines, "idle\nit's at work\n");
}

#[test]
fn a_program_that_prints_a_secret_fails_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo out hunter2; echo bad password hunter2 >&2; exit 3";
    let failure = outcome(&Step::Run(RunStep {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        creates: folder
            .path()
            .join("x")
            .to_str()
            .unwrap()
            .to_owned()
            .try_into()
            .unwrap(),
    }))
    .unwrap_err();
    assert!(failure.contains("bad password [secret]"), "{failure}");
    assert!(!failure.contains("hunter2"), "{failure}");
}
