//! Commands that look at files: `ls`, `stat`, `sha256sum`, `readlink`.

use sha2::{Digest, Sha256};

use super::super::exec::{Done, Ended, Run};
use super::super::files::{Kind, Node};
use super::super::options::{Options, refused};
use super::super::people::name_of;
use super::journal::stamp;

fn user(run: &Run<'_>, id: u32) -> String {
    name_of(&run.guest.files, "/etc/passwd", id).unwrap_or_else(|| id.to_string())
}

fn group(run: &Run<'_>, id: u32) -> String {
    name_of(&run.guest.files, "/etc/group", id).unwrap_or_else(|| id.to_string())
}

/// `ls [-l] [-a] [-d] [-1] [PATH…]`.
pub(crate) fn ls(run: &Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "laAd1hRrt",
        long: &["all", "directory", "color=?"],
    };
    let given = match OPTIONS.read("ls", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let here = vec![".".to_owned()];
    let paths = if given.rest.is_empty() {
        &here
    } else {
        &given.rest
    };
    let (long, hidden) = (given.has(&["l"]), given.has(&["a", "A", "all"]));
    let mut report = Ended::ok();
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for given_path in paths {
        let path = run.path(given_path);
        match run.guest.files.get(&path) {
            Ok(node) if node.kind == Kind::Dir && !given.has(&["d", "directory"]) => {
                folders.push((given_path, path));
            }
            Ok(_) => {
                if let Ok(node) = run.guest.files.get_link(&path) {
                    files.push((given_path.clone(), node));
                }
            }
            Err(error) => {
                report.complain(2, &format!("ls: cannot access '{given_path}': {error}"));
            }
        }
    }
    let row = |name: &str, node: &Node| {
        if long {
            line(run, name, node)
        } else {
            format!("{name}\n")
        }
    };
    for (name, node) in &files {
        report = report.stdout(row(name, node));
    }
    for (at, (name, path)) in folders.iter().enumerate() {
        if paths.len() > 1 {
            let gap = if at > 0 || !files.is_empty() {
                "\n"
            } else {
                ""
            };
            report = report.stdout(format!("{gap}{name}:\n"));
        }
        let Ok(path) = run.guest.files.resolve(path, true) else {
            continue;
        };
        let children = run.guest.files.children(&path);
        let shown: Vec<(&str, &Node)> = children
            .filter(|(name, _)| hidden || !name.starts_with('.'))
            .collect();
        if long {
            report = report.stdout(format!("total {}\n", shown.len() * 4));
        }
        for (name, node) in shown {
            report = report.stdout(row(name, node));
        }
    }
    report
}

fn line(run: &Run<'_>, name: &str, node: &Node) -> String {
    let goal = match &node.kind {
        Kind::Link(target) => format!(" -> {target}"),
        _ => String::new(),
    };
    format!(
        "{} 1 {} {} {} {} {name}{goal}\n",
        letters(node),
        user(run, node.uid),
        group(run, node.gid),
        node.size(),
        stamp(node.mtime_s).get(..12).unwrap_or_default(),
    )
}

/// `drwxr-xr-x`.
fn letters(node: &Node) -> String {
    let kind = match node.kind {
        Kind::Dir => 'd',
        Kind::Link(_) => 'l',
        Kind::Null => 'c',
        Kind::File(_) | Kind::Program(_) => '-',
    };
    let mut text = String::from(kind);
    for shift in [6, 3, 0] {
        let bits = node.mode >> shift;
        let special = node.mode & (0o1000 << (shift / 3)) != 0;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (special, bits & 1 != 0, shift) {
            (false, true, _) => 'x',
            (false, false, _) => '-',
            (true, true, 0) => 't',
            (true, false, 0) => 'T',
            (true, true, _) => 's',
            (true, false, _) => 'S',
        });
    }
    text
}

/// `stat [-c|--format FORMAT] PATH…`.
pub(crate) fn stat(run: &Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "Lc:",
        long: &["dereference", "format="],
    };
    let given = match OPTIONS.read("stat", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    if given.rest.is_empty() {
        return refused("stat", "missing operand");
    }
    let format = given.value(&["c", "format"]);
    let mut report = Ended::ok();
    for given_path in &given.rest {
        let path = run.path(given_path);
        let files = &run.guest.files;
        let found = if given.has(&["L", "dereference"]) {
            files.get(&path)
        } else {
            files.get_link(&path)
        };
        match found {
            Ok(node) => {
                let usual =
                    "  File: %n\n  Size: %s\t%F\nAccess: (%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)";
                let text = filled(run, format.unwrap_or(usual), given_path, node);
                report = report.stdout(format!("{text}\n"));
            }
            Err(error) => {
                report.complain(1, &format!("stat: cannot statx '{given_path}': {error}"));
            }
        }
    }
    report
}

fn filled(run: &Run<'_>, format: &str, name: &str, node: &Node) -> String {
    let mut text = String::new();
    let mut signs = format.chars();
    while let Some(sign) = signs.next() {
        if sign != '%' {
            text.push(sign);
            continue;
        }
        match signs.next() {
            Some('a') => text.push_str(&format!("{:o}", node.mode)),
            Some('A') => text.push_str(&letters(node)),
            Some('U') => text.push_str(&user(run, node.uid)),
            Some('G') => text.push_str(&group(run, node.gid)),
            Some('u') => text.push_str(&node.uid.to_string()),
            Some('g') => text.push_str(&node.gid.to_string()),
            Some('s') => text.push_str(&node.size().to_string()),
            Some('n') => text.push_str(name),
            Some('Y') => text.push_str(&node.mtime_s.to_string()),
            Some('F') => text.push_str(match (&node.kind, node.size()) {
                (Kind::Dir, _) => "directory",
                (Kind::Link(_), _) => "symbolic link",
                (Kind::Null, _) => "character special file",
                (Kind::File(_) | Kind::Program(_), 0) => "regular empty file",
                (Kind::File(_) | Kind::Program(_), _) => "regular file",
            }),
            Some('%') => text.push('%'),
            Some(_) => text.push('?'),
            None => text.push('%'),
        }
    }
    text
}

/// `sha256sum [FILE…]`.
pub(crate) fn sha256sum(run: &mut Run<'_>, args: &[String]) -> Done {
    const OPTIONS: Options = Options {
        short: "bt",
        long: &["binary", "text"],
    };
    let given = match OPTIONS.read("sha256sum", args) {
        Ok(given) => given,
        Err(refused) => return Ok(refused),
    };
    if given.rest.is_empty() {
        let digest = hex::encode(Sha256::digest(run.input()?));
        return Ok(Ended::said(format!("{digest}  -\n")));
    }
    let mut report = Ended::ok();
    for path in &given.rest {
        match run.guest.files.read(&run.path(path)) {
            Ok(bytes) => {
                let digest = hex::encode(Sha256::digest(bytes));
                report = report.stdout(format!("{digest}  {path}\n"));
            }
            Err(error) => report.complain(1, &format!("sha256sum: {path}: {error}")),
        }
    }
    Ok(report)
}

/// `readlink [-f] PATH`.
pub(crate) fn readlink(run: &Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "fn",
        long: &["canonicalize"],
    };
    let given = match OPTIONS.read("readlink", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let Some(path) = given.rest.first() else {
        return refused("readlink", "missing operand");
    };
    let path = run.path(path);
    if given.has(&["f", "canonicalize"]) {
        return match run.guest.files.resolve(&path, true) {
            Ok(path) => Ended::said(format!("{path}\n")),
            Err(_) => Ended::exit(1),
        };
    }
    match run.guest.files.get_link(&path).map(|node| &node.kind) {
        Ok(Kind::Link(target)) => Ended::said(format!("{target}\n")),
        Ok(_) | Err(_) => Ended::exit(1),
    }
}
