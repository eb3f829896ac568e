//! What a configuration shows of whose its container is, and whether that is what is on record.

use proximity_domain::recorded::RecordedGuest;
use serde_json::Value;

/// The factors of an identity as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    description: String,
    net0: String,
    rootfs: String,
}

impl Shown {
    /// From an answer of PVE, if it is one.
    pub(super) fn of_answer(body: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let config = answer.get("data")?.as_object()?;
        let text = |key: &str| {
            let found = config.get(key).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        Some(Self {
            description: text("description"),
            net0: text("net0"),
            rootfs: text("rootfs"),
        })
    }

    /// The factors on record that were not shown.
    pub(super) fn lacks(&self, guest: &RecordedGuest) -> Vec<&'static str> {
        let mark = guest.native().is_none_or(|guest| {
            let mark = guest.identity.mark.to_string();
            let last = self.description.trim_end().lines().last();
            last.is_some_and(|line| line.contains(&mark))
        });
        let mac = guest.net0_mac().to_string();
        let mac = self.net0.to_ascii_uppercase().contains(&mac);
        let volume = guest.rootfs_volid().is_none_or(|volid| {
            let shown = self.rootfs.split(',').next().unwrap_or_default();
            shown == volid.to_string()
        });
        let factors = [(mark, "mark"), (mac, "MAC"), (volume, "volume")];
        let missing = factors.into_iter().filter(|(shown, _)| !shown);
        let mut missing: Vec<&'static str> = missing.map(|(_, name)| name).collect();
        // One that was learned stands for the one on record.
        if guest.learned().is_some() && missing.len() == 1 {
            missing.clear();
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_with_a_configuration_shows_anything() {
        assert_eq!(Shown::of_answer(b"{\"data\":null}"), None);
        assert_eq!(Shown::of_answer(b"no JSON"), None);
        let shown = Shown::of_answer(br#"{"data":{"net0":"name=eth0"}}"#).unwrap();
        assert_eq!(shown.net0, "name=eth0");
        assert_eq!(shown.rootfs, "");
    }
}
