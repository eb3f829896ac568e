//! Guest access against OpenSSH's server and a `pct` that runs what it is given.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use proximity_pve::guest::ssh::{NodeAddress, PlainSsh, generate_keypair, scan_host_key};
use proximity_pve::guest::{
    Exec, ExecOutput, GuestAccess, GuestError, GuestOwner, GuestTarget, Pull, Push,
};

use crate::sshd::{Sshd, user};
use crate::world::{node, vmid};

pub(crate) fn guest(id: u32) -> GuestTarget {
    GuestTarget {
        node: node("pve1"),
        vmid: vmid(id),
        owner: GuestOwner::Adopted,
    }
}

pub(crate) fn exec(argv: &[&str]) -> Exec {
    Exec {
        argv: argv.iter().map(ToString::to_string).collect(),
        stdin: None,
        timeout_ms: 20_000,
        max_output_bytes: 1024 * 1024,
        send_before: None,
    }
}

pub(crate) fn push(path: &str, content: Bytes, mode: u32) -> Push {
    Push {
        path: path.to_owned(),
        content,
        mode,
        user: None,
        group: None,
        timeout_ms: 20_000,
        send_before: None,
    }
}

pub(crate) fn pull(path: &str, max_bytes: u64) -> Pull {
    Pull {
        path: path.to_owned(),
        max_bytes,
        timeout_ms: 20_000,
    }
}

async fn run(access: &PlainSsh, request: Exec) -> ExecOutput {
    access.exec(&guest(100), request).await.unwrap()
}

/// Bytes that hold every value, also NUL and line ends.
pub(crate) fn binary(length: usize) -> Bytes {
    (0..length)
        .map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap())
        .collect::<Vec<u8>>()
        .into()
}

#[tokio::test]
async fn real_openssh_any_arguments_arrive_as_they_were() {
    let sshd = Sshd::start().await;
    let access = sshd.access();
    let mut runner = TestRunner::deterministic();
    let words = proptest::collection::vec("[^\0]{0,30}", 1..5);
    for _ in 0..25 {
        let given = words.new_tree(&mut runner).unwrap().current();
        let argv: Vec<&str> = ["printf", "%s\\0"]
            .into_iter()
            .chain(given.iter().map(String::as_str))
            .collect();
        let output = run(&access, exec(&argv)).await;
        let expected: String = given.iter().map(|w| format!("{w}\0")).collect();
        assert_eq!(output.stdout, expected.as_bytes(), "{given:?}");
        assert_eq!((output.exit_code, output.truncated), (0, false));
    }
    assert_eq!(sshd.connections(), 1, "one connection is shared");
}

#[tokio::test]
async fn real_openssh_pct_gets_exactly_what_is_documented() {
    let sshd = Sshd::start().await;
    let output = run(&sshd.access(), exec(&["echo", "it's $HOME; `id`"])).await;
    assert_eq!(output.stdout, "it's $HOME; `id`\n");
    let log = std::fs::read_to_string(sshd.state_file("pct.log")).unwrap();
    let words: Vec<&str> = log.split('\0').collect();
    assert_eq!(
        words[..8],
        [
            "exec",
            "100",
            "--keep-env",
            "0",
            "--",
            "echo",
            "it's $HOME; `id`",
            ""
        ]
    );
}

#[tokio::test]
async fn real_openssh_input_output_and_exit_codes_are_passed_on() {
    let sshd = Sshd::start().await;
    let access = sshd.access();
    let both = run(
        &access,
        exec(&["sh", "-c", "echo out; echo err >&2; exit 7"]),
    )
    .await;
    assert_eq!(
        (both.exit_code, both.stdout.as_ref(), both.stderr.as_ref()),
        (7, &b"out\n"[..], &b"err\n"[..])
    );
    let killed = run(&access, exec(&["sh", "-c", "kill -9 $$"])).await;
    assert_eq!(killed.exit_code, 137, "{killed:?}");

    let content = binary(3 * 1024 * 1024);
    let echoed = run(
        &access,
        Exec {
            stdin: Some(content.clone()),
            max_output_bytes: content.len(),
            ..exec(&["cat"])
        },
    )
    .await;
    assert!(echoed.stdout == content && !echoed.truncated);
    let unread = Exec {
        stdin: Some(content),
        ..exec(&["true"])
    };
    assert_eq!(
        run(&access, unread).await.exit_code,
        0,
        "input that nobody reads does no harm"
    );
    let nothing = run(&access, exec(&["cat"])).await;
    assert_eq!((nothing.exit_code, nothing.stdout.len()), (0, 0));
}

#[tokio::test]
async fn real_openssh_output_is_kept_up_to_its_limit_and_the_command_still_ends() {
    let sshd = Sshd::start().await;
    let much = Exec {
        max_output_bytes: 1000,
        ..exec(&["sh", "-c", "head -c 5000000 /dev/zero; exit 3"])
    };
    let output = run(&sshd.access(), much).await;
    assert_eq!(
        (output.exit_code, output.stdout.len(), output.truncated),
        (3, 1000, true)
    );
}

#[tokio::test]
async fn real_openssh_a_command_that_takes_too_long_is_in_doubt() {
    let sshd = Sshd::start().await;
    let access = sshd.access();
    run(&access, exec(&["true"])).await;
    // It ends when nobody reads what it writes any more, which is when the channel is closed.
    let endless = Exec {
        timeout_ms: 300,
        ..exec(&["sh", "-c", "while echo x; do :; done"])
    };
    let error = access.exec(&guest(100), endless).await.unwrap_err();
    assert!(
        matches!(error, GuestError::MaybeApplied { .. }),
        "{error:?}"
    );
    assert_eq!(run(&access, exec(&["echo", "next"])).await.stdout, "next\n");
}

#[tokio::test]
async fn real_openssh_commands_given_up_free_their_place_on_the_server() {
    let sshd = Sshd::start().await;
    let access = sshd.access();
    run(&access, exec(&["true"])).await;
    let endless = exec(&["sh", "-c", "while echo x; do :; done"]);
    // The server has ten places. Twice as many are given up here, by their own limit or by who waits.
    for i in 0..20 {
        let patience = if i % 2 == 0 { 60 } else { 10_000 };
        let request = Exec {
            timeout_ms: patience,
            ..endless.clone()
        };
        let target = guest(100);
        let waiting = access.exec(&target, request);
        let outcome = tokio::time::timeout(Duration::from_millis(70), waiting).await;
        assert!(!matches!(outcome, Ok(Ok(_))), "{outcome:?}");
    }
    assert_eq!(run(&access, exec(&["echo", "next"])).await.stdout, "next\n");
    assert_eq!(sshd.connections(), 1, "places were used up");
}

#[tokio::test]
async fn real_openssh_many_commands_at_once_share_a_connection() {
    let sshd = Sshd::start().await;
    let access = Arc::new(sshd.access());
    let mut all = tokio::task::JoinSet::new();
    for i in 0..30 {
        let access = access.clone();
        all.spawn(async move { (i, run(&access, exec(&["echo", &i.to_string()])).await) });
    }
    for (i, output) in all.join_all().await {
        assert_eq!(output.stdout, format!("{i}\n"));
    }
    assert_eq!(sshd.connections(), 1);
}

#[tokio::test]
async fn real_openssh_a_cut_connection_is_renewed_and_what_ran_is_in_doubt() {
    let sshd = Sshd::start().await;
    let access = Arc::new(sshd.access());
    let (marker, running) = (sshd.guest_file("started"), access.clone());
    // It ends when nobody reads what it writes any more, which is when its server is gone.
    let endless = format!("echo > '{}'; while echo x; do :; done", marker.display());
    let long = tokio::spawn(async move {
        running
            .exec(&guest(100), exec(&["sh", "-c", &endless]))
            .await
    });
    while !marker.exists() {
        tokio::task::yield_now().await;
    }
    sshd.cut_all();
    let error = long.await.unwrap().unwrap_err();
    assert!(
        matches!(error, GuestError::MaybeApplied { .. }),
        "{error:?}"
    );
    assert_eq!(
        run(&access, exec(&["echo", "again"])).await.stdout,
        "again\n"
    );
    assert_eq!(sshd.connections(), 2);
}

#[tokio::test]
async fn real_openssh_a_node_that_is_not_the_pinned_one_gets_nothing() {
    let sshd = Sshd::start().await;
    let other = generate_keypair().unwrap().public_line.parse().unwrap();
    let at = NodeAddress {
        host_key: other,
        ..sshd.at()
    };
    let access = PlainSsh::new(&user(), &sshd.key.private_pem, [(node("pve1"), at)]).unwrap();
    let error = access.exec(&guest(100), exec(&["true"])).await.unwrap_err();
    let GuestError::Untrusted { seen, pinned, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*seen, sshd.host_key().fingerprint());
    assert_ne!(seen, pinned);
    assert!(error.is_not_sent() && !sshd.state_file("pct.log").exists());
}

#[tokio::test]
async fn real_openssh_host_keys_can_be_looked_at_before_they_are_trusted() {
    let sshd = Sshd::start().await;
    assert_eq!(
        scan_host_key(&sshd.address.to_string()).await.as_ref(),
        Ok(sshd.host_key())
    );
}

#[tokio::test]
async fn real_openssh_who_is_not_let_in_sent_nothing() {
    let sshd = Sshd::start().await;
    let stranger = generate_keypair().unwrap();
    let access =
        PlainSsh::new(&user(), &stranger.private_pem, [(node("pve1"), sshd.at())]).unwrap();
    let error = access.exec(&guest(100), exec(&["true"])).await.unwrap_err();
    assert!(
        matches!(&error, GuestError::NotSent { why, .. } if why.contains("does not accept our key")),
        "{error:?}"
    );

    let elsewhere = GuestTarget {
        node: node("pve9"),
        vmid: vmid(100),
        owner: GuestOwner::Adopted,
    };
    let error = sshd
        .access()
        .exec(&elsewhere, exec(&["true"]))
        .await
        .unwrap_err();
    assert_eq!(error, GuestError::UnknownNode("pve9".to_owned()));

    let (at, key) = (sshd.at(), sshd.key.private_pem.clone());
    drop(sshd);
    tokio::task::yield_now().await;
    let access = PlainSsh::new(&user(), &key, [(node("pve1"), at)]).unwrap();
    let error = access.exec(&guest(100), exec(&["true"])).await.unwrap_err();
    assert!(matches!(error, GuestError::NotSent { .. }), "{error:?}");
}

#[tokio::test]
async fn real_openssh_containers_that_do_not_run_or_are_not_there_are_told_apart() {
    let sshd = Sshd::start().await;
    let access = sshd.access();
    let stopped =
        |error: GuestError| assert!(matches!(error, GuestError::NotRunning { .. }), "{error:?}");
    let absent =
        |error: GuestError| assert!(matches!(error, GuestError::NotThere { .. }), "{error:?}");
    stopped(access.exec(&guest(200), exec(&["true"])).await.unwrap_err());
    stopped(
        access
            .push(&guest(200), push("/x", "x".into(), 0o600))
            .await
            .unwrap_err(),
    );
    stopped(access.pull(&guest(200), pull("/x", 10)).await.unwrap_err());
    absent(access.exec(&guest(999), exec(&["true"])).await.unwrap_err());
    absent(
        access
            .push(&guest(999), push("/x", "x".into(), 0o600))
            .await
            .unwrap_err(),
    );
    absent(access.pull(&guest(999), pull("/x", 10)).await.unwrap_err());
    assert_eq!(sshd.temporary_files(), Vec::<String>::new());
}

#[tokio::test]
async fn real_openssh_files_go_in_and_out_whole_and_leave_nothing_on_the_node() {
    let sshd = Sshd::start().await;
    let access = sshd.access();
    for (name, content, mode) in [
        ("/with space & 'quote'", binary(2 * 1024 * 1024), 0o640),
        ("/empty", Bytes::new(), 0o600),
        ("/tool", "x".into(), 0o4755),
    ] {
        access
            .push(&guest(100), push(name, content.clone(), mode))
            .await
            .unwrap();
        let file = sshd.guest_file(&name[1..]);
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
            mode,
            "{name}"
        );
        assert!(std::fs::read(&file).unwrap() == content, "{name}");
        let back = access
            .pull(&guest(100), pull(name, 4 * 1024 * 1024))
            .await
            .unwrap();
        assert!(back == content, "{name}");
    }
    let modes = std::fs::read_to_string(sshd.state_file("sources")).unwrap();
    assert!(
        modes.lines().all(|mode| mode == "-rw-------"),
        "on the node a file is private: {modes}"
    );
    assert_eq!(sshd.temporary_files(), Vec::<String>::new());
}

#[tokio::test]
async fn real_openssh_owners_are_passed_on() {
    let sshd = Sshd::start().await;
    let owned = Push {
        user: Some("www-data".to_owned()),
        group: Some("33".to_owned()),
        ..push("/owned", "x".into(), 0o644)
    };
    sshd.access().push(&guest(100), owned).await.unwrap();
    let log = std::fs::read_to_string(sshd.state_file("pct.log")).unwrap();
    let words: Vec<&str> = log.split('\0').collect();
    assert_eq!(
        words[3..10],
        [
            "/owned", "--perms", "0644", "--user", "www-data", "--group", "33"
        ]
    );
}

#[tokio::test]
async fn real_openssh_transfers_that_fail_say_why_and_leave_nothing_on_the_node() {
    let sshd = Sshd::start().await;
    let access = sshd.access();
    let failed =
        |error: GuestError| assert!(matches!(error, GuestError::Failed { .. }), "{error:?}");
    failed(
        access
            .push(&guest(100), push("/no/such/folder", "x".into(), 0o600))
            .await
            .unwrap_err(),
    );
    failed(
        access
            .pull(&guest(100), pull("/no/such/file", 10))
            .await
            .unwrap_err(),
    );

    access
        .push(&guest(100), push("/big", binary(1000), 0o600))
        .await
        .unwrap();
    let error = access
        .pull(&guest(100), pull("/big", 999))
        .await
        .unwrap_err();
    assert_eq!(
        error,
        GuestError::TooLarge {
            size_bytes: 1000,
            max_bytes: 999
        }
    );
    access.pull(&guest(100), pull("/big", 1000)).await.unwrap();
    access
        .push(&guest(100), push("/huge", binary(4 * 1024 * 1024), 0o600))
        .await
        .unwrap();
    failed(
        access
            .pull(&guest(100), pull("/huge", 1000))
            .await
            .unwrap_err(),
    );
    assert_eq!(sshd.temporary_files(), Vec::<String>::new());
}
