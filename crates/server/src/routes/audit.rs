//! `/api/audit`.

use axum::Json;
use axum::extract::State;
use proximity_api::audit::{AuditReport, MOST_ANCHORS, VerifyAudit};
use proximity_api::error::{ErrorBody, ErrorKind};
use proximity_domain::audit::{Anchor, Break, Chain, Head};
use proximity_engine::error::EngineError;

use crate::auth::{Caller, Scope};
use crate::extract::Body;
use crate::refusal::Refusal;
use crate::router::AppState;

/// Verify the audit
///
/// Reads all of it, and all events that are kept, and holds each entry and each event against the link that ties it to the one before, and
/// the whole against the anchors that are sent. It changes nothing. Without an anchor it cannot be seen whether the end was cut off, or all links were made anew. It is
/// about everybody's requests, so it needs the scope `hosts`.
#[utoipa::path(post, path = "/api/audit/verify", tag = "installation", operation_id = "verify_audit",
    request_body = VerifyAudit,
    responses((status = 200, description = "It is whole.", body = AuditReport)),
    extensions(("x-codes" = json!(["audit_broken", "invalid_value"]))))]
pub(crate) async fn verify(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<VerifyAudit>,
) -> Result<Json<AuditReport>, Refusal> {
    caller.require(Scope::Hosts)?;
    let reader = state.reader();
    let installation = reader.installation();
    let sent = body.anchors.len();
    let mut anchors = read(&body.anchors)?;
    anchors.retain(|anchor| anchor.installation == installation);
    let held = anchors.len();
    let (of_audit, of_events) = (
        of_chain(&anchors, Chain::Audit),
        of_chain(&anchors, Chain::Events),
    );
    let audit = reader.verify_audit(Head::NONE, of_audit).await?;
    let audit = audit.map_err(|what| broken("the audit", what))?;
    let events = reader.verify_events(of_events).await?;
    let events = events.map_err(|what| broken("the log of events", what))?;
    let anchor = |chain, head: Head| {
        let anchor = Anchor {
            chain,
            installation,
            head,
        };
        (head.seq > 0).then(|| anchor.to_string())
    };
    Ok(Json(AuditReport {
        entries: u64::try_from(audit.seq).unwrap_or_default(),
        anchor: anchor(Chain::Audit, audit),
        events: u64::try_from(events.seq).unwrap_or_default(),
        event_anchor: anchor(Chain::Events, events),
        anchors: count(held),
        of_others: count(sent - held),
    }))
}

fn of_chain(anchors: &[Anchor], chain: Chain) -> Vec<Head> {
    let own = anchors.iter().filter(|anchor| anchor.chain == chain);
    own.map(|anchor| anchor.head).collect()
}

fn read(lines: &[String]) -> Result<Vec<Anchor>, EngineError> {
    if lines.len() > MOST_ANCHORS {
        let message = format!("more than {MOST_ANCHORS} anchors; send them in parts");
        return Err(invalid("anchors".to_owned(), message));
    }
    let mut anchors = Vec::with_capacity(lines.len());
    for (n, line) in lines.iter().enumerate() {
        let field = || format!("anchors[{n}]");
        match Anchor::find(line) {
            Ok(Some(anchor)) => anchors.push(anchor),
            Ok(None) => return Err(invalid(field(), "there is no anchor in it".to_owned())),
            Err(bad) => return Err(invalid(field(), bad.to_string())),
        }
    }
    Ok(anchors)
}

fn invalid(field: String, message: String) -> EngineError {
    EngineError::Invalid { field, message }
}

/// Somebody changed what nobody may change: for people, as an error, so that no script takes it for an answer like another.
fn broken(journal: &str, what: Break) -> Refusal {
    tracing::error!(
        seq = what.seq(),
        what = what.label(),
        "{journal} is not whole: {what}"
    );
    Refusal::new(
        ErrorKind::Conflict,
        ErrorBody::new(
            "audit_broken",
            format!("{journal} is not whole: {what}"),
            "find out who could write to the database; a copy of it from before shows what the entries were",
        ),
    )
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
