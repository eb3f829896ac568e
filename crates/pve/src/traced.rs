//! Calls as spans, for who traces.

use tracing::field::Empty;
use tracing::{Instrument, debug_span};

use crate::transport::{RawResponse, TransportError};

/// Sends inside of a span that says which call it is, and what came of it. It names method and path alone: a parameter may be a
/// secret, and so may what a failure says.
pub(crate) async fn traced(
    call: &str,
    sent: impl Future<Output = Result<RawResponse, TransportError>>,
) -> Result<RawResponse, TransportError> {
    let span = debug_span!("pve_call", call, status = Empty, error = Empty);
    let answer = sent.instrument(span.clone()).await;
    match &answer {
        Ok(answer) => span.record("status", i64::from(answer.status)),
        Err(error) => span.record("error", label(error)),
    };
    answer
}

fn label(error: &TransportError) -> &'static str {
    match error {
        TransportError::NotSent(_) => "not_sent",
        TransportError::Untrusted { .. } => "untrusted",
        TransportError::LoginRefused(_) => "login_refused",
        TransportError::SecondFactor(_) => "second_factor",
        TransportError::MaybeApplied(_) => "maybe_applied",
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// What spans say, as `name=value`.
    #[derive(Debug, Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Visit for Heard {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            let said = format!("{}={value:?}", field.name());
            self.0.lock().unwrap().push(said);
        }
    }

    impl Subscriber for Heard {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.name() == "pve_call"
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            span.record(&mut self.clone());
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, values: &Record<'_>) {
            values.record(&mut self.clone());
        }

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, _: &Event<'_>) {}

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// What is heard of a call that ends so.
    async fn heard(ends: Result<RawResponse, TransportError>) -> Vec<String> {
        let heard = Heard::default();
        let kept = tracing::subscriber::set_default(heard.clone());
        let told = traced("GET /version", std::future::ready(ends.clone())).await;
        assert_eq!(told, ends);
        drop(kept);
        let said = heard.0.lock().unwrap();
        said.clone()
    }

    #[tokio::test]
    async fn a_span_says_what_came_of_its_call_and_nothing_that_may_be_a_secret() {
        let answer = RawResponse {
            status: 596,
            reason: "a secret".to_owned(),
            body: Bytes::from_static(b"a secret"),
        };
        let answered = heard(Ok(answer)).await;
        assert_eq!(answered, ["call=\"GET /version\"", "status=596"]);
        let failed = heard(Err(TransportError::MaybeApplied("a secret".to_owned()))).await;
        assert_eq!(failed, ["call=\"GET /version\"", "error=\"maybe_applied\""]);
    }
}
