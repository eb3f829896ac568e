//! Prepared templates and what is made of them.

use proximity_domain::guest::ContainerIdentity;
use proximity_domain::ids::{AppId, GuestId, HostId, PreparedId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::{Mac, Volid};
use proximity_domain::prepared::{Base, Call, Kept, Prepared, Sent, Spot, Stage};
use proximity_store::prepared::TemplateCall;
use serde_json::json;
use uuid::Uuid;

use super::pair::{Pair, both};
use super::play::{Play, Told, pick};

fn spot(host: HostId, n: u8) -> Spot {
    Spot {
        host,
        node: format!("pve{}", n % 2 + 1).parse().unwrap(),
        storage: "local".parse().unwrap(),
    }
}

fn base(n: u8) -> Base {
    let os_template: Volid = "local:vztmpl/debian.tar.zst".parse().unwrap();
    Base::of(os_template, 1, [format!("package-{}", n % 3)])
}

fn stage(n: u8) -> Stage {
    Stage::ALL[usize::from(n) % Stage::ALL.len()]
}

/// All there are.
pub async fn look(pair: &Pair) {
    both!(pair, store => store.prepared()).unwrap();
}

impl Play {
    /// A template is recorded, goes on, or ends; or a guest is made of one.
    pub async fn prepared(&mut self, host: u8, n: u8, what: u8) -> Told {
        let at = self.at();
        let all = both!(self.pair, store => store.prepared()).unwrap();
        let one = pick(&all, n);
        let refused = match what % 11 {
            0 | 1 => return self.record_prepared(host, n).await,
            2 => {
                let (spot, key) = (spot(self.host(host)?, n), base(n).key());
                both!(self.pair, store => store.count_base(&spot, &key, at)).is_err()
            }
            3 | 4 => {
                let one = one?.prepared;
                // Mostly what comes next.
                let from = if n < 220 { one.stage } else { stage(n) };
                let next = Stage::ALL
                    .into_iter()
                    .find(|next| one.stage.may_become(*next));
                let to = next.filter(|_| n < 200).unwrap_or(stage(n / 5));
                let done = both!(self.pair, store => store.advance_prepared(one.id, from, to, at));
                !done.unwrap_or(false)
            }
            5 => {
                let one = one?.prepared;
                let volume: Volid = format!("local:volume-{}", n % 2).parse().unwrap();
                let of = if n < 200 { one.stage } else { stage(n) };
                let done = both!(self.pair, store => store.learn_prepared(one.id, of, &volume));
                !done.unwrap_or(false)
            }
            6 => {
                let guest = self.any_guest(n).await?;
                let (id, linked) = (one?.prepared.id, n.is_multiple_of(2));
                !both!(self.pair, store => store.note_clone(id, guest, linked, at)).unwrap()
            }
            7 | 8 => {
                let id = of_template(one.as_ref(), n);
                self.call_for_template(id, what, n).await
            }
            _ => {
                let id = of_template(one.as_ref(), n);
                both!(self.pair, store => store.end_prepared(id, at)).is_err()
            }
        };
        Some(refused)
    }

    /// A call is put on record, or is over; or a person does something. Whether that is refused.
    async fn call_for_template(&mut self, id: PreparedId, what: u8, n: u8) -> bool {
        let (actor, at) = (self.actor(), self.at());
        let told = TemplateCall {
            action: "POST /nodes/pve1/lxc",
            target: "lab/pve1/1000",
            details: json!({ "vmid": 1_000 }),
        };
        let call = Call::ALL[usize::from(n) % Call::ALL.len()];
        let sent = Sent { call, at };
        match what % 4 {
            0 => both!(self.pair, store => store.settle_template_call(id)).is_err(),
            1 => both!(self.pair, store => store.note_template_act(told.clone(), &actor, at))
                .is_err(),
            _ => both!(
                self.pair,
                store => store.note_template_call(id, sent, told.clone(), &actor)
            )
            .is_err(),
        }
    }

    async fn record_prepared(&mut self, host: u8, n: u8) -> Told {
        let (host, at) = (self.host(host)?, self.at());
        let id = self.id();
        let app = if n < 240 { id } else { Uuid::nil() };
        // Sometimes one that guests are given too.
        let numbers = if n < 200 { 1_000 } else { 100 };
        let new = Prepared {
            id: PreparedId(id),
            spot: spot(host, n),
            base: base(n),
            disk_gib: 4,
            identity: ContainerIdentity {
                vmid: Vmid::try_from(numbers + u32::from(n % 12)).unwrap(),
                mark: Mark {
                    installation: self.pair.sqlite.installation(),
                    app: AppId(app),
                    nonce: self.id().as_u128(),
                },
                net0_mac: Mac::with_pve_prefix([1, 2, n]),
                rootfs_volid: None,
            },
            stage: Stage::Creating,
            recorded_at: at,
            stage_at: at,
            used_at: None,
        };
        let recorded = both!(self.pair, store => store.record_prepared(&new));
        Some(recorded.is_err())
    }

    /// One that is not gone.
    async fn any_guest(&self, n: u8) -> Option<GuestId> {
        let host = self.host(n)?;
        let guests = both!(self.pair, store => store.host_guests(host)).unwrap();
        let ids: Vec<GuestId> = guests.iter().map(|guest| guest.id).collect();
        pick(&ids, n / 4)
    }
}

/// Sometimes one that nobody has.
fn of_template(one: Option<&Kept>, n: u8) -> PreparedId {
    let known = one.filter(|_| n < 220).map(|one| one.prepared.id);
    known.unwrap_or(PreparedId(Uuid::nil()))
}
