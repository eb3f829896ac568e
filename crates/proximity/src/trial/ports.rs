//! Ports that are free now.

use std::net::{Ipv4Addr, TcpListener};

use proximity_domain::ports::PortRange;

use crate::config::Range;
use crate::failed::Failed;

/// Whether nobody listens there.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// `preferred`, or any port that is free.
///
/// # Errors
/// The system has none.
pub(crate) fn preferred(preferred: u16) -> Result<u16, Failed> {
    if is_free(preferred) {
        return Ok(preferred);
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|e| {
            Failed::error(
                "no_port",
                format!("no free port: {e}"),
                "end other programs",
            )
        })
}

/// The range from its first free port on, so that the first app gets a port nobody has.
///
/// # Errors
/// None is free.
pub(crate) fn from_first_free(range: PortRange) -> Result<Range, Failed> {
    (range.first..=range.last)
        .find(|port| is_free(*port))
        .map(|first| Range(PortRange { first, ..range }))
        .ok_or_else(|| {
            let message = format!("no port from {} to {} is free", range.first, range.last);
            Failed::error("no_port", message, "end other programs, or use --private")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_somebody_has_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(!is_free(port));
        assert_ne!(preferred(port).unwrap(), port);
        let only = PortRange {
            first: port,
            last: port,
        };
        assert!(from_first_free(only).is_err());
    }
}
