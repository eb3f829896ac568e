//! Macros: rules of several parts by a name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

static TEXT: &str = include_str!("../../../assets/firewall-macros.txt");

/// By names in small letters.
static MACROS: LazyLock<BTreeMap<String, Macro>> = LazyLock::new(|| {
    let lines = TEXT.lines().filter(|line| !line.starts_with('#'));
    let all = lines.filter_map(Macro::parse);
    all.map(|found| (found.name.to_lowercase(), found))
        .collect()
});

/// What a part of a macro says.
type Part = BTreeMap<&'static str, &'static str>;

/// A macro.
#[derive(Debug, Clone)]
pub(super) struct Macro {
    /// As it is written.
    pub(super) name: &'static str,
    /// The only version of IP it is for.
    version: Option<u8>,
    parts: Vec<Part>,
    /// Its parts where they are others for IPv6.
    parts_v6: Vec<Part>,
}

/// By name, large or small.
pub(super) fn find(name: &str) -> Option<&'static Macro> {
    MACROS.get(&name.to_lowercase())
}

fn parts(text: &'static str) -> Vec<Part> {
    let parts = text.split("; ").filter(|part| !part.is_empty());
    let words = |part: &'static str| {
        let words = part.split_whitespace();
        words.filter_map(|word| word.split_once('=')).collect()
    };
    parts.map(words).collect()
}

impl Macro {
    fn parse(line: &'static str) -> Option<Self> {
        let mut columns = line.split('|');
        Some(Self {
            name: columns.next()?,
            version: columns.next()?.parse().ok(),
            parts: parts(columns.next()?),
            parts_v6: parts(columns.next()?),
        })
    }

    /// What a rule with this macro lacks, or says otherwise than the macro.
    pub(super) fn clash(
        &self,
        given: &BTreeMap<String, String>,
        version: Option<u8>,
    ) -> Option<(String, String)> {
        if version.is_some() && self.version.is_some() && version != self.version {
            return None;
        }
        let v6 = version == Some(6) && !self.parts_v6.is_empty();
        let parts = if v6 { &self.parts_v6 } else { &self.parts };
        parts.iter().find_map(|part| self.clash_of(part, given))
    }

    fn clash_of(&self, part: &Part, given: &BTreeMap<String, String>) -> Option<(String, String)> {
        let mut used = Vec::new();
        for (key, value) in part {
            let asked = match *value {
                "PARAM" => key,
                "DEST" => "dest",
                "SOURCE" => "source",
                _ => continue,
            };
            used.push(asked);
            if !given.contains_key(asked) {
                let text = format!("missing parameter '{key}' in macro '{}'", self.name);
                return Some(("macro".into(), text));
            }
        }
        given.iter().find_map(|(key, value)| {
            let fixed = part
                .get(key.as_str())
                .filter(|_| !used.contains(&key.as_str()))?;
            (fixed != value).then(|| {
                let text = format!("parameter '{key}' already define in macro (value = '{fixed}')");
                (key.clone(), text)
            })
        })
    }
}
