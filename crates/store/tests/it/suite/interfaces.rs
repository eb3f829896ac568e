//! Network devices of guests, kept when they change.

use proximity_domain::ids::GuestId;
use proximity_domain::interface::GuestInterface;
use proximity_domain::time::Timestamp;
use proximity_store::interfaces::SeenInterfaces;

use super::world::{Make, World};

pub async fn are_kept_when_they_change(make: &impl Make) {
    let mut world = World::new(make).await;
    let (_, guest) = world.deployed("web", 105).await;
    let device = |address: &str| GuestInterface {
        name: "eth0".to_owned(),
        mac: Some(guest.identity.net0_mac),
        addresses: vec![address.parse().unwrap()],
    };
    let store = &world.store;
    assert_eq!(store.interfaces(guest.id).await.unwrap(), None);
    let now = world.at();
    let first = [device("10.0.0.5")];
    let noted = store.note_interfaces(guest.id, &first, now).await;
    assert!(noted.unwrap());
    let later = Timestamp(now.0 + 1_000);
    let again = store.note_interfaces(guest.id, &first, later).await;
    assert!(!again.unwrap(), "the same is no news");
    let seen = |interfaces: &[GuestInterface], since| {
        Some(SeenInterfaces {
            interfaces: interfaces.to_vec(),
            since,
        })
    };
    let kept = store.interfaces(guest.id).await.unwrap();
    assert_eq!(kept, seen(&first, now));
    let second = [device("10.0.0.6"), device("fd00::6")];
    for (shown, at) in [(&second[..], later), (&[], Timestamp(later.0 + 1))] {
        let noted = store.note_interfaces(guest.id, shown, at).await;
        assert!(noted.unwrap());
        let kept = store.interfaces(guest.id).await.unwrap();
        assert_eq!(kept, seen(shown, at));
    }
    let stranger = GuestId(world.id());
    let unknown = world.store.note_interfaces(stranger, &first, later).await;
    assert!(!unknown.unwrap());
    world.assert_sound().await;
}
