//! Ways to spoil an entry so that it cannot be right any more: what its schema says is broken at a place that is drawn, what it says of
//! itself contradicts itself, or its text is no YAML.

use proximity_engine::catalog::schema;
use serde_json::{Map, Value, json};

use super::Good;
use crate::draw::Draw;

/// A text that breaks every rule that has an expression: it has a blank, odd signs and a control character.
const ODD: &str = "!! \u{7}\u{1b}[2J \u{202e}/../$(id)";
/// The name of a field that there is nowhere.
const NOBODY: &str = "nobody-knows-it";
/// Fields of the file that are one plain line in each entry.
const LINES: [&str; 5] = ["version", "category", "website", "license", "os_template"];

/// A spoilt entry, and in which way; `None` where the way that was drawn does not fit it.
pub(super) fn spoilt(good: &Good, draw: &mut Draw) -> Option<(&'static str, String)> {
    match draw.below(4) {
        0 => in_text(&good.text, draw),
        1 => {
            let mut tree = good.tree.clone();
            let way = contradict(&mut tree, draw)?;
            Some((way, written(&tree)))
        }
        _ => {
            let mut tree = good.tree.clone();
            let way = break_schema(&mut tree, draw)?;
            Some((way, written(&tree)))
        }
    }
}

/// JSON is YAML.
pub(super) fn written(tree: &Value) -> String {
    format!("{tree:#}\n")
}

/// A value of the tree and what the schema says of it.
struct Spot {
    pointer: String,
    schema: Value,
}

/// Breaks what the schema says of one value.
fn break_schema(tree: &mut Value, draw: &mut Draw) -> Option<&'static str> {
    let schema = schema();
    let mut spots = Vec::new();
    gather(tree, &schema["$defs"]["Entry"], &schema, "", &mut spots);
    let spot = spots.get(draw.below(spots.len()))?;
    let value = tree.pointer_mut(&spot.pointer)?;
    if spot.schema["enum"].is_array() {
        *value = json!("no-such-word");
        return Some("a word that there is not");
    }
    match spot.schema["type"].as_str() {
        Some("object") => break_object(value, &spot.schema, draw),
        Some("array") => break_list(value, &spot.schema, draw),
        Some("string") => Some(break_text(value, &spot.schema, draw)),
        Some("integer") => break_integer(value, &spot.schema, draw),
        Some("boolean") => {
            *value = json!("perhaps");
            Some("no yes and no no")
        }
        // One of several kinds of plain values.
        _ => {
            *value = json!([]);
            Some("a list for a value")
        }
    }
}

/// All values that the schema knows, but for the file as a whole.
fn gather(value: &Value, schema: &Value, root: &Value, pointer: &str, spots: &mut Vec<Spot>) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => {
            let name = name.trim_start_matches("#/$defs/");
            &root["$defs"][name]
        }
        None => schema,
    };
    spots.push(Spot {
        pointer: pointer.to_owned(),
        schema: schema.clone(),
    });
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = format!("{pointer}/{name}");
                gather(value, &schema["properties"][name], root, &below, spots);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                let below = format!("{pointer}/{at}");
                gather(value, &schema["items"], root, &below, spots);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn break_object(value: &mut Value, schema: &Value, draw: &mut Draw) -> Option<&'static str> {
    let fields = value.as_object_mut()?;
    match draw.below(4) {
        0 => {
            fields.insert(NOBODY.to_owned(), json!(1));
            Some("a field that nobody knows")
        }
        1 => {
            let required = schema["required"].as_array()?;
            let name = required.get(draw.below(required.len()))?.as_str()?;
            fields.remove(name)?;
            Some("a field that is missing")
        }
        2 => {
            let kinds = schema["oneOf"].as_array()?;
            let kind = kinds.get(draw.below(kinds.len()))?;
            let kind = kind["required"][0].as_str()?;
            if fields.contains_key(kind) {
                fields.remove(kind);
            } else {
                fields.insert(kind.to_owned(), json!({}));
            }
            Some("none or two of which there is one")
        }
        _ => {
            *value = json!(["a list"]);
            Some("a list for a map")
        }
    }
}

fn break_list(value: &mut Value, schema: &Value, draw: &mut Draw) -> Option<&'static str> {
    let items = value.as_array_mut()?;
    match draw.below(3) {
        0 => {
            let most = usize::try_from(schema["maxItems"].as_u64()?).ok()?;
            let first = items.first()?.clone();
            items.resize(most + 1, first);
            Some("too many items")
        }
        1 => {
            if schema["minItems"].as_u64()? == 0 {
                return None;
            }
            items.clear();
            Some("too few items")
        }
        _ => {
            *value = json!({"a": "map"});
            Some("a map for a list")
        }
    }
}

fn break_text(value: &mut Value, schema: &Value, draw: &mut Draw) -> &'static str {
    let most = schema["maxLength"].as_u64().unwrap_or(0);
    match draw.below(3) {
        0 if schema["pattern"].is_string() => {
            *value = json!(ODD);
            "a hostile text"
        }
        1 => {
            let most = usize::try_from(most).unwrap_or(0);
            *value = json!("a".repeat(most + 1));
            "a text that is too long"
        }
        _ => {
            *value = json!({"a": "map"});
            "a map for a text"
        }
    }
}

fn break_integer(value: &mut Value, schema: &Value, draw: &mut Draw) -> Option<&'static str> {
    let least = schema["minimum"].as_i64();
    let most = schema["maximum"].as_i64();
    *value = match (draw.below(3), least, most) {
        (0, Some(least), _) => json!(least.checked_sub(1)?),
        (1, _, Some(most)) => json!(most.checked_add(1)?),
        _ => json!("many"),
    };
    Some("a number that it cannot be")
}

/// A way in which an entry contradicts itself.
type Contradiction = fn(&mut Map<String, Value>) -> Option<()>;

const CONTRADICTIONS: [(&str, Contradiction); 13] = [
    ("a setting that there is not", |entry| {
        step(
            entry,
            json!({"file": {"path": "/srv/x", "escape": "plain", "content": "{{ settings.nobody }}"}}),
        )
    }),
    ("a setting that nothing uses", |entry| {
        setting(
            entry,
            json!({"name": "idle", "type": "boolean", "default": true, "help": "h"}),
        )
    }),
    ("two settings of one name", |entry| {
        let first = entry.get("settings")?.get(0)?.clone();
        setting(entry, first)
    }),
    ("less memory than it needs", |entry| {
        let memory = entry.get_mut("resources")?.get_mut("memory_mib")?;
        *memory = json!({"min": 1024, "default": 16});
        Some(())
    }),
    ("a shell", |entry| {
        step(
            entry,
            json!({"run": {"argv": ["/bin/sh", "-c", "id"], "creates": "/srv/x"}}),
        )
    }),
    ("a download that is held against nothing", |entry| {
        entry.remove("unpinned");
        step(
            entry,
            json!({"download": {"url": "https://example.org/x", "path": "/opt/x"}}),
        )
    }),
    (PORT, |entry| {
        if let Some(port) = entry.get_mut("port") {
            *port = json!(80);
            return Some(());
        }
        let port = entry.get_mut("ports")?.get_mut(0)?.get_mut("number")?;
        *port = json!(80);
        Some(())
    }),
    ("a setting shown by nobody", |entry| {
        let shown = json!({"name": "shy", "type": "boolean", "default": true, "help": "h",
            "shown_when": {"setting": "nobody", "equals": true}});
        setting(entry, shown)
    }),
    ("a service of root", |entry| {
        step(
            entry,
            json!({"unit": {"name": "x", "exec": ["/bin/true"], "user": "root"}}),
        )
    }),
    ("a template that ends too early", |entry| {
        step(
            entry,
            json!({"file": {"path": "/srv/x", "escape": "plain", "content": "{% if port %}"}}),
        )
    }),
    ("a secret for everybody", |entry| {
        setting(
            entry,
            json!({"name": "leak", "type": "secret", "required": true, "help": "h"}),
        )?;
        step(
            entry,
            json!({"file": {"path": "/srv/x", "escape": "plain", "content": "{{ settings.leak }}"}}),
        )
    }),
    ("a secret with a default", |entry| {
        setting(
            entry,
            json!({"name": "known", "type": "secret", "default": "admin", "help": "h"}),
        )
    }),
    ("two main ports", |entry| {
        let port = json!({"name": "twin", "number": 2222, "protocol": "tcp", "main": true});
        match entry.get_mut("ports") {
            Some(ports) => ports.as_array_mut()?.push(port),
            None => {
                entry.insert("ports".to_owned(), json!([port]));
            }
        }
        Some(())
    }),
];

/// The one way that only the rule for shipped entries sees.
const PORT: &str = "a port that takes rights";

fn contradict(tree: &mut Value, draw: &mut Draw) -> Option<&'static str> {
    let (way, make) = CONTRADICTIONS.get(draw.below(CONTRADICTIONS.len()))?;
    make(tree.as_object_mut()?)?;
    Some(way)
}

/// One more step.
fn step(entry: &mut Map<String, Value>, step: Value) -> Option<()> {
    entry.get_mut("install")?.as_array_mut()?.push(step);
    Some(())
}

/// One more setting.
fn setting(entry: &mut Map<String, Value>, setting: Value) -> Option<()> {
    entry.get_mut("settings")?.as_array_mut()?.push(setting);
    Some(())
}

/// Makes the text no YAML, or has it say one thing twice.
fn in_text(text: &str, draw: &mut Draw) -> Option<(&'static str, String)> {
    let name = LINES.get(draw.below(LINES.len()))?;
    let start = format!("{name}: ");
    let line = text.lines().find(|line| line.starts_with(&start))?;
    let value = line.strip_prefix(&start)?;
    let (way, instead) = match draw.below(8) {
        0 => ("a bracket that stays open", format!("{start}[{value}")),
        1 => ("a quote that stays open", format!("{start}\"{value}")),
        2 => ("a name that nothing has", format!("{start}*nowhere")),
        3 => ("a sign that begins nothing", format!("{start}@{value}")),
        4 => ("two values on one line", format!("{start}a: {value}")),
        5 => ("a field that is there twice", format!("{line}\n{line}")),
        6 => (
            "a list for a name",
            format!("{line}\n? [a, list]\n: {value}"),
        ),
        _ => {
            let (open, close) = ("[".repeat(40), "]".repeat(40));
            ("too deep", format!("{start}{open}{value}{close}"))
        }
    };
    Some((way, text.replacen(line, &instead, 1)))
}
