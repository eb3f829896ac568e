//! What a configuration shows of whose its container is, and whether that is what is on record.

use proximity_domain::names::{Mac, Volid};
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

    /// The factors on record that were not shown. What was learned stands for the record, but never before a destroy: that
    /// waits for a person who identifies the guest anew.
    pub(super) fn lacks(&self, guest: &RecordedGuest, purpose: Purpose) -> Vec<&'static str> {
        let missing = self.missing(guest, &guest.net0_mac(), guest.rootfs_volid());
        match guest.learned().filter(|_| purpose == Purpose::Other) {
            Some(learned) if !missing.is_empty() => {
                let learned = &learned.shown;
                let marked = learned.marked;
                let now = self.missing(guest, &learned.net0_mac, Some(&learned.rootfs_volid));
                let unmarked = |factor: &&str| *factor == "mark" && !marked;
                now.into_iter().filter(|it| !unmarked(it)).collect()
            }
            Some(_) | None => missing,
        }
    }

    /// The mark of this guest, this MAC and this volume, as far as they were not shown.
    fn missing(
        &self,
        guest: &RecordedGuest,
        mac: &Mac,
        volume: Option<&Volid>,
    ) -> Vec<&'static str> {
        let mark = guest.native().is_none_or(|guest| {
            let mark = guest.identity.mark.to_string();
            let last = self.description.trim_end().lines().last();
            last.is_some_and(|line| line.contains(&mark))
        });
        let mac = self.net0.to_ascii_uppercase().contains(&mac.to_string());
        let volume = volume.is_none_or(|volid| {
            let shown = self.rootfs.split(',').next().unwrap_or_default();
            shown == volid.to_string()
        });
        let factors = [(mark, "mark"), (mac, "MAC"), (volume, "volume")];
        let missing = factors.into_iter().filter(|(shown, _)| !shown);
        missing.map(|(_, name)| name).collect()
    }
}

/// What a guest was looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To destroy it.
    Destroy,
    /// To change it, or to enter it.
    Other,
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
