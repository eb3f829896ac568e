//! Compares a recorded value with ours, as the recordings' README says.

use serde_json::{Map, Value};

/// Keys that identify a list's elements.
const IDENTITIES: [&str; 22] = [
    "vmid", "id", "volid", "upid", "key", "userid", "poolid", "roleid", "groupid", "tokenid",
    "realm", "sid", "ugid", "path", "metric", "storage", "node", "iface", "name", "subdir", "type",
    "n",
];
/// Stand for values of the recorded cluster that are not in the recording.
const PLACEHOLDERS: [&str; 7] = [
    "TOKEN",
    "TICKET",
    "HALF_TICKET",
    "CSRF",
    "PASSWORD",
    "KERNEL",
    "CPU",
];
/// What a lagging row shows for certain.
const PROMPT: [&str; 7] = ["id", "type", "vmid", "node", "pool", "tags", "lock"];

/// Differences in one step's answer.
pub struct Comparison<'a> {
    volatile: &'a [String],
    /// Lists were cut while recording: only the shapes of rows count.
    pub rows_only: bool,
    pub differences: Vec<String>,
}

impl<'a> Comparison<'a> {
    pub fn new(volatile: &'a [String]) -> Self {
        Self {
            volatile,
            rows_only: false,
            differences: Vec::new(),
        }
    }

    pub fn differ(&mut self, place: &str, text: impl AsRef<str>) {
        self.differences.push(format!("{place}: {}", text.as_ref()));
    }

    /// The place is volatile, with this suffix (`""`, `"#lag"` …).
    pub fn is_volatile(&self, place: &str, suffix: &str) -> bool {
        self.volatile.iter().any(|pattern| {
            let (path, found) = pattern
                .split_once('#')
                .map_or((pattern.as_str(), ""), |(path, rest)| (path, rest));
            found == suffix.trim_start_matches('#') && fits(path, place)
        })
    }

    pub fn text(&mut self, place: &str, recorded: &Value, ours: &Value) {
        if !self.is_volatile(place, "") && recorded != ours {
            self.differ(place, format!("recorded {recorded}, ours {ours}"));
        }
    }

    /// A text that may name process ids, temporary files or text of the resolver: those parts are
    /// not compared. A placeholder of the recording stands for any text.
    pub fn message(&mut self, place: &str, recorded: &Value, ours: &Value) {
        match (recorded, ours) {
            (Value::String(recorded), Value::String(ours)) if steady(recorded) == steady(ours) => {}
            _ => self.text(place, recorded, ours),
        }
    }

    pub fn value(&mut self, place: &str, recorded: &Value, ours: &Value) {
        if std::mem::discriminant(recorded) != std::mem::discriminant(ours) {
            return self.differ(place, format!("recorded {recorded}, ours {ours}"));
        }
        if self.is_volatile(place, "") {
            return;
        }
        match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => self.object(place, recorded, ours),
            (Value::Array(recorded), Value::Array(ours)) => self.array(place, recorded, ours),
            (Value::String(recorded), Value::String(ours))
                if self.is_volatile(place, "#hwaddr") =>
            {
                if without_hwaddr(recorded) != without_hwaddr(ours)
                    || !ours.contains("hwaddr=BC:24:11:")
                {
                    self.differ(place, format!("recorded {recorded}, ours {ours}"));
                }
            }
            (Value::String(recorded), Value::String(ours)) if self.is_volatile(place, "#set") => {
                if elements(recorded) != elements(ours) {
                    self.differ(place, format!("recorded {recorded}, ours {ours}"));
                }
            }
            (Value::String(recorded), Value::String(ours))
                if PLACEHOLDERS.contains(&recorded.as_str()) && !ours.is_empty() => {}
            // 0 and 0.0 are the same number to a client.
            (Value::Number(recorded), Value::Number(ours))
                if recorded.as_f64() == ours.as_f64() => {}
            _ if recorded == ours => {}
            _ => self.differ(place, format!("recorded {recorded}, ours {ours}")),
        }
    }

    fn object(&mut self, place: &str, recorded: &Map<String, Value>, ours: &Map<String, Value>) {
        for (key, value) in recorded {
            let inner = format!("{place}/{key}");
            match ours.get(key) {
                Some(found) => self.value(&inner, value, found),
                None if self.is_volatile(&inner, "") => {}
                None => self.differ(&inner, "is missing"),
            }
        }
        for key in ours.keys().filter(|key| !recorded.contains_key(*key)) {
            let inner = format!("{place}/{key}");
            if !self.is_volatile(&inner, "") {
                self.differ(&inner, "is not in the recording");
            }
        }
    }

    fn array(&mut self, place: &str, recorded: &[Value], ours: &[Value]) {
        if self.rows_only || self.is_volatile(place, "#len") {
            return self.rows_alike(place, recorded, ours);
        }
        if recorded.len() != ours.len() {
            return self.differ(
                place,
                format!(
                    "recorded {} rows, ours {}: {ours:?}",
                    recorded.len(),
                    ours.len()
                ),
            );
        }
        let lagging = self.lags(place);
        for (at, row) in recorded.iter().enumerate() {
            let inner = format!("{place}/{at}");
            let Some(found) = self.partner(&inner, row, ours, at) else {
                self.differ(&inner, format!("no row like {row}"));
                continue;
            };
            if lagging && is_guest(row) {
                self.prompt(&inner, row, found);
            } else {
                self.value(&inner, row, found);
            }
        }
    }

    /// The suffix may stand at the list or at what contains it.
    fn lags(&self, place: &str) -> bool {
        let above = place.rsplit_once('/').map_or(place, |(above, _)| above);
        self.is_volatile(place, "#lag") || self.is_volatile(above, "#lag")
    }

    /// Our row for a recorded one: the one that shares most of what identifies it; of several the one
    /// at the same place.
    fn partner<'v>(
        &self,
        place: &str,
        row: &Value,
        ours: &'v [Value],
        at: usize,
    ) -> Option<&'v Value> {
        let steady = |key: &&&str| {
            row.get(**key).is_some() && !self.is_volatile(&format!("{place}/{key}"), "")
        };
        let keys: Vec<&&str> = IDENTITIES.iter().filter(steady).collect();
        let score = |other: &Value| keys.iter().filter(|key| other[**key] == row[**key]).count();
        let best = ours.iter().map(score).max().unwrap_or_default();
        if best == 0 && !keys.is_empty() {
            return None;
        }
        ours.get(at)
            .filter(|other| score(other) == best)
            .or_else(|| ours.iter().find(|other| score(other) == best))
    }

    fn prompt(&mut self, place: &str, recorded: &Value, ours: &Value) {
        for key in PROMPT {
            self.text(&format!("{place}/{key}"), &recorded[key], &ours[key]);
        }
        let known = ["running", "stopped", "unknown"];
        if !known.contains(&ours["status"].as_str().unwrap_or_default()) {
            self.differ(place, "has no status");
        }
        let named = ours.get("name").is_some();
        if named == (ours["status"] == "unknown") {
            self.differ(place, "an unknown guest has no name, any other has one");
        }
    }

    /// How many rows there are depends on history; each of ours must look like one of the recorded.
    fn rows_alike(&mut self, place: &str, recorded: &[Value], ours: &[Value]) {
        let shape = |row: &Value| {
            row.as_object()
                .map(|fields| fields.keys().cloned().collect::<Vec<_>>())
        };
        for (at, row) in ours.iter().enumerate() {
            if !recorded.iter().any(|other| shape(other) == shape(row)) {
                self.differ(
                    &format!("{place}/{at}"),
                    format!("no recorded row has these keys: {row}"),
                );
            }
        }
    }
}

/// A message without its variable parts.
fn steady(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(".tmp.") {
        let end = at + ".tmp.".len();
        out.push_str(&rest[..end]);
        rest = rest[end..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out.push_str(rest);
    match out.find("failed to get address info for") {
        Some(at) => out[..at].to_owned(),
        None => out,
    }
}

fn is_guest(row: &Value) -> bool {
    row["id"].as_str().is_some_and(|id| id.starts_with("lxc/"))
}

fn fits(pattern: &str, place: &str) -> bool {
    let (mut pattern, mut place) = (pattern.split('/'), place.split('/'));
    loop {
        match (pattern.next(), place.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == "*" || wanted == found => {}
            (_, _) => return false,
        }
    }
}

fn without_hwaddr(net: &str) -> Vec<&str> {
    net.split(',')
        .filter(|part| !part.starts_with("hwaddr="))
        .collect()
}

fn elements(list: &str) -> std::collections::BTreeSet<&str> {
    list.split(',').collect()
}
