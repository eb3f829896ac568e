//! `pct` of a lab node: the commands that reach into a guest, with the syntax, texts and exit codes of the real one.
//!
//! Runs as a process of its own, started by a small script that stands first in the `PATH` of a node's SSH sessions.

mod ask;
mod attach;
mod exec;
mod getopt;
mod inside;
mod namespaces;
mod owner;
mod show;
mod transfer;

pub(crate) use ask::{Answer, Ask, Question, SOCKET, ask};
pub(crate) use inside::Given;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use getopt::{Kind, Parsed, Spec};

use crate::core::guest::GuestKey;
use crate::lab::Guests;
use crate::lxc::Place;

/// What a real `pct` ends with when it gives up without a more precise number.
const FAILED: u8 = 255;
/// Perl's `die` after a missing file: errno of "no such file".
const NOT_FOUND: u8 = 2;

/// Why a command ended early: what goes to standard error, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Died {
    pub(crate) text: String,
    pub(crate) code: u8,
}

impl Died {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: FAILED,
        }
    }

    fn not_found(guest: &GuestKey) -> Self {
        let GuestKey { node, vmid } = guest;
        let text = format!("Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist");
        Self {
            text,
            code: NOT_FOUND,
        }
    }
}

/// Which of a node's tools a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tool {
    #[default]
    Pct,
    LxcAttach,
}

impl Tool {
    /// Its name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pct => "pct",
            Self::LxcAttach => "lxc-attach",
        }
    }
}

/// Where a call comes from: the lab and the node.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) state: PathBuf,
    pub(crate) node: String,
    pub(crate) place: Place,
    pub(crate) guests: Guests,
}

impl Site {
    /// Whether the guest runs. A lab that does not answer runs no simulated guest.
    fn is_running(&self, guest: &GuestKey) -> bool {
        match self.guests {
            Guests::Lxc => self.place.is_running(guest),
            Guests::Simulated => {
                let question = Question::Inside {
                    vmid: guest.vmid,
                    wish: inside::Wish::Running,
                };
                let running = Given::Running { running: true };
                ask(self, &question).is_ok_and(|answer| answer == Answer::Inside(running))
            }
        }
    }
}

/// The arguments of one command, checked.
pub(crate) struct Call {
    pub(crate) site: Site,
    pub(crate) guest: GuestKey,
    pub(crate) parsed: Parsed,
}

/// Runs one `pct` command line and gives back its exit code; `pct exec` replaces the process instead.
///
/// `args` is `--state DIR --node NAME --lab ID [--scope SCOPE] [--tool lxc-attach] -- ARGUMENTS OF THE TOOL`. Assumption: the process has one
/// thread (call it before any runtime is started), because a file is pushed from inside the guest's namespaces.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let outcome = site_of(args).and_then(|(site, tool, args)| match tool {
        Tool::Pct => run(site, args),
        Tool::LxcAttach => attach::attach(site, args),
    });
    match outcome {
        Ok(code) => code,
        Err(died) => {
            let mut text = died.text;
            if !text.ends_with('\n') {
                text.push('\n');
            }
            // Nobody is left to tell that standard error is closed.
            drop(std::io::stderr().write_all(text.as_bytes()));
            died.code
        }
    }
}

fn site_of(args: impl IntoIterator<Item = OsString>) -> Result<(Site, Tool, Vec<OsString>), Died> {
    let mut args = args.into_iter();
    let (mut state, mut node, mut lab, mut scope) = (None, None, None, None);
    let (mut guests, mut tool) = (Guests::Lxc, Tool::Pct);
    let bad = || Died::new("pct: the lab's own arguments are damaged");
    loop {
        let name = args.next().ok_or_else(bad)?;
        if name == "--" {
            break;
        }
        let value = args.next().ok_or_else(bad)?;
        let text = || value.clone().into_string().map_err(|_| bad());
        match name.to_str() {
            Some("--state") => state = Some(PathBuf::from(value)),
            Some("--node") => node = Some(text()?),
            Some("--lab") => lab = Some(text()?),
            Some("--guests") if text()? == Guests::Simulated.word() => guests = Guests::Simulated,
            Some("--scope") => scope = Some(text()?),
            Some("--tool") if text()? == Tool::LxcAttach.word() => tool = Tool::LxcAttach,
            Some(_) | None => return Err(bad()),
        }
    }
    let (Some(state), Some(node), Some(lab)) = (state, node, lab) else {
        return Err(bad());
    };
    Ok((
        Site {
            state,
            node,
            place: Place::new(lab, scope),
            guests,
        },
        tool,
        args.collect(),
    ))
}

type Command = fn(Call) -> Result<u8, Died>;

const KEEP_ENV: (&str, Kind) = ("keep-env", Kind::Boolean);
const OWNERS: &[(&str, Kind)] = &[
    ("user", Kind::Text),
    ("group", Kind::Text),
    ("perms", Kind::Text),
];

/// Name, positional arguments, options, whether more arguments may follow, and what it does.
const COMMANDS: &[(&str, Spec, Command)] = &[
    (
        "exec",
        Spec {
            positional: &["vmid"],
            options: &[KEEP_ENV],
            extra: true,
        },
        exec::exec,
    ),
    (
        "push",
        Spec {
            positional: &["vmid", "file", "destination"],
            options: OWNERS,
            extra: false,
        },
        transfer::push,
    ),
    (
        "pull",
        Spec {
            positional: &["vmid", "path", "destination"],
            options: OWNERS,
            extra: false,
        },
        transfer::pull,
    ),
    (
        "status",
        Spec {
            positional: &["vmid"],
            options: &[("verbose", Kind::Boolean)],
            extra: false,
        },
        show::status,
    ),
    (
        "config",
        Spec {
            positional: &["vmid"],
            options: &[("current", Kind::Boolean)],
            extra: false,
        },
        show::config,
    ),
    (
        "unlock",
        Spec {
            positional: &["vmid"],
            options: &[],
            extra: false,
        },
        show::unlock,
    ),
];

fn run(site: Site, args: Vec<OsString>) -> Result<u8, Died> {
    let mut args = args.into_iter();
    let Some(name) = args.next() else {
        return Err(usage("no command specified"));
    };
    let name = name.to_string_lossy().into_owned();
    if name == "list" {
        return show::list(&site);
    }
    let Some((name, spec, command)) = COMMANDS.iter().find(|(known, ..)| *known == name) else {
        return Err(usage(&format!("unknown command 'pct {name}'")));
    };
    let parsed = getopt::parse(name, spec, args.collect())?;
    let vmid = getopt::vmid(name, spec, &parsed)?;
    let guest = GuestKey {
        node: site.node.clone(),
        vmid,
    };
    command(Call {
        site,
        guest,
        parsed,
    })
}

fn usage(reason: &str) -> Died {
    let names = COMMANDS
        .iter()
        .map(|(name, spec, _)| format!("       {}", spec.usage(name)));
    let names: Vec<String> = names.chain(["       pct list\n".to_owned()]).collect();
    Died::new(format!(
        "ERROR: {reason}\nUSAGE: pct <COMMAND> [ARGS] [OPTIONS]\n{}",
        names.concat()
    ))
}

impl Call {
    /// The guest's configuration as this node has it.
    fn load_config(&self) -> Result<std::collections::BTreeMap<String, String>, Died> {
        match ask(
            &self.site,
            &Question::Config {
                vmid: self.guest.vmid,
            },
        )? {
            Answer::Config {
                config: Some(config),
                ..
            } => Ok(config),
            Answer::Config { config: None, .. } => Err(Died::not_found(&self.guest)),
            Answer::List { .. } | Answer::Unlocked { .. } | Answer::Inside(_) => {
                Err(Died::new("unexpected answer"))
            }
        }
    }

    fn is_running(&self) -> bool {
        self.site.is_running(&self.guest)
    }

    fn is_simulated(&self) -> bool {
        self.site.guests == Guests::Simulated
    }
}
