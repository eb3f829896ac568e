//! PVE's property strings: `name=eth0,bridge=vmbr0,ip=dhcp`.

use std::fmt;

/// One property string, its pairs in the order given. Reading is lenient: it keeps what it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PropertyString {
    pairs: Vec<(Option<String>, String)>,
}

impl PropertyString {
    /// Splits a property string; parts without `=` are kept as values of the default key.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs = text
            .split(',')
            .filter(|part| !part.is_empty())
            .map(|part| match part.split_once('=') {
                Some((key, value)) => (Some(key.to_owned()), value.to_owned()),
                None => (None, part.to_owned()),
            })
            .collect();
        Self { pairs }
    }

    /// The value of a key; `None` also if the key is there twice, for then nobody knows which one counts.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.only(|k| k == Some(key))
    }

    /// The value of the default key, under its name or without one.
    #[must_use]
    pub fn get_default(&self, name: &str) -> Option<&str> {
        self.only(|k| k.is_none() || k == Some(name))
    }

    fn only(&self, wanted: impl Fn(Option<&str>) -> bool) -> Option<&str> {
        let mut found = self.pairs.iter().filter(|(key, _)| wanted(key.as_deref()));
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value.as_str())
    }

    /// Adds a pair.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.pairs.push((Some(key.to_owned()), value.to_string()));
        self
    }
}

impl fmt::Display for PropertyString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, value)) in self.pairs.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if let Some(key) = key {
                write!(f, "{key}=")?;
            }
            f.write_str(value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_the_default_key_are_found() {
        let rootfs = PropertyString::parse("local:100/vm-100-disk-0.raw,size=4G");
        assert_eq!(
            rootfs.get_default("volume"),
            Some("local:100/vm-100-disk-0.raw")
        );
        assert_eq!(rootfs.get("size"), Some("4G"));
        let named = PropertyString::parse("size=4G,volume=local:100/x");
        assert_eq!(named.get_default("volume"), Some("local:100/x"));
        assert_eq!(rootfs.to_string(), "local:100/vm-100-disk-0.raw,size=4G");
    }

    #[test]
    fn a_key_given_twice_has_no_value() {
        let odd = PropertyString::parse("hwaddr=AA:BB:CC:DD:EE:FF,hwaddr=11:22:33:44:55:66");
        assert_eq!(odd.get("hwaddr"), None);
    }
}
