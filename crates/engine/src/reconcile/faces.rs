//! What the looks show of recorded guests, kept between passes: one that shows another face may be another one.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use proximity_domain::ids::GuestId;
use proximity_domain::names::PoolName;
use proximity_domain::observe::Face;

/// The face, and a checksum of the pool, that each recorded guest showed last. In memory: after a restart nothing is taken from a list alone before its guest was
/// identified anew.
#[derive(Debug, Default)]
pub(super) struct Faces(HashMap<GuestId, (Face, u64)>);

impl Faces {
    /// A look shows this face and pool in the guest's place, or no face for now. False if what showed the last ones may not be
    /// what shows these.
    pub(super) fn note(
        &mut self,
        guest: GuestId,
        face: Option<Face>,
        pool: Option<&PoolName>,
    ) -> bool {
        let Some(face) = face else {
            return true;
        };
        let mut sum = DefaultHasher::new();
        pool.hash(&mut sum);
        let pool = sum.finish();
        match self.0.insert(guest, (face, pool)) {
            Some((before, its_pool)) => its_pool == pool && face.may_be(&before),
            None => true,
        }
    }

    /// Whether this face has other limits than the last one that was noted.
    pub(super) fn has_other_limits(&self, guest: GuestId, face: Option<Face>) -> bool {
        let before = self.0.get(&guest).map(|(before, _)| before.limits);
        face.zip(before)
            .is_some_and(|(face, before)| face.limits != before)
    }

    /// Forgets what is on record no more, once that is worth it.
    pub(super) fn keep(&mut self, on_record: usize, all: impl Iterator<Item = GuestId>) {
        if self.0.len() <= on_record.saturating_mul(2) {
            return;
        }
        let all: HashSet<GuestId> = all.collect();
        self.0.retain(|guest, _| all.contains(guest));
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::observe::ListedPower;
    use uuid::Uuid;

    use super::*;

    const FACE: Face = Face {
        words: 1,
        limits: 1,
        power: ListedPower::Running,
        uptime_s: 90,
        disk_mib: 1024,
        in_the_making: false,
    };

    fn guest(n: u128) -> GuestId {
        GuestId(Uuid::from_u128(n))
    }

    #[test]
    fn another_face_is_told_once_and_silence_hides_none() {
        let mut faces = Faces::default();
        assert!(faces.note(guest(1), Some(FACE), None));
        let other = Face { words: 2, ..FACE };
        assert!(faces.note(guest(2), Some(other), None), "each has its own");
        assert!(faces.note(guest(1), None, None));
        assert!(!faces.note(guest(1), Some(other), None), "unseen by us");
        assert!(faces.note(guest(1), Some(other), None));
        let ours: PoolName = "ours".parse().unwrap();
        assert!(!faces.note(guest(1), Some(other), Some(&ours)));
        assert!(faces.note(guest(1), Some(other), Some(&ours)));
    }

    #[test]
    fn other_limits_are_seen_once_and_make_no_other_face() {
        let mut faces = Faces::default();
        let larger = Face { limits: 2, ..FACE };
        assert!(!faces.has_other_limits(guest(1), Some(FACE)), "the first");
        faces.note(guest(1), Some(FACE), None);
        assert!(!faces.has_other_limits(guest(1), None));
        assert!(faces.has_other_limits(guest(1), Some(larger)));
        assert!(faces.note(guest(1), Some(larger), None));
        assert!(!faces.has_other_limits(guest(1), Some(larger)));
    }

    #[test]
    fn what_is_on_record_no_more_is_forgotten() {
        let mut faces = Faces::default();
        for n in 1..=3 {
            faces.note(guest(n), Some(FACE), None);
        }
        faces.keep(2, [guest(1), guest(2)].into_iter());
        assert_eq!(faces.0.len(), 3, "not worth it yet");
        faces.keep(1, [guest(1)].into_iter());
        assert_eq!(faces.0.keys().copied().collect::<Vec<_>>(), [guest(1)]);
    }
}
