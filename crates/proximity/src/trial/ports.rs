//! Ports that are free now, and that no other trial on this machine means to use.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use proximity_domain::ports::PortRange;

use crate::config::Range;
use crate::failed::Failed;

/// So many ports, from a multiple of it on, belong to one trial.
const BLOCK: u16 = 100;

/// What keeps other trials off, for as long as it lives. It is known in the network namespace, as ports are.
#[derive(Debug)]
pub(crate) struct Claim(#[allow(dead_code)] UnixListener);

impl Claim {
    /// Nothing if another trial has it.
    fn of(first: u16) -> Option<Self> {
        let name = format!("proximity-try/{first}");
        let address = SocketAddr::from_abstract_name(name).ok()?;
        UnixListener::bind_addr(&address).ok().map(Self)
    }
}

/// Whether nobody listens there.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// `preferred`, or the first one behind it that is free. None that the system gave: between here and the server's start it might give it
/// to whoever connects to somewhere.
///
/// # Errors
/// The system has none.
pub(crate) fn preferred(preferred: u16) -> Result<(u16, Claim), Failed> {
    let last = preferred.saturating_add(BLOCK - 1);
    let mut ports = preferred..=last;
    let found = ports.find_map(|port| {
        let claim = Claim::of(port)?;
        is_free(port).then_some((port, claim))
    });
    found.ok_or_else(|| {
        let message = format!("no port from {preferred} to {last} is free");
        Failed::error("no_port", message, "end other programs")
    })
}

/// A part of the range from its first free port on, so that the first app gets a port nobody has.
///
/// # Errors
/// None is free.
pub(crate) fn from_first_free(range: PortRange) -> Result<(Range, Claim), Failed> {
    let blocks = (range.first..=range.last).step_by(usize::from(BLOCK));
    let mut parts = blocks.map(|first| PortRange {
        first,
        last: range.last.min(first.saturating_add(BLOCK - 1)),
    });
    let found = parts.find_map(|part| {
        let claim = Claim::of(part.first)?;
        let first = (part.first..=part.last).find(|port| is_free(*port))?;
        Some((Range(PortRange { first, ..part }), claim))
    });
    found.ok_or_else(|| {
        let message = format!("no port from {} to {} is free", range.first, range.last);
        Failed::error("no_port", message, "end other programs, or use --private")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port that nobody else gets meanwhile, and has room for two blocks above it.
    fn taken() -> (TcpListener, u16) {
        loop {
            let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = taken.local_addr().unwrap().port();
            if port < u16::MAX - 2 * BLOCK {
                return (taken, port);
            }
        }
    }

    #[test]
    fn a_port_somebody_has_is_passed_over() {
        let (_taken, port) = taken();
        assert!(!is_free(port));
        assert_ne!(preferred(port).unwrap().0, port);
        let only = PortRange {
            first: port,
            last: port,
        };
        assert!(from_first_free(only).is_err());
    }

    #[test]
    fn what_one_trial_means_to_use_no_other_does() {
        let (_taken, port) = taken();
        let claim = Claim::of(port);
        assert!(claim.is_some() && Claim::of(port).is_none());
        drop(claim);
        assert!(Claim::of(port).is_some());

        let range = PortRange {
            first: port,
            last: port.saturating_add(2 * BLOCK - 1),
        };
        let (one, claim) = from_first_free(range).unwrap();
        let (other, _claim) = from_first_free(range).unwrap();
        assert!(one.0.last < other.0.first, "{one:?} {other:?}");
        drop(claim);
        assert_eq!(from_first_free(range).unwrap().0.0.last, one.0.last);
    }
}
