//! What a file says of the app itself: its ports, and where its releases are told.

use garde::Validate;
use serde::Deserialize;

use super::{EntryFile, Protocol};

/// A port the app listens on inside the guest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Port {
    /// One word for people.
    #[garde(pattern(r"^[a-z][a-z0-9-]{0,31}$"))]
    pub name: String,
    /// Its number.
    #[garde(range(min = 1))]
    pub number: u16,
    /// What is spoken on it.
    pub protocol: PortProtocol,
    /// It is the one that the app's own ports lead to.
    #[serde(default)]
    pub main: bool,
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortProtocol {
    /// Anything over TCP.
    Tcp,
    /// Anything over UDP.
    Udp,
    /// HTTP/1.1.
    Http,
}

impl PortProtocol {
    /// Its word.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Http => "http",
        }
    }

    /// Whether it and another one cannot have the same number.
    pub(in crate::catalog) fn meets(self, other: Self) -> bool {
        (self == Self::Udp) == (other == Self::Udp)
    }
}

/// Where new releases of the app are told: a map with exactly one of these keys.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(in crate::catalog) struct ReleasesFile {
    #[garde(pattern(r"^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$"))]
    pub(in crate::catalog) github: Option<String>,
    #[garde(pattern(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"))]
    pub(in crate::catalog) pypi: Option<String>,
    #[garde(pattern(r"^(@[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"))]
    pub(in crate::catalog) npm: Option<String>,
    #[garde(pattern(r"^[a-z0-9][a-z0-9+.-]{1,63}$"))]
    pub(in crate::catalog) debian: Option<String>,
}

/// Where new releases of an app are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Releases {
    /// `github`, `pypi`, `npm` or `debian`.
    pub source: &'static str,
    /// What it is called there.
    pub name: String,
}

impl ReleasesFile {
    /// Every source that is there; exactly one if it is right.
    pub(in crate::catalog) fn all(&self) -> Vec<Releases> {
        let sources = [
            ("github", &self.github),
            ("pypi", &self.pypi),
            ("npm", &self.npm),
            ("debian", &self.debian),
        ];
        let there = sources.into_iter().filter_map(|(source, name)| {
            let name = name.clone()?;
            Some(Releases { source, name })
        });
        there.collect()
    }
}

impl EntryFile {
    /// All ports: those that are listed, or the one of the short form, which is called main.
    pub(in crate::catalog) fn all_ports(&self) -> Vec<Port> {
        match (&self.ports, self.port, self.protocol) {
            (Some(ports), _, _) => ports.clone(),
            (None, Some(number), Some(protocol)) => vec![Port {
                name: "main".to_owned(),
                number,
                protocol: match protocol {
                    Protocol::Tcp => PortProtocol::Tcp,
                    Protocol::Http => PortProtocol::Http,
                },
                main: true,
            }],
            (None, _, _) => Vec::new(),
        }
    }

    /// The port that traffic is led to and what is spoken on it; none if there is not exactly one.
    pub(in crate::catalog) fn main_port(&self) -> Option<(u16, Protocol)> {
        let ports = self.all_ports();
        let mut mains = ports.iter().filter(|port| port.main);
        let (main, None) = (mains.next()?, mains.next()) else {
            return None;
        };
        match main.protocol {
            PortProtocol::Tcp => Some((main.number, Protocol::Tcp)),
            PortProtocol::Http => Some((main.number, Protocol::Http)),
            PortProtocol::Udp => None,
        }
    }
}
