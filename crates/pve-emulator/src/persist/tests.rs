use proptest::prelude::*;

use super::*;
use crate::core::{GuestConfig, NodeSeed, Power, TaskTimes, WorldSeed};

fn world() -> World {
    let node = NodeSeed {
        name: "solo".into(),
        address: "192.0.2.1".into(),
        cpus: 2,
        memory_bytes: 1 << 30,
        memory_used_bytes: 0,
        disk_bytes: 1 << 30,
        disk_used_bytes: 0,
        bridges: Vec::new(),
    };
    let seed = WorldSeed {
        cluster_name: None,
        nodes: vec![node],
        storages: Vec::new(),
        templates: Vec::new(),
        pools: Default::default(),
        tokens: Vec::new(),
        random: 0,
        times: TaskTimes::default(),
    };
    World::new(seed, 0)
}

fn guest(name: &str) -> Guest {
    let mut config = GuestConfig::default();
    config.keys.insert("hostname".into(), name.into());
    Guest {
        node: "solo".into(),
        config,
        power: Power::Stopped,
        snapshots: Default::default(),
        template: String::new(),
        created_ms: 0,
        broadcast: None,
        broadcast_ms: 0,
        row: None,
        scenery: false,
    }
}

fn volume(vmid: u32) -> Volume {
    Volume {
        storage: "local".into(),
        node: None,
        vmid,
        name: format!("{vmid}/vm-{vmid}-disk-0.raw"),
        size_bytes: 1,
        ctime_s: 0,
        blank: false,
    }
}

/// All of a world, to be compared.
fn whole(world: &World) -> serde_json::Value {
    serde_json::to_value(world).unwrap()
}

fn commit(writer: &mut Writer, world: &mut World) {
    if let Some(write) = writer.prepare(world).unwrap() {
        write.carry_out().unwrap();
    }
}

fn stored(directory: &Path) -> World {
    open(directory).unwrap().0.unwrap()
}

#[derive(Debug, Clone)]
enum Act {
    Put(u32, u8),
    Remove(u32),
    Move,
    Reseed(u8),
    Partition(bool),
    /// The process dies and another one begins.
    Restart,
    /// It dies while it writes a line; so many bytes of it are on disk.
    Torn(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (100..105_u32, any::<u8>()).prop_map(|(vmid, name)| Act::Put(vmid, name)),
        2 => (100..105_u32).prop_map(Act::Remove),
        1 => Just(Act::Move),
        2 => any::<u8>().prop_map(Act::Reseed),
        1 => any::<bool>().prop_map(Act::Partition),
        1 => Just(Act::Restart),
        1 => (0..400_usize).prop_map(Act::Torn),
    ]
}

proptest! {
    /// Whatever happens in whatever order: what was committed is what is read back.
    #[test]
    fn what_was_committed_is_read_back(acts in proptest::collection::vec(act(), 0..30)) {
        let directory = tempfile::tempdir().unwrap();
        let (_, mut writer) = open(directory.path()).unwrap();
        let mut world = world();
        commit(&mut writer, &mut world);
        for act in acts {
            match act {
                Act::Put(vmid, name) => {
                    world.guests.insert(vmid, guest(&format!("n{name}")));
                    world.volumes.push(volume(vmid));
                }
                Act::Remove(vmid) => world.forget_guest(vmid),
                Act::Move => world.volumes.change_where(|_| true, |volume| volume.size_bytes += 1),
                Act::Reseed(key) => world.set_key(format!("k{key}")),
                Act::Partition(true) => world.partition("solo", 1),
                Act::Partition(false) => world.heal("solo"),
                Act::Restart => {
                    let (read, again) = open(directory.path()).unwrap();
                    (world, writer) = (read.unwrap(), again);
                }
                Act::Torn(bytes) => {
                    let before = whole(&world);
                    world.guests.insert(999, guest("torn"));
                    if let Some(mut write) = writer.prepare(&mut world).unwrap()
                        && matches!(write.kind, Kind::Line { .. })
                        && bytes < write.bytes.len()
                    {
                        write.bytes.truncate(bytes);
                        write.carry_out().unwrap();
                        prop_assert_eq!(&whole(&stored(directory.path())), &before);
                    }
                    let (read, again) = open(directory.path()).unwrap();
                    (world, writer) = (read.unwrap(), again);
                }
            }
            commit(&mut writer, &mut world);
            prop_assert_eq!(whole(&stored(directory.path())), whole(&world));
        }
    }
}

/// A file that was in place when the process died, and a log of the one before: the log is not its own.
#[test]
fn a_log_of_another_file_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut writer) = open(directory.path()).unwrap();
    let mut world = world();
    commit(&mut writer, &mut world);
    world.guests.insert(100, guest("a"));
    commit(&mut writer, &mut world);
    let old = log(directory.path(), 1);
    let kept = fs::read(&old).unwrap();
    let (_, mut writer) = open(directory.path()).unwrap();
    world.guests.remove(&100);
    commit(&mut writer, &mut world);
    assert!(!old.exists());
    fs::write(&old, kept).unwrap();
    assert_eq!(whole(&stored(directory.path())), whole(&world));
    remove_logs(directory.path()).unwrap();
    assert!(!old.exists());
}

#[test]
fn damage_inside_a_log_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut writer) = open(directory.path()).unwrap();
    let mut world = world();
    for vmid in 100..104 {
        commit(&mut writer, &mut world);
        world.guests.insert(vmid, guest("a"));
    }
    let path = log(directory.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 30;
    bytes[second] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(
        matches!(error, PersistError::Damaged { line: 2, .. }),
        "{error}"
    );
}

/// What a node knows that is cut off is as large as the world, and is written down once.
#[test]
fn a_small_change_while_a_node_is_cut_off_is_a_small_write() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut writer) = open(directory.path()).unwrap();
    let mut world = world();
    for vmid in 0..2_000 {
        world.guests.insert(vmid, guest("a"));
    }
    commit(&mut writer, &mut world);
    let bytes = |writer: &mut Writer, world: &mut World| {
        let write = writer.prepare(world).unwrap().unwrap();
        assert!(matches!(write.kind, Kind::Line { .. }));
        let bytes = write.bytes.len();
        write.carry_out().unwrap();
        bytes
    };
    world.partition("solo", 1);
    assert!(bytes(&mut writer, &mut world) > 50_000);
    world.set_key("k".to_owned());
    world.set_lock(7, Some("backup"));
    assert!(bytes(&mut writer, &mut world) < 5_000);
    assert_eq!(whole(&stored(directory.path())), whole(&world));
    world.heal("solo");
    assert!(bytes(&mut writer, &mut world) < 5_000);
    assert_eq!(whole(&stored(directory.path())), whole(&world));
    assert!(stored(directory.path()).has_one_view());
}

/// Commits do not grow with the world, and the log does not grow without end.
#[test]
fn a_small_change_of_a_large_world_is_a_small_write() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut writer) = open(directory.path()).unwrap();
    let mut world = world();
    for vmid in 0..2_000 {
        world.guests.insert(vmid, guest("a"));
    }
    let first = writer.prepare(&mut world).unwrap().unwrap();
    assert!(first.bytes.len() > 200_000);
    first.carry_out().unwrap();
    let mut wholes = 0;
    for _ in 0..3_000 {
        world.set_lock(7, Some("backup"));
        let write = writer.prepare(&mut world).unwrap().unwrap();
        match write.kind {
            Kind::Whole => wholes += 1,
            Kind::Line { .. } => assert!(write.bytes.len() < 1_000, "{}", write.bytes.len()),
        }
    }
    assert!(
        writer.prepare(&mut world).unwrap().is_none(),
        "nothing has changed"
    );
    assert!(wholes <= 1, "{wholes}");
    assert!(writer.log_bytes < SHORTEST_FULL_LOG_BYTES + 1_000);
}
