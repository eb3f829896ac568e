//! The driver by itself: every command may come twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::support::{block_on, cache, in_private_namespace};
use crate::core::guest::{
    GuestChange, GuestCommand, GuestError, GuestKey, GuestLook, GuestNet, GuestOutcome,
    GuestSource, GuestSpec, JobId, Kept,
};
use crate::lab::ground::{Ground, Machine};
use crate::lab::{TEMPLATE_NAME, mounts};
use crate::lxc::Place;

pub(super) fn spec() -> GuestSpec {
    let net = GuestNet {
        name: "eth0".to_owned(),
        hwaddr: "BC:24:11:00:00:01".to_owned(),
        bridge: "vmbr0".to_owned(),
        ip: Some("dhcp".to_owned()),
        gw: None,
    };
    GuestSpec {
        template: TEMPLATE_NAME.to_owned(),
        hostname: "one".to_owned(),
        memory_mib: 128,
        cores: Some(1),
        unprivileged: true,
        nets: BTreeMap::from([(0, net)]),
        init: None,
        login: None,
    }
}

/// A driver on its ground, with one guest in mind.
pub(super) struct Trial {
    pub(super) ground: Ground,
    pub(super) guest: GuestKey,
}

/// Runs `body` with a driver on its ground, inside a private namespace of the test `name`.
pub(super) fn in_ground(name: &str, body: impl FnOnce(&Trial)) {
    in_private_namespace(name, |directory| on_ground(&directory.join("state"), body));
}

fn on_ground(state: &Path, body: impl FnOnce(&Trial)) {
    std::fs::create_dir_all(state).unwrap();
    mounts::ensure_namespace(state).unwrap();
    let ground = block_on(Ground::take(state, &cache(), Machine::LeaveAlone)).unwrap();
    let guest = at("pve1", 100);
    let trial = Trial { ground, guest };
    body(&trial);
    block_on(trial.ground.leave()).unwrap();
}

impl Trial {
    pub(super) fn run(
        &self,
        command: impl Fn(JobId, GuestKey) -> GuestCommand,
    ) -> Result<GuestOutcome, GuestError> {
        let command = command(JobId(7), self.guest.clone());
        let done = block_on(self.ground.driver.carry_out(command));
        assert_eq!(done.job, JobId(7));
        done.result
    }

    fn twice(&self, command: impl Fn(JobId, GuestKey) -> GuestCommand) {
        for _ in 0..2 {
            self.run(&command).unwrap();
        }
    }

    fn look(&self) -> GuestLook {
        match self
            .run(|job, guest| GuestCommand::Inspect { job, guest })
            .unwrap()
        {
            GuestOutcome::Inspected(look) => look,
            GuestOutcome::Done { .. } => panic!("an inspection shows"),
        }
    }
}

pub(super) fn kill(job: JobId, guest: GuestKey) -> GuestCommand {
    GuestCommand::Kill { job, guest }
}

fn destroy(job: JobId, guest: GuestKey) -> GuestCommand {
    GuestCommand::Destroy { job, guest }
}

fn create(job: JobId, guest: GuestKey) -> GuestCommand {
    GuestCommand::Create {
        job,
        guest,
        spec: spec(),
    }
}

pub(super) fn start(job: JobId, guest: GuestKey) -> GuestCommand {
    GuestCommand::Start {
        job,
        guest,
        spec: spec(),
    }
}

#[test]
fn every_command_may_be_repeated() {
    in_private_namespace("driver::every_command_may_be_repeated", |directory| {
        let state = directory.join("state");
        std::fs::create_dir_all(&state).unwrap();
        mounts::ensure_namespace(&state).unwrap();
        let ground = block_on(Ground::take(&state, &cache(), Machine::LeaveAlone)).unwrap();
        let guest = GuestKey {
            node: "pve1".to_owned(),
            vmid: 999_999_999,
        };
        let trial = Trial { ground, guest };
        commands(&trial, &state);
        block_on(trial.ground.leave()).unwrap();
    });
}

fn commands(trial: &Trial, state: &Path) {
    trial.twice(destroy);
    trial.twice(kill);
    assert_eq!(trial.look(), GuestLook::default());
    assert!(
        matches!(trial.run(start), Err(GuestError::Failed(_))),
        "nothing to start"
    );
    trial.twice(create);
    trial.twice(start);
    let look = trial.look();
    assert!(look.running && look.pid.is_some() && look.cpu_ns > 0 && look.mem_bytes > 0);
    let names: Vec<&str> = look
        .interfaces
        .iter()
        .map(|found| found.name.as_str())
        .collect();
    assert_eq!(names, ["lo", "eth0"]);
    assert_eq!(look.interfaces[1].hwaddr, "bc:24:11:00:00:01");
    assert!(
        matches!(trial.run(destroy), Err(GuestError::Failed(_))),
        "it runs"
    );
    trial.twice(kill);
    assert_eq!(trial.look(), GuestLook::default());
    refusals(trial);
    trial.twice(destroy);
    let leases = std::fs::read_to_string(state.join("leases.json")).unwrap();
    assert!(!leases.contains("999999999"), "{leases}");
    assert!(!trial.ground.place.directory(&trial.guest).exists());
}

fn refusals(trial: &Trial) {
    let with = |change: fn(&mut GuestSpec)| {
        let failed = trial.run(|job, guest| {
            let mut spec = spec();
            change(&mut spec);
            GuestCommand::Start { job, guest, spec }
        });
        match failed {
            Err(GuestError::Failed(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    assert!(with(|spec| spec.unprivileged = false).contains("unprivileged=1"));
    assert!(with(|spec| spec.template = "other".to_owned()).contains("no template 'other'"));
    let elsewhere =
        |spec: &mut GuestSpec| spec.nets.get_mut(&0).unwrap().bridge = "vmbr9".to_owned();
    assert!(with(elsewhere).contains("bridge 'vmbr9' does not exist"));
    let crooked = |spec: &mut GuestSpec| spec.nets.get_mut(&0).unwrap().ip = Some("x".to_owned());
    assert!(with(crooked).contains("invalid ip"));
}

#[test]
fn copies_are_kept_rolled_back_restored_and_moved() {
    in_private_namespace(
        "driver::copies_are_kept_rolled_back_restored_and_moved",
        |directory| {
            let state = directory.join("state");
            on_ground(&state, |trial| {
                trial.twice(create);
                trial.twice(start);
                kept(trial);
                restored(trial, &state);
                moved(trial);
            });
        },
    );
}

fn at(node: &str, vmid: u32) -> GuestKey {
    GuestKey {
        node: node.to_owned(),
        vmid,
    }
}

impl Trial {
    fn change(&self, guest: &GuestKey, change: &GuestChange) -> Result<(), String> {
        let change = GuestCommand::Change {
            job: JobId(8),
            guest: guest.clone(),
            change: change.clone(),
        };
        match block_on(self.ground.driver.carry_out(change)).result {
            Ok(_) => Ok(()),
            Err(GuestError::Failed(why)) => Err(why),
            Err(GuestError::TimedOut) => panic!("timed out"),
        }
    }

    fn change_twice(&self, guest: &GuestKey, change: &GuestChange) {
        for _ in 0..2 {
            self.change(guest, change).unwrap();
        }
    }

    /// What a shell in the guest says.
    fn inside(&self, guest: &GuestKey, script: &str) -> String {
        let ran = std::process::Command::new("lxc-attach")
            .args([
                "-P".as_ref(),
                self.ground.place.lxcpath(&guest.node).as_os_str(),
            ])
            .args(["-n", &guest.vmid.to_string(), "--", "sh", "-ec", script])
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{script}: {complaint}");
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    }

    fn up(&self, guest: &GuestKey) {
        let (job, spec) = (JobId(9), spec());
        let guest = guest.clone();
        let start = GuestCommand::Start { job, guest, spec };
        block_on(self.ground.driver.carry_out(start))
            .result
            .unwrap();
    }

    fn down(&self, guest: &GuestKey) {
        let kill = kill(JobId(9), guest.clone());
        block_on(self.ground.driver.carry_out(kill)).result.unwrap();
    }

    fn gone(&self, guest: &GuestKey) {
        let destroy = destroy(JobId(9), guest.clone());
        block_on(self.ground.driver.carry_out(destroy))
            .result
            .unwrap();
        assert!(!self.ground.place.directory(guest).exists());
    }
}

/// Owner, content, and that a file of the template is not there any more.
const SHOW: &str =
    "stat -c %u:%g:%a /srv/mark; cat /srv/mark; test ! -e /etc/debian_version; echo gone";
const MARKED: &str = "1000:1001:640\none\ngone";
/// What a program of the guest notes at a file, and a capability, which a change of owner would take away: each with a
/// value (`capability` of capabilities(7): revision 2, `CAP_NET_RAW`).
const ATTRIBUTES: [(&str, &[u8]); 2] = [
    ("user.proximity", b"noted"),
    (
        "security.capability",
        &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ),
];

/// The file with attributes of a guest, from outside. Nothing writes to it: that would take the capability away.
fn mark_of(trial: &Trial, guest: &GuestKey) -> PathBuf {
    let directory = trial.ground.place.directory(guest);
    crate::lxc::delta(&directory).join("srv/noted")
}

fn set_attributes(path: &Path) {
    for (name, value) in ATTRIBUTES {
        rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    }
}

fn assert_attributes(path: &Path) {
    for (name, value) in ATTRIBUTES {
        let mut found = [0_u8; 64];
        let length = rustix::fs::getxattr(path, name, &mut found[..])
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&found[..length], value, "{name} of {}", path.display());
    }
}

fn kept(trial: &Trial) {
    let guest = &trial.guest;
    let mark = "echo one > /srv/mark; chown 1000:1001 /srv/mark; chmod 640 /srv/mark; rm /etc/debian_version; \
                touch /srv/noted";
    trial.inside(guest, mark);
    set_attributes(&mark_of(trial, guest));
    // While it runs: it rests for the moment and goes on.
    let kept = Kept::Snapshot("before".to_owned());
    trial.change_twice(guest, &GuestChange::Keep { kept });
    let kept = Kept::Backup(VOLID.to_owned());
    trial.change_twice(guest, &GuestChange::Keep { kept });
    trial.inside(
        guest,
        "echo two > /srv/mark; echo back > /etc/debian_version",
    );
    let back = |name: &str| GuestChange::Rollback {
        snapshot: name.to_owned(),
    };
    assert!(
        trial
            .change(guest, &back("before"))
            .unwrap_err()
            .contains("is running")
    );
    trial.twice(kill);
    assert!(
        trial
            .change(guest, &back("never"))
            .unwrap_err()
            .contains("does not exist")
    );
    trial.change_twice(guest, &back("before"));
    assert_attributes(&mark_of(trial, guest));
    trial.up(guest);
    assert_eq!(trial.inside(guest, SHOW), MARKED);
    assert_eq!(trial.inside(guest, "hostname"), "one");
}

const VOLID: &str = "local:backup/vzdump-lxc-100-2026_11_20-10_20_15.tar.zst";

fn restored(trial: &Trial, state: &Path) {
    let (clone, back) = (at("pve1", 101), at("pve2", 102));
    let copy = |from: GuestSource| GuestChange::Copy { from, spec: spec() };
    trial.inside(&trial.guest, "echo three > /srv/mark");
    trial.change_twice(&clone, &copy(GuestSource::Guest(trial.guest.clone())));
    trial.up(&clone);
    assert_eq!(trial.inside(&clone, "cat /srv/mark"), "three");
    assert_attributes(&mark_of(trial, &clone));
    assert!(trial.look().running, "its source goes on");
    let backup = GuestSource::Backup {
        node: "pve2".to_owned(),
        volid: VOLID.to_owned(),
    };
    trial.change_twice(&back, &copy(backup.clone()));
    assert_attributes(&mark_of(trial, &back));
    trial.up(&back);
    assert_eq!(trial.inside(&back, SHOW), MARKED);
    for guest in [&clone, &back] {
        trial.down(guest);
        trial.gone(guest);
    }
    let kept = vec![Kept::Backup(VOLID.to_owned())];
    trial.change_twice(&trial.guest, &GuestChange::Drop { kept });
    assert_eq!(std::fs::read_dir(state.join("backups")).unwrap().count(), 0);
    assert!(
        trial
            .change(&back, &copy(backup))
            .unwrap_err()
            .contains("does not exist")
    );
}

fn moved(trial: &Trial) {
    let address = |look: &GuestLook| look.interfaces[1].addresses[0];
    let before = address(&trial.look());
    // A device goes and comes back, the memory grows, while it runs.
    let apply = |change: fn(&mut GuestSpec)| {
        let mut spec = spec();
        change(&mut spec);
        trial.change_twice(&trial.guest, &GuestChange::Apply { spec });
    };
    apply(|spec| spec.memory_mib = 192);
    apply(|spec| spec.nets.clear());
    assert_eq!(trial.look().interfaces.len(), 1);
    apply(|spec| {
        let net = spec.nets.get_mut(&0).unwrap();
        net.name = "lan0".to_owned();
        net.hwaddr = "BC:24:11:00:00:02".to_owned();
    });
    let look = trial.look();
    assert_eq!(
        (look.interfaces[1].name.as_str(), address(&look)),
        ("lan0", before)
    );
    assert!(
        trial
            .inside(&trial.guest, "ip route")
            .contains("default via")
    );
    routed(trial);
    half_made(trial);
    let before = address(&trial.look());
    let to = GuestChange::Move {
        to: "pve2".to_owned(),
    };
    assert!(
        trial
            .change(&trial.guest, &to)
            .unwrap_err()
            .contains("is running")
    );
    trial.twice(kill);
    trial.change_twice(&trial.guest, &to);
    let there = at("pve2", 100);
    trial.up(&there);
    assert_eq!(
        trial.inside(&there, SHOW),
        MARKED.replace("\none\n", "\nthree\n")
    );
    assert!(
        trial
            .inside(&there, "hostname -I")
            .contains(&before.0.to_string())
    );
    trial.down(&there);
    trial.gone(&there);
}

/// A gateway is changed and taken away while the address stays.
fn routed(trial: &Trial) {
    let net = trial.ground.network.net();
    let octets = net.gateway().octets();
    let last =
        |last: u8| std::net::Ipv4Addr::from([octets[0], octets[1], octets[2], last]).to_string();
    let apply = |gw: Option<String>| {
        let mut spec = spec();
        let net = spec.nets.get_mut(&0).unwrap();
        net.ip = Some(format!("{}/24", last(200)));
        net.gw = gw;
        trial.change_twice(&trial.guest, &GuestChange::Apply { spec });
        trial.inside(&trial.guest, "ip -4 route show default")
    };
    assert!(apply(Some(last(1))).contains(&format!("via {} ", last(1))));
    assert!(apply(Some(last(9))).contains(&format!("via {} ", last(9))));
    assert_eq!(apply(None), "");
    trial.change_twice(&trial.guest, &GuestChange::Apply { spec: spec() });
}

/// A device whose making fails leaves nothing behind, and what an earlier failure left does not keep the guest down.
fn half_made(trial: &Trial) {
    let guest = &trial.guest;
    let pair = |index| {
        let name = trial.ground.place.veth(guest, index);
        (name.clone(), Path::new("/sys/class/net").join(name))
    };
    let (first, second) = (pair(0), pair(1));
    let mut spec = spec();
    let net = spec.nets[&0].clone();
    // A name that is taken inside is refused when the device is there already.
    spec.nets.insert(
        1,
        GuestNet {
            name: "lo".to_owned(),
            hwaddr: "BC:24:11:00:00:03".to_owned(),
            ..net
        },
    );
    let refused = trial
        .change(guest, &GuestChange::Apply { spec })
        .unwrap_err();
    assert!(refused.contains("File exists"), "{refused}");
    assert!(first.1.exists() && !second.1.exists());
    trial.down(guest);
    let made = std::process::Command::new("ip")
        .args([
            "link",
            "add",
            &first.0,
            "type",
            "veth",
            "peer",
            "name",
            &Place::passing_veth(&first.0),
        ])
        .status();
    assert!(made.unwrap().success() && first.1.exists());
    trial.up(guest);
}
