//! `proximity sessions …`.

use proximity_api::accounts::{Session, SessionList};
use serde::Serialize;

use crate::cli::SessionName;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{moment, or_dash, table};

pub(crate) async fn list(context: &Context) -> Result<(), Failed> {
    let list = context.client()?.sessions().await?;
    context.output.result(&list, human)
}

pub(crate) async fn end(context: &Context, args: SessionName) -> Result<(), Failed> {
    context.client()?.end_session(&args.id).await?;
    let ended = Ended { ended: args.id };
    context
        .output
        .result(&ended, |one| format!("session {} is over", one.ended))
}

#[derive(Serialize)]
struct Ended {
    ended: String,
}

fn human(list: &SessionList) -> String {
    table(
        ["ID", "ACCOUNT", "FROM", "BEGUN", "USED", "ENDS"],
        list.sessions.iter().map(row),
        "nobody is signed in",
    )
}

fn row(session: &Session) -> [String; 6] {
    [
        session.id.clone(),
        session.account.clone(),
        or_dash(session.address.as_deref()),
        moment(session.begun_at),
        moment(session.seen_at),
        moment(session.ends_at),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_signed_in_is_told_with_since_when_and_from_where() {
        let at = |text: &str| text.parse().unwrap();
        let session = Session {
            id: "7".to_owned(),
            account: "ann".to_owned(),
            address: Some("192.0.2.7".to_owned()),
            begun_at: at("2026-01-02T03:04:05Z"),
            seen_at: at("2026-01-02T04:04:05Z"),
            ends_at: at("2026-01-02T12:04:05Z"),
            current: false,
        };
        let list = SessionList {
            sessions: vec![session],
        };
        let told = human(&list);
        for part in ["ann", "192.0.2.7", "03:04:05", "04:04:05", "12:04:05"] {
            assert!(told.contains(part), "{told}");
        }
        let nobody = SessionList {
            sessions: Vec::new(),
        };
        assert_eq!(human(&nobody), "nobody is signed in");
    }
}
