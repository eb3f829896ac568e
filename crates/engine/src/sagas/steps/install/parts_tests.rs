//! The scripts, run by this machine's own shell.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command as Process, Stdio};

use proximity_pve::guest::ExecOutput;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::super::guest_session::Command;
use super::parts::{command, judge};
use crate::catalog::{
    DirectoryStep, DownloadStep, FileContent, NpmStep, ResolvedFile, RunStep, Step, Unpack,
    UserStep, VenvStep,
};
use crate::mask::Masker;

/// Runs a command as the guest's root would, if our own user may. Programs are looked for in this folder first.
fn carry_out(command: &Command, programs: &Path) -> ExecOutput {
    let (program, arguments) = command.argv.split_first().unwrap();
    let mut child = Process::new(program)
        .args(arguments)
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
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
    outcome_with(step, Path::new("/nonexistent"))
}

fn outcome_with(step: &Step, programs: &Path) -> Result<(), String> {
    let command = command(step);
    let masker = Masker::new(&[SecretString::from("hunter2")]);
    let output = carry_out(&command, programs);
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

#[test]
fn a_directory_has_its_mode_however_often_and_no_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b c");
    let step = |path: &Path| {
        Step::Directory(DirectoryStep {
            path: path.to_str().unwrap().to_owned().try_into().unwrap(),
            mode: "0710".to_owned().try_into().unwrap(),
            owner: said("id", "-un").try_into().unwrap(),
            group: said("id", "-gn").try_into().unwrap(),
        })
    };
    outcome(&step(&path)).unwrap();
    std::fs::write(path.join("kept"), "x").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    outcome(&step(&path)).unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o710);
    assert!(path.join("kept").exists());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let failure = outcome(&step(&link)).unwrap_err();
    assert!(failure.contains("is a link"), "{failure}");
}

#[test]
fn a_home_that_is_a_link_is_nobodys_to_give_away() {
    let folder = tempfile::tempdir().unwrap();
    let (home, theirs) = (folder.path().join("home"), folder.path().join("theirs"));
    std::fs::create_dir(&theirs).unwrap();
    let before = theirs.metadata().unwrap().mode();
    std::os::unix::fs::symlink(&theirs, &home).unwrap();
    let step = Step::User(UserStep {
        name: said("id", "-un").try_into().unwrap(),
        home: home.to_str().unwrap().to_owned().try_into().unwrap(),
    });
    let failure = outcome(&step).unwrap_err();
    assert!(failure.contains("is a link"), "{failure}");
    assert_eq!(theirs.metadata().unwrap().mode(), before);
}

/// A folder with a program of this text.
fn program(name: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// `python3 -m venv FOLDER` makes one whose `pip` notes what it is told to install, but for what is called ghost.
const PYTHON: &str = r#"#!/bin/sh
mkdir -p "$3/bin"
echo once >> "$3/made"
cat > "$3/bin/python" <<'END'
#!/bin/sh
list=$(dirname "$0")/../list
case "$3" in
  install)
    shift 7
    for one; do echo "$one"; done | tr A-Z a-z | grep -v ghost >> "$list"
    ;;
  list) sort -u "$list" ;;
esac
END
chmod +x "$3/bin/python"
cp "$3/bin/python" "$3/bin/pip"
"#;

#[test]
fn python_packages_are_installed_into_a_folder_that_is_made_once() {
    let programs = program("python3", PYTHON);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("env");
    let step = |packages: &[&str]| {
        let packages = packages.iter().map(|one| (*one).to_owned());
        Step::Venv(VenvStep {
            path: path.to_str().unwrap().to_owned().try_into().unwrap(),
            packages: packages.map(|one| one.try_into().unwrap()).collect(),
        })
    };
    for _ in 0..2 {
        outcome_with(
            &step(&["Flask==3.0.3", "zope.interface==6.0"]),
            programs.path(),
        )
        .unwrap();
    }
    let made = std::fs::read_to_string(path.join("made")).unwrap();
    assert_eq!(made, "once\n");
    // As pip lists it, whichever way its name and version are written.
    std::fs::write(path.join("list"), "ghost-name==2.0.0\n").unwrap();
    let written = step(&["Ghost.__name==2.0", "flask==3.0.3"]);
    outcome_with(&written, programs.path()).unwrap();
    let failure = outcome_with(&step(&["ghost==1.0", "flask==3.0.3"]), programs.path());
    let failure = failure.unwrap_err();
    assert!(failure.contains("ghost==1.0 are not there"), "{failure}");
}

/// `npm install` notes what it is told to install, and `npm ls` prints it.
const NPM: &str = r#"#!/bin/sh
case "$1" in
  install)
    folder=$3
    shift 8
    for one; do
      echo "$folder/node_modules/${one%@*}:$one:undefined"
    done | grep -v ghost >> "$folder/list"
    true
    ;;
  ls) cat "$3/list" ;;
esac
"#;

#[test]
fn packages_of_npm_are_installed_into_a_folder() {
    let programs = program("npm", NPM);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app");
    let step = |package: &str| {
        Step::Npm(NpmStep {
            path: path.to_str().unwrap().to_owned().try_into().unwrap(),
            packages: vec![package.to_owned().try_into().unwrap()],
        })
    };
    for package in ["@scope/name@1.0.0", "express@4.19.2", "express@4.19.2"] {
        outcome_with(&step(package), programs.path()).unwrap();
    }
    let failure = outcome_with(&step("ghost@1.0.0"), programs.path()).unwrap_err();
    assert!(failure.contains("ghost@1.0.0 are not there"), "{failure}");
}

/// `curl` notes the address that it is asked for, and gives the file `gives` beside it.
const CURL: &str = r#"#!/bin/sh
here=$(dirname "$0")
while [ $# -gt 0 ]; do
  case "$1" in
    --output) shift; output=$1 ;;
    --url) shift; echo "$1" >> "$here/asked" ;;
  esac
  shift
done
[ -f "$here/gives" ] || exit 22
cp "$here/gives" "$output"
"#;

fn download(path: &Path, sha256: Option<&str>, unpack: Option<Unpack>) -> Step {
    Step::Download(Box::new(DownloadStep {
        url: "https://example.org/tool".to_owned(),
        sha256: sha256.map(str::to_owned),
        read_on: None,
        path: path.to_str().unwrap().to_owned().try_into().unwrap(),
        unpack,
        strip: u8::from(unpack.is_some()),
        mode: unpack
            .is_none()
            .then(|| "0755".to_owned().try_into().unwrap()),
    }))
}

/// How often something was fetched.
fn asked(programs: &Path) -> usize {
    let asked = std::fs::read_to_string(programs.join("asked")).unwrap_or_default();
    asked.lines().count()
}

#[test]
fn what_is_fetched_is_held_against_its_sum_and_fetched_once() {
    let programs = program("curl", CURL);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app/tool");
    std::fs::write(programs.path().join("gives"), "tool\n").unwrap();
    let sum = hex::encode(Sha256::digest(b"tool\n"));
    for _ in 0..2 {
        let step = download(&path, Some(&sum), None);
        outcome_with(&step, programs.path()).unwrap();
    }
    assert_eq!(asked(programs.path()), 1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "tool\n");
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o755);
    // Another sum is another file: what came is not it, and takes no place.
    let step = download(&path, Some(&"0".repeat(64)), None);
    let failure = outcome_with(&step, programs.path()).unwrap_err();
    assert!(failure.contains("download_differs"), "{failure}");
    assert_eq!(asked(programs.path()), 2);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "tool\n");
    // Nothing is left of it either.
    let names = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(names, 1);
}

#[test]
fn what_is_held_against_nothing_is_fetched_once_as_well_and_a_link_is_refused() {
    let programs = program("curl", CURL);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tool");
    let failure = outcome_with(&download(&path, None, None), programs.path());
    assert!(failure.unwrap_err().contains("fetching a file"));
    std::fs::write(programs.path().join("gives"), "tool\n").unwrap();
    for _ in 0..2 {
        outcome_with(&download(&path, None, None), programs.path()).unwrap();
    }
    assert_eq!(asked(programs.path()), 2);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let failure = outcome_with(&download(&link, None, None), programs.path());
    assert!(failure.unwrap_err().contains("is a link"));
}

#[test]
fn what_is_unpacked_takes_the_place_of_what_was_there() {
    let programs = program("curl", CURL);
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("tool-1.0");
    std::fs::create_dir(&top).unwrap();
    std::fs::write(top.join("new"), "new").unwrap();
    let packed = Process::new("tar")
        .arg("-cf")
        .arg(programs.path().join("gives"))
        .arg("-C")
        .arg(folder.path())
        .arg("tool-1.0")
        .status()
        .unwrap();
    assert!(packed.success());
    let path = folder.path().join("tool");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("old"), "old").unwrap();
    let step = download(&path, None, Some(Unpack::Tar));
    for _ in 0..2 {
        outcome_with(&step, programs.path()).unwrap();
    }
    assert_eq!(asked(programs.path()), 1);
    assert_eq!(std::fs::read_to_string(path.join("new")).unwrap(), "new");
    assert!(!path.join("old").exists());
}
