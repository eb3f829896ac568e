//! What the loops of the server write: suspicions, orphans, the brake, what is stuck; and what a person resolves.

use std::collections::BTreeSet;

use proximity_domain::app::Status;
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::identity::Shown;
use proximity_domain::ids::{AppId, GuestId, Vmid};
use proximity_domain::interface::GuestInterface;
use proximity_domain::names::{Mac, NodeName};
use proximity_domain::observe::{Suspicion, Watched};
use proximity_domain::recorded::RecordedGuest;
use proximity_store::alarms::{Alarm, AlarmKey, AlarmKind};
use proximity_store::identities::Accepted;
use proximity_store::lost::NodeLost;
use proximity_store::observation::{BrakeChange, SuspicionChange};
use proximity_store::orphans::OrphanFound;
use proximity_store::power::{ReadPower, SeenPower};
use proximity_store::records::LogLevel;
use serde_json::json;

use super::calls::Call;
use super::pair::both;
use super::people::event;
use super::play::{Play, Told, pick};

fn power(n: u8) -> ReadPower {
    if n.is_multiple_of(2) {
        ReadPower::Running
    } else {
        ReadPower::Stopped
    }
}

impl Play {
    pub async fn loops(&mut self, call: &Call) -> Told {
        let (actor, at) = (self.actor(), self.at());
        match *call {
            Call::Suspect { app, n } => self.suspect(app, n).await,
            Call::Alarm { app, n } => self.alarm(app, n).await,
            Call::Identity { app, n } => self.identity(app, n).await,
            Call::Orphan(n) => {
                let id = self.app(n)?;
                let app = both!(self.pair, store => store.app(id)).unwrap()?;
                let mut guests = self.guests(id).await;
                guests.sort_unstable();
                if n >= 240 {
                    guests.clear();
                }
                let orphan = OrphanFound {
                    app: id,
                    status: app.status.label(),
                    guests,
                    operation: app.operation.filter(|_| n < 220),
                    event: event(EventKind::ExpectedOrphanArchived, n),
                    level: LogLevel::Info,
                    line: "gone".to_owned(),
                    actor,
                };
                let done = both!(self.pair, store => store.archive_orphan(&orphan, at)).unwrap();
                Some(!done)
            }
            Call::LoseNode { host, n } => self.lose_node(host, n).await,
            Call::Brake(n) if n >= 250 => {
                let (app, told) = (self.app(n)?, event(EventKind::GuestConflicted, n));
                both!(self.pair, store => store.tell(&told, app, at)).unwrap();
                let beside = event(EventKind::ReconciliationCompleted, n);
                both!(self.pair, store => store.announce(&beside, at)).unwrap();
                Some(false)
            }
            Call::Brake(n) => self.brake(n).await,
            Call::MarkStuck(n) => {
                let seen = both!(self.pair, store => store.transitional_apps()).unwrap();
                let mut seen = pick(&seen, n)?;
                if n >= 200 {
                    seen.since.0 -= 1;
                }
                let why = Failure::new("timed_out", "stuck", "Look.");
                let told = event(EventKind::AppDiagnosedStuck, n);
                let done = both!(self.pair, store =>
                    store.mark_stuck(&seen, why.clone(), &told, at));
                Some(!done.unwrap())
            }
            Call::FollowPower { app, n } => {
                let id = self.app(app)?;
                let app = both!(self.pair, store => store.app(id)).unwrap();
                let from = match app.map(|app| app.status) {
                    Some(Status::Stopped) => ReadPower::Stopped,
                    _ => ReadPower::Running,
                };
                let to = power(n);
                let seen = [SeenPower { app: id, from, to }];
                let done = both!(self.pair, store => store.follow_powers(&seen, at));
                Some(done.unwrap().is_empty())
            }
            Call::Resolve { app, n } => {
                let id = self.app(app)?;
                let done = both!(self.pair, store => store.resolve_app(id, power(n), &actor, at));
                Some(done.is_err())
            }
            _ => unreachable!("only what the loops write comes here"),
        }
    }

    /// A person gives up a node with what is recorded there, sometimes without having looked.
    async fn lose_node(&mut self, host: u8, n: u8) -> Told {
        let (id, at) = (self.host(host)?, self.at());
        let mut host = both!(self.pair, store => store.host(id)).unwrap()?;
        let node: NodeName = format!("pve{}", 1 + n % 2).parse().unwrap();
        let there = both!(self.pair, store => store.watched_guests(id)).unwrap();
        let there = there
            .iter()
            .filter(|guest| guest.watched.place.node == node);
        let there: Vec<&Watched> = there.map(|guest| &guest.watched).collect();
        let mut recorded: Vec<GuestId> = there.iter().map(|guest| guest.guest).collect();
        recorded.sort_unstable();
        if n >= 230 {
            recorded.push(GuestId(self.id()));
        }
        let apps: BTreeSet<AppId> = there.iter().map(|guest| guest.app).collect();
        let mut lost = Vec::new();
        for app in apps {
            lost.push(self.orphan(app, EventKind::AppLostWithNode, n).await?);
        }
        host.known_nodes.retain(|known| *known != node);
        let lost = NodeLost {
            host,
            node,
            is_forgotten: n.is_multiple_of(3),
            recorded,
            apps: lost,
            actor: self.actor(),
        };
        let done = both!(self.pair, store => store.lose_node(&lost, at));
        Some(!done.unwrap())
    }

    /// An app as it is, with all its guests.
    async fn orphan(&self, id: AppId, kind: EventKind, n: u8) -> Option<OrphanFound> {
        let app = both!(self.pair, store => store.app(id)).unwrap()?;
        let guests = both!(self.pair, store => store.recorded_guests(id)).unwrap();
        let mut guests: Vec<GuestId> = guests.iter().map(RecordedGuest::id).collect();
        guests.sort_unstable();
        Some(OrphanFound {
            app: id,
            status: app.status.label(),
            guests,
            operation: app.operation,
            event: event(kind, n),
            level: LogLevel::Warning,
            line: "lost".to_owned(),
            actor: self.actor(),
        })
    }

    async fn brake(&mut self, n: u8) -> Told {
        let (actor, at) = (self.actor(), self.at());
        let details = json!({ "confirmed": n, "archived": 1 });
        let change = match n % 4 {
            0 => BrakeChange::Stops {
                missing: u64::from(n),
                event: event(EventKind::MassBrakeStopped, n),
            },
            1 => BrakeChange::Ends {
                event: event(EventKind::MassBrakeEnded, n),
            },
            2 => BrakeChange::ReleasedInPart { details, actor },
            _ => BrakeChange::Released {
                event: event(EventKind::MassBrakeReleased, n),
                details,
                actor,
            },
        };
        both!(self.pair, store => store.change_brake(&change, at)).unwrap();
        Some(false)
    }

    async fn alarm(&mut self, app: u8, n: u8) -> Told {
        let (app, at) = (self.app(app)?, self.at());
        let guests = both!(self.pair, store => store.recorded_guests(app)).unwrap();
        let guest = guests.first();
        let kind = match n % 3 {
            0 => AlarmKind::Conflict,
            1 => AlarmKind::Pool,
            _ => AlarmKind::Twin,
        };
        let key = AlarmKey {
            guest: guest.map_or_else(|| GuestId(self.id()), RecordedGuest::id),
            kind,
            host: guest.map_or_else(|| self.host(n), |g| Some(g.place().host))?,
            vmid: Vmid::try_from(100 + u32::from(n / 3 % 3)).unwrap(),
        };
        let done = if n < 150 {
            let alarm = Alarm {
                key,
                why: format!("for {n}"),
                since: at,
            };
            let told = event(EventKind::GuestConflicted, n);
            both!(self.pair, store => store.raise_alarm(&alarm, app, &told))
        } else {
            let told = event(EventKind::GuestConflictEnded, n);
            let told = (n < 200).then_some((app, &told));
            both!(self.pair, store => store.end_alarm(&key, told, at))
        };
        Some(!done.unwrap())
    }

    async fn identity(&mut self, app: u8, n: u8) -> Told {
        let (app, at) = (self.app(app)?, self.at());
        let guests = both!(self.pair, store => store.recorded_guests(app)).unwrap();
        let guest = guests.first().map(RecordedGuest::id);
        let guest = guest.unwrap_or_else(|| GuestId(self.id()));
        let shown = Shown {
            marked: n.is_multiple_of(3),
            net0_mac: Mac::with_pve_prefix([1, 1, n]),
            rootfs_volid: format!("local:101/vm-101-disk-{}.raw", n % 4)
                .parse()
                .unwrap(),
        };
        let refused = match n % 5 {
            4 => {
                let devices = [GuestInterface {
                    name: "eth0".to_owned(),
                    mac: Some(shown.net0_mac),
                    addresses: Vec::new(),
                }];
                let devices = &devices[..usize::from(n % 2)];
                !both!(self.pair, store => store.note_interfaces(guest, devices, at)).unwrap()
            }
            0 => {
                let verified = [guest];
                both!(self.pair, store => store.note_verified(&verified, at)).is_err()
            }
            1 => {
                let accepted = Accepted {
                    app,
                    guest,
                    shown,
                    event: event(EventKind::GuestReidentified, n),
                    actor: self.actor(),
                };
                both!(self.pair, store => store.accept_identity(&accepted, at)).is_err()
            }
            _ => {
                let shown = (n < 200).then_some(&shown);
                let told = event(EventKind::GuestIdentityLearned, n);
                let learned = both!(self.pair, store =>
                    store.learn_identity(guest, app, shown, &told, at));
                !learned.unwrap()
            }
        };
        both!(self.pair, store => store.guest_looks(guest)).unwrap();
        both!(self.pair, store => store.interfaces(guest)).unwrap();
        Some(refused)
    }

    async fn guests(&self, app: AppId) -> Vec<GuestId> {
        let guests = both!(self.pair, store => store.native_guests(app)).unwrap();
        guests.iter().map(|guest| guest.id).collect()
    }

    async fn suspect(&mut self, app: u8, n: u8) -> Told {
        let (app, at) = (self.app(app)?, self.at());
        let guests = self.guests(app).await;
        let guest = match guests.first() {
            Some(guest) => *guest,
            None => GuestId(self.id()),
        };
        let suspicion = Suspicion::begun(at);
        let change = match n % 8 {
            0 | 4 => SuspicionChange::Ended {
                guest,
                event: (n % 8 == 4).then(|| (app, event(EventKind::GuestSeenAgain, n))),
            },
            3 if n % 16 < 8 => SuspicionChange::ToldAlone {
                guest,
                app,
                event: event(EventKind::OrphanSuspected, n),
            },
            3 => SuspicionChange::Told {
                event: event(EventKind::OrphansSuspected, n),
            },
            1 | 5 => SuspicionChange::Counted {
                guest,
                suspicion: Suspicion {
                    looks: u32::from(n) + 1,
                    ..suspicion
                },
            },
            _ => SuspicionChange::Begun {
                guest,
                app,
                suspicion,
                event: (n % 8 != 7).then(|| event(EventKind::OrphanSuspected, n)),
                among_many: n % 8 == 2,
            },
        };
        let changes = [change];
        both!(self.pair, store => store.change_suspicions(&changes, at)).unwrap();
        Some(false)
    }
}
