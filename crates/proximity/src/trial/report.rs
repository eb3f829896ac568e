//! What `try --once` prints as its last line.

use serde::Serialize;

/// The report. Its shape is a promise: figures are taken from it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    /// What the guests are: `lxc` or `simulated`.
    pub(crate) guests: &'static str,
    /// The catalog entry.
    pub(crate) app: String,
    /// Where its page was fetched.
    pub(crate) url: String,
    /// Status of the page, through the public port.
    pub(crate) http_status: u16,
    /// The page holds the entry's marker, so that it is the app's own.
    pub(crate) body_marker: bool,
    /// Making the container template; near 0 when it was there.
    pub(crate) seconds_template: f64,
    /// From the accepted request (202) to the first page.
    pub(crate) seconds_to_200: f64,
    /// After `stop`, the public port refuses connections.
    pub(crate) stop_refuses: bool,
    /// After `start`, the page is there again.
    pub(crate) start_again_200: bool,
    /// After `remove`, the container is gone.
    pub(crate) removed: bool,
    /// What is still there at the end and should not be.
    pub(crate) leftovers: Vec<String>,
}

impl Report {
    /// What is not as it should be.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let promises = [
            (
                self.http_status == 200,
                format!("the page answered {}", self.http_status),
            ),
            (self.body_marker, "the page is not the app's own".to_owned()),
            (
                self.stop_refuses,
                "the public port still answers after stop".to_owned(),
            ),
            (
                self.start_again_200,
                "the page did not come back after start".to_owned(),
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

    fn good() -> Report {
        Report {
            guests: "lxc",
            app: "nginx".to_owned(),
            url: "http://127.0.0.1:8100/".to_owned(),
            http_status: 200,
            body_marker: true,
            seconds_template: 0.01,
            seconds_to_200: 7.25,
            stop_refuses: true,
            start_again_200: true,
            removed: true,
            leftovers: Vec::new(),
        }
    }

    #[test]
    fn the_shape_is_a_promise() {
        insta::assert_snapshot!(serde_json::to_string(&good()).unwrap());
    }

    #[test]
    fn each_broken_promise_is_a_complaint() {
        assert!(good().complaints().is_empty());
        let breaks: [fn(&mut Report); 6] = [
            |r| r.http_status = 502,
            |r| r.body_marker = false,
            |r| r.stop_refuses = false,
            |r| r.start_again_200 = false,
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
