//! A range of ports as written in the configuration: `8100-8999`.

use std::fmt;
use std::str::FromStr;

use proximity_domain::ports::PortRange;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `FIRST-LAST`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range(pub(crate) PortRange);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.first, self.0.last)
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |part: &str| part.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let ends = text
            .split_once('-')
            .and_then(|(first, last)| Some((port(first)?, port(last)?)));
        match ends {
            Some((first, last)) if first <= last => Ok(Self(PortRange { first, last })),
            Some(_) | None => Err(format!(
                "{text:?} is no range of ports: write FIRST-LAST, e.g. 8100-8999"
            )),
        }
    }
}

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
