//! Terminals in real containers.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use bytes::Bytes;

use super::driver::{Trial, in_ground, kill, spec, start};
use super::support::block_on;
use crate::core::ConsoleMode;
use crate::core::guest::{GuestCommand, GuestKey, GuestLogin, GuestSpec, JobId};
use crate::shell::{GuestDriver as _, Terminal, TerminalInput};

fn create_with_password(job: JobId, guest: GuestKey) -> GuestCommand {
    let login = GuestLogin {
        password_hash: Some(crate::core::sha512_crypt("secret", "salt")),
        ssh_keys: None,
    };
    let login = Some(Box::new(login));
    let spec = GuestSpec { login, ..spec() };
    GuestCommand::Create { job, guest, spec }
}

async fn say(opened: &Terminal, typed: &str) {
    let bytes = Bytes::copy_from_slice(typed.as_bytes());
    let typed = TerminalInput::Bytes(bytes);
    opened.input.send(typed).await.unwrap();
}

/// What is printed until a text is there, without carriage returns: each terminal on the way adds its own.
async fn hear(opened: &mut Terminal, until: &str) -> String {
    let mut shown = String::new();
    while !shown.contains(until) {
        let piece = opened.output.recv().await.expect(&shown);
        shown.push_str(&String::from_utf8_lossy(&piece).replace('\r', ""));
    }
    shown
}

async fn ended(opened: &mut Terminal) {
    while opened.output.recv().await.is_some() {}
}

async fn opened(trial: &Trial, mode: ConsoleMode) -> Terminal {
    let driver = &trial.ground.driver;
    driver.open_console(&trial.guest, mode).await.unwrap()
}

/// Command lines of the programs that are in the guest for somebody at a terminal.
fn programs(trial: &Trial) -> Vec<String> {
    let place = trial.ground.place.lxcpath(&trial.guest.node);
    let there = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = there.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let ours = lines.filter(|line| {
        let mut words = line.split(|byte| *byte == 0);
        let console = matches!(words.next(), Some(b"lxc-console" | b"lxc-attach"));
        console && words.any(|word| word == place.as_os_str().as_bytes())
    });
    ours.map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}

async fn a_shell(trial: &Trial) {
    let mut shell = opened(trial, ConsoleMode::Shell).await;
    let (columns, rows) = (99, 33);
    let size = TerminalInput::Size { columns, rows };
    shell.input.send(size).await.unwrap();
    // What is typed before the shell is there is lost, as on a real node.
    hear(&mut shell, "# ").await;
    say(&shell, "stty size; hostname; tty\r").await;
    let said = hear(&mut shell, "/dev/").await;
    assert!(said.contains("33 99\none\n"), "{said}");
    say(&shell, "seq 20000 | tail -c 100000; echo $((40 + 2))\r").await;
    let said = hear(&mut shell, "\n20000\n42\n").await;
    assert!(said.contains("\n19999\n"), "{}", said.len());
    say(&shell, "exit\r").await;
    ended(&mut shell).await;
}

async fn a_login(trial: &Trial) -> Terminal {
    let mut login = opened(trial, ConsoleMode::Tty).await;
    hear(&mut login, "login: ").await;
    say(&login, "root\r").await;
    hear(&mut login, "assword: ").await;
    say(&login, "secret\r").await;
    hear(&mut login, "# ").await;
    say(&login, "echo in$((40 + 2))\r").await;
    hear(&mut login, "in42").await;
    login
}

/// `/dev/console`, which does not repeat what it asked before, and what is typed before it listens is lost.
async fn asking(trial: &Trial) -> Terminal {
    let mut console = opened(trial, ConsoleMode::Console).await;
    let mut shown = String::new();
    while !shown.contains("one login: ") {
        say(&console, "\r").await;
        let pause = Duration::from_millis(100);
        while let Ok(piece) = tokio::time::timeout(pause, console.output.recv()).await {
            shown.push_str(&String::from_utf8_lossy(&piece.expect("it is open")));
        }
    }
    console
}

#[test]
fn a_terminal_leads_into_the_container_and_nothing_of_it_stays() {
    let name = "console::a_terminal_leads_into_the_container_and_nothing_of_it_stays";
    in_ground(name, |trial| {
        trial.run(create_with_password).unwrap();
        block_on(async {
            let driver = &trial.ground.driver;
            let none = driver.open_console(&trial.guest, ConsoleMode::Tty).await;
            assert!(none.unwrap_err().ends_with("100 is not running"));
        });
        trial.run(start).unwrap();
        block_on(async {
            a_shell(trial).await;
            let login = a_login(trial).await;
            assert_eq!(programs(trial).len(), 1);
            let Terminal { input, mut output } = login;
            drop(input);
            // Its end is told when its program has ended.
            while output.recv().await.is_some() {}
            assert_eq!(programs(trial), Vec::<String>::new());
            let mut console = asking(trial).await;
            let driver = &trial.ground.driver;
            let killed = driver.carry_out(kill(JobId(8), trial.guest.clone()));
            let (killed, ()) = tokio::join!(killed, ended(&mut console));
            killed.result.unwrap();
        });
    });
}
