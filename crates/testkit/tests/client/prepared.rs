//! What prepared templates stand on: what a clone of a template is, and when the template can go.

use proximity_domain::destroy::{DestroyIntent, Quorate};
use proximity_domain::guest::Ownership;
use proximity_domain::network::Network;
use proximity_domain::operation::OperationKind;
use proximity_domain::prepared::{CloneStanding, clone_standing};
use proximity_pve::lxc::{CloneLxc, CloneOf, CloneShape, Feature};
use proximity_pve::task::TaskOutcome;

use crate::lab::{Hands, Lab, mark, net, operation, vmid};

/// A template with the number 101, and a linked clone of it with 103.
async fn linked(lab: &Lab) -> Hands {
    let hands = lab.hands();
    hands.create(101, "tank").await;
    let client = &hands.client;
    client.make_template(&lab.node, vmid(101)).await.unwrap();
    let copy = CloneLxc {
        vmid: vmid(103),
        hostname: "copy".parse().unwrap(),
        description: mark(103).described("made by a test"),
        pool: None,
        of: CloneOf::Template,
    };
    let upid = client.clone_lxc(&lab.node, vmid(101), copy).await;
    hands.done(upid.unwrap()).await;
    hands
}

fn shape() -> CloneShape {
    CloneShape {
        net0: net(103),
        network: Network::default(),
        memory_mib: 256,
        swap_mib: 0,
        cores: 2,
        onboot: true,
        protection: false,
    }
}

#[tokio::test]
async fn a_clone_shows_every_factor_once_it_has_its_address() {
    let lab = Lab::start().await;
    let hands = linked(&lab).await;
    let (at, id, client) = (&lab.node, vmid(103), &hands.client);
    let guest = hands.guest(103, None);
    let seen = hands.observed(103).await;
    let CloneStanding::Unaddressed {
        rootfs_volid,
        digest,
    } = clone_standing(&guest, &seen, true)
    else {
        panic!("{seen:?}");
    };
    let digest = digest.parse().unwrap();
    client.shape_clone(at, id, &shape(), &digest).await.unwrap();
    let stale = client.shape_clone(at, id, &shape(), &digest).await;
    assert!(stale.unwrap_err().is_digest_mismatch());
    let seen = hands.observed(103).await;
    let ours = Ownership::OwnedUnconfirmed { rootfs_volid };
    let standing = clone_standing(&guest, &seen, true);
    assert_eq!(standing, CloneStanding::Whole(ours));
    let config = hands.read.lxc_config(at, id).await.unwrap();
    assert_eq!((config.memory_mib, config.cores), (Some(256), Some(2)));
    assert!(config.onboot && !config.template);
}

/// Destroys a container that is ours, and tells how the task ended.
async fn destroyed(hands: &Hands, n: u32) -> TaskOutcome {
    let asked = DestroyIntent::RemovalRequested(operation());
    let verified = hands.verified(n).await;
    let permit = verified.permit(OperationKind::Remove, asked, Quorate(true));
    let upid = hands.client.destroy_lxc(permit.unwrap()).await;
    hands.outcome(&upid.unwrap()).await
}

#[tokio::test]
async fn a_template_stays_as_long_as_a_clone_shares_with_it() {
    let lab = Lab::start().await;
    let hands = linked(&lab).await;
    let (at, client) = (&lab.node, &hands.client);
    let links = hands.read.has_feature(at, vmid(101), Feature::Clone, None);
    assert!(links.await.unwrap());
    let held = destroyed(&hands, 101).await;
    assert!(
        matches!(&held, TaskOutcome::Failed(why) if why.contains("still in use by linked clones")),
        "{held:?}"
    );
    let seen = hands.observed(103).await;
    let digest = seen.digest.parse().unwrap();
    let shape = shape();
    let shaped = client.shape_clone(at, vmid(103), &shape, &digest);
    shaped.await.unwrap();
    assert_eq!(destroyed(&hands, 103).await, TaskOutcome::Ok);
    assert_eq!(destroyed(&hands, 101).await, TaskOutcome::Ok);
}
