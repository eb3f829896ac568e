//! `useradd` and `id`.

use super::super::exec::{Ended, Run};
use super::super::files::Node;
use super::super::options::{Options, refused};
use super::super::people::{group_of, id_of, name_of};

const USERADD: Options = Options {
    short: "rmMUNu:g:d:s:c:G:",
    long: &[
        "system",
        "create-home",
        "no-create-home",
        "user-group",
        "no-user-group",
        "uid=",
        "gid=",
        "home-dir=",
        "shell=",
        "comment=",
        "groups=",
    ],
};

/// `useradd [-r] [-m] [-M] [-u UID] [-g GROUP] [-d HOME] [-s SHELL] [-c TEXT] NAME`.
pub(crate) fn useradd(run: &mut Run<'_>, args: &[String]) -> Ended {
    let given = match USERADD.read("useradd", args) {
        Ok(given) => given,
        Err(mut ended) => {
            ended.exit = 2;
            return ended;
        }
    };
    let [name] = given.rest.as_slice() else {
        return Ended {
            exit: 2,
            ..refused("useradd", "missing name")
        };
    };
    if let Some(refused) = refusal(run, name) {
        return refused;
    }
    let system = given.has(&["r", "system"]);
    let uid = match given.value(&["u", "uid"]).map(str::parse::<u32>) {
        Some(Ok(uid)) => uid,
        Some(Err(_)) => return Ended::failed(3, "useradd: invalid user ID"),
        None => free_id(run, system),
    };
    let group = given.value(&["g", "gid"]);
    let gid = match group.map(|group| id_of(&run.guest.files, "/etc/group", group)) {
        Some(Some(gid)) => gid,
        Some(None) => {
            let text = format!(
                "useradd: group '{}' does not exist",
                group.unwrap_or_default()
            );
            return Ended::failed(6, text);
        }
        None => uid,
    };
    let home = given
        .value(&["d", "home-dir"])
        .map_or_else(|| format!("/home/{name}"), str::to_owned);
    let shell = given.value(&["s", "shell"]).unwrap_or("/bin/sh");
    let comment = given.value(&["c", "comment"]).unwrap_or_default();
    append(
        run,
        "/etc/passwd",
        &format!("{name}:x:{uid}:{gid}:{comment}:{home}:{shell}\n"),
    );
    if group.is_none() {
        append(run, "/etc/group", &format!("{name}:x:{gid}:\n"));
    }
    if given.has(&["m", "create-home"]) && !run.guest.files.exists(&home) {
        let now_s = run.world.now_s;
        let node = Node {
            uid,
            gid,
            ..Node::dir(now_s)
        };
        if let Err(error) = run.guest.files.insert(&home, node) {
            return Ended::failed(
                12,
                format!("useradd: cannot create directory {home}: {error}"),
            );
        }
    }
    Ended::ok()
}

/// Why there can be no account of this name.
fn refusal(run: &Run<'_>, name: &str) -> Option<Ended> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        let text = format!("useradd: invalid user name '{name}': use --badname to ignore");
        return Some(Ended::failed(3, text));
    }
    let there = id_of(&run.guest.files, "/etc/passwd", name).is_some();
    there.then(|| Ended::failed(9, format!("useradd: user '{name}' already exists")))
}

fn append(run: &mut Run<'_>, file: &str, line: &str) {
    let mut text = run.guest.files.text(file).unwrap_or_default();
    text.push_str(line);
    // Its directory was just read.
    let _ = run
        .guest
        .files
        .write(file, text.into_bytes(), run.world.now_s);
}

fn free_id(run: &Run<'_>, system: bool) -> u32 {
    let is_free = |id: &u32| {
        name_of(&run.guest.files, "/etc/passwd", *id).is_none()
            && name_of(&run.guest.files, "/etc/group", *id).is_none()
    };
    if system {
        (100..=999).rev().find(is_free).unwrap_or(999)
    } else {
        (1_000..=59_999).find(is_free).unwrap_or(59_999)
    }
}

/// `id [-u|-g] [-n] [NAME]`.
pub(crate) fn id(run: &Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "ugnG",
        long: &["user", "group", "name"],
    };
    let given = match OPTIONS.read("id", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let name = given.rest.first().map_or("root", String::as_str);
    let files = &run.guest.files;
    let (Some(uid), Some(gid)) = (id_of(files, "/etc/passwd", name), group_of(files, name)) else {
        return Ended::failed(1, format!("id: '{name}': no such user"));
    };
    let group = name_of(files, "/etc/group", gid).unwrap_or_else(|| gid.to_string());
    let names = given.has(&["n", "name"]);
    let text = match (given.has(&["u", "user"]), given.has(&["g", "group"])) {
        (true, _) if names => name.to_owned(),
        (true, _) => uid.to_string(),
        (_, true) if names => group,
        (_, true) => gid.to_string(),
        (false, false) => format!("uid={uid}({name}) gid={gid}({group}) groups={gid}({group})"),
    };
    Ended::said(format!("{text}\n"))
}
