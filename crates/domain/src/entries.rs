//! Entries of the catalog: how people find one, and what differs between two texts of one. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// Repositories with entries of an installation, at most.
pub const MOST_ENTRY_SOURCES: usize = 50;
/// Words of a search that count, at most; the others are passed over.
pub const MOST_WORDS: usize = 16;
/// Fields of one entry that are told to differ, at most.
pub const MOST_CHANGES: usize = 200;

/// What people look for an entry by.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it is, one line.
    pub summary: &'a str,
    /// The same, as long as needed.
    pub description: &'a str,
    /// Its category.
    pub category: &'a str,
    /// Words to find it by.
    pub tags: &'a [String],
}

/// How well an entry fits what is looked for, the more the better; `None`: a word of it is nowhere in the entry. Whether letters are large
/// or small does not count. Without a word everything fits the same.
///
/// A word counts once, where it counts most: as the id, a word of the name, a tag or the category; as the beginning of id or name; inside
/// of one of these; in the summary; in the description.
#[must_use]
pub fn rank(search: &str, of: Described<'_>) -> Option<u32> {
    let search = search.to_lowercase();
    let words = search.split_whitespace().take(MOST_WORDS);
    let low = Lowered::of(of);
    words.map(|word| low.weight(word)).sum()
}

/// The same in small letters.
struct Lowered {
    id: String,
    name: String,
    summary: String,
    description: String,
    category: String,
    tags: Vec<String>,
}

impl Lowered {
    fn of(of: Described<'_>) -> Self {
        Self {
            id: of.id.to_lowercase(),
            name: of.name.to_lowercase(),
            summary: of.summary.to_lowercase(),
            description: of.description.to_lowercase(),
            category: of.category.to_lowercase(),
            tags: of.tags.iter().map(|tag| tag.to_lowercase()).collect(),
        }
    }

    fn weight(&self, word: &str) -> Option<u32> {
        let is_tag = |tag: &String| tag == word;
        let has = |text: &String| text.contains(word);
        let rules = [
            (self.id == word, 64),
            (self.name.split_whitespace().any(|part| part == word), 48),
            (self.tags.iter().any(is_tag), 40),
            (self.category == word, 32),
            (self.id.starts_with(word) || self.name.starts_with(word), 24),
            (has(&self.id) || has(&self.name), 16),
            (self.tags.iter().any(has) || has(&self.category), 8),
            (has(&self.summary), 4),
            (has(&self.description), 1),
        ];
        rules
            .into_iter()
            .find_map(|(is_so, weight)| is_so.then_some(weight))
    }
}

/// A field that two texts of an entry have differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryChange {
    /// Where it is, e.g. `resources.memory_mib.min` or `install[2].apt`.
    pub path: String,
    /// As it was; `None` = it was not there.
    pub from: Option<Value>,
    /// As it is; `None` = it is not there any more.
    pub to: Option<Value>,
}

/// What differs, field by field and in the order of the fields' names; of what is in a list by its position. No more than
/// [`MOST_CHANGES`], with how many are left out.
#[must_use]
pub fn changes(from: &Value, to: &Value) -> (Vec<EntryChange>, usize) {
    let mut told = Vec::new();
    let mut all = 0;
    compare(String::new(), Some(from), Some(to), &mut |change| {
        all += 1;
        if told.len() < MOST_CHANGES {
            told.push(change);
        }
    });
    let left_out = all - told.len();
    (told, left_out)
}

fn compare(
    path: String,
    from: Option<&Value>,
    to: Option<&Value>,
    tell: &mut dyn FnMut(EntryChange),
) {
    match (from, to) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let inner = match path.is_empty() {
                    true => name.clone(),
                    false => format!("{path}.{name}"),
                };
                compare(inner, before.get(name), after.get(name), tell);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for at in 0..before.len().max(after.len()) {
                let inner = format!("{path}[{at}]");
                compare(inner, before.get(at), after.get(at), tell);
            }
        }
        _ if from == to => {}
        _ => tell(EntryChange {
            path,
            from: from.cloned(),
            to: to.cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn entry<'a>(id: &'a str, tags: &'a [String]) -> Described<'a> {
        Described {
            id,
            name: "Mosquitto Broker",
            summary: "Passes messages on",
            description: "For sensors that talk MQTT.",
            category: "messaging",
            tags,
        }
    }

    #[test]
    fn every_word_has_to_be_there_and_counts_where_it_counts_most() {
        let tags = ["iot".to_owned()];
        let ranked = |search: &str| rank(search, entry("mosquitto", &tags));
        let order = [
            "MOSQUITTO",
            "broker",
            "iot",
            "messaging",
            "mosq",
            "quit",
            "messag",
            "passes",
            "sensors",
        ];
        let weights: Vec<Option<u32>> = order.iter().map(|word| ranked(word)).collect();
        assert!(weights.iter().all(Option::is_some), "{weights:?}");
        assert!(weights.windows(2).all(|two| two[0] > two[1]), "{weights:?}");
        assert_eq!(ranked("mosquitto nowhere"), None);
        assert!(ranked("iot broker") > ranked("iot"));
        assert_eq!(ranked("  "), Some(0));
    }

    #[test]
    fn what_differs_is_told_field_by_field() {
        let from =
            json!({"version": "1", "ports": [1, 2], "health": {"tcp": {"port": 1}}, "gone": true});
        let to = json!({"version": "2", "ports": [1, 3, 4], "health": {"tcp": {"port": 1}}, "new": {"a": 1}});
        let (told, left_out) = changes(&from, &to);
        let change = |path: &str, from: Option<Value>, to: Option<Value>| EntryChange {
            path: path.to_owned(),
            from,
            to,
        };
        let expected = [
            change("gone", Some(json!(true)), None),
            change("new", None, Some(json!({"a": 1}))),
            change("ports[1]", Some(json!(2)), Some(json!(3))),
            change("ports[2]", None, Some(json!(4))),
            change("version", Some(json!("1")), Some(json!("2"))),
        ];
        assert_eq!((told.as_slice(), left_out), (&expected[..], 0));
    }

    #[test]
    fn of_very_many_the_first_are_told_and_the_others_counted() {
        let from: Vec<u32> = (0..500).collect();
        let to: Vec<u32> = (1..501).collect();
        let (told, left_out) = changes(&json!(from), &json!(to));
        assert_eq!((told.len(), left_out), (MOST_CHANGES, 500 - MOST_CHANGES));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3_u8).prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_differs_of_the_same_and_something_of_another(one in value(), two in value()) {
            prop_assert!(changes(&one, &one).0.is_empty());
            let differ = !changes(&one, &two).0.is_empty();
            prop_assert_eq!(differ, one != two);
        }
    }
}
