//! `cp`, `mv`, `install`.

use super::super::errno::Errno;
use super::super::exec::{Ended, Run};
use super::super::files::{Files, Kind, Node};
use super::super::options::{Given, Options, refused};
use super::super::people::id_of;
use super::permissions::mode_of;

/// Sources and the path each gets: into a directory, or the one named.
fn pairs(run: &Run<'_>, program: &str, given: &Given) -> Result<Vec<(String, String)>, Ended> {
    let target = given.value(&["t", "target-directory"]).map(str::to_owned);
    let (sources, goal) = match (&target, given.rest.split_last()) {
        (Some(goal), _) => (&given.rest[..], goal.clone()),
        (None, Some((goal, sources))) => (sources, goal.clone()),
        (None, None) => return Err(refused(program, "missing file operand")),
    };
    if sources.is_empty() {
        let text = format!("missing destination file operand after '{goal}'");
        return Err(refused(program, &text));
    }
    let into = run.guest.files.is_dir(&run.path(&goal)) && !given.has(&["T"]);
    if !into && (sources.len() > 1 || target.is_some()) {
        return Err(Ended::failed(
            1,
            format!("{program}: target '{goal}': No such file or directory"),
        ));
    }
    let end = |source: &String| {
        let name = source
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        if into {
            format!("{}/{name}", goal.trim_end_matches('/'))
        } else {
            goal.clone()
        }
    };
    Ok(sources
        .iter()
        .map(|source| (source.clone(), end(source)))
        .collect())
}

/// `cp [-r|-a] [-p] SOURCE… GOAL`.
pub(crate) fn cp(run: &mut Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "arRpfvdTt:",
        long: &[
            "archive",
            "recursive",
            "preserve",
            "force",
            "target-directory=",
        ],
    };
    let given = match OPTIONS.read("cp", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let pairs = match pairs(run, "cp", &given) {
        Ok(pairs) => pairs,
        Err(ended) => return ended,
    };
    let whole = given.has(&["a", "r", "R", "archive", "recursive"]);
    let keep = given.has(&["a", "p", "archive", "preserve"]);
    let mut report = Ended::ok();
    for (source, goal) in pairs {
        let (from, to) = (run.path(&source), run.path(&goal));
        let now_s = (!keep).then_some(run.world.now_s);
        if run.guest.files.is_dir(&from) && !whole {
            report.complain(
                1,
                &format!("cp: -r not specified; omitting directory '{source}'"),
            );
        } else if let Err(error) = run.guest.files.get(&from) {
            report.complain(1, &format!("cp: cannot stat '{source}': {error}"));
        } else if let Err(error) = copy(&mut run.guest.files, &from, &to, now_s) {
            report.complain(
                1,
                &format!("cp: cannot create regular file '{goal}': {error}"),
            );
        }
    }
    report
}

/// Copies a node with all below it; with a time it becomes root's own, without it keeps owner and time.
fn copy(files: &mut Files, from: &str, to: &str, now_s: Option<u64>) -> Result<(), Errno> {
    let node = files.get(from)?.clone();
    let children: Vec<String> = files
        .children(&files.resolve(from, true)?)
        .map(|(name, _)| name.to_owned())
        .collect();
    let fresh = |node: Node| match now_s {
        Some(mtime_s) => Node {
            uid: 0,
            gid: 0,
            mtime_s,
            mode: node.mode & 0o777 & !0o022,
            ..node
        },
        None => node,
    };
    match &node.kind {
        Kind::Dir => {
            if to.starts_with(&format!("{from}/")) {
                return Err(Errno::Invalid);
            }
            if !files.is_dir(to) {
                files.insert(to, fresh(node))?;
            }
            for name in children {
                copy(
                    files,
                    &format!("{from}/{name}"),
                    &format!("{to}/{name}"),
                    now_s,
                )?;
            }
            Ok(())
        }
        Kind::File(content) if files.exists(to) && now_s.is_some() => {
            let bytes = content.0.clone();
            files.write(to, bytes, now_s.unwrap_or(0))
        }
        Kind::File(content) => {
            let bytes = content.0.clone();
            files.write(to, bytes, node.mtime_s)?;
            let made = fresh(node);
            let there = files.get_mut(to)?;
            (there.mode, there.uid, there.gid) = (made.mode, made.uid, made.gid);
            Ok(())
        }
        Kind::Program(_) => {
            // What is there gives way, as when a program is overwritten.
            let _ = files.unlink(to);
            files.insert(to, fresh(node))
        }
        Kind::Null => files.write(to, Vec::new(), now_s.unwrap_or(0)),
        Kind::Link(_) => Err(Errno::Loop),
    }
}

/// `mv [-f] SOURCE… GOAL`.
pub(crate) fn mv(run: &mut Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "fnvTt:",
        long: &["force", "no-clobber", "target-directory="],
    };
    let given = match OPTIONS.read("mv", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let pairs = match pairs(run, "mv", &given) {
        Ok(pairs) => pairs,
        Err(ended) => return ended,
    };
    let mut report = Ended::ok();
    for (source, goal) in pairs {
        let (from, to) = (run.path(&source), run.path(&goal));
        if given.has(&["n", "no-clobber"]) && run.guest.files.exists(&to) {
            continue;
        }
        if let Err(error) = run.guest.files.get_link(&from) {
            report.complain(1, &format!("mv: cannot stat '{source}': {error}"));
        } else if let Err(error) = run.guest.files.rename(&from, &to) {
            report.complain(
                1,
                &format!("mv: cannot move '{source}' to '{goal}': {error}"),
            );
        }
    }
    report
}

/// `install [-d] [-D] [-m MODE] [-o USER] [-g GROUP] …`.
pub(crate) fn install(run: &mut Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "dDm:o:g:vTt:cp",
        long: &[
            "directory",
            "mode=",
            "owner=",
            "group=",
            "target-directory=",
        ],
    };
    let given = match OPTIONS.read("install", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let look = Look::of(run, &given);
    let look = match look {
        Ok(look) => look,
        Err(ended) => return ended,
    };
    let now_s = run.world.now_s;
    let mut report = Ended::ok();
    if given.has(&["d", "directory"]) {
        for path in &given.rest {
            let at = run.path(path);
            match run.guest.files.make_dirs(&at, now_s) {
                Ok(_) => look.give(run, &at),
                Err(error) => {
                    report.complain(
                        1,
                        &format!("install: cannot create directory '{path}': {error}"),
                    );
                }
            }
        }
        return report;
    }
    let pairs = match pairs(run, "install", &given) {
        Ok(pairs) => pairs,
        Err(ended) => return ended,
    };
    for (source, goal) in pairs {
        let (from, to) = (run.path(&source), run.path(&goal));
        if given.has(&["D"])
            && let Some((parent, _)) = to.rsplit_once('/')
        {
            // What is in the way shows when the file is made.
            let _ = run.guest.files.make_dirs(parent, now_s);
        }
        if let Err(error) = run.guest.files.get(&from) {
            report.complain(1, &format!("install: cannot stat '{source}': {error}"));
            continue;
        }
        // It is unlinked first, as the real one does.
        let _ = run.guest.files.unlink(&to);
        match copy(&mut run.guest.files, &from, &to, Some(now_s)) {
            Ok(()) => look.give(run, &to),
            Err(error) => {
                report.complain(
                    1,
                    &format!("install: cannot create regular file '{goal}': {error}"),
                );
            }
        }
    }
    report
}

/// Owner and mode of what is installed.
struct Look {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Look {
    fn of(run: &Run<'_>, given: &Given) -> Result<Self, Ended> {
        let text = given.value(&["m", "mode"]).unwrap_or("0755");
        let mode = mode_of(text, 0, false)
            .ok_or_else(|| Ended::failed(1, format!("install: invalid mode '{text}'")))?;
        let find = |names: &[&str], file, what| match given.value(names) {
            None => Ok(0),
            Some(name) => id_of(&run.guest.files, file, name)
                .ok_or_else(|| Ended::failed(1, format!("install: invalid {what} '{name}'"))),
        };
        Ok(Self {
            mode,
            uid: find(&["o", "owner"], "/etc/passwd", "user")?,
            gid: find(&["g", "group"], "/etc/group", "group")?,
        })
    }

    fn give(&self, run: &mut Run<'_>, path: &str) {
        if let Ok(node) = run.guest.files.get_mut(path) {
            (node.mode, node.uid, node.gid) = (self.mode, self.uid, self.gid);
        }
    }
}
