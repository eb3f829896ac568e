//! Ways in which a repository cannot be read: each has a code, and none changes anything.

use std::path::PathBuf;
use std::process::Command;

use proximity_domain::source::{SourcePolicy, SourceState};
use proximity_engine::sources::SourceLimits;

use super::repository::{Repository, document};
use super::{Stand, code, name, of_web, request};

#[tokio::test]
async fn a_branch_that_is_gone_and_a_repository_that_is_away_leave_what_is_there() {
    let (s, repository) = of_web(SourcePolicy::Apply).await;
    let applied = s.reaches(SourceState::AsWanted).await.applied;
    repository.git(&["branch", "--quiet", "-m", "other"]);
    let gone = s.look().await;
    assert_eq!(gone.state, SourceState::Unreachable);
    assert_eq!(code(&gone), Some("branch_not_found"));
    assert_eq!(gone.applied, applied);
    std::fs::rename(
        repository.path().join(".git"),
        repository.path().join("away"),
    )
    .unwrap();
    let away = s.look().await;
    assert_eq!(code(&away), Some("source_unreachable"));
    assert!(away.failures == 2 && away.due_at > gone.due_at);
    let refused = s.w.engine.preview_source(&name(), None).await.unwrap_err();
    assert_eq!(refused.code(), "source_unreachable");
    std::fs::rename(
        repository.path().join("away"),
        repository.path().join(".git"),
    )
    .unwrap();
    repository.git(&["branch", "--quiet", "-m", "main"]);
    let back = s.reaches(SourceState::AsWanted).await;
    assert_eq!((back.applied, back.failures), (applied, 0));
    assert_eq!(s.hostnames().await, ["web"]);
}

#[tokio::test]
async fn a_path_without_documents_is_wrong_and_never_an_empty_wish() {
    let (s, repository) = (Stand::start().await, Repository::new());
    repository.write("elsewhere/web.yaml", document("web", ""));
    repository.commit();
    let mut all = request(&repository.url(), SourcePolicy::Apply);
    all.prune = true;
    s.add(all).await.unwrap();
    let sight = s.look().await;
    assert_eq!(sight.state, SourceState::Wrong);
    assert_eq!(code(&sight), Some("documents_not_found"));
}

#[tokio::test]
async fn without_the_program_it_is_said_what_to_install() {
    let limits = SourceLimits {
        program: PathBuf::from("no-such-git"),
        ..SourceLimits::default()
    };
    let s = Stand::limited(limits).await;
    s.add(request("file:///srv/apps", SourcePolicy::Plan))
        .await
        .unwrap();
    let sight = s.look().await;
    assert_eq!(code(&sight), Some("git_missing"));
    assert!(sight.why.unwrap().hint.contains("apt install git"));
}

#[tokio::test]
async fn a_repository_that_is_too_large_is_not_fetched_whole() {
    let limits = SourceLimits {
        most_bytes: 1 << 20,
        ..SourceLimits::default()
    };
    let (s, repository) = (Stand::limited(limits).await, Repository::new());
    repository.write("apps/web.yaml", document("web", ""));
    // What no compression makes smaller.
    let mut state = 1_u64;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let bytes: Vec<u8> = bytes.take(512 * 1024).flatten().collect();
    repository.write("large", bytes);
    repository.commit();
    s.add(request(&repository.url(), SourcePolicy::Apply))
        .await
        .unwrap();
    let sight = s.look().await;
    assert_eq!(code(&sight), Some("source_too_large"));
    assert!(s.hostnames().await.is_empty());
}

#[tokio::test]
async fn a_commit_that_nobody_who_may_has_signed_is_not_looked_at() {
    let (s, repository) = (Stand::start().await, Repository::new());
    repository.write("apps/web.yaml", document("web", ""));
    let commit = repository.commit();
    let mut signed = request(&repository.url(), SourcePolicy::Apply);
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    signed.signers = Some(format!("test@example.org {key}\n"));
    s.add(signed).await.unwrap();
    let sight = s.look().await;
    assert_eq!(sight.state, SourceState::Wrong);
    assert_eq!(code(&sight), Some("commit_unsigned"));
    assert_eq!(sight.commit.unwrap().as_str(), commit);
    assert!(s.hostnames().await.is_empty());
}

#[tokio::test]
async fn a_commit_that_one_of_those_who_may_has_signed_is_applied() {
    let (s, repository) = (Stand::start().await, Repository::new());
    repository.write("apps/web.yaml", document("web", ""));
    repository.git(&["add", "--all"]);
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let signing = format!("user.signingkey={}", key.display());
    let sign = ["-c", "gpg.format=ssh", "-c", signing.as_str()];
    let commit = ["commit", "--quiet", "-S", "-m", "signed"];
    repository.git(&[sign.as_slice(), commit.as_slice()].concat());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let mut signed = request(&repository.url(), SourcePolicy::Apply);
    signed.signers = Some(format!("test@example.org {public}"));
    s.add(signed).await.unwrap();
    let sight = s.reaches(SourceState::AsWanted).await;
    assert_eq!(sight.applied.unwrap().as_str(), repository.head());
}
