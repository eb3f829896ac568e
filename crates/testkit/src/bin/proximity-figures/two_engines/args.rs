//! `name=value` arguments.

use std::collections::BTreeMap;
use std::str::FromStr;

/// Arguments by name.
#[derive(Debug, Clone)]
pub(super) struct Args(BTreeMap<String, String>);

impl Args {
    pub(super) fn parse(words: &[String]) -> Result<Self, String> {
        let pair = |word: &String| {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word}: not name=value"))?;
            Ok((name.to_owned(), value.to_owned()))
        };
        Ok(Self(words.iter().map(pair).collect::<Result<_, String>>()?))
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("{name}= is missing"))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.text(name)?;
        text.parse()
            .map_err(|_| format!("{name}={text}: no number"))
    }
}
