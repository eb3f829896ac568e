use std::net::{IpAddr, SocketAddr};

use super::super::driver::tests::{Stand, key, refuses, spec, stand, talk};
use super::*;
use crate::core::guest::{GuestCommand, GuestOutcome, JobId};
use crate::sim::InsideOutcome;

const GET: &str = "GET / HTTP/1.0\r\n\r\n";

fn other(node: &str, vmid: u32) -> GuestKey {
    GuestKey {
        node: node.to_owned(),
        vmid,
    }
}

fn snapshot(name: &str) -> Kept {
    Kept::Snapshot(name.to_owned())
}

fn backup() -> Kept {
    Kept::Backup(VOLID.to_owned())
}

const VOLID: &str = "local:backup/vzdump-lxc-100-2026_11_20-10_20_15.tar.zst";

impl Stand {
    async fn change(&self, guest: GuestKey, change: GuestChange) -> Result<(), String> {
        let job = JobId(20);
        let done = self.command(GuestCommand::Change { job, guest, change });
        match done.await {
            Ok(_) => Ok(()),
            Err(GuestError::Failed(why)) => Err(why),
            Err(GuestError::TimedOut) => panic!("timed out"),
        }
    }

    /// Starts any guest and gives its address.
    async fn up(&self, guest: &GuestKey) -> SocketAddr {
        let (job, guest, spec) = (JobId(21), guest.clone(), spec("dhcp"));
        let start = GuestCommand::Start { job, guest, spec };
        let guest = start.guest().clone();
        self.command(start).await.unwrap();
        let inspect = GuestCommand::Inspect { job, guest };
        let Ok(GuestOutcome::Inspected(look)) = self.command(inspect).await else {
            panic!("no look")
        };
        let own = |address: &&(IpAddr, u8)| !address.0.is_loopback() || address.1 != 8;
        let addresses = look.interfaces.iter().flat_map(|net| &net.addresses);
        let found = addresses.into_iter().find(own).unwrap();
        SocketAddr::new(found.0, 8080)
    }

    async fn page(&self, at: SocketAddr) -> String {
        let answer = talk(at, GET).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        body.to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_is_a_guest_of_its_own() {
    let state = tempfile::tempdir().unwrap();
    let stand = stand(state.path()).await;
    let at = stand.serving().await;
    let clone = other("pve1", 200);
    let from = GuestSource::Guest(key());
    let spec = spec("dhcp");
    let copy = GuestChange::Copy { from, spec };
    stand.change(clone.clone(), copy.clone()).await.unwrap();
    stand.change(clone.clone(), copy).await.unwrap();
    let its = stand.up(&clone).await;
    assert_ne!(its, at);
    assert_eq!(stand.page(its).await, "hello", "its unit came up by itself");
    stand.write("/srv/www/index.html", "changed").await;
    assert_eq!(stand.page(at).await, "changed");
    assert_eq!(stand.page(its).await, "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_brings_the_disk_back_and_goes_with_its_guest() {
    let state = tempfile::tempdir().unwrap();
    let stand = stand(state.path()).await;
    let at = stand.serving().await;
    let kept = snapshot("before");
    stand
        .change(key(), GuestChange::Keep { kept })
        .await
        .unwrap();
    stand.write("/srv/www/index.html", "changed").await;
    let back = |name: &str| GuestChange::Rollback {
        snapshot: name.to_owned(),
    };
    let refused = stand.change(key(), back("before")).await.unwrap_err();
    assert_eq!(refused, "container '100' is running");
    stand.kill().await;
    let refused = stand.change(key(), back("never")).await.unwrap_err();
    assert_eq!(refused, "snapshot 'never' does not exist");
    stand.change(key(), back("before")).await.unwrap();
    assert!(refuses(at).await, "it does not run");
    assert_eq!(stand.up(&key()).await, at, "its address is the same");
    assert_eq!(stand.page(at).await, "hello");
    // A clone of the snapshot, not of what came after.
    stand.write("/srv/www/index.html", "later").await;
    let from = GuestSource::Snapshot(key(), "before".to_owned());
    let spec = spec("dhcp");
    let clone = other("pve1", 200);
    stand
        .change(clone.clone(), GuestChange::Copy { from, spec })
        .await
        .unwrap();
    let its = stand.up(&clone).await;
    assert_eq!(stand.page(its).await, "hello");
    let kept = vec![snapshot("before")];
    stand
        .change(key(), GuestChange::Drop { kept: kept.clone() })
        .await
        .unwrap();
    stand
        .change(key(), GuestChange::Drop { kept })
        .await
        .unwrap();
    stand.kill().await;
    assert!(stand.change(key(), back("before")).await.is_err());
    let kept = snapshot("last");
    stand
        .change(key(), GuestChange::Keep { kept })
        .await
        .unwrap();
    let (job, guest) = (JobId(22), key());
    stand
        .command(GuestCommand::Destroy { job, guest })
        .await
        .unwrap();
    assert!(!state.path().join("guests/pve1/100.snapshots").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_outlives_its_guest_and_is_restored_anywhere() {
    let state = tempfile::tempdir().unwrap();
    let stand = stand(state.path()).await;
    let at = stand.serving().await;
    stand
        .change(key(), GuestChange::Keep { kept: backup() })
        .await
        .unwrap();
    assert_eq!(stand.page(at).await, "hello", "it went on");
    let kept = snapshot("of-the-old-one");
    stand
        .change(key(), GuestChange::Keep { kept })
        .await
        .unwrap();
    stand.write("/srv/www/index.html", "changed").await;
    let restore = |node: &str| GuestChange::Copy {
        from: GuestSource::Backup {
            node: node.to_owned(),
            volid: VOLID.to_owned(),
        },
        spec: spec("dhcp"),
    };
    // Over the one that is there: what was kept of that one goes too.
    stand.kill().await;
    stand.change(key(), restore("pve1")).await.unwrap();
    assert_eq!(stand.up(&key()).await, at);
    assert_eq!(stand.page(at).await, "hello");
    assert!(!state.path().join("guests/pve1/100.snapshots").exists());
    stand.kill().await;
    let (job, guest) = (JobId(22), key());
    stand
        .command(GuestCommand::Destroy { job, guest })
        .await
        .unwrap();
    let there = other("pve2", 300);
    stand.change(there.clone(), restore("pve2")).await.unwrap();
    let its = stand.up(&there).await;
    assert_eq!(stand.page(its).await, "hello");
    let gone = GuestChange::Drop {
        kept: vec![backup()],
    };
    stand.change(key(), gone).await.unwrap();
    let refused = stand.change(other("pve2", 301), restore("pve2")).await;
    assert_eq!(
        refused.unwrap_err(),
        format!("volume '{VOLID}' does not exist")
    );
    assert_eq!(
        std::fs::read_dir(state.path().join("backups"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_moves_with_all_that_is_its_own() {
    let state = tempfile::tempdir().unwrap();
    let stand = stand(state.path()).await;
    let at = stand.serving().await;
    let to = GuestChange::Move {
        to: "pve2".to_owned(),
    };
    let refused = stand.change(key(), to.clone()).await.unwrap_err();
    assert_eq!(refused, "container '100' is running");
    let kept = snapshot("before");
    stand
        .change(key(), GuestChange::Keep { kept })
        .await
        .unwrap();
    stand.kill().await;
    stand.change(key(), to.clone()).await.unwrap();
    stand.change(key(), to).await.unwrap();
    let there = other("pve2", 100);
    assert_eq!(stand.up(&there).await, at);
    assert_eq!(stand.page(at).await, "hello");
    assert_eq!(
        std::fs::read_dir(state.path().join("guests/pve1"))
            .unwrap()
            .count(),
        0
    );
    assert!(
        state
            .path()
            .join("guests/pve2/100.snapshots/before.json")
            .exists()
    );
    let nowhere = GuestChange::Move {
        to: "pve3".to_owned(),
    };
    assert_eq!(
        stand.change(key(), nowhere).await.unwrap_err(),
        "there is no guest 100"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_guest_gets_other_limits_and_addresses() {
    let state = tempfile::tempdir().unwrap();
    let stand = stand(state.path()).await;
    let at = stand.serving().await;
    let apply = |spec: GuestSpec| GuestChange::Apply { spec };
    let mut larger = spec("dhcp");
    larger.memory_mib = 512;
    larger.hostname = "other".to_owned();
    stand.change(key(), apply(larger)).await.unwrap();
    assert_eq!(stand.page(at).await, "hello", "it goes on");
    let named = stand.exec(&["hostname"]).await;
    let InsideOutcome::Ended(named) = named else {
        panic!("{named:?}")
    };
    assert_eq!(named.stdout, b"web\n", "until it boots again");
    // Its device goes: nobody outside finds it any more.
    let mut without = spec("dhcp");
    without.nets.clear();
    stand.change(key(), apply(without)).await.unwrap();
    assert!(refuses(at).await);
    stand.change(key(), apply(spec("dhcp"))).await.unwrap();
    assert_eq!(stand.page(at).await, "hello");
    // What needs more than is left ends at once.
    let mut small = spec("dhcp");
    small.memory_mib = 1;
    stand.change(key(), apply(small)).await.unwrap();
    assert!(refuses(at).await);
}
