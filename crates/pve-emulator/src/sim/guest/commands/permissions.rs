//! `chmod` and `chown`.

use super::super::exec::{Ended, Run};
use super::super::files::{Files, Kind};
use super::super::options::{Options, refused};
use super::super::people::{group_of, id_of};

const OPTIONS: Options = Options {
    short: "Rvfh",
    long: &["recursive", "verbose", "no-dereference"],
};

/// Octal digits, or changes such as `u+x,go-w`, applied to `old`.
pub(crate) fn mode_of(text: &str, old: u32, is_dir: bool) -> Option<u32> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777);
    }
    let mut mode = old;
    for change in text.split(',') {
        let at = change.find(['+', '-', '='])?;
        let (who, rest) = change.split_at(at);
        let mut what = rest.chars();
        let sign = what.next()?;
        let mut bits = 0;
        for letter in what {
            bits |= match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if is_dir || old & 0o111 != 0 => 0o111,
                'X' => 0,
                _ => return None,
            };
        }
        let mut mask = 0;
        for letter in who.chars() {
            mask |= match letter {
                'u' => 0o700,
                'g' => 0o070,
                'o' => 0o007,
                'a' => 0o777,
                _ => return None,
            };
        }
        if who.is_empty() {
            mask = 0o777;
        }
        mode = match sign {
            '+' => mode | bits & mask,
            '-' => mode & !(bits & mask),
            _ => mode & !mask | bits & mask,
        };
    }
    Some(mode)
}

/// The path, and with `recursive` all below it.
fn targets(files: &Files, path: &str, recursive: bool) -> Vec<String> {
    let Ok(path) = files.resolve(path, true) else {
        return Vec::new();
    };
    let mut found = vec![path.clone()];
    if recursive {
        let below: Vec<String> = files
            .children(&path)
            .filter(|(_, node)| !matches!(node.kind, Kind::Link(_)))
            .map(|(name, _)| format!("{}/{name}", path.trim_end_matches('/')))
            .collect();
        for child in below {
            found.extend(targets(files, &child, true));
        }
    }
    found
}

/// `chmod [-R] MODE PATH…`.
pub(crate) fn chmod(run: &mut Run<'_>, args: &[String]) -> Ended {
    let given = match OPTIONS.read("chmod", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let Some((mode, paths)) = given
        .rest
        .split_first()
        .filter(|(_, paths)| !paths.is_empty())
    else {
        return refused("chmod", "missing operand");
    };
    let mut report = Ended::ok();
    for given_path in paths {
        let path = run.path(given_path);
        if let Err(error) = run.guest.files.get(&path) {
            report.complain(1, &format!("chmod: cannot access '{given_path}': {error}"));
        }
        for target in targets(&run.guest.files, &path, given.has(&["R", "recursive"])) {
            let Ok(node) = run.guest.files.get_mut(&target) else {
                continue;
            };
            match mode_of(mode, node.mode, node.kind == Kind::Dir) {
                Some(mode) => node.mode = mode,
                None => return refused("chmod", &format!("invalid mode: '{mode}'")),
            }
        }
    }
    report
}

/// `chown [-R] USER[:GROUP] PATH…`.
pub(crate) fn chown(run: &mut Run<'_>, args: &[String]) -> Ended {
    let given = match OPTIONS.read("chown", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let Some((owner, paths)) = given
        .rest
        .split_first()
        .filter(|(_, paths)| !paths.is_empty())
    else {
        return refused("chown", "missing operand");
    };
    let (uid, gid) = match ids(&run.guest.files, owner) {
        Ok(ids) => ids,
        Err(what) => return Ended::failed(1, format!("chown: invalid {what}: '{owner}'")),
    };
    let mut report = Ended::ok();
    for given_path in paths {
        let path = run.path(given_path);
        if let Err(error) = run.guest.files.get(&path) {
            report.complain(1, &format!("chown: cannot access '{given_path}': {error}"));
        }
        for target in targets(&run.guest.files, &path, given.has(&["R", "recursive"])) {
            if let Ok(node) = run.guest.files.get_mut(&target) {
                node.uid = uid.unwrap_or(node.uid);
                node.gid = gid.unwrap_or(node.gid);
            }
        }
    }
    report
}

/// The numbers behind `USER`, `USER:GROUP`, `USER:` or `:GROUP`.
fn ids(files: &Files, text: &str) -> Result<(Option<u32>, Option<u32>), &'static str> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let uid = match user {
        "" => None,
        user => Some(id_of(files, "/etc/passwd", user).ok_or("user")?),
    };
    let gid = match group {
        None => None,
        Some("") => group_of(files, user),
        Some(group) => Some(id_of(files, "/etc/group", group).ok_or("group")?),
    };
    Ok((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_digits_or_changes() {
        assert_eq!(mode_of("0640", 0, false), Some(0o640));
        assert_eq!(mode_of("u+x,go-r", 0o644, false), Some(0o700));
        assert_eq!(mode_of("a=rX", 0o640, false), Some(0o444));
        assert_eq!(mode_of("+x", 0o644, false), Some(0o755));
        assert_eq!(mode_of("u+q", 0, false), None);
        assert_eq!(mode_of("99", 0, false), None);
    }
}
