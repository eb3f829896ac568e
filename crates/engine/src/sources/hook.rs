//! Who may say that a source has something new: whoever signs what they send.

use hmac::{Hmac, KeyInit, Mac};
use proximity_domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// How far the moment in a signature may be from ours, milliseconds.
const MOST_APART_MS: i64 = 300_000;

/// What came with a nudge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookSignature {
    /// `X-Hub-Signature-256`: `sha256=` and hexadecimal digits, over the body.
    pub hub: Option<String>,
    /// `Proximity-Signature`: `v1=` and hexadecimal digits, over the moment, a point and the body.
    pub own: Option<String>,
    /// `Proximity-Timestamp`: that moment, seconds since 1970.
    pub moment: Option<String>,
}

impl HookSignature {
    /// Whether it was made with this secret. Compared in constant time; nothing tells which part was wrong.
    #[must_use]
    pub(crate) fn is_of(&self, secret: &SecretString, body: &[u8], now: Timestamp) -> bool {
        if let Some(hub) = &self.hub {
            return hub
                .strip_prefix("sha256=")
                .is_some_and(|digits| is_signed(secret, &[body], digits));
        }
        let (Some(own), Some(moment)) = (&self.own, &self.moment) else {
            return false;
        };
        let is_near = moment.parse::<i64>().is_ok_and(|seconds| {
            let at = seconds.saturating_mul(1_000);
            at.saturating_sub(now.0).saturating_abs() <= MOST_APART_MS
        });
        let parts: [&[u8]; 3] = [moment.as_bytes(), b".", body];
        let is_signed = own
            .strip_prefix("v1=")
            .is_some_and(|digits| is_signed(secret, &parts, digits));
        is_signed && is_near
    }
}

fn is_signed(secret: &SecretString, parts: &[&[u8]], digits: &str) -> bool {
    let Ok(tag) = hex::decode(digits) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return false;
    };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(&tag).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::signature;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn hub(text: &str) -> HookSignature {
        HookSignature {
            hub: Some(text.to_owned()),
            ..HookSignature::default()
        }
    }

    /// The example of GitHub's documentation of webhooks: this secret, this body, this signature.
    #[test]
    fn a_signature_is_taken_as_github_makes_it() {
        let secret = SecretString::from("It's a Secret to Everybody");
        let made = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(hub(made).is_of(&secret, b"Hello, World!", NOW));
        for wrong in [
            "",
            "sha256=",
            "sha256=00",
            &made["sha256=".len()..],
            &made.replace("757107", "757108"),
            &made[..made.len() - 2],
        ] {
            assert!(!hub(wrong).is_of(&secret, b"Hello, World!", NOW), "{wrong}");
        }
        assert!(!hub(made).is_of(&secret, b"Hello, World", NOW));
        let other = SecretString::from("another");
        assert!(!hub(made).is_of(&other, b"Hello, World!", NOW));
        assert!(!HookSignature::default().is_of(&secret, b"", NOW));
    }

    #[test]
    fn our_own_form_holds_for_a_while_alone() {
        let secret = SecretString::from("swordfish");
        let signed = |moment: &str| HookSignature {
            hub: None,
            own: Some(format!("v1={}", signature(&secret, moment, b"{}"))),
            moment: Some(moment.to_owned()),
        };
        for near in ["1700000000", "1699999701", "1700000299"] {
            assert!(signed(near).is_of(&secret, b"{}", NOW), "{near}");
        }
        for far in ["1699999600", "1700000400", "-1", "now", ""] {
            assert!(!signed(far).is_of(&secret, b"{}", NOW), "{far}");
        }
        let mut moved = signed("1700000000");
        moved.moment = Some("1700000001".to_owned());
        assert!(!moved.is_of(&secret, b"{}", NOW));
    }
}
