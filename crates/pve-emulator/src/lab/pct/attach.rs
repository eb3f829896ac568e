//! `lxc-attach` of simulated guests: what `pct exec` becomes on a node, without what PVE's tools need to come up.
//!
//! Only what is called on PVE's nodes is there: a name, whether the environment is kept, and the command.

use std::ffi::OsString;

use super::getopt::Parsed;
use super::{Call, Died, Site, inside};
use crate::core::guest::GuestKey;

/// What LXC's tools end with when they give up.
const FAILED: u8 = 1;

fn died(text: impl Into<String>) -> Died {
    Died {
        text: text.into(),
        code: FAILED,
    }
}

/// Runs the command in the guest with this process's streams.
///
/// # Errors
/// Other options, no such guest here, or it does not run.
pub(super) fn attach(site: Site, args: Vec<OsString>) -> Result<u8, Died> {
    let wanted = Wanted::read(args)?;
    let guest = GuestKey {
        node: site.node.clone(),
        vmid: wanted.vmid,
    };
    if !site.is_running(&guest) {
        let text = format!(
            "lxc-attach: {0}: Failed to get init pid\nlxc-attach: {0}: Connection refused",
            guest.vmid
        );
        return Err(died(text));
    }
    let call = Call {
        site,
        guest,
        parsed: Parsed {
            extra: wanted.command,
            ..Parsed::default()
        },
    };
    inside::exec(&call, wanted.keep_env)
}

/// A command line, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    vmid: u32,
    keep_env: bool,
    command: Vec<OsString>,
}

impl Wanted {
    fn read(args: Vec<OsString>) -> Result<Self, Died> {
        let mut args = args.into_iter();
        let (mut vmid, mut keep_env) = (None, true);
        while let Some(word) = args.next() {
            match word.to_str() {
                Some("--") => break,
                Some("-n" | "--name") => {
                    let name = args.next();
                    let name = name.as_deref().and_then(std::ffi::OsStr::to_str);
                    vmid = name.and_then(|name| name.parse().ok());
                }
                Some("--clear-env") => keep_env = false,
                Some("--keep-env") => keep_env = true,
                _ => {
                    let text = format!(
                        "lxc-attach: simulated guests do not know {}",
                        word.display()
                    );
                    return Err(died(text));
                }
            }
        }
        let vmid =
            vmid.ok_or_else(|| died("lxc-attach: missing container name, use --name option"))?;
        let command: Vec<OsString> = args.collect();
        if command.is_empty() {
            return Err(died("lxc-attach: simulated guests need a command"));
        }
        Ok(Self {
            vmid,
            keep_env,
            command,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Wanted, Died> {
        Wanted::read(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn what_follows_the_dashes_is_the_command_as_it_is() {
        let wanted = read(&["-n", "100", "--clear-env", "--", "sh", "-n", "--"]).unwrap();
        assert_eq!((wanted.vmid, wanted.keep_env), (100, false));
        assert_eq!(wanted.command, ["sh", "-n", "--"]);
    }

    #[test]
    fn what_it_does_not_know_it_refuses() {
        for words in [
            &["-n", "100", "--elevated-privileges", "--", "true"][..],
            &["--", "true"],
            &["-n", "web", "--", "true"],
            &["-n", "100", "--"],
            &["-n"],
        ] {
            assert_eq!(read(words).unwrap_err().code, FAILED, "{words:?}");
        }
    }
}
