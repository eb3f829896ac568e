//! Commands that make and remove files: `mkdir`, `rm`, `touch`, `ln`.

use super::super::errno::Errno;
use super::super::exec::{Ended, Run};
use super::super::files::{Kind, Node};
use super::super::options::Options;
use super::permissions::mode_of;

/// `mkdir [-p] [-m MODE] DIR…`.
pub(crate) fn mkdir(run: &mut Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "pvm:",
        long: &["parents", "verbose", "mode="],
    };
    let given = match OPTIONS.read("mkdir", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let mode = match given
        .value(&["m", "mode"])
        .map(|text| mode_of(text, 0o777, true))
    {
        Some(None) => return Ended::failed(1, "mkdir: invalid mode"),
        mode => mode.flatten(),
    };
    if given.rest.is_empty() {
        return super::super::options::refused("mkdir", "missing operand");
    }
    let now_s = run.world.now_s;
    let mut report = Ended::ok();
    for given_path in &given.rest {
        let path = run.path(given_path);
        let files = &mut run.guest.files;
        let made = if given.has(&["p", "parents"]) {
            match files.get(&path).map(|node| &node.kind) {
                Ok(Kind::Dir) => Ok(Vec::new()),
                Ok(_) => Err(Errno::Exists),
                Err(_) => files.make_dirs(&path, now_s),
            }
        } else {
            let path = path.trim_end_matches('/').to_owned();
            files.insert(&path, Node::dir(now_s)).map(|()| vec![path])
        };
        match made {
            Ok(made) => {
                let last = made.last().and_then(|path| files.get_mut(path).ok());
                if let (Some(node), Some(mode)) = (last, mode) {
                    node.mode = mode;
                }
            }
            Err(error) => {
                report.complain(
                    1,
                    &format!("mkdir: cannot create directory '{given_path}': {error}"),
                );
            }
        }
    }
    report
}

/// `rm [-r] [-f] PATH…`.
pub(crate) fn rm(run: &mut Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "rRfvdi",
        long: &["recursive", "force", "verbose", "dir"],
    };
    let given = match OPTIONS.read("rm", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let force = given.has(&["f", "force"]);
    if given.rest.is_empty() && !force {
        return super::super::options::refused("rm", "missing operand");
    }
    let whole = given.has(&["r", "R", "recursive"]);
    let mut report = Ended::ok();
    for given_path in &given.rest {
        let path = run.path(given_path);
        let files = &mut run.guest.files;
        let removed = if whole {
            files.remove_tree(&path)
        } else {
            files.unlink(&path)
        };
        match removed {
            Ok(()) => {}
            Err(Errno::NoEntry | Errno::NotDirectory) if force => {}
            Err(error) => {
                report.complain(1, &format!("rm: cannot remove '{given_path}': {error}"));
            }
        }
    }
    report
}

/// `touch PATH…`.
pub(crate) fn touch(run: &mut Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "acm",
        long: &["no-create"],
    };
    let given = match OPTIONS.read("touch", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let now_s = run.world.now_s;
    let mut report = Ended::ok();
    for given_path in &given.rest {
        let path = run.path(given_path);
        let files = &mut run.guest.files;
        if let Ok(node) = files.get_mut(&path) {
            node.mtime_s = now_s;
        } else if let Err(error) = files.write(&path, Vec::new(), now_s) {
            report.complain(1, &format!("touch: cannot touch '{given_path}': {error}"));
        }
    }
    report
}

/// `ln [-s] [-f] [-n] TARGET LINK`; only symbolic links.
pub(crate) fn ln(run: &mut Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "sfnTv",
        long: &["symbolic", "force", "no-dereference"],
    };
    let given = match OPTIONS.read("ln", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let [target, link] = given.rest.as_slice() else {
        return super::super::options::refused("ln", "missing file operand");
    };
    if !given.has(&["s", "symbolic"]) {
        return Ended::failed(1, "ln: hard links are beyond this simulation");
    }
    let mut path = run.path(link);
    let into = run.guest.files.is_dir(&path);
    let stays = given.has(&["n", "no-dereference", "T"]);
    let is_link = run
        .guest
        .files
        .get_link(&path)
        .is_ok_and(|n| matches!(n.kind, Kind::Link(_)));
    if into && !(stays && is_link) {
        let name = target
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        path = format!("{}/{name}", path.trim_end_matches('/'));
    }
    let node = Node::new(Kind::Link(target.clone()), 0o777, run.world.now_s);
    if given.has(&["f", "force"]) {
        // There need not be one.
        let _ = run.guest.files.unlink(&path);
    }
    match run.guest.files.insert(&path, node) {
        Ok(()) => Ended::ok(),
        Err(error) => Ended::failed(
            1,
            format!("ln: failed to create symbolic link '{link}': {error}"),
        ),
    }
}
