//! The corpus of figure R27 through both ways into a guest, many texts in one command.

use std::path::Path;

use proximity_pve::guest::ssh::{NodeAddress, NodeHelper, PlainSsh};

use crate::helped::{HelpedNode, identity, target};
use crate::helper::key_line;
use crate::injection::corpus::{LEAST, payloads};
use crate::injection::{
    Also, Found, POSSIBLE, Portion, SPOILED, Then, Way, accepted, as_files, run,
};
use crate::ssh::guest;
use crate::sshd::{Sshd, read_by, read_twice_by, user};
use crate::world::node;

/// The figure puts all of them into files.
const ONE_FILE_OF: usize = 5;

/// What the texts left behind.
fn canaries(folder: &Path) -> Vec<String> {
    let found = std::fs::read_dir(folder).unwrap();
    found
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// All texts through plain access, whose commands are read as this line of a key says.
async fn through_a_shell(
    name: &str,
    line: impl Fn(&str) -> String,
    portion: Portion,
    count: usize,
) -> (Found, Vec<String>) {
    let sshd = Sshd::with_key_line(|_, key| line(key)).await;
    let left = tempfile::tempdir().unwrap();
    let access = sshd.access();
    let way = Way {
        name: name.to_owned(),
        access: &access,
        target: guest(100),
        root: sshd
            .guest_file("")
            .to_str()
            .unwrap()
            .trim_end_matches('/')
            .to_owned(),
        folder: "/files".to_owned(),
        gives_away: user() == "root",
    };
    let texts = payloads(left.path().to_str().unwrap());
    let texts = texts.get(..count).unwrap_or(&texts);
    let found = run(&way, texts, portion, ONE_FILE_OF).await;
    (found, canaries(left.path()))
}

#[test]
fn there_are_enough_texts_and_each_is_there_once() {
    let texts = payloads("/x");
    assert!(texts.len() >= LEAST, "{}", texts.len());
    assert!(texts.iter().all(|text| !text.contains('\0')));
    let commands = texts.iter().filter(|text| text.contains("/x/")).count();
    assert!(commands > 100, "{commands}");
}

/// All texts, in commands that this shell reads.
async fn all_arrive(shell: &str) {
    let program = shell.split(' ').next().unwrap_or_default();
    let is_at = |folder: &&str| Path::new(folder).join(program).exists();
    assert!(
        ["/bin", "/usr/bin"].iter().any(is_at),
        "{program} is missing: apt-get install {program}"
    );
    let line = |key: &str| read_by(shell, key);
    let (found, left) = through_a_shell(shell, line, Portion::Many, usize::MAX).await;
    assert_eq!(found.wrong, Vec::<String>::new());
    assert!(found.asked > 100, "{}", found.asked);
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn real_openssh_every_text_arrives_as_it_is_when_dash_reads_the_command() {
    all_arrive("dash").await;
}

#[tokio::test]
async fn real_openssh_every_text_arrives_as_it_is_when_bash_reads_the_command() {
    all_arrive("bash").await;
}

#[tokio::test]
async fn real_openssh_every_text_arrives_as_it_is_when_busybox_reads_the_command() {
    all_arrive("busybox sh").await;
}

#[tokio::test]
async fn real_openssh_a_shell_that_reads_the_command_twice_is_seen() {
    let line = |key: &str| read_twice_by("dash", key);
    let (found, left) = through_a_shell("twice", line, Portion::Each, 20).await;
    assert!(!found.wrong.is_empty());
    assert!(!left.is_empty());
}

#[tokio::test]
async fn real_openssh_files_that_became_others_are_seen_each() {
    let sshd = Sshd::with_key_line(|_, key| read_by("dash", key)).await;
    let access = sshd.access();
    let root = sshd.guest_file("");
    let way = Way {
        name: "spoiled".to_owned(),
        access: &access,
        target: guest(100),
        root: root.to_str().unwrap().trim_end_matches('/').to_owned(),
        folder: "/files".to_owned(),
        gives_away: user() == "root",
    };
    let texts = payloads("/x");
    let found = as_files(&way, &texts, ONE_FILE_OF * 4, Then::Spoil).await;
    let seen = if way.gives_away { SPOILED } else { SPOILED - 1 };
    assert!(found.wrong.len() >= seen, "{:?}", found.wrong);
    let files = found.wrong.iter().filter(|told| told.contains("the file"));
    assert_eq!(files.count(), seen - 1, "{:?}", found.wrong);
}

#[tokio::test]
async fn real_openssh_every_text_arrives_as_it_is_by_the_helper() {
    let mut helped = HelpedNode::with_key_line(key_line).await;
    helped.add(&identity(100, 7), true);
    let left = tempfile::tempdir().unwrap();
    let access = helped.access();
    let way = Way {
        name: "helper".to_owned(),
        access: &access,
        target: target(identity(100, 7)),
        root: String::new(),
        folder: helped.folder().join("files").to_str().unwrap().to_owned(),
        gives_away: user() == "root",
    };
    let texts = payloads(left.path().to_str().unwrap());
    let found = run(&way, &texts, Portion::Many, ONE_FILE_OF).await;
    assert_eq!(found.wrong, Vec::<String>::new());
    assert!(found.asked > 100, "{}", found.asked);
    assert_eq!(canaries(left.path()), Vec::<String>::new());
}

#[tokio::test]
async fn what_no_guest_could_get_is_refused_before_anything_is_sent() {
    let key = proximity_pve::guest::ssh::generate_keypair().unwrap();
    let nowhere = NodeAddress {
        // Nobody listens on this port.
        address: "127.0.0.1:1".to_owned(),
        host_key: key.public_line.parse().unwrap(),
    };
    let nodes = [(node("pve1"), nowhere)];
    let plain = PlainSsh::new("root", &key.private_pem, nodes.clone()).unwrap();
    let helper = NodeHelper::new("root", &key.private_pem, nodes).unwrap();
    let ours = target(identity(100, 7));
    for (asked, wrong) in [
        accepted(&plain, &guest(100), Also::Nothing).await,
        accepted(&helper, &ours, Also::Nothing).await,
    ] {
        assert_eq!(wrong, Vec::<String>::new());
        assert!(asked > 20, "{asked}");
    }
    for (_, wrong) in [
        accepted(&plain, &guest(100), Also::Possible).await,
        accepted(&helper, &ours, Also::Possible).await,
    ] {
        assert_eq!(wrong.len(), POSSIBLE, "what is possible is sent: {wrong:?}");
    }
}
