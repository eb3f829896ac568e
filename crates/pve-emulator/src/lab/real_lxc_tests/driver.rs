//! The driver by itself: every command may come twice.

use std::collections::BTreeMap;
use std::path::Path;

use super::support::{block_on, cache, in_private_namespace};
use crate::core::guest::{
    GuestCommand, GuestError, GuestKey, GuestLook, GuestNet, GuestOutcome, GuestSpec, JobId,
};
use crate::lab::ground::{Ground, Machine};
use crate::lab::{TEMPLATE_NAME, mounts};

fn spec() -> GuestSpec {
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
    }
}

/// A driver on its ground, with one guest in mind.
struct Trial {
    ground: Ground,
    guest: GuestKey,
}

impl Trial {
    fn run(
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

fn kill(job: JobId, guest: GuestKey) -> GuestCommand {
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

fn start(job: JobId, guest: GuestKey) -> GuestCommand {
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
