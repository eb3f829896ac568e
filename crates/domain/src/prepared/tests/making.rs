//! The making of a template, whatever happens beside it.

use proptest::prelude::*;

use super::*;

/// A container as Proxmox VE has it, and what is on record of it.
struct World {
    kept: Kept,
    there: Option<Sight>,
    /// What must not be the same in two clones is out, and it was not started since.
    stripped: bool,
    creates: u32,
}

impl World {
    fn new() -> Self {
        let mut kept = kept(100, Stage::Creating, base(&["nginx-light"]));
        kept.prepared.identity.rootfs_volid = None;
        Self {
            kept,
            there: None,
            stripped: false,
            creates: 0,
        }
    }

    fn seen(&self) -> Seen {
        match &self.there {
            None => Seen::Absent,
            Some(sight) => Seen::Ours(sight.clone()),
        }
    }

    /// Carries out what is next. False: there is nothing left to do.
    fn act(&mut self) -> bool {
        let act = next(&self.kept, &self.seen());
        let is_over = is_over(&self.kept);
        let prepared = &mut self.kept.prepared;
        match (act, &mut self.there) {
            (Act::Create, there) => {
                assert!(there.is_none());
                self.creates += 1;
                *there = Some(Sight {
                    rootfs_volid: volid("local:100/vm-100-disk-0.raw"),
                    running: false,
                    template: false,
                    filled: false,
                    woken: false,
                    locked: false,
                });
            }
            (Act::Destroy, there) => {
                let stopped = there.as_ref().is_some_and(|sight| !sight.running);
                assert!(is_over && stopped);
                *there = None;
            }
            (Act::Learn(volume), Some(_)) => prepared.identity.rootfs_volid = Some(volume),
            (Act::Advance(stage), _) => {
                assert!(prepared.stage.may_become(stage), "{stage:?}");
                prepared.stage = stage;
            }
            (Act::Start, Some(sight)) => {
                assert!(!sight.template);
                sight.running = true;
                sight.filled = false;
                self.stripped = false;
            }
            (Act::Fill, Some(sight)) => {
                assert!(sight.running);
                sight.running = false;
                sight.filled = true;
                self.stripped = true;
            }
            (Act::Stop, Some(sight)) => sight.running = false,
            (Act::Convert, Some(sight)) => {
                assert!(!sight.running && self.stripped);
                sight.template = true;
                sight.rootfs_volid = volid("local:100/base-100-disk-0.raw");
            }
            (Act::Rest | Act::ProveAbsent, _) => return false,
            (act, there) => panic!("{act:?} with {there:?}"),
        }
        true
    }

    /// Somebody else starts it or stops it. A template can be neither.
    fn power(&mut self, running: bool) {
        if let Some(sight) = &mut self.there
            && !sight.template
        {
            if running && !sight.running {
                sight.woken = true;
                sight.filled = false;
                self.stripped = false;
            }
            sight.running = running;
        }
    }
}

proptest! {
    /// People start and stop what we make, and it may be given up at any moment. What they have started is made no template, unless all
    /// was done once more; then its making may be given up all the same.
    #[test]
    fn whatever_happens_a_template_is_made_once_and_goes_whole(
        happens in proptest::collection::vec(0..4_u8, 0..24),
        given_up in any::<bool>()
    ) {
        let mut world = World::new();
        for what in happens {
            match what {
                0 => world.power(true),
                1 => world.power(false),
                _ => {
                    world.act();
                }
            }
        }
        if !given_up {
            for _ in 0..12 {
                world.act();
            }
            let sight = world.there.as_ref();
            let ready = sight.is_some_and(|sight| sight.template && !sight.running);
            let woken = sight.is_some_and(|sight| sight.woken);
            prop_assert!(ready || woken || world.there.is_none());
            prop_assert!(!ready || world.stripped);
            if !woken && world.there.is_some() {
                prop_assert_eq!(world.kept.prepared.stage, Stage::Ready);
            }
            prop_assert_eq!(world.creates, 1);
        }
        let was_there = world.there.is_some();
        world.kept.prepared.stage = Stage::Leaving;
        world.kept.clones = linked(1);
        for _ in 0..4 {
            world.act();
        }
        prop_assert_eq!(world.there.is_some(), was_there);
        world.kept.clones = Clones::default();
        let mut left = 12;
        while world.act() {
            left -= 1;
            prop_assert!(left > 0);
        }
        prop_assert!(world.there.is_none());
        prop_assert_eq!(next(&world.kept, &world.seen()), Act::ProveAbsent);
    }
}

#[test]
fn what_was_started_after_it_was_shut_down_is_made_no_template() {
    let one = kept(100, Stage::Converting, base(&[]));
    let at_rest = sight(&one, false, false);
    assert_eq!(next(&one, &Seen::Ours(at_rest.clone())), Act::Convert);
    let runs = Sight {
        running: true,
        ..at_rest.clone()
    };
    let ran = Sight {
        woken: true,
        ..at_rest.clone()
    };
    let late = Sight {
        woken: true,
        template: true,
        ..at_rest
    };
    for started in [runs, ran, late] {
        let act = next(&one, &Seen::Ours(started));
        assert_eq!(act, Act::Advance(Stage::Leaving));
    }
}

#[test]
fn what_is_not_ours_is_let_be_and_what_is_at_work_is_waited_for() {
    let conflict = crate::guest::Conflict {
        what: "created",
        vmid: vmid(100),
        differences: vec!["its mark is another one".to_owned()],
    };
    for stage in Stage::ALL {
        let one = kept(100, stage, base(&[]));
        let other = next(&one, &Seen::Other(conflict.clone()));
        assert_eq!(other, Act::LeaveAlone(conflict.clone()));
        assert_eq!(next(&one, &Seen::BeingCreated), Act::Wait);
        let locked = Sight {
            locked: true,
            ..sight(&one, false, false)
        };
        assert_eq!(next(&one, &Seen::Ours(locked)), Act::Wait);
    }
    for stage in [Stage::Filling, Stage::Converting, Stage::Ready] {
        let lost = next(&kept(100, stage, base(&[])), &Seen::Absent);
        assert_eq!(lost, Act::Advance(Stage::Leaving), "somebody took it away");
    }
}
