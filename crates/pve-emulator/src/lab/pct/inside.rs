//! The way of `pct` into simulated guests: the lab does it, and tells what came of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};

use serde::{Deserialize, Serialize};

use super::{Answer, Call, Died, Question, ask};
use crate::core::guest::GuestKey;
use crate::lab::ASKED_AT;
use crate::sim::guest::Wish as FileWish;
use crate::sim::{InsideExec, InsideOutcome, SimDriver};

/// Most bytes of a command's input or of a file.
const LIMIT_BYTES: u64 = 32 << 20;

/// What is to be done in a guest. Bytes are hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wish {
    /// Does it run?
    Running,
    /// Run a command; without input if it needs none.
    Exec {
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        stdin: Option<String>,
    },
    /// Write a file.
    Push {
        path: String,
        content: String,
        user: Option<String>,
        group: Option<String>,
        mode: Option<u32>,
    },
    /// Read a file.
    Pull { path: String },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Given {
    Running {
        running: bool,
    },
    Ended {
        exit: u8,
        stdout: String,
        stderr: String,
    },
    /// Nothing was done: the command wants its input.
    NeedsInput,
    NotRunning,
    Pushed,
    Pulled {
        content: String,
    },
    /// The tool's text.
    Failed {
        text: String,
    },
}

impl Wish {
    /// Does it, on the lab's side.
    pub(crate) async fn fulfil(self, inside: &SimDriver, guest: &GuestKey) -> Given {
        let failed = |text| Given::Failed { text };
        let bytes = |digits: &str| hex::decode(digits).map_err(|error| error.to_string());
        match self {
            Self::Running => Given::Running {
                running: inside.is_running(guest).await,
            },
            Self::Exec { argv, env, stdin } => {
                let stdin = match stdin.as_deref().map(bytes).transpose() {
                    Ok(stdin) => stdin,
                    Err(error) => return failed(error),
                };
                match inside.exec(guest, &InsideExec { argv, stdin, env }).await {
                    Ok(InsideOutcome::Ended(ended)) => Given::Ended {
                        exit: ended.exit,
                        stdout: hex::encode(ended.stdout),
                        stderr: hex::encode(ended.stderr),
                    },
                    Ok(InsideOutcome::NeedsInput) => Given::NeedsInput,
                    Ok(InsideOutcome::NotRunning) => Given::NotRunning,
                    Err(error) => failed(error),
                }
            }
            Self::Push {
                path,
                content,
                user,
                group,
                mode,
            } => {
                let wish = FileWish { user, group, mode };
                let content = match bytes(&content) {
                    Ok(content) => content,
                    Err(error) => return failed(error),
                };
                match inside.push(guest, &path, &content, &wish).await {
                    Ok(Ok(())) => Given::Pushed,
                    Ok(Err(text)) | Err(text) => failed(text),
                }
            }
            Self::Pull { path } => match inside.pull(guest, &path).await {
                Ok(Ok(content)) => Given::Pulled {
                    content: hex::encode(content),
                },
                Ok(Err(text)) | Err(text) => failed(text),
            },
        }
    }
}

/// Asks the lab, on the side of `pct`.
pub(super) fn wish(call: &Call, wish: Wish) -> Result<Given, Died> {
    let vmid = call.guest.vmid;
    match ask(&call.site, &Question::Inside { vmid, wish })? {
        Answer::Inside(given) => Ok(given),
        Answer::Config { .. } | Answer::List { .. } | Answer::Unlocked { .. } => {
            Err(Died::new("unexpected answer"))
        }
    }
}

/// Runs the command of `pct exec`; its input is read only if it wants it.
///
/// # Errors
/// The guest does not run, or the lab is gone.
pub(super) fn exec(call: &Call, keep_env: bool) -> Result<u8, Died> {
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    let argv: Vec<String> = call.parsed.extra.iter().map(text).collect();
    let env = if keep_env {
        environment()
    } else {
        BTreeMap::new()
    };
    let mut stdin = None;
    loop {
        let wanted = Wish::Exec {
            argv: argv.clone(),
            env: env.clone(),
            stdin: stdin.clone(),
        };
        match wish(call, wanted)? {
            Given::Ended {
                exit,
                stdout,
                stderr,
            } => {
                print(&mut std::io::stdout(), &stdout)?;
                print(&mut std::io::stderr(), &stderr)?;
                if exit == 127 && stdout.is_empty() && stderr.is_empty() {
                    let name = argv.first().map_or("", String::as_str);
                    let text = format!(
                        "lxc-attach: {}: No such file or directory - Failed to exec \"{name}\"\n",
                        call.guest.vmid
                    );
                    // Nobody is left to tell that standard error is closed.
                    drop(std::io::stderr().write_all(text.as_bytes()));
                }
                return Ok(exit);
            }
            Given::NeedsInput if stdin.is_none() => {
                let bytes = whole(std::io::stdin(), "input")?;
                stdin = Some(hex::encode(bytes));
            }
            Given::NotRunning => {
                let text = format!("container '{}' not running!", call.guest.vmid);
                return Err(Died::new(text));
            }
            Given::Failed { text } => return Err(Died::new(text)),
            Given::NeedsInput | Given::Running { .. } | Given::Pushed | Given::Pulled { .. } => {
                return Err(Died::new("unexpected answer"));
            }
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the command inherits the caller's environment, as the real tool lets it"
)]
fn environment() -> BTreeMap<String, String> {
    readable(std::env::vars_os())
}

/// Variables that are text; a simulated guest has no others.
fn readable(variables: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    variables
        .filter(|(name, _)| name != ASKED_AT)
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// All there is to read. More than a simulated guest takes is refused, never cut.
fn whole(from: impl std::io::Read, what: &str) -> Result<Vec<u8>, Died> {
    let mut bytes = Vec::new();
    let read = from.take(LIMIT_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Died::new(error.to_string()))?;
    if bytes.len() as u64 > LIMIT_BYTES {
        let text = format!("simulated guests take {what} up to {LIMIT_BYTES} bytes");
        return Err(Died::new(text));
    }
    Ok(bytes)
}

fn print(to: &mut impl std::io::Write, digits: &str) -> Result<(), Died> {
    let bytes = hex::decode(digits).map_err(|error| Died::new(error.to_string()))?;
    let written = to.write_all(&bytes).and_then(|()| to.flush());
    written.map_err(|error| Died::new(error.to_string()))
}

/// Copies bytes into the guest.
///
/// # Errors
/// The text of the real tool.
pub(super) fn push(
    call: &Call,
    source: std::fs::File,
    path: &std::path::Path,
    owner: FileWish,
) -> Result<(), Died> {
    let bytes = whole(source, "files")?;
    let wanted = Wish::Push {
        path: path.to_string_lossy().into_owned(),
        content: hex::encode(bytes),
        user: owner.user,
        group: owner.group,
        mode: owner.mode,
    };
    match wish(call, wanted)? {
        Given::Pushed => Ok(()),
        Given::Failed { text } => Err(Died::new(text)),
        _ => Err(Died::new("unexpected answer")),
    }
}

/// Reads a file of the guest.
///
/// # Errors
/// The text of the real tool.
pub(super) fn pull(call: &Call, path: &std::path::Path) -> Result<Vec<u8>, Died> {
    let path = path.to_string_lossy().into_owned();
    match wish(call, Wish::Pull { path })? {
        Given::Pulled { content } => {
            hex::decode(content).map_err(|error| Died::new(error.to_string()))
        }
        Given::Failed { text } => Err(Died::new(text)),
        _ => Err(Died::new("unexpected answer")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn what_is_too_long_is_refused_and_not_cut() {
        let zeros = |count| whole(std::io::repeat(0).take(count), "input");
        assert_eq!(zeros(7).unwrap(), [0; 7]);
        assert_eq!(zeros(LIMIT_BYTES).unwrap().len() as u64, LIMIT_BYTES);
        assert!(zeros(LIMIT_BYTES + 1).is_err());
    }

    #[test]
    fn a_variable_that_is_no_text_is_left_out() {
        let odd = OsString::from_vec(vec![0xff]);
        let given = [
            ("A".into(), "1".into()),
            ("B".into(), odd.clone()),
            (odd, "2".into()),
        ];
        let readable = readable(given.into_iter());
        assert_eq!(readable, BTreeMap::from([("A".to_owned(), "1".to_owned())]));
    }
}
