//! What a host did wrong, as a refusal: what happened, why, and what to do about it.

use proximity_pve::error::Error as PveError;
use proximity_pve::transport::TransportError;
use proximity_pve::transport::https::Fingerprint;

use super::address::Address;
use super::wish::Asker;
use crate::denied::denied_hint;
use crate::error::EngineError;

/// Something outside is not as it should be.
pub(super) fn upstream(
    code: &'static str,
    message: String,
    hint: impl Into<String>,
) -> EngineError {
    EngineError::Upstream {
        code,
        message,
        hint: hint.into(),
    }
}

/// Nobody answers there.
pub(super) fn unreachable(address: &Address, why: &str) -> EngineError {
    // The client names the endpoint before the reason; it is named here already.
    let why = why
        .strip_prefix(&format!("{}: ", address.url()))
        .unwrap_or(why);
    upstream(
        "host_unreachable",
        format!("the host {} cannot be reached: {why}", address.url()),
        "check address and port, that the node is up and runs pveproxy (systemctl status pveproxy), \
         and that no firewall is in between",
    )
}

/// It answers, but takes too long over all that has to be asked.
pub(super) fn too_slow(address: &Address, limit_s: u64) -> EngineError {
    upstream(
        "host_too_slow",
        format!(
            "the host {} did not answer all questions within {limit_s} s",
            address.url()
        ),
        "look in PVE for a storage that hangs or a node that is overloaded, then try again",
    )
}

/// The certificate is not the one that was named.
pub(super) fn fingerprint_mismatch(
    address: &Address,
    wanted: Fingerprint,
    seen: Fingerprint,
) -> EngineError {
    upstream(
        "fingerprint_mismatch",
        format!(
            "the host {} shows a certificate with the fingerprint {seen}, not {wanted}",
            address.url()
        ),
        "compare both with what the node says itself: pvenode cert info, or in PVE under Node / System / \
         Certificates; if it says neither, somebody else answers there",
    )
}

/// Nobody vouches for the certificate.
pub(super) fn certificate_unknown(address: &Address, seen: Fingerprint) -> EngineError {
    upstream(
        "certificate_unknown",
        format!(
            "no authority known to this system vouches for the certificate of {}; its fingerprint is {seen}",
            address.url()
        ),
        format!(
            "compare it with what the node says itself (pvenode cert info, or in PVE under Node / System / \
             Certificates); if they are the same, add the host with the fingerprint {seen}"
        ),
    )
}

/// The authority that was given did not issue the certificate.
fn certificate_untrusted(address: &Address, why: &str) -> EngineError {
    let why = why
        .strip_prefix(&format!("{}: ", address.url()))
        .unwrap_or(why);
    upstream(
        "certificate_untrusted",
        format!(
            "the certificate of {} is not accepted: {why}",
            address.url()
        ),
        "give the authority that issued it (on a node: /etc/pve/pve-root-ca.pem) and use a name or address that \
         stands in the certificate, or give its fingerprint instead",
    )
}

/// The token is unknown, expired, disabled or wrong.
fn token_invalid(token: &str, reason: &str) -> EngineError {
    let reason = if reason.is_empty() {
        "no reason given"
    } else {
        reason
    };
    upstream(
        "token_invalid",
        format!("PVE does not accept the API token {token}: {reason}"),
        "check its id and secret, and in PVE under Datacenter / Permissions / API Tokens that it exists, and that \
         neither it nor its user has expired or is disabled",
    )
}

/// The password is wrong, or the user may not log in: PVE does not tell which.
fn login_refused(user: &str, reason: &str) -> EngineError {
    upstream(
        "login_refused",
        format!("PVE does not let {user} log in: {reason}"),
        "check user, realm, password and code, and in PVE under Datacenter / Permissions / Users that the user is enabled; \
         PVE locks a second factor after some wrong codes",
    )
}

/// The password is right, and a code is missing.
fn second_factor(user: &str, accepts: &[String]) -> EngineError {
    let kinds = if accepts.is_empty() {
        "which PVE did not name".to_owned()
    } else {
        accepts.join(" or ")
    };
    let hint = if accepts.is_empty() || accepts.iter().any(|kind| kind == "totp") {
        "give the code your authenticator shows now (--totp CODE); one that was used already is not taken again"
    } else {
        "only codes of an authenticator can be given here; use another user, or a ticket of PVE in place of the password"
    };
    let message = format!("the login of {user} needs a second factor: {kinds}");
    upstream("second_factor_needed", message, hint)
}

/// The look at a certificate failed.
pub(super) fn no_certificate(address: &Address, error: &TransportError) -> EngineError {
    match error {
        TransportError::NotSent(why) | TransportError::MaybeApplied(why) => {
            unreachable(address, why)
        }
        TransportError::Untrusted { why, .. } => certificate_untrusted(address, why),
        TransportError::LoginRefused(_) | TransportError::SecondFactor(_) => {
            unreachable(address, &error.to_string())
        }
    }
}

/// A question was not answered as it should.
pub(super) fn question(address: &Address, asker: &Asker, error: &PveError) -> EngineError {
    match error {
        PveError::NotSent { why, .. } | PveError::MaybeApplied { why, .. } => {
            unreachable(address, why)
        }
        PveError::Untrusted { why, .. } => certificate_untrusted(address, why),
        PveError::Unauthorized { reason, .. } => match asker {
            Asker::Token { name, .. } => token_invalid(name, reason),
            Asker::Person(user) => login_refused(user, reason),
        },
        PveError::SecondFactor { accepts, .. } => match asker {
            Asker::Token { name, .. } => token_invalid(name, &error.to_string()),
            Asker::Person(user) => second_factor(user, accepts),
        },
        PveError::Unreadable { .. } => upstream(
            "pve_unreadable",
            format!(
                "the host {} gave an answer that cannot be read: {error}",
                address.url()
            ),
            "check that this is the address of a PVE API, and that its version is 9.0 to 9.2",
        ),
        PveError::Refused { .. } if error.is_permission_denied() => upstream(
            "pve_permission_denied",
            format!("the host {} denied a question: {error}", address.url()),
            denied_hint(error),
        ),
        PveError::Refused { .. } if error.is_node_unreachable() => upstream(
            "pve_node_unreachable",
            format!("a node did not answer the host {}: {error}", address.url()),
            "check in PVE that the node is up and that its pvedaemon runs, then try again",
        ),
        PveError::Refused { .. } | PveError::PermitExpired => upstream(
            "pve_refused",
            format!("the host {} refused a question: {error}", address.url()),
            "check that this is the address of a PVE API, and read its message",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address::from_url("https://192.0.2.10").unwrap()
    }

    fn parts(error: &EngineError) -> (&'static str, String) {
        assert!(!error.hint().is_empty(), "{error}");
        (error.code(), error.to_string())
    }

    #[test]
    fn the_systems_reason_is_told_once() {
        let why = "https://192.0.2.10:8006: nothing was sent: cannot connect: Connection refused (os error 111)";
        let (code, text) = parts(&unreachable(&address(), why));
        assert_eq!(code, "host_unreachable");
        assert_eq!(text.matches("192.0.2.10").count(), 1, "{text}");
        assert!(
            text.ends_with("Connection refused (os error 111)"),
            "{text}"
        );
    }

    #[test]
    fn both_fingerprints_are_named() {
        let (code, text) = parts(&fingerprint_mismatch(
            &address(),
            Fingerprint([0; 32]),
            Fingerprint([255; 32]),
        ));
        assert_eq!(code, "fingerprint_mismatch");
        assert!(
            text.contains(&["FF"; 32].join(":")) && text.contains(&["00"; 32].join(":")),
            "{text}"
        );
        let unknown = certificate_unknown(&address(), Fingerprint([255; 32]));
        assert!(unknown.hint().contains(&["FF"; 32].join(":")));
    }

    #[test]
    fn pves_answers_become_codes() {
        let call = || "GET /version".to_owned();
        let refused = |status| PveError::Refused {
            call: call(),
            status,
            reason: String::new(),
            message: "m".to_owned(),
            errors: std::collections::BTreeMap::new(),
        };
        let token = Asker::Token {
            name: "root@pam!x1".to_owned(),
            observer: None,
        };
        let code = |error: PveError| parts(&question(&address(), &token, &error)).0;
        assert_eq!(
            code(PveError::NotSent {
                call: call(),
                why: "w".to_owned()
            }),
            "host_unreachable"
        );
        let none = PveError::Untrusted {
            call: call(),
            why: "w".to_owned(),
            seen: None,
        };
        assert_eq!(code(none), "certificate_untrusted");
        let bad = PveError::Unauthorized {
            call: call(),
            reason: "Authentication failed!".to_owned(),
        };
        assert_eq!(code(bad.clone()), "token_invalid");
        let person = Asker::Person("root@pam".to_owned());
        let of_person = |error: PveError| parts(&question(&address(), &person, &error)).0;
        assert_eq!(of_person(bad), "login_refused");
        let half = PveError::SecondFactor {
            call: call(),
            accepts: vec!["totp".to_owned()],
        };
        assert_eq!(of_person(half), "second_factor_needed");
        assert_eq!(
            code(PveError::Unreadable {
                call: call(),
                why: "w".to_owned()
            }),
            "pve_unreadable"
        );
        assert_eq!(code(refused(403)), "pve_permission_denied");
        assert_eq!(code(refused(595)), "pve_node_unreachable");
        assert_eq!(code(refused(501)), "pve_refused");
    }
}
