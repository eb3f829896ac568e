//! What a person does who follows what doctor says: `pveum` sends the parameters of its command line to the API's methods, and `pvesm` likewise.

use super::*;

/// Types all commands of Proxmox VE's that the findings of these codes tell; the other steps are for people.
pub(super) async fn follow(world: &World, findings: &[Finding], codes: &[Code]) {
    let told = findings.iter().filter(|f| codes.contains(&f.code));
    let mut followed = 0;
    for line in told.flat_map(|f| &f.next).filter(|l| l.starts_with("pve")) {
        typed(world, line).await;
        followed += 1;
    }
    assert!(followed > 0, "{codes:?}: {findings:#?}");
}

/// The words of a command line, taken apart by a shell.
fn words(line: &str) -> Vec<String> {
    let mut sh = std::process::Command::new("/bin/sh");
    sh.arg("-c").arg(format!("printf '%s\\0' {line}"));
    let told = sh.env_clear().env("PATH", "/nonexistent").output().unwrap();
    assert!(
        told.status.success() && told.stderr.is_empty(),
        "{line}: {told:?}"
    );
    let all = String::from_utf8(told.stdout).unwrap();
    all.split_terminator('\0').map(str::to_owned).collect()
}

async fn typed(world: &World, line: &str) {
    let words = words(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let options = |from: usize| -> Vec<(&str, &str)> {
        let pairs = words[from..].chunks(2);
        pairs
            .map(|pair| (pair[0].strip_prefix("--").unwrap(), pair[1]))
            .collect()
    };
    match &words[..4] {
        ["pvesm", "set", storage, _] => {
            let path = format!("/storage/{storage}");
            done(world, Method::Put, &path, &options(3)).await;
        }
        ["pveum", "pool", "modify", pool] => {
            let mut params = options(4);
            params.push(("poolid", pool));
            done(world, Method::Put, "/pools", &params).await;
        }
        ["pveum", "acl", verb, path] => {
            let mut params = options(4);
            params.push(("path", path));
            if *verb == "delete" {
                params.push(("delete", "1"));
            }
            done(world, Method::Put, "/access/acl", &params).await;
        }
        ["pveum", "role", "add", role] => {
            let mut params = options(4);
            params.push(("roleid", role));
            done(world, Method::Post, "/access/roles", &params).await;
        }
        ["pveum", "role", "modify", role] => {
            done(
                world,
                Method::Put,
                &format!("/access/roles/{role}"),
                &options(4),
            )
            .await;
        }
        ["pveum", "user", "token", "modify"] => {
            let path = format!("/access/users/{}/token/{}", words[4], words[5]);
            done(world, Method::Put, &path, &options(6)).await;
        }
        ["pveum", "user", "modify", user] => {
            done(
                world,
                Method::Put,
                &format!("/access/users/{user}"),
                &options(4),
            )
            .await;
        }
        _ => panic!("no command that is known here: {line}"),
    }
}
