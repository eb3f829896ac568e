//! What the program is asked to do.

use std::path::PathBuf;

/// How it is called.
pub const USAGE: &str = "usage: conformance FOLDER [--only NAME]… [--verbose] [--against URL --token-file FILE [--password-file FILE] \
(--ca FILE | --fingerprint SHA256)… [--node NAME=URL]… [--rename RECORDED=THEIRS]…]";

/// Everything given on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    pub folder: PathBuf,
    pub only: Vec<String>,
    pub verbose: bool,
    /// A PVE that is there already; absent means the emulator in this process.
    pub against: Option<Target>,
}

/// A PVE that is there already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// `HOST:PORT` of the node that calls go to.
    pub authority: String,
    /// Holds `USER@REALM!NAME=SECRET` of a token with all rights.
    pub token_file: PathBuf,
    /// Holds the password of `root@pam`, for steps that need a ticket.
    pub password_file: Option<PathBuf>,
    /// PEM file of the authority its certificates come from.
    pub ca: Option<PathBuf>,
    /// SHA-256 of certificates that are accepted as they are.
    pub fingerprints: Vec<[u8; 32]>,
    /// `HOST:PORT` by the recorded name of a further node.
    pub nodes: Vec<(String, String)>,
    /// A name of the recordings, and what it is called there.
    pub renames: Vec<(String, String)>,
}

/// Reads the command line.
pub fn parse(given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut given = given;
    let mut arguments = Arguments::default();
    let mut target = Target::default();
    let mut folder = None;
    while let Some(word) = given.next() {
        if !word.starts_with("--") {
            folder = Some(PathBuf::from(word));
            continue;
        }
        if word == "--verbose" {
            arguments.verbose = true;
            continue;
        }
        let value = given.next().ok_or(format!("{word} needs a value"))?;
        match word.as_str() {
            "--only" => arguments.only.push(value),
            "--against" => target.authority = authority(&value)?,
            "--token-file" => target.token_file = value.into(),
            "--password-file" => target.password_file = Some(value.into()),
            "--ca" => target.ca = Some(value.into()),
            "--fingerprint" => target.fingerprints.push(fingerprint(&value)?),
            "--node" => {
                let (name, url) = pair(&value)?;
                target.nodes.push((name, authority(&url)?));
            }
            "--rename" => target.renames.push(pair(&value)?),
            _ => return Err(format!("{word} is not known")),
        }
    }
    arguments.folder = folder.ok_or("no folder of recordings given")?;
    if target != Target::default() {
        arguments.against = Some(whole(target)?);
    }
    Ok(arguments)
}

/// A server is only called with a token, and only if it can be told from another.
fn whole(target: Target) -> Result<Target, String> {
    if target.authority.is_empty() {
        return Err("--against is missing".into());
    }
    if target.token_file.as_os_str().is_empty() {
        return Err("--token-file is missing".into());
    }
    if target.ca.is_none() && target.fingerprints.is_empty() {
        return Err("--ca or --fingerprint is missing: certificates are always checked".into());
    }
    Ok(target)
}

fn authority(url: &str) -> Result<String, String> {
    let wrong = || format!("{url:?} is not like https://HOST:8006");
    let rest = url.strip_prefix("https://").ok_or_else(wrong)?;
    let rest = rest.trim_end_matches('/');
    if rest.is_empty() || rest.contains(['/', '?', '@']) {
        return Err(wrong());
    }
    let has_port = rest
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port {
        rest.to_owned()
    } else {
        format!("{rest}:8006")
    })
}

fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let bytes = hex::decode(text.replace(':', "")).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("{text:?} is not a SHA-256 like AA:BB:…"))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text
        .split_once('=')
        .filter(|(a, b)| !a.is_empty() && !b.is_empty());
    let (from, to) = parts.ok_or_else(|| format!("{text:?} is not like NAME=VALUE"))?;
    Ok((from.to_owned(), to.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_server_needs_a_token_and_a_way_to_know_it() {
        let alone = parsed("recordings --only a --only b --verbose").unwrap();
        assert!(alone.against.is_none() && alone.verbose);
        assert_eq!(alone.only, ["a", "b"]);

        let print = "0a".repeat(32);
        let line =
            format!("r --against https://pve --token-file t --fingerprint {print} --rename a=b");
        let target = parsed(&line).unwrap().against.unwrap();
        assert_eq!(target.authority, "pve:8006");
        assert_eq!(target.fingerprints, [[10; 32]]);
        assert_eq!(target.renames, [("a".to_owned(), "b".to_owned())]);
        for wrong in [
            "",
            "r --against",
            "r --against http://pve --token-file t --ca c",
            "r --against https://pve --token-file t",
            "r --against https://pve --ca c",
            "r --token-file t --ca c",
            "r --against https://pve --password-file p --ca c",
            "r --against https://pve --token-file t --fingerprint 0a",
            "r --against https://pve --token-file t --ca c --node pve2",
            "r --insecure yes",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
