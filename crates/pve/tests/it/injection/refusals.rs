//! What no guest could get, or must not: refused before anything is sent.

use bytes::Bytes;
use proximity_pve::guest::{Exec, GuestAccess, GuestError, GuestTarget, Pull, Push};

use super::shown;

/// Longer than Linux takes an argument.
const TOO_LONG_BYTES: usize = 128 * 1024;
const NO_ARGUMENTS: [&[&str]; 5] = [&[], &[""], &["a\0"], &["true", "\0"], &["true", "a\0b"]];
const NO_PATHS: [&str; 8] = [
    "",
    "a",
    "./a",
    "../a",
    "/..",
    "/a/../../etc/shadow",
    "/a\0b",
    "~/a",
];
const NO_OWNERS: [&str; 9] = [
    "", "-x", "a b", "a:b", "$(id)", "a;b", "a\nb", "a\0", "../x",
];

/// What is asked besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Also {
    /// Nothing.
    Nothing,
    /// What any guest can get, which has to be seen as sent: the control.
    Possible,
}

/// How much of [`Also::Possible`] there is.
pub(crate) const POSSIBLE: usize = 3;

/// The requests that were not refused as impossible. The access leads nowhere, so that one that is sent is seen; how many were asked
/// comes first.
pub(crate) async fn accepted(
    access: &dyn GuestAccess,
    target: &GuestTarget,
    also: Also,
) -> (usize, Vec<String>) {
    let (mut asked, mut wrong) = (0, Vec::new());
    let mut judge = |what: String, refused: Option<GuestError>| {
        asked += 1;
        if !matches!(&refused, Some(GuestError::Impossible(_))) {
            wrong.push(format!("{what} was not refused: {refused:?}"));
        }
    };
    let long = "x".repeat(TOO_LONG_BYTES);
    let long = ["true", &long];
    for argv in NO_ARGUMENTS.into_iter().chain([&long[..]]) {
        let what = format!("the command {}", shown(&argv.join(" ")));
        judge(what, access.exec(target, exec(argv)).await.err());
    }
    for path in NO_PATHS {
        let what = |verb| format!("{verb} {}", shown(path));
        judge(
            what("push"),
            access.push(target, push(path, None)).await.err(),
        );
        let pull = Pull {
            path: path.to_owned(),
            max_bytes: 1,
            timeout_ms: 1_000,
        };
        judge(what("pull"), access.pull(target, pull).await.err());
    }
    for owner in NO_OWNERS {
        let pushed = access.push(target, push("/a", Some(owner))).await;
        judge(format!("the owner {}", shown(owner)), pushed.err());
    }
    let mode = Push {
        mode: 0o10_000,
        ..push("/a", None)
    };
    judge("a mode".to_owned(), access.push(target, mode).await.err());
    if also == Also::Possible {
        let ran = access.exec(target, exec(&["true"])).await;
        judge("a command".to_owned(), ran.err());
        let pushed = access.push(target, push("/a", Some("root"))).await;
        judge("a file".to_owned(), pushed.err());
        let pull = Pull {
            path: "/a".to_owned(),
            max_bytes: 1,
            timeout_ms: 1_000,
        };
        judge("a look".to_owned(), access.pull(target, pull).await.err());
    }
    (asked, wrong)
}

fn exec(argv: &[&str]) -> Exec {
    Exec {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        stdin: None,
        timeout_ms: 1_000,
        max_output_bytes: 0,
        send_before: None,
    }
}

fn push(path: &str, owner: Option<&str>) -> Push {
    Push {
        path: path.to_owned(),
        content: Bytes::new(),
        mode: 0o644,
        user: owner.map(str::to_owned),
        group: None,
        timeout_ms: 1_000,
        send_before: None,
    }
}
