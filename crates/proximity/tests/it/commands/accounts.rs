//! Accounts and sessions from outside, by the token that a server makes first.

use serde_json::Value;

use super::{World, code, stderr, stdout};

fn json_of(world: &World, line: &str) -> Value {
    let output = world.run(&format!("{line} --json"));
    assert_eq!(code(&output), 0, "{line}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn accounts_are_added_changed_and_removed_and_links_are_printed_once() {
    let world = World::new();
    let _server = world.serve();
    let nobody = world.run("accounts list");
    assert!(stdout(&nobody).contains("proximity setup-link"));
    let first = json_of(&world, "setup-link");
    assert_eq!(first["account"]["name"], "admin");
    assert_eq!(first["account"]["role"], "admin");
    let url = first["url"].as_str().unwrap();
    let token = first["token"].as_str().unwrap();
    assert!(url.starts_with("http://localhost:"), "{url}");
    assert!(url.ends_with(&format!("/setup#{token}")), "{url}");
    // Again it is another one, of the same account.
    let again = json_of(&world, "setup-link");
    assert_ne!(again["token"], first["token"]);

    let added = world.run("accounts add ann --role operator");
    assert_eq!(code(&added), 0, "{}", stderr(&added));
    assert!(stdout(&added).contains("ann, who is operator"));
    let twice = world.run("accounts add ann --role viewer");
    assert_eq!(code(&twice), 1, "{}", stderr(&twice));
    let wrong = world.run("accounts add Ann --role viewer");
    assert_eq!(code(&wrong), 2, "{}", stderr(&wrong));
    let role = json_of(&world, "accounts role ann viewer");
    assert_eq!(role["role"], "viewer");
    let link = json_of(&world, "accounts link ann");
    let list = json_of(&world, "accounts list");
    let names: Vec<&str> = list["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["admin", "ann"]);
    for secret in [&first["token"], &again["token"], &link["token"]] {
        let secret = secret.as_str().unwrap();
        assert!(!list.to_string().contains(secret));
    }
    let last = world.run("accounts remove admin");
    assert_eq!(code(&last), 1, "{}", stderr(&last));
    assert!(stderr(&last).contains("last admin"), "{}", stderr(&last));
    assert_eq!(code(&world.run("accounts remove ann")), 0);
    for line in ["remove ann", "link ann", "role ann viewer"] {
        let gone = world.run(&format!("accounts {line}"));
        assert_eq!(code(&gone), 3, "{line}: {}", stderr(&gone));
    }
    let sessions = world.run("sessions list");
    assert_eq!(stdout(&sessions).trim(), "nobody is signed in");
    let none = world.run("sessions end 018f0000-0000-7000-8000-000000000001");
    assert_eq!(code(&none), 3, "{}", stderr(&none));
}
