//! Users that are not ours: a person, or an account that serves others too. No command changes anything of theirs.

use super::*;

const ALICE: &str = "alice@pve";
const TOKEN: &str = "alice@pve!prox";

/// The main token is one of alice's, separated, with what is due; she is no user of ours by name, or by comment, or by both.
fn hers(user: &str, comment: Option<String>) -> Facts {
    let mut facts = well();
    let token = format!("{user}!prox");
    facts.record.token_id.clone_from(&token);
    let ours = id(TokenPurpose::Operate);
    facts.tokens[0].id.clone_from(&token);
    let seen = facts.directory.as_mut().unwrap();
    seen.users.remove(1);
    seen.users.push(UserRow {
        id: user.to_owned(),
        comment,
        enabled: true,
        expires_s: 0,
        tokens: vec![TokenRow {
            name: "prox".to_owned(),
            comment: None,
            separated: true,
            expires_s: 0,
        }],
    });
    let operate = super::user(TokenPurpose::Operate);
    seen.grants
        .retain(|g| g.holder != Holder::User(operate.clone()));
    for grant in &mut seen.grants {
        if grant.holder == Holder::Token(ours.clone()) {
            grant.holder = Holder::Token(token.clone());
        }
    }
    facts
}

/// Whose name, and which comment, do not prove together that a user is ours.
fn not_ours() -> [(String, Option<String>); 3] {
    let named = user(TokenPurpose::Operate);
    [
        (ALICE.to_owned(), None),
        (ALICE.to_owned(), Some(mark().to_string())),
        (named, Some("mine".to_owned())),
    ]
}

fn grant(path: &str, role: &str, holder: Holder) -> Grant {
    Grant {
        path: path.to_owned(),
        holder,
        role: role.to_owned(),
        propagates: true,
    }
}

/// What is told, of which no command names the user.
fn told(facts: &Facts, code: Code) -> String {
    let found = judge(facts);
    let told = found.iter().find(|f| f.code == code);
    let told = told.unwrap_or_else(|| panic!("{code}: {found:#?}"));
    for step in &told.next {
        assert!(!step.contains("--users"), "{step}");
        assert!(!step.starts_with("pveum user modify"), "{step}");
    }
    told.next.join("\n")
}

#[test]
fn what_a_token_lacks_is_given_to_it_alone_and_of_its_user_a_person_decides() {
    for (user, comment) in not_ours() {
        let mut facts = hers(&user, comment);
        let path = "/storage/fast";
        set(super::told(&mut facts, 0), path, json!({}));
        let holder = Holder::Token(format!("{user}!prox"));
        let seen = facts.directory.as_mut().unwrap();
        seen.grants.retain(|g| g.path != path || g.holder != holder);
        let next = told(&facts, Code::TokenTooNarrow);
        assert!(next.contains("--tokens"), "{next}");
        assert!(
            next.contains(&format!("see that its user {user}")),
            "{next}"
        );
    }
}

#[test]
fn what_somebody_forbade_a_person_stays_forbidden_and_is_told() {
    let mut facts = hers(ALICE, None);
    set(super::told(&mut facts, 0), "/storage/fast", json!({}));
    let seen = facts.directory.as_mut().unwrap();
    let holder = Holder::User(ALICE.to_owned());
    seen.grants.push(grant("/storage/fast", "NoAccess", holder));
    let next = told(&facts, Code::TokenTooNarrow);
    assert!(!next.contains("acl delete"), "{next}");
    assert!(next.contains("ask who"), "{next}");
}

#[test]
fn what_is_too_much_is_taken_from_the_token_alone() {
    for (user, comment) in not_ours() {
        let mut facts = hers(&user, comment);
        let held = serde_json::from_value(json!({"VM.Console": 1})).unwrap();
        super::told(&mut facts, 0).all.insert("/".to_owned(), held);
        let seen = facts.directory.as_mut().unwrap();
        seen.roles.push(RoleRow {
            id: "PVEAdmin".to_owned(),
            privileges: BTreeSet::from(["VM.Console".to_owned()]),
        });
        for holder in [
            Holder::User(user.clone()),
            Holder::Token(format!("{user}!prox")),
        ] {
            seen.grants.push(grant("/", "PVEAdmin", holder));
        }
        let next = told(&facts, Code::TokenTooWide);
        let command = format!("pveum acl delete / --roles PVEAdmin --tokens '{user}!prox'");
        assert!(next.contains(&command), "{next}");
    }
}

#[test]
fn a_token_is_separated_without_a_grant_for_its_user() {
    let mut facts = hers(ALICE, None);
    let seen = facts.directory.as_mut().unwrap();
    seen.grants
        .retain(|g| g.holder != Holder::Token(TOKEN.to_owned()));
    seen.users.last_mut().unwrap().tokens[0].separated = false;
    let next = told(&facts, Code::TokenNotSeparated);
    assert!(next.contains("--tokens 'alice@pve!prox'"), "{next}");
    assert!(
        next.ends_with("pveum user token modify alice@pve prox --privsep 1"),
        "{next}"
    );
}

#[test]
fn who_disabled_a_person_is_asked() {
    for (user, comment) in not_ours() {
        let mut facts = hers(&user, comment);
        facts.tokens[0].rights = TokenRights::Refused(no());
        facts
            .directory
            .as_mut()
            .unwrap()
            .users
            .last_mut()
            .unwrap()
            .enabled = false;
        let next = told(&facts, Code::TokenRefused);
        assert!(next.contains("ask who disabled it"), "{next}");
        let mut facts = hers(&user, None);
        facts
            .directory
            .as_mut()
            .unwrap()
            .users
            .last_mut()
            .unwrap()
            .expires_s = 1_902_505_600;
        let next = told(&facts, Code::TokenEnds);
        assert!(
            next.contains("ask who disabled it or set its end"),
            "{next}"
        );
    }
}

#[test]
fn without_the_directory_no_user_is_to_be_given_a_role() {
    let mut facts = hers(ALICE, None);
    set(super::told(&mut facts, 0), "/storage/fast", json!({}));
    facts.directory = Err(no());
    let next = told(&facts, Code::TokenTooNarrow);
    assert!(next.contains("see that its user may do that too"), "{next}");
}

/// An entry on a lower path takes the place of what comes from above: what lies there is in no list, and nothing is said of it.
#[test]
fn an_entry_below_hides_what_lies_there_and_is_told() {
    let observe = [
        Holder::User(user(TokenPurpose::Observe)),
        Holder::Token(id(TokenPurpose::Observe)),
    ];
    for holder in observe {
        for (path, role) in [("/vms/100", "NoAccess"), ("/storage/fast", "PVEVMUser")] {
            let mut facts = well();
            let seen = facts.directory.as_mut().unwrap();
            seen.roles.push(RoleRow {
                id: role.to_owned(),
                privileges: BTreeSet::new(),
            });
            seen.grants.push(grant(path, role, holder.clone()));
            let next = told(&facts, Code::TokenTooNarrow);
            assert!(
                next.contains(&format!("{holder} a role on {path}")),
                "{next}"
            );
            let codes: Vec<Code> = bad(&facts).into_iter().collect();
            assert!(codes.contains(&Code::PoolUnread), "{codes:?}");
            let found = judge(&facts);
            assert!(found.iter().all(|f| f.code != Code::PoolOurs), "{found:?}");
        }
    }
}
