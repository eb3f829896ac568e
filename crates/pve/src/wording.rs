//! What PVE's messages mean. PVE has no codes for these; the texts are those of PVE 9.2, as recorded.
//!
//! The same texts come as an answer to a call and as the exit status of a task, hence functions on text.

/// The id is taken by another guest: one of the three texts of a lost race, or `nextid`'s.
#[must_use]
pub fn says_vmid_taken(text: &str) -> bool {
    let lost_rename = text.contains("close (rename) atomic file '")
        && text.contains(".conf' failed: File exists");
    lost_rename || names_existing_guest(text)
}

/// `CT 150 already exists` or `VM 150 already exists`, anywhere in the text.
fn names_existing_guest(text: &str) -> bool {
    text.match_indices(" already exists").any(|(at, _)| {
        let before = &text[..at];
        let word = before.trim_end_matches(|c: char| c.is_ascii_digit());
        word.len() < before.len() && (word.ends_with("CT ") || word.ends_with("VM "))
    })
}

/// Each number of the range that PVE offers is a guest's.
#[must_use]
pub fn says_no_free_vmid(text: &str) -> bool {
    text.contains("unable to get any free VMID in range [")
}

/// The guest has no configuration on that node: never existed, destroyed, or moved to another node.
#[must_use]
pub fn says_missing_config(text: &str) -> bool {
    text.contains("Configuration file 'nodes/") && text.contains(".conf' does not exist")
}

/// The guest is locked; gives the lock, e.g. `backup`.
#[must_use]
pub fn says_locked(text: &str) -> Option<String> {
    for start in ["CT is locked (", "VM is locked ("] {
        if let Some((_, rest)) = text.split_once(start)
            && let Some((lock, _)) = rest.split_once(')')
        {
            return Some(lock.to_owned());
        }
    }
    None
}

/// The guest's configuration was worked on by somebody else for so long (10 s) that nothing was done.
#[must_use]
pub fn says_lock_timeout(text: &str) -> bool {
    text.contains("can't lock file '")
        && text.contains("/pve-config-")
        && text.contains("got timeout")
}

/// This, and nothing else, is how a task ended: its guest was not free. PVE looks at that before it does anything.
#[must_use]
pub fn says_guest_was_not_free(text: &str) -> bool {
    let text = text.trim();
    let lock = text
        .strip_prefix("CT is locked (")
        .and_then(|rest| rest.strip_suffix(')'));
    let named = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let timed_out = text.starts_with("can't lock file '") && text.ends_with("got timeout");
    lock.is_some_and(named) || (timed_out && says_lock_timeout(text))
}

/// The configuration changed since the digest was read.
#[must_use]
pub fn says_digest_mismatch(text: &str) -> bool {
    text.contains("detected modified configuration")
}

/// `protection` is on.
#[must_use]
pub fn says_protected(text: &str) -> bool {
    text.contains("protection mode enabled")
}

/// The guest runs already.
#[must_use]
pub fn says_already_running(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with(" already running")
}

/// The guest does not run. Also said of guests that do not exist at all.
#[must_use]
pub fn says_not_running(text: &str) -> bool {
    let text = text.trim_end().trim_end_matches('!');
    (text.starts_with("CT ") || text.starts_with("VM ") || text.starts_with("container '"))
        && text.ends_with(" not running")
}

/// The guest runs and must not for this call.
#[must_use]
pub fn says_container_runs(text: &str) -> bool {
    text.trim_end().ends_with("container is running")
}

/// The cluster has no quorum.
#[must_use]
pub fn says_no_quorum(text: &str) -> bool {
    text.contains("no quorum")
}

/// A volume, e.g. the template, does not exist.
#[must_use]
pub fn says_missing_volume(text: &str) -> bool {
    text.contains("volume '") && text.contains("' does not exist")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_text_of_a_lost_race_is_known() {
        for taken in [
            "CT 150 already exists on node 'pve1'\n",
            "unable to create CT 217 - CT 217 already exists on node 'pve1'\n",
            "VM 100 already exists",
            "close (rename) atomic file '/etc/pve/nodes/pve1/lxc/220.conf' failed: File exists\n",
        ] {
            assert!(says_vmid_taken(taken), "{taken}");
        }
        for other in [
            "pool 'gold' already exists",
            "CT  already exists",
            "role 'X1' already exists",
            "CT is locked (create)",
            "",
        ] {
            assert!(!says_vmid_taken(other), "{other}");
        }
    }

    #[test]
    fn the_lock_is_named() {
        assert_eq!(
            says_locked("CT is locked (snapshot-delete)\n").as_deref(),
            Some("snapshot-delete")
        );
        assert_eq!(says_locked("CT is locked"), None);
    }

    #[test]
    fn a_lock_that_was_not_free_is_no_other_timeout() {
        let text = "can't lock file '/run/lock/lxc/pve-config-110.lock' - got timeout\n";
        assert!(says_lock_timeout(text));
        for other in ["command 'lxc-stop' failed: timeout", "got timeout", ""] {
            assert!(!says_lock_timeout(other), "{other}");
        }
    }

    #[test]
    fn a_guest_that_was_not_free_is_all_that_a_task_says() {
        let timeout = "can't lock file '/run/lock/lxc/pve-config-110.lock' - got timeout";
        for text in [
            timeout,
            "CT is locked (backup)",
            "CT is locked (snapshot-delete)\n",
        ] {
            assert!(says_guest_was_not_free(text), "{text}");
        }
        let storage = "can't lock file '/var/lock/pve-manager/pve-storage-local' - got timeout";
        let more = format!("lvremove failed - {timeout}");
        let then = "CT is locked (backup) - error removing (x)";
        for text in [storage, &more, then, "CT is locked", "OK", ""] {
            assert!(!says_guest_was_not_free(text), "{text}");
        }
    }

    #[test]
    fn power_texts_are_told_apart() {
        assert!(says_already_running("CT 140 already running\n"));
        assert!(says_not_running("CT 140 not running\n"));
        assert!(says_not_running("VM 140 not running\n"));
        assert!(says_not_running("container '140' not running!"));
        assert!(!says_not_running("CT 140 already running\n"));
        assert!(!says_not_running("service nginx not running"));
        assert!(says_container_runs(
            "unable to destroy CT 145 - container is running\n"
        ));
    }
}
