//! The parts of this installation beside the server, which answers: gateway, record and audit.

use std::time::Duration;

use proximity_domain::audit::{Break, Head};
use proximity_store::StoreError;
use tokio::time::timeout;

use super::finding::{Code, Finding};
use crate::engine::Engine;
use crate::seams::{IngressError, RouteView};

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
        vec![
            of_gateway(routes.ok()),
            of_record(wrong.ok()),
            of_audit(chain.ok()),
        ]
    }
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
