//! How often somebody may try to sign in, by account and by address, in bounded memory.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use axum::extract::FromRequestParts;
use http::request::Parts;
use proximity_domain::access::LONGEST_NAME;
use proximity_domain::throttle::{Rate, Throttle};
use proximity_domain::time::Monotonic;

use crate::refusal::Refusal;

/// Ten in a minute at most.
const BY_ACCOUNT: Rate = Rate {
    at_once: 5,
    every_ms: 12_000,
};
/// Several people may come from one address, through a proxy for instance.
const BY_ADDRESS: Rate = Rate {
    at_once: 20,
    every_ms: 3_000,
};
/// Accounts and addresses that are remembered.
const REMEMBERED: usize = 4_096;

/// Where a request comes from, as the listener tells; none where there is no connection, as in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(parts
            .extensions
            .get::<Self>()
            .copied()
            .unwrap_or(Self(None)))
    }
}

/// Who tried lately.
#[derive(Debug)]
pub(crate) struct SignIns(Mutex<Tried>);

#[derive(Debug)]
struct Tried {
    by_account: Throttle<String>,
    by_address: Throttle<Peer>,
}

impl Default for SignIns {
    fn default() -> Self {
        Self(Mutex::new(Tried {
            by_account: Throttle::new(BY_ACCOUNT, REMEMBERED),
            by_address: Throttle::new(BY_ADDRESS, REMEMBERED),
        }))
    }
}

impl SignIns {
    /// Counts one try, whether there is such an account or not.
    ///
    /// # Errors
    /// How long to wait, milliseconds; then nothing is counted.
    pub(crate) fn tries(&self, account: &str, peer: Peer, now: Monotonic) -> Result<(), u64> {
        let (account, peer) = (key(account), network(peer));
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let by_account = tried.by_account.wait_ms(&account, now);
        let wait_ms = by_account.max(tried.by_address.wait_ms(&peer, now));
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        tried.by_account.tried(&account, now);
        tried.by_address.tried(&peer, now);
        Ok(())
    }

    /// Whoever signed in was no guesser: the account waits for nothing any more.
    pub(crate) fn succeeded(&self, account: &str) {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tried.by_account.forgive(&key(account));
    }
}

/// What is longer than any name counts as one that is as long.
fn key(account: &str) -> String {
    account.chars().take(LONGEST_NAME + 1).collect()
}

/// One machine has the addresses of a whole network of version 6.
fn network(peer: Peer) -> Peer {
    let Peer(Some(address)) = peer else {
        return peer;
    };
    Peer(Some(match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer(Some(text.parse().unwrap()))
    }

    #[test]
    fn an_account_is_tried_ten_times_in_a_minute_whoever_tries() {
        let sign_ins = SignIns::default();
        let tries = (0..600).filter(|tenth| {
            let from = peer(&format!("192.0.2.{}", tenth % 250));
            let now = Monotonic(tenth * 100);
            sign_ins.tries("ann", from, now).is_ok()
        });
        assert!((9..=10).contains(&tries.count()));
        let other = sign_ins.tries("bob", peer("192.0.2.1"), Monotonic(60_000));
        assert_eq!(other, Ok(()));
    }

    #[test]
    fn an_address_is_heard_twenty_times_and_a_network_of_version_6_is_one() {
        for address in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            let sign_ins = SignIns::default();
            for n in 0..20 {
                let tried = sign_ins.tries(&format!("a{n}"), peer(address), Monotonic(0));
                assert_eq!(tried, Ok(()), "{address} {n}");
            }
            let tried = sign_ins.tries("ann", peer(address), Monotonic(0));
            assert_eq!(tried, Err(3_000), "{address}");
        }
        let one = network(peer("2001:db8::1"));
        assert_eq!(one, network(peer("2001:db8::2:1")));
        assert_ne!(one, network(peer("2001:db8:0:1::1")));
    }

    #[test]
    fn who_signed_in_does_not_wait() {
        let sign_ins = SignIns::default();
        let nowhere = Peer(None);
        for _ in 0..5 {
            assert_eq!(sign_ins.tries("ann", nowhere, Monotonic(0)), Ok(()));
        }
        assert_eq!(sign_ins.tries("ann", nowhere, Monotonic(0)), Err(12_000));
        sign_ins.succeeded("ann");
        assert_eq!(sign_ins.tries("ann", nowhere, Monotonic(0)), Ok(()));
        let long = "x".repeat(1 << 20);
        assert_eq!(key(&long).len(), LONGEST_NAME + 1);
    }
}
