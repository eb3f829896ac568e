//! What became of each call of the store: who listens is told, and who traces sees a span.
//!
//! A call is one transaction, or one statement that is a snapshot of its own. It bears the name of the method that makes it, which
//! comes from the type of the closure that is its work, so that no method can forget to say it; a single statement, which
//! has no closure, is given the name ([`Named`](crate::store::Named)). While nobody listens and nobody traces a call
//! costs two comparisons.

use std::time::Duration;

use proximity_domain::resource::SnapshotChange;
use proximity_domain::told::Told;
use tokio::time::Instant;
use tracing::field::{Empty, display};
use tracing::instrument::{Instrument, Instrumented};
use tracing::{Span, trace, trace_span};

use crate::error::StoreError;

/// A call of the store that has ended. One that was dropped on its way is told of by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallEnd {
    /// Name of the method, so one of a closed list.
    pub call: &'static str,
    /// How long it took, waiting for its turn or for a connection included.
    pub took: Duration,
    /// What it ended with, if not well: [`StoreError::label`]. A refusal is one as well.
    pub error: Option<&'static str>,
}

/// A snapshot of a resource that was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotWritten {
    /// Why it was made.
    pub change: SnapshotChange,
    /// Bytes of the state in it, as it is kept.
    pub bytes: usize,
}

/// Who is told of what the store does.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pub(crate) commits: Told<Duration>,
    pub(crate) calls: Told<CallEnd>,
    pub(crate) snapshots: Told<SnapshotWritten>,
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct Call<'l> {
    listeners: &'l Listeners,
    path: &'static str,
    /// Nobody wants to know how long it took if there is none.
    begun: Option<Instant>,
    span: Span,
}

impl Listeners {
    /// A call begins. `path` is the type of its closure, or the name of its method.
    pub(crate) fn begin(&self, path: &'static str) -> Call<'_> {
        let span = trace_span!(
            "store_call",
            call = method(path),
            took_us = Empty,
            error = Empty
        );
        let is_timed = self.calls.is_set() || !span.is_disabled();
        Call {
            listeners: self,
            path,
            begun: is_timed.then(Instant::now),
            span,
        }
    }
}

impl Call<'_> {
    /// What happens during the call is told inside of its span.
    pub(crate) fn within<F: Future>(&self, work: F) -> Instrumented<F> {
        work.instrument(self.span.clone())
    }

    /// The call has ended so.
    pub(crate) fn end<T>(self, ended: &Result<T, StoreError>) {
        self.end_with(ended.as_ref().err());
    }

    /// The call has ended, well if there is no error.
    pub(crate) fn end_with(self, error: Option<&StoreError>) {
        let Some(begun) = self.begun else {
            return;
        };
        let took = begun.elapsed();
        if !self.span.is_disabled() {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.span.record("took_us", micros);
            // The span may leave this machine. What the text repeats is anybody's, and for the log.
            if let Some(error) = error {
                self.span.record("error", error.label());
            }
            let error = error.map(display);
            trace!(parent: &self.span, error, "the call has ended");
        }
        if self.listeners.calls.is_set() {
            self.listeners.calls.tell(CallEnd {
                call: method(self.path),
                took,
                error: error.map(StoreError::label),
            });
        }
    }
}

/// The name of the method that a closure is in: the last part of its path that is not a closure itself, without what it is generic over,
/// which is a path as well. The compiler's own words for types are for diagnosis, as this is; the tests see that they are what is
/// expected here.
fn method(path: &'static str) -> &'static str {
    let mut rest = path;
    while rest.ends_with('}')
        && let Some((before, _)) = rest.rsplit_once("::{")
    {
        rest = before;
    }
    let rest = without_generics(rest);
    rest.rsplit("::").next().unwrap_or(rest)
}

/// What stands before the brackets that a path ends with, if it does.
fn without_generics(path: &'static str) -> &'static str {
    if !path.ends_with('>') {
        return path;
    }
    let mut open = 0_u32;
    for (at, c) in path.char_indices().rev() {
        match c {
            '>' => open += 1,
            '<' => open -= 1,
            _ => continue,
        }
        if open == 0 {
            return path.split_at(at).0;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use std::any::type_name_of_val;
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// The name that a line gives by hand, if it does.
    fn given(line: &str) -> Option<&str> {
        let by_hand = [".named(\"", ".read_as(\""];
        let mut found = by_hand.iter().filter_map(|call| line.split_once(call));
        let (_, name) = found.next()?;
        name.split('"').next()
    }

    /// One that is given by hand may be another method's.
    #[test]
    fn a_statement_is_given_the_name_of_its_method() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut count = 0;
        for file in std::fs::read_dir(sources).unwrap() {
            let path = file.unwrap().path();
            if path.extension() != Some("rs".as_ref()) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let mut method = "";
            for line in text.lines() {
                if let Some((_, rest)) = line.split_once("async fn ") {
                    method = rest.split(['(', '<']).next().unwrap();
                }
                if let Some(name) = given(line) {
                    assert_eq!(name, method, "{}: {line}", path.display());
                    count += 1;
                }
            }
        }
        assert!(count > 50, "{count}: are they given otherwise by now?");
    }

    /// Every field of every span and event of the calls, as `name=value`.
    #[derive(Debug, Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Visit for Heard {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            let said = format!("{}={value:?}", field.name());
            self.0.lock().unwrap().push(said);
        }
    }

    impl Subscriber for Heard {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == module_path!().trim_end_matches("::tests")
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            span.record(&mut self.clone());
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, values: &Record<'_>) {
            values.record(&mut self.clone());
        }

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// What is heard of a call that ends so: of its span, and then of its end.
    fn heard(ends: &Result<(), StoreError>) -> Vec<String> {
        let heard = Heard::default();
        tracing::subscriber::with_default(heard.clone(), || {
            let listeners = Listeners::default();
            listeners.begin("a::hosts::{{closure}}").end(ends);
        });
        let said = heard.0.lock().unwrap();
        said.clone()
    }

    #[test]
    fn a_call_is_a_span_with_its_name_its_time_and_the_kind_of_its_error() {
        let key = "a secret".to_owned();
        let said = heard(&Err(StoreError::KeyReused { key }));
        let [name, took, error, end @ ..] = said.as_slice() else {
            panic!("{said:?}");
        };
        assert_eq!(name, "call=\"hosts\"");
        assert!(took.starts_with("took_us="), "{took}");
        assert_eq!(error, "error=\"key_reused\"");
        assert_eq!(end.len(), 2, "{end:?}");
        assert!(end.iter().any(|said| said == "message=the call has ended"));
        let text = "error=the key \"a secret\" was used for another request";
        assert!(end.iter().any(|said| said == text), "{end:?}");

        let said = heard(&Ok(()));
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(!said.iter().any(|said| said.starts_with("error=")));
    }

    struct Thing;

    impl Thing {
        async fn asked(&self) -> &'static str {
            let work = async |n: &mut u64| *n += 1;
            let mut n = 0;
            work(&mut n).await;
            assert_eq!(n, 1);
            method(type_name_of_val(&work))
        }

        async fn asked_of<T>(&self, what: T) -> &'static str {
            let work = async |n: &mut usize| *n += size_of_val(&what);
            let mut n = 1;
            work(&mut n).await;
            assert_eq!(n, 1);
            method(type_name_of_val(&work))
        }

        async fn asked_aside(&self) -> &'static str {
            let aside = async move {
                let look = |n: u64| n + 1;
                assert_eq!(look(1), 2);
                method(type_name_of_val(&look))
            };
            aside.await
        }
    }

    #[tokio::test]
    async fn a_closure_bears_the_name_of_its_method() {
        assert_eq!(Thing.asked().await, "asked");
        assert_eq!(Thing.asked_aside().await, "asked_aside");
        assert_eq!(Thing.asked_of(Thing).await, "asked_of");
    }

    #[test]
    fn a_path_ends_with_the_name_whatever_stands_behind_it() {
        for (path, name) in [
            ("hosts", "hosts"),
            (
                "a::b::<impl a::Store>::expose::{{closure}}::{{closure}}",
                "expose",
            ),
            ("a::walk<u8>::{{closure}}", "walk"),
            (
                "a::<impl a::Store>::walk<b::Out, c::In<d::E>>::{{closure}}::{{closure}}",
                "walk",
            ),
            ("a::walk::{closure#0}", "walk"),
        ] {
            assert_eq!(method(path), name, "{path}");
        }
    }
}
