//! Texts as files' names and content: what the guest's own tools say is there afterwards.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::join_all;
use proximity_pve::guest::{Exec, ExecOutput, Push};

use super::{AT_ONCE, Found, Way, corpus, shown};

const MODES: [u32; 5] = [0o644, 0o600, 0o755, 0o440, 0o711];
/// Owner and group, and their numbers; Debian has given `daemon` the number 1 for ever.
const OWNERS: [(Option<&str>, Option<&str>, &str); 4] = [
    (None, None, "0:0"),
    (Some("1000"), Some("1001"), "1000:1001"),
    (Some("daemon"), Some("daemon"), "1:1"),
    (None, Some("65534"), "0:65534"),
];
/// Argument: a folder. Path, mode, owner and length of each file, each ended by NUL, then its content.
const LOOK: &str =
    r#"cd "$1" && exec find . -type f -printf '%P\0%m\0%U:%G\0%s\0' -exec cat {} \;"#;
/// Argument: the folder. Makes of five files what the comparison has to see: other content, another mode, another owner, none, one
/// that nobody asked for.
const SPOIL: &str = r#"cd "$1" || exit
find 0 -type f -exec sh -c 'printf x >> "$1"' x {} \;
find 1 -type f -exec chmod 777 {} \;
find 2 -type f -exec chown 7:7 {} \;
find 3 -type f -delete
mkdir more && : > more/file"#;
/// How many differences [`SPOIL`] makes, for who may give files away.
pub(crate) const SPOILED: usize = 5;
/// Linux takes no longer path.
const PATH_BYTES: usize = 4_000;
const NAME_BYTES: usize = 255;
const LOOK_BYTES: usize = 64 << 20;

/// What happens to the files before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    Compare,
    /// Some become others: the control.
    Spoil,
}

/// A file as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    mode: u32,
    owner: Option<String>,
    content: Bytes,
}

/// Puts each text into the guest: as content, and as a path where it can be one.
pub(super) async fn run(way: &Way<'_>, payloads: &[&String], then: Then) -> Found {
    let wanted = wanted(way, payloads);
    if let Err(why) = make_folders(way, wanted.keys()).await {
        return Found {
            asked: wanted.len(),
            wrong: vec![format!("{}: the folders: {why}", way.name)],
        };
    }
    let mut wrong = Vec::new();
    let all: Vec<(&String, &(File, Push))> = wanted.iter().collect();
    for some in all.chunks(AT_ONCE) {
        let each = some.iter().map(async |(path, (_, push))| {
            let pushed = way.access.push(&way.target, push.clone()).await;
            let told = |e| format!("{}: the file {}: {e}", way.name, shown(path));
            pushed.err().map(told)
        });
        wrong.extend(join_all(each).await.into_iter().flatten());
    }
    if then == Then::Spoil
        && let Err(why) = spoil(way).await
    {
        wrong.push(format!("{}: spoiling the files: {why}", way.name));
    }
    match look(way).await {
        Ok(seen) => wrong.extend(differences(way, &wanted, seen)),
        Err(why) => wrong.push(format!("{}: looking at the files: {why}", way.name)),
    }
    Found {
        asked: wanted.len(),
        wrong,
    }
}

/// What is to be there, by its path in the folder.
fn wanted(way: &Way<'_>, payloads: &[&String]) -> BTreeMap<String, (File, Push)> {
    let texts = payloads
        .iter()
        .map(|text| (Some(*text), text.as_bytes().to_vec()));
    let bytes = corpus::bytes().into_iter().map(|bytes| (None, bytes));
    let owners = OWNERS.iter().cycle();
    let modes = MODES.iter().cycle();
    let files = texts.chain(bytes).zip(owners).zip(modes).enumerate();
    files
        .map(|(number, (((text, content), (user, group, ids)), mode))| {
            let name = text.filter(|text| is_path(text));
            let path = format!("{number}/{}", name.map_or("file", String::as_str));
            let given = way.gives_away;
            let file = File {
                mode: *mode,
                owner: given.then(|| (*ids).to_owned()),
                content: content.into(),
            };
            let owner = |name: &Option<&str>| name.filter(|_| given).map(str::to_owned);
            let push = Push {
                path: format!("{}/{path}", way.folder),
                content: file.content.clone(),
                mode: *mode,
                user: owner(user),
                group: owner(group),
                timeout_ms: 60_000,
                send_before: None,
            };
            (path, (file, push))
        })
        .collect()
}

/// Whether a text can be a path below a folder, and is written in one way only.
fn is_path(text: &str) -> bool {
    let is_name = |part: &str| !["", ".", ".."].contains(&part) && part.len() <= NAME_BYTES;
    text.len() <= PATH_BYTES && text.split('/').all(is_name)
}

async fn make_folders(way: &Way<'_>, paths: impl Iterator<Item = &String>) -> Result<(), String> {
    let folders: Vec<String> = paths
        .filter_map(|path| path.rsplit_once('/'))
        .map(|(folder, _)| format!("{}{}/{folder}", way.root, way.folder))
        .collect();
    for some in folders.chunks(50) {
        let fixed = ["mkdir", "-p", "--"].map(str::to_owned);
        let argv = fixed.into_iter().chain(some.iter().cloned()).collect();
        let output = run_in(way, argv, 1 << 16).await?;
        if output.exit_code != 0 {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    Ok(())
}

async fn spoil(way: &Way<'_>) -> Result<(), String> {
    let folder = format!("{}{}", way.root, way.folder);
    let argv = ["/bin/sh", "-c", SPOIL, "spoil", &folder].map(str::to_owned);
    let output = run_in(way, argv.to_vec(), LOOK_BYTES).await?;
    match output.exit_code {
        0 => Ok(()),
        _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

async fn look(way: &Way<'_>) -> Result<BTreeMap<String, File>, String> {
    let folder = format!("{}{}", way.root, way.folder);
    let argv = ["/bin/sh", "-c", LOOK, "look", &folder].map(str::to_owned);
    let output = run_in(way, argv.to_vec(), LOOK_BYTES).await?;
    if output.exit_code != 0 || output.truncated {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    read(output.stdout).ok_or_else(|| "what is there cannot be read".to_owned())
}

async fn run_in(
    way: &Way<'_>,
    argv: Vec<String>,
    max_output_bytes: usize,
) -> Result<ExecOutput, String> {
    let exec = Exec {
        argv,
        stdin: None,
        timeout_ms: 120_000,
        max_output_bytes,
        send_before: None,
    };
    let ran = way.access.exec(&way.target, exec).await;
    ran.map_err(|e| e.to_string())
}

/// Takes apart what [`LOOK`] prints. Names that are not UTF-8 are none of ours.
fn read(mut bytes: Bytes) -> Option<BTreeMap<String, File>> {
    let mut files = BTreeMap::new();
    while !bytes.is_empty() {
        let mut field = || {
            let end = bytes.iter().position(|byte| *byte == 0)?;
            let field = bytes.split_to(end);
            let _nul = bytes.split_to(1);
            Some(String::from_utf8_lossy(&field).into_owned())
        };
        let (path, mode, owner, length) = (field()?, field()?, field()?, field()?);
        let length = length
            .parse()
            .ok()
            .filter(|length| *length <= bytes.len())?;
        let file = File {
            mode: u32::from_str_radix(&mode, 8).ok()?,
            owner: Some(owner),
            content: bytes.split_to(length),
        };
        files.insert(path, file);
    }
    Some(files)
}

fn differences(
    way: &Way<'_>,
    wanted: &BTreeMap<String, (File, Push)>,
    mut seen: BTreeMap<String, File>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, (file, _)) in wanted {
        let told = |what: String| format!("{}: the file {}: {what}", way.name, shown(path));
        match seen.remove(path) {
            None => wrong.push(told("is not there".to_owned())),
            Some(found) if found.content != file.content => {
                wrong.push(told("has another content".to_owned()));
            }
            Some(found) if found.mode != file.mode => {
                wrong.push(told(format!("has the mode {:o}", found.mode)));
            }
            Some(found) if file.owner.is_some() && found.owner != file.owner => {
                wrong.push(told(format!("belongs to {:?}", found.owner)));
            }
            Some(_) => {}
        }
    }
    let more = seen.keys();
    wrong.extend(more.map(|path| format!("{}: {} was not asked for", way.name, shown(path))));
    wrong
}
