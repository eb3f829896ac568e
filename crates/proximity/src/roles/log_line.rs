//! How a log line looks as JSON: one object, with the fields of all spans around it beside its own.

use std::fmt;
use std::io::{self, Write};

use proximity_domain::time::Clock;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::clock::SystemClock;

/// Formats events as JSON. `operation`, `app` and `request_id` of the spans stand beside the event's own fields, so that
/// one search finds every line of an operation; a field of the event goes before one of a span.
#[derive(Debug)]
pub(crate) struct JsonLine(pub(crate) SystemClock);

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Map::new();
        let at = jiff::Timestamp::from_millisecond(self.0.now().0).unwrap_or_default();
        fields.insert("at".to_owned(), at.to_string().into());
        let about = event.metadata();
        let level = about.level().as_str().to_ascii_lowercase();
        fields.insert("level".to_owned(), level.into());
        fields.insert("target".to_owned(), about.target().into());
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            let extensions = span.extensions();
            let Some(kept) = extensions.get::<FormattedFields<N>>() else {
                continue;
            };
            if let Ok(Value::Object(of_span)) = serde_json::from_str(&kept.fields) {
                fields.extend(of_span);
            }
        }
        event.record(&mut Kept(&mut fields));
        let line = serde_json::to_string(&fields).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

/// Keeps the values of an event's fields.
struct Kept<'a>(&'a mut Map<String, Value>);

impl Kept<'_> {
    fn keep(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Kept<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.keep(field, value.to_string());
    }
}

/// Keeps a log line on one line: what others said is quoted in it, line ends and all. A line that cannot be written is
/// lost: nobody is there to be told, and a log never ends the program.
#[derive(Debug)]
pub(crate) struct OneLine<W>(pub(crate) W);

impl<W: Write> Write for OneLine<W> {
    /// Takes one whole line, as the subscriber gives it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (text, end) = match line.strip_suffix(b"\n") {
            Some(text) => (text, &b"\n"[..]),
            None => (line, &b""[..]),
        };
        if !text.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            let _ = self.0.write_all(line);
            return Ok(line.len());
        }
        let mut safe = Vec::with_capacity(line.len() + 16);
        for byte in text {
            match byte {
                b'\n' => safe.extend_from_slice(b"\\n"),
                b'\r' => safe.extend_from_slice(b"\\r"),
                other => safe.push(*other),
            }
        }
        safe.extend_from_slice(end);
        let _ = self.0.write_all(&safe);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    #[test]
    fn the_fields_of_all_spans_are_on_every_line() {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(JsonLine(SystemClock::new()))
            .fmt_fields(JsonFields::new())
            .with_writer(move || OneLine(writer.clone()));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let outer =
                tracing::info_span!("operation", operation = "o1", app = "a1", request_id = "r1");
            let _outer = outer.enter();
            let inner = tracing::info_span!("step", step = "start");
            let _inner = inner.enter();
            tracing::warn!(code = 7, why = "two\nlines", "it said: {}", "a\r\nb");
        });
        let lines = kept.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        for (name, value) in [
            ("level", "warn"),
            ("operation", "o1"),
            ("app", "a1"),
            ("request_id", "r1"),
            ("step", "start"),
            ("why", "two\nlines"),
            ("message", "it said: a\r\nb"),
        ] {
            assert_eq!(line[name], value, "{line}");
        }
        assert_eq!(line["code"], 7);
    }

    #[test]
    fn a_writer_that_takes_nothing_is_no_error() {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        assert_eq!(OneLine(&full).write(b"line\n").unwrap(), 5);
    }

    #[test]
    fn a_line_for_people_stays_one_line() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || OneLine(writer.clone()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("first\nsecond");
            tracing::info!("third");
        });
        let lines = kept.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("first\\nsecond"), "{}", lines[0]);
    }
}
