//! Tickets and CSRF tokens: signed with a key of the world, so that they survive a restart.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How long a ticket is valid, seconds.
const LIFETIME_S: u64 = 2 * 60 * 60;
/// How far clocks of nodes may be apart, seconds.
const GRACE_S: u64 = 300;
/// Ages of tickets of consoles that are good, seconds; clocks of nodes differ.
const VNC_AGES_S: std::ops::Range<i64> = -19..40;

/// The world's source of secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Keys {
    key: String,
    issued: u64,
}

/// A ticket that was found to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// A user is logged in.
    Full(String),
    /// The password was right; a second factor is missing.
    Half,
}

impl Keys {
    /// Secrets from here on follow from `key`, which must not be guessable where that matters.
    pub(crate) fn new(key: String) -> Self {
        Self { key, issued: 0 }
    }

    /// A new secret, 64 hex digits.
    pub(crate) fn secret(&mut self) -> String {
        self.issued += 1;
        self.sign("secret", &self.issued.to_string())
    }

    /// A new secret in the form of a UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let hex = self.secret();
        [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..32],
        ]
        .join("-")
    }

    fn sign(&self, purpose: &str, text: &str) -> String {
        let mac = |inner: &[u8]| {
            Sha256::new()
                .chain_update(self.key.as_bytes())
                .chain_update(inner)
                .finalize()
        };
        let inner = mac(format!("\u{1}{purpose}\u{0}{text}").as_bytes());
        hex::encode(mac(&inner))
    }

    /// A ticket for a logged-in user.
    pub(crate) fn ticket(&self, user: &str, now_s: u64) -> String {
        self.assemble(user, "", now_s)
    }

    /// A ticket that only says that a user's password was right.
    pub(crate) fn half_ticket(&self, user: &str, challenge: &str, now_s: u64) -> String {
        let escaped = challenge.replace(':', "%3A").replace(',', "%2C");
        self.assemble(&format!("!tfa!{escaped}"), user, now_s)
    }

    fn assemble(&self, data: &str, bound_to: &str, now_s: u64) -> String {
        let plain = format!("PVE:{data}:{now_s:08X}");
        let signature = self.sign("ticket", &format!("{plain}:{bound_to}"));
        format!("{plain}::{signature}")
    }

    fn parts(&self, ticket: &str, bound_to: &str, now_s: u64) -> Option<String> {
        let (plain, signature) = ticket.split_once("::")?;
        let (data, time) = plain.strip_prefix("PVE:")?.rsplit_once(':')?;
        let right = signature == self.sign("ticket", &format!("{plain}:{bound_to}"));
        (right && is_fresh(time, now_s)).then(|| data.to_owned())
    }

    /// What a ticket is worth, if anything.
    pub(crate) fn verify(&self, ticket: &str, now_s: u64) -> Option<Ticket> {
        if ticket.starts_with("PVE:!tfa!") {
            // Its signature names a user whom the ticket does not; nothing is decided by it.
            return Some(Ticket::Half);
        }
        self.parts(ticket, "", now_s).map(Ticket::Full)
    }

    /// Whether a half ticket is this user's.
    pub(crate) fn is_half_ticket_of(&self, ticket: &str, user: &str, now_s: u64) -> bool {
        ticket.starts_with("PVE:!tfa!") && self.parts(ticket, user, now_s).is_some()
    }

    /// A ticket for a console: bound to a path and a port, good for a moment.
    pub(crate) fn vnc_ticket(&self, user: &str, at: (&str, Option<u16>), now_ms: u64) -> String {
        let plain = format!("PVEVNC:{:08X}", now_ms / 1000);
        let signature = self.sign("vnc", &format!("{plain}:{}", vnc_secret(user, at)));
        format!("{plain}::{signature}")
    }

    /// Whether a ticket is this user's for a console at this path and port, and still good. One may have a password in
    /// front of it.
    pub(crate) fn verify_vnc(
        &self,
        ticket: &str,
        user: &str,
        at: (&str, Option<u16>),
        now_ms: u64,
    ) -> bool {
        let after_password = ticket
            .char_indices()
            .nth(8)
            .and_then(|(start, _)| ticket[start..].strip_prefix(':'));
        let ticket = after_password
            .filter(|rest| rest.starts_with("PVEVNC:"))
            .unwrap_or(ticket);
        let Some((plain, signature)) = ticket.split_once("::") else {
            return false;
        };
        let made_s = plain
            .strip_prefix("PVEVNC:")
            .and_then(|time| i64::from_str_radix(time, 16).ok());
        let now_s = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
        signature == self.sign("vnc", &format!("{plain}:{}", vnc_secret(user, at)))
            && made_s.is_some_and(|made_s| VNC_AGES_S.contains(&(now_s - made_s)))
    }

    /// What has to come along with a ticket on writes.
    pub(crate) fn csrf(&self, user: &str, now_s: u64) -> String {
        let time = format!("{now_s:08X}");
        let signature = self.sign("csrf", &format!("{time}:{user}"));
        format!("{time}:{signature}")
    }

    /// Whether a CSRF token is this user's and fresh.
    pub(crate) fn verify_csrf(&self, user: &str, given: &str, now_s: u64) -> bool {
        given.split_once(':').is_some_and(|(time, signature)| {
            signature == self.sign("csrf", &format!("{time}:{user}")) && is_fresh(time, now_s)
        })
    }
}

fn vnc_secret(user: &str, (path, port): (&str, Option<u16>)) -> String {
    match port {
        Some(port) => format!("{user}:{path}:{port}"),
        None => format!("{user}:{path}"),
    }
}

fn is_fresh(time: &str, now_s: u64) -> bool {
    u64::from_str_radix(time, 16)
        .is_ok_and(|at_s| at_s <= now_s + GRACE_S && now_s <= at_s + LIFETIME_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_worth_its_user_for_two_hours() {
        let keys = Keys::new("k".into());
        let ticket = keys.ticket("root@pam", 1_000_000);
        let full = Some(Ticket::Full("root@pam".into()));
        assert_eq!(keys.verify(&ticket, 1_000_000 + LIFETIME_S), full);
        assert_eq!(keys.verify(&ticket, 1_000_001 + LIFETIME_S), None);
        assert_eq!(
            keys.verify(&ticket.replace("root", "toor"), 1_000_000),
            None
        );
        assert_eq!(Keys::new("other".into()).verify(&ticket, 1_000_000), None);
    }

    #[test]
    fn half_tickets_and_csrf_tokens_belong_to_a_user() {
        let keys = Keys::new("k".into());
        let half = keys.half_ticket("a@pve", r#"{"totp":true,"x":1}"#, 1_000_000);
        assert_eq!(keys.verify(&half, 1_000_000), Some(Ticket::Half));
        assert!(keys.is_half_ticket_of(&half, "a@pve", 1_000_000));
        assert!(!keys.is_half_ticket_of(&half, "b@pve", 1_000_000));
        let csrf = keys.csrf("a@pve", 1_000_000);
        assert!(keys.verify_csrf("a@pve", &csrf, 1_000_100));
        assert!(!keys.verify_csrf("b@pve", &csrf, 1_000_100) && !keys.verify_csrf("a@pve", "x", 0));
    }

    #[test]
    fn a_console_s_ticket_is_for_one_user_path_and_port_and_forty_seconds() {
        let keys = Keys::new("k".into());
        let at = ("/vms/100", Some(5900));
        let ticket = keys.vnc_ticket("a@pve!t", at, 1_000_000_000);
        let good = |ticket: &str, user: &str, at, now_s: u64| {
            keys.verify_vnc(ticket, user, at, now_s * 1000)
        };
        assert!(good(&ticket, "a@pve!t", at, 1_000_039));
        assert!(good(&format!("password:{ticket}"), "a@pve!t", at, 999_981));
        assert!(!good(
            &format!("passwor:{ticket}"),
            "a@pve!t",
            at,
            1_000_000
        ));
        for (user, at, now_s) in [
            ("a@pve!t", at, 1_000_040),
            ("a@pve!t", at, 999_980),
            ("a@pve", at, 1_000_000),
            ("a@pve!t", ("/vms/101", Some(5900)), 1_000_000),
            ("a@pve!t", ("/vms/100", Some(5901)), 1_000_000),
            ("a@pve!t", ("/vms/100", None), 1_000_000),
        ] {
            assert!(!good(&ticket, user, at, now_s), "{user} {at:?} {now_s}");
        }
    }

    #[test]
    fn secrets_differ() {
        let mut keys = Keys::new("k".into());
        assert_ne!(keys.uuid(), keys.uuid());
        assert_eq!(keys.uuid().len(), 36);
    }
}
