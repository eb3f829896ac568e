//! Reading systemd's unit files.

/// A unit file: keys with their values, by section, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UnitFile {
    entries: Vec<(String, String, String)>,
}

impl UnitFile {
    /// Reads a unit file. Lines that are no assignments are passed over, as systemd does with a warning.
    pub(crate) fn parse(text: &str) -> Self {
        let mut section = String::new();
        let mut entries = Vec::new();
        let mut pending = String::new();
        for line in text.lines() {
            let line = line.trim();
            if pending.is_empty() && (line.is_empty() || line.starts_with(['#', ';'])) {
                continue;
            }
            if let Some(begun) = line.strip_suffix('\\') {
                pending.push_str(begun);
                continue;
            }
            let whole = std::mem::take(&mut pending) + line;
            if let Some(name) = whole.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if let Some((key, value)) = whole.split_once('=') {
                entries.push((
                    section.clone(),
                    key.trim().to_owned(),
                    value.trim().to_owned(),
                ));
            }
        }
        Self { entries }
    }

    /// All values of a key; an empty assignment drops those before it.
    pub(crate) fn all(&self, section: &str, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for (_, _, value) in self
            .entries
            .iter()
            .filter(|(s, k, _)| s == section && k == key)
        {
            if value.is_empty() {
                values.clear();
            } else {
                values.push(value.as_str());
            }
        }
        values
    }

    /// The value that counts: the last one.
    pub(crate) fn one(&self, section: &str, key: &str) -> Option<&str> {
        self.all(section, key).last().copied()
    }

    pub(crate) fn has_section(&self, section: &str) -> bool {
        self.entries.iter().any(|(s, ..)| s == section)
    }
}

/// The words of a command line, quotes taken off; variables stay as they are. None when a quote has no end.
pub(crate) fn split_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        match (quote, sign) {
            (Some(open), sign) if sign == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (None, sign) if sign.is_whitespace() => words.extend(word.take()),
            (_, '\\') => word.get_or_insert_default().extend(signs.next()),
            (_, sign) => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_section_and_an_empty_one_resets() {
        let text = "[Service]\nExecStart=/a \\\n  b\nExecStart=\nExecStart=/c 'd e'\n# x=1\n[Install]\nWantedBy=m.target\n";
        let file = UnitFile::parse(text);
        assert_eq!(file.all("Service", "ExecStart"), ["/c 'd e'"]);
        assert_eq!(file.one("Install", "WantedBy"), Some("m.target"));
        assert!(file.has_section("Install") && file.one("Unit", "x").is_none());
    }

    #[test]
    fn words_lose_their_quotes() {
        let words = split_words(r#"/x -g 'a; b;' "c d" e\ f"#);
        assert_eq!(words.unwrap(), ["/x", "-g", "a; b;", "c d", "e f"]);
        assert_eq!(split_words("'open"), None);
    }
}
