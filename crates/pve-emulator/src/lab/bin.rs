//! What stands first in the `PATH` of a node's SSH sessions: `pct`, `lxc-attach`, and where programs of the node that look for
//! its containers themselves find them.

use std::path::{Path, PathBuf};

use super::error::LabError;
use super::file::write_atomically;
use super::options::Guests;
use super::pct::Tool;
use super::program::SEARCH_PATH;
use crate::lxc::Place;

/// Hidden subcommand of this program that a node's tools call.
pub const PCT_SUBCOMMAND: &str = "lab-pct";

/// Name of the file with the node's places: words of a command line, one a line. A program that acts on a node's containers
/// from the node, and is not PVE's, is installed beside it.
const PLACES: &str = "proximity-node-helper.places";

/// A node whose tools are written.
#[derive(Debug)]
pub(crate) struct NodeBin<'a> {
    /// The lab's state directory.
    pub(crate) state: &'a Path,
    /// The node.
    pub(crate) node: &'a str,
    /// Where its guests are.
    pub(crate) place: &'a Place,
    /// What they are.
    pub(crate) guests: Guests,
    /// What LXC calls the folder of the node's guests: the sockets that tell whether one runs begin with it.
    pub(crate) lxc_path: PathBuf,
}

impl NodeBin<'_> {
    /// Writes them into `bin`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn write(&self, bin: &Path) -> Result<(), LabError> {
        let program = std::env::current_exe().map_err(LabError::io("find this program's file"))?;
        let files = [
            ("pct", self.tool(&program, Tool::Pct), 0o755),
            ("lxc-attach", self.lxc_attach(&program), 0o755),
            (PLACES, self.places(bin), 0o644),
        ];
        for (name, text, mode) in files {
            let path = bin.join(name);
            write_atomically(&path, text.as_bytes(), mode)
                .map_err(LabError::io(format!("write {}", path.display())))?;
        }
        Ok(())
    }

    /// A script that calls this very program back with the lab's and the node's names.
    fn tool(&self, program: &Path, tool: Tool) -> String {
        let mut words: Vec<PathBuf> = vec![program.into(), PCT_SUBCOMMAND.into()];
        words.extend(["--state".into(), self.state.into()]);
        words.extend(["--node".into(), self.node.into()]);
        words.extend(["--lab".into(), self.place.id().into()]);
        if self.guests == Guests::Simulated {
            words.extend(["--guests".into(), self.guests.word().into()]);
        }
        if let Some(scope) = self.place.scope() {
            words.extend(["--scope".into(), scope.into()]);
        }
        if tool != Tool::Pct {
            words.extend(["--tool".into(), tool.word().into()]);
        }
        format!("#!/bin/sh\nexec {} -- \"$@\"\n", line(&words))
    }

    /// LXC's own program, told where the node's guests are; simulated ones have one of their own.
    fn lxc_attach(&self, program: &Path) -> String {
        match self.guests {
            Guests::Simulated => self.tool(program, Tool::LxcAttach),
            Guests::Lxc => {
                let words = [find("lxc-attach"), "-P".into(), self.lxc_path.clone()];
                format!("#!/bin/sh\nexec {} \"$@\"\n", line(&words))
            }
        }
    }

    fn places(&self, bin: &Path) -> String {
        let node = self.state.join("nodes").join(self.node);
        let places = [
            ("--conf-dir", node.join("lxc")),
            ("--lxc-path", self.lxc_path.clone()),
            ("--lxc-attach", bin.join("lxc-attach")),
            ("--state-dir", node.join("helper")),
        ];
        let lines = places.map(|(name, path)| format!("{name}\n{}\n", path.display()));
        lines.concat()
    }
}

/// A program of the machine.
pub(crate) fn find(name: &str) -> PathBuf {
    let mut places = SEARCH_PATH
        .split(':')
        .map(|place| Path::new(place).join(name));
    places
        .find(|path| path.is_file())
        .unwrap_or_else(|| Path::new("/usr/bin").join(name))
}

/// Words for a shell.
fn line(words: &[PathBuf]) -> String {
    let quote = |word: &PathBuf| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"));
    let quoted: Vec<String> = words.iter().map(quote).collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin<'a>(place: &'a Place, guests: Guests) -> NodeBin<'a> {
        NodeBin {
            state: Path::new("/st"),
            node: "pve1",
            place,
            guests,
            lxc_path: "/var/lib/lxc/a1b2/pve1".into(),
        }
    }

    #[test]
    fn the_scripts_call_back_with_any_path() {
        let place = Place::new("a1b2", Some("ffee00".to_owned()));
        let program = Path::new("/x/my 'lab'");
        let back = "'/x/my '\\''lab'\\''' 'lab-pct' '--state' '/st' '--node' 'pve1' '--lab' 'a1b2'";
        assert_eq!(
            bin(&place, Guests::Lxc).tool(program, Tool::Pct),
            format!("#!/bin/sh\nexec {back} '--scope' 'ffee00' -- \"$@\"\n")
        );
        assert_eq!(
            bin(&place, Guests::Simulated).lxc_attach(program),
            format!(
                "#!/bin/sh\nexec {back} '--guests' 'simulated' '--scope' 'ffee00' '--tool' 'lxc-attach' -- \"$@\"\n"
            )
        );
    }

    #[test]
    fn real_guests_are_entered_by_lxc_itself() {
        let place = Place::new("a1b2", None);
        let text = bin(&place, Guests::Lxc).lxc_attach(Path::new("/x"));
        assert!(
            text.ends_with("lxc-attach' '-P' '/var/lib/lxc/a1b2/pve1' \"$@\"\n"),
            "{text}"
        );
    }
}
