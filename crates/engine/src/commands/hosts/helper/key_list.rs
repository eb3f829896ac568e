//! The nodes' list of keys (`authorized_keys`): what becomes of its text. Lines of others stay byte by byte.

use proximity_domain::ids::InstallationId;
use proximity_pve::guest::ssh::{NodeLook, PROGRAM_FOLDER, PROGRAM_NAME};

/// The comment of keys that we made.
const OUR_COMMENT: &str = "proximity";

/// The line that lets a key reach the helper, and nothing else.
///
/// PVE's nodes share the list, so the helper is called by the same name on all: its path where PVE leaves room for it, else by the
/// name that is found beside `pct`.
pub(super) fn helper_line(
    look: &NodeLook,
    installation: InstallationId,
    public_key: &str,
) -> String {
    let program = if look.folder == PROGRAM_FOLDER {
        format!("{PROGRAM_FOLDER}/{PROGRAM_NAME}")
    } else {
        PROGRAM_NAME.to_owned()
    };
    format!("restrict,command=\"{program} serve {installation}\" {public_key}")
}

/// Whether a line leads to the helper for this installation.
fn is_helpers(line: &str, installation: InstallationId) -> bool {
    let command = format!("{PROGRAM_NAME} serve {installation}\"");
    !line.trim_start().starts_with('#') && line.contains(&command)
}

/// Whether a line leads this very key to the helper, whomever that serves: of two lines with one key sshd takes the first.
fn is_this_key_there(line: &str, public_key: &str) -> bool {
    let command = format!("{PROGRAM_NAME} serve ");
    line.contains(&command) && holds_key(line, public_key)
}

/// With this line in place of all others that lead to the helper for this installation, or its key to the helper for another one.
pub(super) fn with_helper(list: Option<&str>, installation: InstallationId, line: &str) -> String {
    let list = list.unwrap_or_default();
    let ours: Vec<&str> = list
        .lines()
        .filter(|other| is_helpers(other, installation))
        .collect();
    // What stands before it makes it narrower, and is whoever's who wrote it: `from="…",` for one.
    let key = line.split_once("\" ").map_or("", |(_, key)| key);
    let misled = |other: &str| !is_helpers(other, installation) && is_this_key_there(other, key);
    let kept: String = list
        .split_inclusive('\n')
        .filter(|other| !misled(other))
        .collect();
    if let [one] = ours.as_slice()
        && one
            .strip_suffix(line)
            .is_some_and(|before| before.is_empty() || before.ends_with(','))
    {
        return kept;
    }
    let mut list = without_helper(&kept, installation);
    if !list.is_empty() && !list.ends_with('\n') {
        list.push('\n');
    }
    list.push_str(line);
    list.push('\n');
    list
}

/// Without those that lead to the helper for this installation.
pub(super) fn without_helper(list: &str, installation: InstallationId) -> String {
    let lines = list.split_inclusive('\n');
    lines
        .filter(|line| !is_helpers(line, installation))
        .collect()
}

/// Whether the list leads somebody else's key to the helper.
pub(super) fn serves_others(list: &str) -> bool {
    let command = format!("{PROGRAM_NAME} serve ");
    let mut lines = list.lines();
    lines.any(|line| !line.trim_start().starts_with('#') && line.contains(&command))
}

/// Whether some line that counts lets this key in, whatever its options.
pub(super) fn holds_key(list: &str, public_key: &str) -> bool {
    let Some(key) = public_key.split_whitespace().nth(1) else {
        return false;
    };
    let mut lines = list
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines.any(|line| line.split_whitespace().any(|word| word == key))
}

/// Whether we made the key, rather than were given it.
pub(super) fn is_our_key(public_key: &str) -> bool {
    public_key.split_whitespace().nth(2) == Some(OUR_COMMENT)
}

/// Without the lines that have nothing but this key: those with options are somebody's own.
pub(super) fn without_key(list: &str, public_key: &str) -> String {
    let key = |line: &str| -> Option<(String, String)> {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    let gone = key(public_key);
    let lines = list.split_inclusive('\n');
    lines
        .filter(|line| gone.is_none() || key(line) != gone)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAours proximity";

    fn installation(number: u128) -> InstallationId {
        InstallationId(Uuid::from_u128(number))
    }

    fn look(folder: &str) -> NodeLook {
        NodeLook {
            account: "root".to_owned(),
            machine: "x86_64".to_owned(),
            pct: None,
            folder: folder.to_owned(),
            is_writable: true,
            program: None,
            keys_file: "/etc/pve/priv/authorized_keys".to_owned(),
            keys: None,
        }
    }

    #[test]
    fn the_line_restricts_the_key_to_the_helper() {
        let line = helper_line(&look(PROGRAM_FOLDER), installation(1), KEY);
        let expected = "restrict,command=\"/usr/local/sbin/proximity-node-helper serve \
                        00000000-0000-0000-0000-000000000001\" ssh-ed25519 AAAAours proximity";
        assert_eq!(line, expected);
        let elsewhere = helper_line(&look("/lab/bin"), installation(1), KEY);
        assert!(elsewhere.starts_with("restrict,command=\"proximity-node-helper serve 0"));
        assert!(is_helpers(&elsewhere, installation(1)) && is_helpers(&line, installation(1)));
        assert!(!is_helpers(&line, installation(2)));
        assert!(!is_helpers(&format!("# {line}"), installation(1)));
    }

    #[test]
    fn one_line_of_ours_takes_the_place_of_all_before_and_others_stay() {
        let line =
            |key: &str, number| helper_line(&look(PROGRAM_FOLDER), installation(number), key);
        let (old, new, other) = (line("a A x", 1), line(KEY, 1), line("b B y", 2));
        let list = format!("# mine\nssh-rsa BBBB me\n{old}\n\n{other}\n{old}");
        let changed = with_helper(Some(&list), installation(1), &new);
        assert_eq!(
            changed,
            format!("# mine\nssh-rsa BBBB me\n\n{other}\n{new}\n")
        );
        assert_eq!(with_helper(Some(&changed), installation(1), &new), changed);
        assert_eq!(with_helper(None, installation(1), &new), format!("{new}\n"));
        let bare = "ssh-rsa BBBB me";
        assert_eq!(
            with_helper(Some(bare), installation(1), &new),
            format!("{bare}\n{new}\n")
        );
        let gone = without_helper(&changed, installation(1));
        assert_eq!(gone, format!("# mine\nssh-rsa BBBB me\n\n{other}\n"));
    }

    #[test]
    fn our_key_leads_to_no_other_installation_whatever_else_stands_there() {
        let line =
            |key: &str, number| helper_line(&look(PROGRAM_FOLDER), installation(number), key);
        let ours = line(KEY, 1);
        let (misled, other) = (line(KEY, 2), line("ssh-rsa BBBB y", 2));
        let shell = "from=\"192.0.2.1\" ssh-ed25519 AAAAours x";
        let list = format!("{misled}\n{other}\n# {misled}\n{shell}\nno-pty,{misled}\n");
        let kept = format!("{other}\n# {misled}\n{shell}\n");
        let expected = format!("{kept}{ours}\n");
        assert_eq!(with_helper(Some(&list), installation(1), &ours), expected);
        let below = format!("{misled}\n{kept}{ours}\n");
        assert_eq!(with_helper(Some(&below), installation(1), &ours), expected);
    }

    #[test]
    fn what_somebody_put_before_our_line_stays() {
        let line = helper_line(&look(PROGRAM_FOLDER), installation(1), KEY);
        let narrower = format!("from=\"192.0.2.1\",{line}\n");
        assert_eq!(
            with_helper(Some(&narrower), installation(1), &line),
            narrower
        );
        let old = format!(
            "from=\"192.0.2.1\",{}\n",
            line.replace("AAAAours", "AAAAold")
        );
        assert_eq!(
            with_helper(Some(&old), installation(1), &line),
            format!("{line}\n")
        );
    }

    #[test]
    fn others_who_use_the_helper_and_keys_with_options_are_seen() {
        let ours = helper_line(&look(PROGRAM_FOLDER), installation(1), KEY);
        let both = format!(
            "{ours}\n{}\n",
            helper_line(&look("/lab"), installation(2), "b B y")
        );
        assert!(serves_others(&without_helper(&both, installation(1))));
        assert!(!serves_others(&without_helper(
            &format!("{ours}\n# {ours}\n"),
            installation(1)
        )));
        assert!(holds_key(
            "from=\"192.0.2.1\" ssh-ed25519 AAAAours x\n",
            KEY
        ));
        assert!(!holds_key(
            "# ssh-ed25519 AAAAours x\nssh-ed25519 BBBB y\n",
            KEY
        ));
        assert!(!holds_key("ssh-ed25519 AAAAours x\n", ""));
    }

    #[test]
    fn a_key_goes_with_its_line_if_nothing_else_is_on_it() {
        let list = "ssh-ed25519 AAAAours proximity\nssh-ed25519 AAAAours\n\
                    from=\"192.0.2.1\" ssh-ed25519 AAAAours x\nssh-ed25519 BBBB proximity\n";
        let expected = "from=\"192.0.2.1\" ssh-ed25519 AAAAours x\nssh-ed25519 BBBB proximity\n";
        assert_eq!(without_key(list, KEY), expected);
        assert_eq!(without_key(list, ""), list);
        assert!(is_our_key(KEY) && !is_our_key("ssh-ed25519 AAAA"));
    }

    proptest! {
        #[test]
        fn lines_of_others_stay_byte_by_byte(list in "[ -~\r\n\t]{0,200}") {
            let line = helper_line(&look(PROGRAM_FOLDER), installation(1), KEY);
            let with = with_helper(Some(&list), installation(1), &line);
            let left = without_helper(&with, installation(1));
            let ended = !list.is_empty() && !list.ends_with('\n');
            prop_assert_eq!(left, if ended { format!("{list}\n") } else { list });
        }
    }
}
