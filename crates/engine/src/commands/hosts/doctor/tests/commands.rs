//! The commands that are told, as a real shell reads them.

use std::process::Command;

use super::*;

/// The words of a command, taken apart by `sh`; none of a step that is a sentence. Nothing of the command is run unless its quotes
/// are broken, and then there is no program to be found.
pub(super) fn words(step: &str) -> Vec<String> {
    if !["pve", "proximity "]
        .iter()
        .any(|begin| step.starts_with(begin))
    {
        return Vec::new();
    }
    let mut sh = Command::new("/bin/sh");
    sh.arg("-c").arg(format!("printf '%s\\0' {step}"));
    let told = sh.env_clear().env("PATH", "/nonexistent").output().unwrap();
    assert!(
        told.status.success() && told.stderr.is_empty(),
        "{step}: {told:?}"
    );
    let all = String::from_utf8(told.stdout).unwrap();
    let words = all.split_terminator('\0');
    words.map(str::to_owned).collect()
}

const HOSTILE: &str = "o'b;$(x)`y`&a|b\"c\\d#*?@pve";

/// A host whose users, roles and storages have names that mean something to a shell.
fn hostile() -> Facts {
    let mut facts = well();
    facts.record.token_id = format!("{HOSTILE}!prox");
    facts.tokens[0].id = format!("{HOSTILE}!prox");
    let held = serde_json::from_value(json!({"VM.Console": 1})).unwrap();
    told(&mut facts, 0).all.insert("/".to_owned(), held);
    set(told(&mut facts, 0), "/storage/fast", json!({}));
    let seen = facts.directory.as_mut().unwrap();
    seen.users.push(UserRow {
        id: HOSTILE.to_owned(),
        comment: None,
        enabled: true,
        expires_s: 1_902_505_600,
        tokens: vec![TokenRow {
            name: "prox".to_owned(),
            comment: None,
            separated: false,
            expires_s: 1_902_505_600,
        }],
    });
    seen.roles.push(RoleRow {
        id: HOSTILE.to_owned(),
        privileges: BTreeSet::from(["VM.Console".to_owned()]),
    });
    seen.grants.push(Grant {
        path: format!("/pool/{HOSTILE}"),
        holder: Holder::Token(format!("{HOSTILE}!prox")),
        role: HOSTILE.to_owned(),
        propagates: true,
    });
    let storages = facts.nodes[0].storages.as_mut().unwrap();
    storages[0].content = HOSTILE.to_owned();
    facts
}

#[test]
fn names_that_mean_something_to_a_shell_are_one_word_of_it() {
    let found = judge(&hostile());
    let commands: Vec<Vec<String>> = found
        .iter()
        .flat_map(|f| &f.next)
        .map(|step| words(step))
        .filter(|words| !words.is_empty())
        .collect();
    let has = |word: &str| commands.iter().any(|words| words.iter().any(|w| w == word));
    for word in [
        HOSTILE.to_owned(),
        format!("{HOSTILE}!prox"),
        format!("/pool/{HOSTILE}"),
        format!("{HOSTILE},rootdir"),
    ] {
        assert!(has(&word), "{word}: {commands:#?}");
    }
    assert!(commands.len() > 8, "{commands:#?}");
}

#[test]
fn no_text_of_proxmox_ve_adds_lines_or_moves_the_cursor() {
    let bad = "x\n  -> pveum user delete root@pam\u{1b}[2J\r\u{9b}1A\u{202e}";
    let mut facts = well();
    facts.nodes[0].way = Way::Failed(bad.to_owned());
    facts.endpoints[0].answer = Answer::None(bad.repeat(200));
    facts.nodes[0].storages.as_mut().unwrap()[0].content = bad.to_owned();
    facts.tokens[0].rights = TokenRights::Refused(bad.to_owned());
    facts.directory = Err(bad.to_owned());
    for finding in judge(&facts) {
        let mut all = vec![finding.subject, finding.what];
        all.extend(finding.next);
        for text in all {
            let odd = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!text.contains(odd), "{text:?}");
            assert!(text.chars().count() <= 2_001, "{text}");
        }
    }
}

/// Both uses of one storage are added by one command, and what stands alone only is left out.
#[test]
fn a_storage_is_given_all_that_it_is_used_for() {
    for (has, command) in [
        ("none", "pvesm set fast --content rootdir,vztmpl"),
        ("iso", "pvesm set fast --content iso,rootdir,vztmpl"),
        ("iso,vztmpl", "pvesm set fast --content iso,vztmpl,rootdir"),
    ] {
        let mut facts = well();
        facts.record.template_storage = facts.record.storage.clone();
        for node in &mut facts.nodes {
            node.storages.as_mut().unwrap()[0].content = has.to_owned();
        }
        let found = judge(&facts);
        let unusable = found.iter().filter(|f| f.code == Code::StorageUnusable);
        let next: BTreeSet<&String> = unusable.flat_map(|f| &f.next).collect();
        assert_eq!(next.into_iter().collect::<Vec<_>>(), [command]);
    }
}

/// What somebody added to a role of ours is taken out of the role. Taken back, it would be gone from guests and storages that were
/// given one by one, which no record knows to give back.
#[test]
fn a_role_of_ours_that_is_too_wide_is_narrowed_and_stays_where_it_was_given() {
    let more = "VM.Console";
    for (of, path, role, privileges) in [
        (
            2,
            "/vms/105",
            "ProximityAdoptedGuest-6789abcd",
            "VM.Backup,VM.Config.Options,VM.PowerMgmt,VM.Snapshot",
        ),
        (
            0,
            "/storage/more",
            "ProximityOperateStorage-6789abcd",
            "Datastore.AllocateSpace",
        ),
    ] {
        let mut facts = well();
        let held = serde_json::from_value(json!({more: 0})).unwrap();
        told(&mut facts, of).all.insert(path.to_owned(), held);
        let token = facts.tokens[of].id.clone();
        let seen = facts.directory.as_mut().unwrap();
        seen.roles.retain(|row| row.id != role);
        seen.roles.push(RoleRow {
            id: role.to_owned(),
            privileges: privileges
                .split(',')
                .chain([more])
                .map(str::to_owned)
                .collect(),
        });
        for holder in [
            Holder::User(token.split('!').next().unwrap().to_owned()),
            Holder::Token(token),
        ] {
            seen.grants.push(Grant {
                path: path.to_owned(),
                holder,
                role: role.to_owned(),
                propagates: false,
            });
        }
        let found = judge(&facts);
        let wide = found.iter().find(|f| f.code == Code::TokenTooWide).unwrap();
        let command = format!("pveum role modify {role} --privs {privileges}");
        assert_eq!(wide.next, [command]);
    }
}
