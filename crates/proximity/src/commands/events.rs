//! `proximity events`.

use proximity_api::client::Told;
use proximity_api::events::{Event, EventPage, EventQuery};
use serde_json::Value;

use crate::cli::EventsArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::output::{Output, Reader, reader_gone};
use crate::text::moment;

/// Longest value that is shown to people, characters.
const LONGEST_VALUE: usize = 80;

pub(crate) async fn run(context: &Context, args: EventsArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let query = EventQuery {
        after: args.after,
        limit: Some(u32::from(args.lines)),
        app: args.app,
        operation: args.operation,
        kind: (!args.kinds.is_empty()).then(|| args.kinds.join(",")),
        resource: args.resource,
        since: args.since,
    };
    if !args.follow {
        let page = client.events(&query).await?;
        return context.output.result(&page, human);
    }
    let mut stream = client.follow_events(query);
    let follow = async {
        let mut is_lost = false;
        loop {
            match stream.next().await? {
                Told::Event(event) => {
                    if print(context.output, &event)? == Reader::Gone {
                        return Ok(());
                    }
                }
                Told::Lost(why) => {
                    is_lost = true;
                    context
                        .output
                        .note(&format!("events are not followed for now: {why}"));
                }
                Told::Open(_) if is_lost => {
                    is_lost = false;
                    context
                        .output
                        .note("events are followed again, from where they were");
                }
                Told::Open(_) => {}
            }
        }
    };
    tokio::select! {
        ended = follow => ended,
        () = reader_gone() => Ok(()),
        // Ctrl-C is how one ends it.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

fn print(output: Output, event: &Event) -> Result<Reader, Failed> {
    if output.json {
        let text = serde_json::to_string(event).unwrap_or_default();
        return output.tell(&text);
    }
    output.tell(&one(event))
}

fn human(page: &EventPage) -> String {
    let mut lines: Vec<String> = page.events.iter().map(one).collect();
    if page.more {
        lines.push(format!("more with --after {}", page.next_after));
    }
    lines.join("\n")
}

/// `2026-11-26 12:00:00  17  AppStatusChanged  from=deploying to=running`.
fn one(event: &Event) -> String {
    let fields = event.body.as_object();
    let gist: Vec<String> = fields
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some(format!("{name}={}", short(value)?)))
        .collect();
    let (at, seq, kind) = (moment(event.at), event.seq, &event.kind);
    format!("{at}  {seq:>5}  {kind:<24}  {}", gist.join(" "))
}

/// A value on one line; nothing for what says nothing.
fn short(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        // A problem's sentence says more than its parts.
        Value::Object(fields) => match fields.get("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => value.to_string(),
        },
        Value::Array(_) => value.to_string(),
    };
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut chars = text.chars().map(clean);
    let mut shown: String = chars.by_ref().take(LONGEST_VALUE).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    Some(if shown.contains(' ') {
        format!("\"{shown}\"")
    } else {
        shown
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = Event {
            seq: 17,
            at: jiff::Timestamp::UNIX_EPOCH,
            kind: "OperationTurnedBack".to_owned(),
            app_id: None,
            operation_id: None,
            body: json!({"kind": "deploy", "problem": {"code": "x", "message": "no\nroom"}, "none": null}),
        };
        let line = one(&event);
        assert!(
            line.ends_with("     17  OperationTurnedBack       kind=deploy problem=\"no room\""),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(
            short(&json!("x".repeat(200))).unwrap().chars().count(),
            LONGEST_VALUE + 1
        );
    }
}
