//! One app against what is wanted of it, field by field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::size::size_text;
use super::state::{Figure, Observed, Recorded, SeenBy};
use super::wanted::{WantedAdopted, WantedApp, WantedSetting};
use super::{FieldDiff, Obstacle, Source};
use crate::app::{AppClass, StatusLabel};
use crate::create::Resources;
use crate::manifest::WantedPower;
use crate::names::SecretName;

const GIB: u64 = 1 << 30;
/// The root file system, of which the size alone is compared.
const ROOTFS: &str = "rootfs";
/// How much less than its volume a file system may hold, of a hundred: what it keeps for itself.
const OWN_USE_PERCENT: u64 = 15;

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) fields: Vec<FieldDiff>,
    /// What somebody else changed and may.
    pub(super) ignored: Vec<FieldDiff>,
    /// Something differs that no container changes in its life.
    pub(super) needs_another: bool,
    /// The list does not tell it for certain.
    pub(super) is_doubtful: bool,
    pub(super) obstacles: Vec<Obstacle>,
    pub(super) notes: Vec<String>,
}

/// An app whose container is made, against its record and, if it was seen, its container.
/// `said` is what its documents wanted of its resources when they were applied last, if that was looked for; `secrets` are the versions of
/// all that there are.
pub(super) fn app(
    wanted: &WantedApp,
    recorded: &Recorded,
    seen: Option<&Observed>,
    said: Option<&Resources>,
    secrets: &BTreeMap<SecretName, i64>,
) -> Compared {
    let mut compared = Compared::default();
    let others = Others { wanted, said };
    compared.place(wanted, recorded);
    compared.made(wanted, recorded);
    let (given, got) = (&wanted.resources, &recorded.resources);
    let of = |figure: fn(&Observed) -> Figure| seen.map_or(Figure::Unknown, figure);
    compared.figure(
        &others,
        "memory",
        (given.memory_mib, got.memory_mib),
        of(|seen| seen.memory_mib),
    );
    compared.figure(
        &others,
        "cores",
        (u64::from(given.cores), u64::from(got.cores)),
        of(|seen| seen.cores),
    );
    compared.disk(
        &others,
        u64::from(given.disk_gib) * GIB,
        u64::from(got.disk_gib) * GIB,
        seen,
    );
    compared.node(wanted, recorded, seen);
    compared.settings(wanted, recorded, secrets);
    compared.ties(wanted, recorded);
    compared.power(wanted.power, recorded.status, seen);
    compared.at_rest(wanted.power, seen);
    let differs = !compared.fields.is_empty();
    let is_wish = wanted.power.is_some();
    let may_lag = |seen: &Observed| {
        is_unlike(&others, recorded, seen) || (is_wish && is_switched(recorded, seen))
    };
    if seen.is_some_and(|seen| seen.by == SeenBy::List && (differs || may_lag(seen))) {
        compared.is_doubtful = true;
    }
    compared
}

/// What others may change of an app whose container is made.
#[derive(Debug)]
struct Others<'a> {
    wanted: &'a WantedApp,
    /// What documents wanted when they were applied last.
    said: Option<&'a Resources>,
}

impl Others<'_> {
    /// They may change this.
    fn may_change(&self, path: &str) -> bool {
        self.wanted.ignore.means(AppClass::Native, path)
    }

    /// The documents want of it what they wanted when they were applied last, whatever is on record since: a container may have been given
    /// another thing in between, and one that was made so by hand before the documents said so was given nothing.
    fn is_said_again(&self, path: &str) -> bool {
        let now = &self.wanted.resources;
        self.said.is_some_and(|said| match path {
            "memory" => said.memory_mib == now.memory_mib,
            "cores" => said.cores == now.cores,
            ROOTFS => said.disk_gib == now.disk_gib,
            _ => false,
        })
    }

    /// A difference of this is left as it is.
    fn is_left(&self, path: &str, source: Source) -> bool {
        self.may_change(path) && (source == Source::Cluster || self.is_said_again(path))
    }
}

/// A list shows other limits than those on record: it may be of before these were written down. Of one that others may change, and that the
/// documents do not change, nothing follows whatever it is.
fn is_unlike(others: &Others<'_>, recorded: &Recorded, seen: &Observed) -> bool {
    let unlike = |path: &str, now: Figure, wish: u64, recorded: u64| {
        let is_left = wish == recorded || others.is_said_again(path);
        let may_be_any = is_left && others.may_change(path);
        matches!(now, Figure::Is(now) if now != recorded) && !may_be_any
    };
    let (wish, got) = (&others.wanted.resources, &recorded.resources);
    let (cores, got_cores) = (u64::from(wish.cores), u64::from(got.cores));
    unlike("memory", seen.memory_mib, wish.memory_mib, got.memory_mib)
        || unlike("cores", seen.cores, cores, got_cores)
}

/// Or another power.
fn is_switched(recorded: &Recorded, seen: &Observed) -> bool {
    let powers = recorded_power(recorded.status).zip(seen.power);
    powers.is_some_and(|(recorded, now)| recorded != now)
}

/// The power that a status stands for, if it stands for one.
fn recorded_power(status: StatusLabel) -> Option<WantedPower> {
    match status {
        StatusLabel::Running => Some(WantedPower::Running),
        StatusLabel::Stopped => Some(WantedPower::Stopped),
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing
        | StatusLabel::Error => None,
    }
}

/// An app whose container was taken over, which is the one that is wanted.
pub(super) fn adopted(
    wanted: &WantedAdopted,
    recorded: &Recorded,
    seen: Option<&Observed>,
) -> Compared {
    let mut compared = Compared::default();
    if let Some(kind) = &wanted.taken_for {
        compared.ours("type", json!(recorded.catalog_id), json!(kind));
    }
    if let Some(port) = wanted.port {
        compared.ours("port", json!(recorded.port), json!(port));
    }
    compared.ours("expose", json!(recorded.exposed), json!(wanted.expose));
    compared.ours("guard", json!(recorded.guarded), json!(wanted.guard));
    compared.power(wanted.power, recorded.status, seen);
    let of_power = compared.fields.iter().any(|field| field.path == "power");
    let is_wish = wanted.power.is_some();
    compared.is_doubtful = seen.is_some_and(|seen| {
        seen.by == SeenBy::List && (of_power || (is_wish && is_switched(recorded, seen)))
    });
    compared
}

impl Compared {
    /// What stays as it is for a container's whole life.
    fn place(&mut self, wanted: &WantedApp, recorded: &Recorded) {
        self.ours(
            "catalog_id",
            json!(recorded.catalog_id),
            json!(wanted.catalog_id),
        );
        if let Some(host) = wanted.host {
            self.ours("host", json!(recorded.host), json!(host));
        }
        self.needs_another = !self.fields.is_empty();
    }

    /// The node. People and HA migrate containers, and the record follows them: no reason to destroy anything. Where another
    /// container is needed anyway, it comes on the node that is wanted.
    fn node(&mut self, wanted: &WantedApp, recorded: &Recorded, seen: Option<&Observed>) {
        let now = seen.map_or(&recorded.node, |seen| &seen.node);
        let Some(node) = wanted.node.as_ref().filter(|node| *node != now) else {
            return;
        };
        let source = source(recorded.node == *node, recorded.node == *now);
        self.differs("node", Some(json!(now)), Some(json!(node)), source);
        if !self.needs_another {
            self.obstacles.push(Obstacle::new(
                "not_in_state",
                format!("it is on {now}, and {node} is wanted; where it was made is not on record"),
                format!("migrate it in Proxmox VE, or write `node: {now}`"),
            ));
        }
    }

    /// What only our record knows.
    pub(super) fn ours(&mut self, path: &str, now: Value, wanted: Value) {
        if now != wanted {
            self.differs(path, Some(now), Some(wanted), Source::Documents);
        }
    }

    /// A key of the configuration; of the pair the first is wanted, the second on record.
    fn figure(
        &mut self,
        others: &Others<'_>,
        path: &str,
        (wanted, recorded): (u64, u64),
        now: Figure,
    ) {
        let (is_wanted, is_recorded, from) = match now {
            Figure::Is(now) => (now == wanted, now == recorded, Some(json!(now))),
            Figure::Absent => (false, false, None),
            Figure::Unknown => {
                self.is_doubtful = true;
                (recorded == wanted, true, Some(json!(recorded)))
            }
        };
        if !is_wanted {
            let source = source(recorded == wanted, is_recorded);
            let to = Some(json!(wanted));
            if others.is_left(path, source) {
                self.is_left(path, from, to);
            } else {
                self.differs(path, from, to, source);
            }
        }
    }

    /// The root file system. It grows in place and never shrinks: where the documents want less than was made by them, another
    /// container is needed; where somebody made it larger in the cluster, a person has to say what is right.
    fn disk(&mut self, others: &Others<'_>, wanted: u64, recorded: u64, seen: Option<&Observed>) {
        let now = match seen.map(|seen| (seen.by, seen.disk_bytes)) {
            Some((SeenBy::Configuration, Figure::Is(now))) => now,
            Some((SeenBy::Configuration, Figure::Unknown | Figure::Absent)) => {
                self.obstacles.push(Obstacle::new(
                    "view_incomplete",
                    "the size of its root file system is not in its configuration",
                    "let Proxmox VE write it down on its node: pct rescan --vmid VMID",
                ));
                recorded
            }
            Some((SeenBy::List, _)) => {
                let listed = seen.and_then(|seen| seen.listed_disk_bytes);
                self.is_doubtful |= !listed.is_some_and(|listed| may_be(listed, recorded));
                recorded
            }
            None => recorded,
        };
        if now == wanted {
            return;
        }
        let from = Some(json!(size_text(now)));
        let to = Some(json!(size_text(wanted)));
        let source = source(recorded == wanted, recorded == now);
        if others.is_left(ROOTFS, source) {
            return self.is_left(ROOTFS, from, to);
        }
        let shrinks = now > wanted;
        if shrinks && source == Source::Documents {
            self.needs_another = true;
        } else if shrinks {
            self.obstacles.push(Obstacle::new(
                "not_in_state",
                format!(
                    "its root file system is {}, more than the {} that are wanted, and was not made so here; none is ever made smaller",
                    size_text(now),
                    size_text(wanted)
                ),
                format!(
                    "write disk_gib: {} if that is right; to have a smaller one, remove the app and deploy it again",
                    now.div_ceil(GIB)
                ),
            ));
        }
        self.differs(ROOTFS, from, to, source);
    }

    fn settings(
        &mut self,
        wanted: &WantedApp,
        recorded: &Recorded,
        secrets: &BTreeMap<SecretName, i64>,
    ) {
        let names = wanted.settings.keys().chain(recorded.settings.keys());
        let names: BTreeSet<&String> = names.collect();
        for name in names {
            let now = recorded.settings.get(name);
            let same = match (wanted.settings.get(name), now) {
                (Some(WantedSetting::Open(value)), Some(now)) => value == now,
                (Some(WantedSetting::Secret(secret)), Some(Value::Null)) => {
                    self.secret(name, secret, recorded, secrets.get(secret).copied());
                    true
                }
                _ => false,
            };
            if !same {
                let from = now.map(|now| match now {
                    Value::Null => json!("[secret]"),
                    now => now.clone(),
                });
                let to = wanted.settings.get(name).map(WantedSetting::shown);
                let path = format!("settings.{name}");
                self.differs(&path, from, to, Source::Documents);
            }
        }
    }

    /// A secret is told from the one that was put in by its version alone, and where that is not known by nothing.
    fn secret(
        &mut self,
        name: &str,
        secret: &SecretName,
        recorded: &Recorded,
        version: Option<i64>,
    ) {
        // One that there is not is an obstacle.
        let Some(version) = version else { return };
        let put_in = recorded.secrets.get(secret).copied();
        match put_in.filter(|put_in| *put_in > 0) {
            Some(put_in) if put_in == version => {}
            Some(put_in) => {
                let told = |version: i64| Some(json!({ "secret": secret, "version": version }));
                let path = format!("settings.{name}");
                self.differs(&path, told(put_in), told(version), Source::Documents);
            }
            None => self.notes.push(format!(
                "whether settings.{name} is the secret {secret} is not compared: a secret is never read back"
            )),
        }
    }

    fn power(
        &mut self,
        wanted: Option<WantedPower>,
        recorded: StatusLabel,
        seen: Option<&Observed>,
    ) {
        let (Some(wanted), Some(seen)) = (wanted, seen) else {
            return;
        };
        let recorded = recorded_power(recorded);
        match seen.power {
            Some(now) if now == wanted => {}
            Some(now) => {
                let source = source(recorded == Some(wanted), recorded == Some(now));
                self.differs("power", Some(json!(now)), Some(json!(wanted)), source);
            }
            None => self.obstacles.push(Obstacle::new(
                "power_unknown",
                "it cannot be told whether its container runs",
                "look at its node with: proximity nodes",
            )),
        }
    }

    /// Settings are changed inside a container that runs, or is to run.
    fn at_rest(&mut self, wanted: Option<WantedPower>, seen: Option<&Observed>) {
        let rests = seen.is_some_and(|seen| seen.power == Some(WantedPower::Stopped));
        let stays = wanted != Some(WantedPower::Running);
        let mut fields = self.fields.iter();
        let of_settings = fields.any(|field| field.path.starts_with("settings."));
        if rests && stays && of_settings && !self.needs_another {
            self.obstacles.push(Obstacle::new(
                "app_stopped",
                "it does not run, and its settings are changed inside its container",
                "write `power: running`, or start it first",
            ));
        }
    }

    /// It differs, and nothing is done about it.
    fn is_left(&mut self, path: &str, from: Option<Value>, to: Option<Value>) {
        self.ignored.push(FieldDiff {
            path: path.to_owned(),
            from,
            to,
            source: Source::Cluster,
        });
    }

    pub(super) fn differs(
        &mut self,
        path: &str,
        from: Option<Value>,
        to: Option<Value>,
        source: Source,
    ) {
        self.fields.push(FieldDiff {
            path: path.to_owned(),
            from,
            to,
            source,
        });
    }
}

/// Who made a difference to what is wanted.
fn source(recorded_is_wanted: bool, recorded_is_now: bool) -> Source {
    match (recorded_is_wanted, recorded_is_now) {
        (true, _) => Source::Cluster,
        (false, true) => Source::Documents,
        (false, false) => Source::Both,
    }
}

/// Whether a volume of this size shows itself like that in the list: whole, or what a file system in it holds.
fn may_be(listed: u64, volume: u64) -> bool {
    let least = volume / 100 * (100 - OWN_USE_PERCENT);
    (least..=volume).contains(&listed)
}
