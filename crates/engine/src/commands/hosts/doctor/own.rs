//! The parts of this installation beside the server, which answers: gateway, record and audit.

use std::time::Duration;

use proximity_domain::audit::{Break, Head};
use proximity_store::StoreError;
use tokio::time::timeout;

use super::finding::{Code, Finding};
use crate::engine::Engine;
use crate::seams::{IngressError, LedName, RouteView};

/// How long each of them may take.
const OWN: Duration = Duration::from_secs(10);

/// What a look gave; none if it did not end in time.
type Looked<T, E> = Option<Result<T, E>>;

impl Engine {
    /// Looks at all of them at the same time: none has to wait for another one's time to run out.
    pub(super) async fn installation(&self) -> Vec<Finding> {
        let reader = self.reader();
        let (routes, wrong, chain) = tokio::join!(
            timeout(OWN, self.inner.parts.ingress.routes()),
            timeout(OWN, reader.broken_rules()),
            timeout(OWN, reader.verify_audit(Head::NONE, Vec::new())),
        );
        let routes = routes.ok();
        let mut findings = Vec::new();
        // It is asked after the gateway has answered.
        let leads_names = self.inner.parts.ingress.leads_names();
        findings.extend(of_caddy(routes.as_ref()).filter(|_| leads_names));
        findings.push(of_gateway(routes));
        findings.push(of_record(wrong.ok()));
        findings.push(of_audit(chain.ok()));
        findings
    }
}

/// What Caddy said; none where the gateway did not answer, for then it was not asked.
fn of_caddy(looked: Option<&Result<Vec<RouteView>, IngressError>>) -> Option<Finding> {
    let (code, what, next) = match looked? {
        Ok(routes) => {
            let leads = |route: &&RouteView| matches!(route.name, LedName::As { .. });
            let named = routes.iter().filter(leads);
            let what = format!(
                "it answers; host names that lead to apps: {}",
                named.count()
            );
            (Code::CaddyAnswers, what, None)
        }
        Err(error @ IngressError::CaddyUnreachable(_)) => {
            let what = format!(
                "no app gets or loses its host name, and none with one is stopped: {error}"
            );
            let next = "start it (systemctl start caddy), or correct ingress.caddy.admin";
            (Code::CaddySilent, what, Some(next))
        }
        Err(error @ IngressError::CaddyRefused(_)) => {
            let next = "look at Caddy's log (journalctl -u caddy), and use Caddy 2.5 or later";
            (Code::CaddySilent, error.to_string(), Some(next))
        }
        Err(IngressError::Unreachable(_) | IngressError::Busy(_) | IngressError::Refused(_)) => {
            return None;
        }
    };
    Some(of(code, "caddy", &what, next))
}

fn of(code: Code, subject: &str, what: &str, next: Option<&str>) -> Finding {
    Finding::new(code, None, subject, what, next.map(str::to_owned))
}

fn not_in_time() -> String {
    format!("it was not read whole within {} s", OWN.as_secs())
}

fn of_gateway(looked: Looked<Vec<RouteView>, IngressError>) -> Finding {
    let why = match looked {
        Some(Ok(routes)) => {
            let what = match routes.len() {
                1 => "it answers, with 1 route".to_owned(),
                count => format!("it answers, with {count} routes"),
            };
            return of(Code::GatewayAnswers, "gateway", &what, None);
        }
        // Caddy is asked when the gateway has told its routes.
        Some(Err(IngressError::CaddyUnreachable(_) | IngressError::CaddyRefused(_))) => {
            return of(Code::GatewayAnswers, "gateway", "it answers", None);
        }
        Some(Err(error)) => error.to_string(),
        None => format!("no answer within {} s", OWN.as_secs()),
    };
    let what = format!("it does not answer, so no app gets or loses a port: {why}");
    let next = "start it: proximity gateway (as a service: systemctl status proximity-gateway)";
    of(Code::GatewaySilent, "gateway", &what, Some(next))
}

fn of_record(looked: Looked<Vec<String>, StoreError>) -> Finding {
    let (code, what, next) = match looked {
        Some(Ok(wrong)) if wrong.is_empty() => {
            let what = "what it has keeps all rules".to_owned();
            (Code::RecordSound, what, None)
        }
        Some(Ok(wrong)) => {
            let next = "stop the server, keep a copy of the data directory, and report this";
            (Code::RecordBroken, wrong.join("; "), Some(next))
        }
        Some(Err(error)) => (Code::RecordUnread, error.to_string(), None),
        None => (Code::RecordUnread, not_in_time(), None),
    };
    of(code, "database", &what, next)
}

/// It grows for ever, so that one day it is too long for a look; that is nothing to be mended.
fn of_audit(looked: Looked<Result<Head, Break>, StoreError>) -> Finding {
    let (code, what, next) = match looked {
        Some(Ok(Ok(head))) => {
            let what = match head.seq {
                1 => "it is whole as far as it goes: 1 entry".to_owned(),
                count => format!("it is whole as far as it goes: {count} entries"),
            };
            (Code::AuditWhole, what, None)
        }
        Some(Ok(Err(broken))) => {
            let next = "keep a copy of the database, and find out who could write to it";
            (Code::AuditBroken, broken.to_string(), Some(next))
        }
        Some(Err(error)) => (Code::AuditUnread, error.to_string(), None),
        None => (
            Code::AuditLong,
            not_in_time(),
            Some("proximity audit verify"),
        ),
    };
    of(code, "audit", &what, next)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    /// Of two that are asked one after the other, the one that does not answer is named.
    #[test]
    fn caddy_is_told_by_itself() {
        let away = || Err(IngressError::CaddyUnreachable("no socket".to_owned()));
        let silent = of_caddy(Some(&away())).unwrap();
        assert_eq!(
            (silent.code, silent.level()),
            (Code::CaddySilent, Level::Fault)
        );
        assert!(silent.what.contains("no socket") && !silent.next.is_empty());
        assert_eq!(of_gateway(Some(away())).code, Code::GatewayAnswers);
        let refused = Err(IngressError::CaddyRefused("no ETag".to_owned()));
        assert_eq!(of_caddy(Some(&refused)).unwrap().code, Code::CaddySilent);
        let gateway = Err(IngressError::Unreachable("no socket".to_owned()));
        assert_eq!(of_caddy(Some(&gateway)), None);
        assert_eq!(of_gateway(Some(gateway)).code, Code::GatewaySilent);
        assert_eq!(of_caddy(None), None);
        assert_eq!(
            of_caddy(Some(&Ok(Vec::new()))).unwrap().code,
            Code::CaddyAnswers
        );
    }

    /// A rule that is broken is told whether or not the audit could be read, and one that is long is no fault.
    #[test]
    fn the_audit_is_told_by_itself() {
        let broken = of_record(Some(Ok(vec!["one".to_owned(), "two".to_owned()])));
        assert_eq!(broken.code, Code::RecordBroken);
        assert_eq!(broken.what, "one; two");
        let long = of_audit(None);
        assert_eq!((long.code, long.level()), (Code::AuditLong, Level::Note));
        assert_eq!(long.next, ["proximity audit verify"]);
        let cut = of_audit(Some(Ok(Err(Break::Missing { seq: 7 }))));
        assert_eq!((cut.code, cut.level()), (Code::AuditBroken, Level::Fault));
        assert!(cut.what.contains("entry 7"), "{cut:?}");
        assert!(!cut.next.is_empty());
        let whole = of_audit(Some(Ok(Ok(Head::NONE))));
        assert_eq!(whole.code, Code::AuditWhole);
        assert_eq!(whole.what, "it is whole as far as it goes: 0 entries");
        assert_eq!(of_record(None).code, Code::RecordUnread);
        assert_eq!(of_gateway(None).code, Code::GatewaySilent);
    }
}
