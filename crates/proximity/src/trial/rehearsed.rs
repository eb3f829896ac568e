//! What `try --once --app` prints as its last line.

use serde::Serialize;

/// The report. Its shape is a promise: the test of the catalog is made of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Rehearsed {
    /// What the guests are: `lxc` or `simulated`.
    pub(crate) guests: &'static str,
    /// The catalog entry.
    pub(crate) app: String,
    /// Version of its recipe.
    pub(crate) version: String,
    /// What it is known by at its public port: `page`, with status and marker of its entry, or `connection`.
    pub(crate) sign: &'static str,
    /// After the deploy it answered there.
    pub(crate) answers: bool,
    /// From the accepted request (202) to that answer.
    pub(crate) seconds_to_answer: f64,
    /// After a restart of its container it answers again.
    pub(crate) answers_after_restart: bool,
    /// Files below `/etc` that are others after its recipe was carried out twice more, with another value of a setting and back;
    /// `null` where that was not looked at.
    pub(crate) changed: Option<Vec<String>>,
    /// It answers after that.
    pub(crate) answers_after_change: bool,
    /// After `stop`, the public port refuses connections.
    pub(crate) stop_refuses: bool,
    /// After `start`, it answers again.
    pub(crate) answers_after_start: bool,
    /// After `remove`, the container is gone.
    pub(crate) removed: bool,
    /// What is still there at the end and should not be.
    pub(crate) leftovers: Vec<String>,
}

impl Rehearsed {
    /// What is not as it should be.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let changed = self.changed.as_deref().unwrap_or_default();
        let promises = [
            (
                self.answers,
                format!("no {} of its own after the deploy", self.sign),
            ),
            (
                self.answers_after_restart,
                "it did not come back after a restart".to_owned(),
            ),
            (
                changed.is_empty(),
                format!(
                    "its recipe does not come out the same twice: {}",
                    changed.join(", ")
                ),
            ),
            (
                self.answers_after_change,
                "it did not come back after a change of settings".to_owned(),
            ),
            (
                self.stop_refuses,
                "the public port still answers after stop".to_owned(),
            ),
            (
                self.answers_after_start,
                "it did not come back after start".to_owned(),
            ),
            (
                self.removed,
                "the container is still there after remove".to_owned(),
            ),
            (
                self.leftovers.is_empty(),
                format!("left behind: {}", self.leftovers.join(", ")),
            ),
        ];
        promises
            .into_iter()
            .filter(|(kept, _)| !kept)
            .map(|(_, complaint)| complaint)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Rehearsed {
        Rehearsed {
            guests: "lxc",
            app: "redis".to_owned(),
            version: "1.0.0".to_owned(),
            sign: "connection",
            answers: true,
            seconds_to_answer: 12.5,
            answers_after_restart: true,
            changed: Some(Vec::new()),
            answers_after_change: true,
            stop_refuses: true,
            answers_after_start: true,
            removed: true,
            leftovers: Vec::new(),
        }
    }

    #[test]
    fn the_shape_is_a_promise() {
        let line = serde_json::to_string(&good()).unwrap();
        let promised = concat!(
            r#"{"guests":"lxc","app":"redis","version":"1.0.0","sign":"connection","answers":true,"#,
            r#""seconds_to_answer":12.5,"answers_after_restart":true,"changed":[],"answers_after_change":true,"#,
            r#""stop_refuses":true,"answers_after_start":true,"removed":true,"leftovers":[]}"#,
        );
        assert_eq!(line, promised);
    }

    #[test]
    fn each_broken_promise_is_a_complaint() {
        assert!(good().complaints().is_empty());
        let breaks: [fn(&mut Rehearsed); 8] = [
            |r| r.answers = false,
            |r| r.answers_after_restart = false,
            |r| r.changed = Some(vec!["etc/app.conf".to_owned()]),
            |r| r.answers_after_change = false,
            |r| r.stop_refuses = false,
            |r| r.answers_after_start = false,
            |r| r.removed = false,
            |r| r.leftovers.push("port 8100".to_owned()),
        ];
        for (place, spoil) in breaks.into_iter().enumerate() {
            let mut report = good();
            spoil(&mut report);
            assert_eq!(report.complaints().len(), 1, "{place}");
        }
    }
}
