//! Compares a recorded value with ours, as the recordings' README says.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::scenario::Unsaid;

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

/// What a row shows a while later; a guest that is not known yet has none of it.
const LATER: [&str; 15] = [
    "status",
    "name",
    "template",
    "uptime",
    "cpu",
    "maxcpu",
    "mem",
    "maxmem",
    "memhost",
    "disk",
    "maxdisk",
    "diskread",
    "diskwrite",
    "netin",
    "netout",
];

/// Differences in one step's answer.
pub struct Comparison<'a> {
    volatile: &'a [String],
    /// Lists were cut while recording: only the shapes of rows count.
    pub rows_only: bool,
    pub differences: Vec<String>,
    /// What the fixture leaves out.
    pub unsaid: Vec<Unsaid>,
    /// Places that were not compared for that.
    pub left_out: Vec<String>,
}

impl<'a> Comparison<'a> {
    pub fn new(volatile: &'a [String]) -> Self {
        Self {
            volatile,
            rows_only: false,
            differences: Vec::new(),
            unsaid: Vec::new(),
            left_out: Vec::new(),
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
        let alike = if self.is_volatile(place, "") {
            same_type(recorded, ours)
        } else {
            recorded == ours
        };
        if !alike {
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
        if !same_type(recorded, ours) {
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
                let made = ours
                    .split(',')
                    .find_map(|part| part.strip_prefix("hwaddr="));
                if without_hwaddr(recorded) != without_hwaddr(ours) || !made.is_some_and(is_made) {
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
            let found = ours.get(key);
            let silent = found.and_then(|found| self.leaves_out_size(recorded, key, found));
            match found {
                Some(_) if silent.is_some() => {
                    let why = silent.unwrap_or_default();
                    self.left_out.push(format!("{inner}: {why}"));
                }
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
            if let Some(why) = self.leaves_out(row, found) {
                self.left_out.push(format!("{inner}/1: {why}"));
            } else if lagging && is_guest(row) {
                self.prompt(&inner, row, found);
            } else {
                self.value(&inner, row, found);
            }
        }
    }

    /// Why the value of this line of a raw configuration is not compared; that there is one, is.
    fn leaves_out(&self, recorded: &Value, ours: &Value) -> Option<&'static str> {
        let key_of = |row: &Value| {
            let [Value::String(key), Value::String(_)] = row.as_array()?.as_slice() else {
                return None;
            };
            Some(key.clone())
        };
        let key = key_of(recorded).filter(|key| Some(key) == key_of(ours).as_ref())?;
        let silent = |unsaid: &&Unsaid| matches!(unsaid, Unsaid::Line(line) if *line == key);
        self.unsaid.iter().find(silent).map(Unsaid::why)
    }

    /// Why the size of the file that an object is about is not compared; that there is one, is.
    fn leaves_out_size(
        &self,
        file: &Map<String, Value>,
        key: &str,
        ours: &Value,
    ) -> Option<&'static str> {
        if !matches!(key, "size" | "used") || !file[key].is_u64() || !ours.is_u64() {
            return None;
        }
        let name = file.get("path")?.as_str()?.rsplit('/').next()?;
        let silent = |unsaid: &&Unsaid| match unsaid {
            Unsaid::SizeOf(file) => file == name,
            Unsaid::Archives => name.starts_with("vzdump-"),
            Unsaid::Line(_) => false,
        };
        self.unsaid.iter().find(silent).map(Unsaid::why)
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
        for (key, value) in recorded.as_object().into_iter().flatten() {
            let inner = format!("{place}/{key}");
            match ours.get(key) {
                Some(found) if same_type(value, found) => {}
                Some(found) => self.differ(&inner, format!("recorded {value}, ours {found}")),
                None if LATER.contains(&key.as_str()) || self.is_volatile(&inner, "") => {}
                None => self.differ(&inner, "is missing"),
            }
        }
        for key in ours.as_object().into_iter().flat_map(Map::keys) {
            let inner = format!("{place}/{key}");
            let known = recorded.get(key).is_some() || LATER.contains(&key.as_str());
            if !known && !self.is_volatile(&inner, "") {
                self.differ(&inner, "is not in the recording");
            }
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

    /// How many rows there are depends on history; each of ours must look like one of the recorded, and
    /// where some were recorded there must be one.
    fn rows_alike(&mut self, place: &str, recorded: &[Value], ours: &[Value]) {
        if ours.is_empty() && !recorded.is_empty() {
            return self.differ(
                place,
                format!("recorded {} rows, ours none", recorded.len()),
            );
        }
        for (at, row) in ours.iter().enumerate() {
            if !recorded.iter().any(|other| shape(other) == shape(row)) {
                self.differ(
                    &format!("{place}/{at}"),
                    format!("no recorded row has these keys and types: {row}"),
                );
            }
        }
    }
}

/// A value's type, of an object its keys and their types: `"100"` is not 100, but 0 is 0.0.
#[derive(PartialEq)]
enum Shape<'v> {
    Null,
    Bool,
    Number,
    Text,
    List,
    Fields(BTreeMap<&'v str, Shape<'v>>),
}

fn shape(value: &Value) -> Shape<'_> {
    match value {
        Value::Null => Shape::Null,
        Value::Bool(_) => Shape::Bool,
        Value::Number(_) => Shape::Number,
        Value::String(_) => Shape::Text,
        Value::Array(_) => Shape::List,
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.as_str(), shape(value)));
            Shape::Fields(fields.collect())
        }
    }
}

/// A message without its variable parts.
pub fn steady(text: &str) -> String {
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

/// Numbers of any kind are one type; a number and a numeric text are not.
fn same_type(one: &Value, other: &Value) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// A hardware address that PVE made up.
fn is_made(hwaddr: &str) -> bool {
    let pairs: Vec<&str> = hwaddr.split(':').collect();
    let digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    pairs.len() == 6
        && pairs.starts_with(&["BC", "24", "11"])
        && pairs
            .iter()
            .all(|pair| pair.len() == 2 && pair.bytes().all(digit))
}

fn without_hwaddr(net: &str) -> Vec<&str> {
    net.split(',')
        .filter(|part| !part.starts_with("hwaddr="))
        .collect()
}

fn elements(list: &str) -> std::collections::BTreeSet<&str> {
    list.split(',').collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Differences between lists whose length depends on history.
    fn differences(recorded: &Value, ours: &Value) -> Vec<String> {
        let volatile = ["/data#len".to_owned()];
        let mut comparison = Comparison::new(&volatile);
        comparison.value("/data", recorded, ours);
        comparison.differences
    }

    #[test]
    fn of_a_list_with_a_history_the_rows_have_to_be_alike() {
        let recorded = json!([{"vmid": 100, "name": "a"}, {"vmid": 101}]);
        for alike in [json!([{"vmid": 7}]), json!([{"vmid": 7.5, "name": "x"}])] {
            assert_eq!(differences(&recorded, &alike), [""; 0], "{alike}");
        }
        for (differs, why) in [
            (json!([]), "/data: recorded 2 rows, ours none"),
            (json!([{"vmid": "100"}]), "/data/0: no recorded row has"),
            (
                json!([{"vmid": 1}, {"name": "a"}]),
                "/data/1: no recorded row has",
            ),
            (json!([100]), "/data/0: no recorded row has"),
        ] {
            let found = differences(&recorded, &differs);
            assert!(found.len() == 1 && found[0].starts_with(why), "{found:?}");
        }
        assert_eq!(differences(&json!([]), &json!([])), [""; 0]);
        let nested = json!([{"n": {"cpu": 1}}]);
        assert_eq!(differences(&nested, &json!([{"n": {"cpu": "1"}}])).len(), 1);
    }

    fn lagging(ours: &Value) -> usize {
        let volatile = ["/data#lag".to_owned(), "/data/*/mem".to_owned()];
        let recorded =
            json!([{"id": "lxc/1", "vmid": 1, "status": "running", "name": "a", "mem": 5}]);
        let mut comparison = Comparison::new(&volatile);
        comparison.value("/data", &recorded, ours);
        comparison.differences.len()
    }

    #[test]
    fn a_row_that_lags_still_has_its_keys_and_types() {
        for alike in [
            json!([{"id": "lxc/1", "vmid": 1, "status": "unknown"}]),
            json!([{"id": "lxc/1", "vmid": 1, "status": "stopped", "name": "b", "cpu": 0}]),
        ] {
            assert_eq!(lagging(&alike), 0, "{alike}");
        }
        for differs in [
            json!([{"id": "lxc/1", "vmid": 1, "status": "running", "name": "a", "mem": "5"}]),
            json!([{"id": "lxc/1", "vmid": 1, "status": "running", "name": "a", "odd": 1}]),
            json!([{"id": "lxc/1", "vmid": 1, "status": "unknown", "name": "a"}]),
        ] {
            assert_eq!(lagging(&differs), 1, "{differs}");
        }
    }

    #[test]
    fn what_varies_keeps_its_type_and_form() {
        let volatile = ["/message".to_owned(), "/net0#hwaddr".to_owned()];
        let mut comparison = Comparison::new(&volatile);
        comparison.message("/message", &json!("a"), &json!("b"));
        let net = |hwaddr: &str| json!(format!("name=eth0,hwaddr={hwaddr}"));
        let recorded = net("BC:24:11:00:00:01");
        comparison.value("/net0", &recorded, &net("BC:24:11:0F:AA:01"));
        assert_eq!(comparison.differences, [""; 0]);
        comparison.message("/message", &json!("a"), &Value::Null);
        for wrong in ["BC:24:11:0F:AA", "bc:24:11:0f:aa:01", "02:24:11:0F:AA:01"] {
            comparison.value("/net0", &recorded, &net(wrong));
        }
        assert_eq!(comparison.differences.len(), 4);
    }

    /// Number of differences, and what was left out.
    fn with(unsaid: &[Unsaid], recorded: &Value, ours: &Value) -> (usize, usize) {
        let mut comparison = Comparison::new(&[]);
        comparison.unsaid = unsaid.to_vec();
        comparison.value("/data", recorded, ours);
        (comparison.differences.len(), comparison.left_out.len())
    }

    #[test]
    fn only_the_line_that_the_fixture_leaves_out_is_not_compared_and_that_is_told() {
        let recorded = json!([["lxc.init.uid", "0"], ["lxc.init.cwd", "/www"]]);
        let unsaid = [Unsaid::Line("lxc.init.cwd")];
        let other = json!([["lxc.init.uid", "0"], ["lxc.init.cwd", "/"]]);
        assert_eq!(with(&unsaid, &recorded, &other), (0, 1));
        assert_eq!(with(&[], &recorded, &other), (1, 0));
        for wrong in [
            json!([["lxc.init.uid", "1"], ["lxc.init.cwd", "/www"]]),
            json!([["lxc.init.uid", "0"], ["lxc.init.cwd", 1]]),
            json!([["lxc.init.uid", "0"], ["lxc.init.gid", "/www"]]),
            json!([["lxc.init.uid", "0"]]),
        ] {
            assert_eq!(with(&unsaid, &recorded, &wrong).0, 1, "{wrong}");
        }
    }

    #[test]
    fn only_the_size_that_the_fixture_leaves_out_is_not_compared_and_that_is_told() {
        let file = |name: &str, size: Value| json!({"path": format!("/a/{name}"), "size": size});
        let recorded = file("one.tar", json!(1_024));
        let unsaid = [Unsaid::SizeOf("one.tar".into())];
        let other = file("one.tar", json!(2_048));
        assert_eq!(with(&unsaid, &recorded, &other), (0, 1));
        assert_eq!(with(&[], &recorded, &other), (1, 0));
        assert_eq!(with(&unsaid, &recorded, &file("one.tar", json!("2"))).0, 1);
        let archive = |size| file("vzdump-lxc-1.tar", json!(size));
        assert_eq!(with(&[Unsaid::Archives], &archive(1), &archive(2)), (0, 1));
        assert_eq!(with(&unsaid, &archive(1), &archive(2)), (1, 0));
        let another = file("two.tar", json!(1));
        assert_eq!(with(&unsaid, &another, &file("two.tar", json!(2))), (1, 0));
    }
}
