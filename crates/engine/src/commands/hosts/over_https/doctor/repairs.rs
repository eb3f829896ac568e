//! What a person does who follows what doctor says: `pveum` sends the parameters of its command line to the API's methods.

use super::*;

/// Does all that the findings of these codes tell.
pub(super) async fn follow(world: &World, findings: &[Finding], codes: &[Code]) {
    let told = findings.iter().filter(|f| codes.contains(&f.code));
    let mut followed = 0;
    for line in told.flat_map(|f| &f.next) {
        pveum(world, line).await;
        followed += 1;
    }
    assert!(followed > 0, "{codes:?}: {findings:#?}");
}

/// The words of a command line as a shell takes them apart.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().unwrap().push(c),
        }
    }
    words
}

async fn pveum(world: &World, line: &str) {
    let words = words(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let options = |from: usize| -> Vec<(&str, &str)> {
        let pairs = words[from..].chunks(2);
        pairs
            .map(|pair| (pair[0].strip_prefix("--").unwrap(), pair[1]))
            .collect()
    };
    match &words[..4] {
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
