//! Repositories that try to have something run, or to lead out of themselves.

use std::os::unix::fs::PermissionsExt;

use proximity_domain::source::{SourcePolicy, SourceState};
use proximity_engine::commands::AddSource;

use super::repository::{Repository, document};
use super::{Stand, request};

#[tokio::test]
async fn nothing_of_a_repository_is_run_and_nothing_outside_of_it_is_read() {
    let (s, repository) = (Stand::start().await, Repository::new());
    let mark = repository.path().join("was-run");
    let run = format!("touch {}", mark.display());
    repository.write("apps/web.yaml", document("web", ""));
    for folder in [".git/hooks", "hooks"] {
        for hook in [
            "post-checkout",
            "post-merge",
            "reference-transaction",
            "update",
        ] {
            let path = format!("{folder}/{hook}");
            repository.write(&path, format!("#!/bin/sh\n{run}\n"));
            let rights = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(repository.path().join(&path), rights).unwrap();
        }
    }
    std::os::unix::fs::symlink("/etc/passwd", repository.path().join("apps/passwd.yaml")).unwrap();
    std::os::unix::fs::symlink("/etc", repository.path().join("apps/etc")).unwrap();
    repository.write(".gitattributes", "* filter=evil diff=evil text=auto\n");
    let evil = format!(
        "[filter \"evil\"]\n\tsmudge = {run}\n\tclean = {run}\n[core]\n\tfsmonitor = {run}\n"
    );
    repository.write(".gitconfig-of-tree", evil);
    let module =
        format!("[submodule \"apps/module\"]\n\tpath = apps/module\n\turl = ext::sh -c {run}\n");
    repository.write(".gitmodules", module);
    repository.git(&["add", "--all"]);
    let head = "0123456789012345678901234567890123456789";
    let link = format!("160000,{head},apps/module");
    repository.git(&["update-index", "--add", "--cacheinfo", &link]);
    repository.git(&["commit", "--quiet", "--no-verify", "-m", "evil"]);
    let _ = std::fs::remove_file(&mark);
    s.add(request(&repository.url(), SourcePolicy::Apply))
        .await
        .unwrap();
    let sight = s.reaches(SourceState::AsWanted).await;
    assert_eq!(sight.applied.unwrap().as_str(), repository.head());
    assert_eq!(s.hostnames().await, ["web"]);
    assert!(!mark.exists(), "something was run");
}

#[tokio::test]
async fn what_git_would_take_for_something_else_is_refused_before_it_is_asked() {
    let s = Stand::start().await;
    let good = request("https://example.org/apps", SourcePolicy::Plan);
    let with_url = |url: &str| AddSource {
        url: url.to_owned(),
        ..good.clone()
    };
    let cases = [
        (with_url("--upload-pack=touch /tmp/x"), "url"),
        (with_url("ext::sh -c id"), "url"),
        (with_url("https://user:pass@example.org/apps"), "url"),
        (with_url("ssh://-oProxyCommand=id/apps"), "url"),
        (
            AddSource {
                branch: Some("--output=x".to_owned()),
                ..good.clone()
            },
            "branch",
        ),
        (
            AddSource {
                path: Some("../secrets".to_owned()),
                ..good.clone()
            },
            "path",
        ),
        (
            AddSource {
                path: Some("--full-name".to_owned()),
                ..good.clone()
            },
            "path",
        ),
    ];
    for (request, field) in cases {
        let refused = s.add(request).await.unwrap_err();
        assert_eq!(refused.code(), "invalid_value");
        assert!(refused.fields().contains_key(field), "{refused}");
    }
}
