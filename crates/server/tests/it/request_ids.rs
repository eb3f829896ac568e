//! The id of a request goes with the operation it asked for, into its record and the log lines of the work.

use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::exchange;
use crate::support::live::live;

const APP: &str = r#"{"catalog_id":"beacon","hostname":"web","host":"lab"}"#;

/// Keeps the fields of the spans called `operation`, and of events.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!("{field}={value:?} ");
    }
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        if span.metadata().name() == "operation" {
            let mut fields = Fields(String::new());
            span.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn an_operation_and_its_log_lines_carry_the_id_of_the_request() {
    let spans = Spans::default();
    let _kept = tracing::subscriber::set_default(spans.clone());
    let live = live().await;
    let headers = [
        ("authorization", "Bearer all"),
        ("x-request-id", "deploy-7"),
    ];
    let (router, contract) = (&live.router, &live.contract);
    let asked = exchange(router, contract, "POST", "/api/apps/", APP, &headers).await;
    assert_eq!(asked.status, 202, "{}", asked.body);
    let location = asked.headers["location"].to_str().unwrap().to_owned();
    let id = location.rsplit('/').next().unwrap().to_owned();
    live.world.settled(id.parse().unwrap()).await.unwrap();
    let operation = live.send("GET", &location, "").await;
    assert_eq!(operation.body["request_id"], "deploy-7");
    let of_it = spans.0.lock().unwrap().clone();
    assert!(
        of_it
            .iter()
            .any(|s| s.contains(&id) && s.contains("request_id=\"deploy-7\"")),
        "{of_it:?}"
    );
    let told = |line: &String| line.contains("message=answered") && line.contains("method=POST");
    let answered: Vec<_> = of_it.iter().filter(|line| told(line)).collect();
    let app = asked.body["id"].as_str().unwrap();
    let names = |line: &str| {
        line.contains(&format!("operation={id} ")) && line.contains(&format!("app={app} "))
    };
    assert_eq!(answered.len(), 1, "{of_it:?}");
    assert!(names(answered[0]), "{answered:?}");

    // Who sends none is given one, and the answer tells it.
    let stop = r#"{"action":"stop"}"#;
    let asked = live.send("POST", "/api/apps/web/action", stop).await;
    let given = asked.headers["x-request-id"].to_str().unwrap().to_owned();
    let location = asked.headers["location"].to_str().unwrap().to_owned();
    let operation = live.send("GET", &location, "").await;
    assert_eq!(operation.body["request_id"], given);
}
