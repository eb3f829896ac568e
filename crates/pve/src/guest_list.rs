//! The cluster's list of guests, as far as it is needed every few seconds: read in one pass, nothing kept per guest but
//! numbers. For everything else a row has see [`crate::cluster::ResourceRow`].

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use proximity_domain::ids::Vmid;
use proximity_domain::names::{NodeName, PoolName};
use serde::de::{Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, de};

use crate::call::Call;
use crate::cluster::{GuestKind, GuestStatus};
use crate::error::Result;
use crate::read::ReadClient;

/// One guest in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedGuest {
    /// Its number.
    pub vmid: Vmid,
    /// Its node: an index into [`GuestList::nodes`].
    pub node: u32,
    /// Container or virtual machine.
    pub kind: GuestKind,
    /// Power as the statistics have it: up to 10 s old.
    pub status: GuestStatus,
    /// The pool it is in: an index into [`GuestList::pools`]. Membership is the number's, and current.
    pub pool: Option<u32>,
    /// Whether high availability manages it.
    pub ha_managed: bool,
    /// A checksum of its name and tags, of use within one process. `None` while PVE has no statistics of it, its name among
    /// them: of a node that is silent, or right after a boot.
    pub words: Option<u64>,
    /// A checksum of its limits of memory and processors, of use within one process.
    pub limits: u32,
    /// Seconds since its start, 0 when stopped.
    pub uptime_s: u32,
    /// Size of its root disk, MiB: as configured when it is stopped, as its file system says when it runs.
    pub disk_mib: u32,
    /// It is under a lock behind which PVE makes, rolls back or destroys it. Locks are current.
    pub in_the_making: bool,
}

/// All guests the token may see, and the nodes and pools they are in, each named once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuestList {
    /// The nodes, in the order in which the list mentions them.
    pub nodes: Vec<NodeName>,
    /// The pools, likewise. One whose name follows no rule is left out.
    pub pools: Vec<PoolName>,
    /// The guests, in PVE's order, which is none.
    pub guests: Vec<ListedGuest>,
    /// A checksum of what of it does not change by itself: which guests there are, where, their power, names, tags, pools and
    /// sizes, whatever their order. Of use within one process.
    pub sum: u64,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(deserialize_with = "vmid")]
    vmid: Vmid,
    #[serde(rename = "type")]
    kind: GuestKind,
    #[serde(borrow)]
    node: Cow<'a, str>,
    #[serde(default = "unknown")]
    status: GuestStatus,
    #[serde(borrow, default, deserialize_with = "name")]
    pool: Option<Cow<'a, str>>,
    /// Its state there, whatever it is.
    #[serde(default)]
    hastate: Option<IgnoredAny>,
    #[serde(borrow, default, deserialize_with = "name")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "name")]
    tags: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "name")]
    lock: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "figure")]
    uptime: u64,
    #[serde(default, deserialize_with = "figure")]
    maxdisk: u64,
    #[serde(default, deserialize_with = "figure")]
    maxmem: u64,
    #[serde(default, deserialize_with = "figure")]
    maxcpu: u64,
    #[serde(default, deserialize_with = "figure")]
    template: u64,
}

/// Behind these another container may come under the number of one.
const IN_THE_MAKING: [&str; 3] = ["create", "destroyed", "rollback"];

impl Row<'_> {
    fn words(&self) -> Option<u64> {
        let mut words = DefaultHasher::new();
        (self.name.as_deref()?, self.tags.as_deref()).hash(&mut words);
        Some(words.finish())
    }

    fn limits(&self) -> u32 {
        let mixed = [self.maxmem, self.maxcpu].into_iter().fold(0, mix);
        // The upper half of a product depends on all of it.
        u32::try_from(mixed >> 32).unwrap_or_default()
    }

    fn is_in_the_making(&self) -> bool {
        let lock = self.lock.as_deref();
        lock.is_some_and(|lock| IN_THE_MAKING.contains(&lock))
    }

    /// Of the row as `guest`, on the node and in the pool with these checksums. Of one of which PVE has no statistics only what is
    /// current counts.
    fn sum(&self, guest: &ListedGuest, node: u64, pool: Option<u64>) -> u64 {
        let place = [
            u64::from(guest.vmid.get()),
            guest.kind as u64,
            node,
            pool.map_or(0, |pool| pool | 1),
        ];
        let sum = place.into_iter().fold(0, mix);
        let Some(words) = guest.words else {
            return sum;
        };
        let flags = u64::from(guest.ha_managed) | (self.template << 1);
        // How large the disk of a running container is its file system says.
        let disk = match guest.kind {
            GuestKind::Lxc => 0,
            GuestKind::Qemu => self.maxdisk,
        };
        let shown = [
            words,
            guest.status as u64,
            flags,
            self.maxmem,
            self.maxcpu,
            disk,
        ];
        shown.into_iter().fold(sum, mix)
    }

    /// In the list, on the node and in the pool of these numbers.
    fn listed(&self, node: u32, pool: Option<u32>) -> ListedGuest {
        let most = |figure: u64| u32::try_from(figure).unwrap_or(u32::MAX);
        ListedGuest {
            vmid: self.vmid,
            node,
            kind: self.kind,
            status: self.status,
            pool,
            ha_managed: self.hastate.is_some(),
            words: self.words(),
            limits: self.limits(),
            uptime_s: most(self.uptime),
            disk_mib: most(self.maxdisk >> 20),
            in_the_making: self.is_in_the_making(),
        }
    }
}

/// One figure more in a checksum, where the order counts.
fn mix(sum: u64, figure: u64) -> u64 {
    let mixed = (sum ^ figure).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29)
}

/// Checksums of names, each made when the list mentions it first.
#[derive(Default)]
struct Sums(Vec<u64>);

impl Sums {
    fn of<T: Hash>(&mut self, names: &[T], at: u32) -> u64 {
        for name in names.iter().skip(self.0.len()) {
            let mut sum = DefaultHasher::new();
            name.hash(&mut sum);
            self.0.push(sum.finish());
        }
        let at = usize::try_from(at).ok();
        at.and_then(|at| self.0.get(at)).copied().unwrap_or(0)
    }
}

fn unknown() -> GuestStatus {
    GuestStatus::Unknown
}

/// A number or its text, without keeping either.
fn vmid<'de, D: Deserializer<'de>>(d: D) -> Result<Vmid, D::Error> {
    struct Number;

    impl Visitor<'_> for Number {
        type Value = Vmid;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a VMID")
        }

        fn visit_u64<E: de::Error>(self, n: u64) -> Result<Vmid, E> {
            let number = u32::try_from(n).ok().and_then(|n| Vmid::try_from(n).ok());
            number.ok_or_else(|| E::custom(format!("{n} is no VMID")))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vmid, E> {
            text.parse().map_err(E::custom)
        }
    }

    d.deserialize_any(Number)
}

/// A text, a number as its text, or nothing; not copied where that can be.
fn name<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    struct Name;

    impl<'de> Visitor<'de> for Name {
        type Value = Option<Cow<'de, str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name")
        }

        fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Borrowed(text)))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(text.to_owned())))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(number.to_string())))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(number.to_string())))
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(number.to_string())))
        }

        fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(on.to_string())))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    d.deserialize_any(Name)
}

/// A whole number or its text. Anything else is 0: a figure that cannot be read spoils no list.
fn figure<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    struct Figure;

    impl Visitor<'_> for Figure {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a figure")
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_i64<E: de::Error>(self, _: i64) -> Result<u64, E> {
            Ok(0)
        }

        fn visit_f64<E: de::Error>(self, _: f64) -> Result<u64, E> {
            Ok(0)
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<u64, E> {
            Ok(0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            Ok(text.parse().unwrap_or(0))
        }

        fn visit_unit<E: de::Error>(self) -> Result<u64, E> {
            Ok(0)
        }
    }

    d.deserialize_any(Figure)
}

impl GuestList {
    /// The index of this node's name, which is added if it is new. A list has few nodes, and mostly the last one again.
    fn node(&mut self, name: &str) -> Result<u32, String> {
        let at = match self.nodes.iter().rposition(|n| n.as_str() == name) {
            Some(at) => at,
            None => {
                let name: NodeName = name.parse().map_err(|e| format!("{e}"))?;
                self.nodes.push(name);
                self.nodes.len() - 1
            }
        };
        u32::try_from(at).map_err(|e| e.to_string())
    }

    /// The same of this pool's name; `None` if it is none.
    fn pool(&mut self, name: &str) -> Option<u32> {
        let at = match self.pools.iter().rposition(|p| p.as_str() == name) {
            Some(at) => at,
            None => {
                self.pools.push(name.parse().ok()?);
                self.pools.len() - 1
            }
        };
        u32::try_from(at).ok()
    }
}

impl<'de> Deserialize<'de> for GuestList {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Rows;

        impl<'de> Visitor<'de> for Rows {
            type Value = GuestList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of guests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<GuestList, A::Error> {
                let mut list = GuestList::default();
                let (mut nodes, mut pools) = (Sums::default(), Sums::default());
                while let Some(row) = seq.next_element::<Row<'de>>()? {
                    let node = list.node(&row.node).map_err(A::Error::custom)?;
                    let pool = row.pool.as_deref().and_then(|name| list.pool(name));
                    let guest = row.listed(node, pool);
                    let on = nodes.of(&list.nodes, node);
                    let inside = pool.map(|pool| pools.of(&list.pools, pool));
                    list.sum = list.sum.wrapping_add(row.sum(&guest, on, inside));
                    list.guests.push(guest);
                }
                Ok(list)
            }
        }

        d.deserialize_seq(Rows)
    }
}

impl ReadClient {
    /// All guests the token may see (`VM.Audit`), also those of nodes that are off.
    ///
    /// The list is read whole or not at all: one row that cannot be read makes it [`crate::Error::Unreadable`]. That a guest
    /// is not in it proves nothing by itself.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn guest_list(&self) -> Result<GuestList> {
        self.get(Call::quick(&["cluster", "resources"]).with("type", "vm"))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<GuestList, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn rows_are_read_whatever_else_they_hold() {
        let list = read(
            r#"[{"id":"lxc/101","vmid":101,"type":"lxc","node":"pve1","status":"running","cpu":-0.1,"tags":7},
                {"vmid":"102","type":"qemu","node":"pve2","status":"stopped"},
                {"vmid":103,"type":"lxc","node":"pve1"},
                {"vmid":104,"type":"lxc","node":"pve1","status":"paused","name":null}]"#,
        )
        .unwrap();
        let nodes: Vec<&str> = list.nodes.iter().map(NodeName::as_str).collect();
        assert_eq!(nodes, ["pve1", "pve2"]);
        let rows: Vec<_> = list
            .guests
            .iter()
            .map(|g| (g.vmid.get(), g.node, g.kind, g.status))
            .collect();
        assert_eq!(
            rows,
            [
                (101, 0, GuestKind::Lxc, GuestStatus::Running),
                (102, 1, GuestKind::Qemu, GuestStatus::Stopped),
                (103, 0, GuestKind::Lxc, GuestStatus::Unknown),
                (104, 0, GuestKind::Lxc, GuestStatus::Unknown),
            ]
        );
    }

    /// As the schema has it: `hastate` is there for members of high availability alone.
    #[test]
    fn those_that_high_availability_manages_are_told() {
        let list = read(
            r#"[{"vmid":101,"type":"lxc","node":"pve1","hastate":"started"},
                {"vmid":102,"type":"lxc","node":"pve1","hastate":null},
                {"vmid":103,"type":"lxc","node":"pve1"}]"#,
        )
        .unwrap();
        let managed: Vec<bool> = list.guests.iter().map(|guest| guest.ha_managed).collect();
        assert_eq!(managed, [true, false, false]);
    }

    /// As recorded: a guest in a pool names it, one in none has no such field.
    #[test]
    fn each_guest_names_its_pool() {
        let list = read(
            r#"[{"id":"lxc/212","vmid":212,"type":"lxc","node":"solo","pool":"team"},
                {"id":"lxc/213","vmid":213,"type":"lxc","node":"solo"},
                {"id":"lxc/214","vmid":214,"type":"lxc","node":"solo","pool":"apps/web"},
                {"id":"lxc/215","vmid":215,"type":"lxc","node":"solo","pool":"team"},
                {"id":"lxc/216","vmid":216,"type":"lxc","node":"solo","pool":7},
                {"id":"lxc/217","vmid":217,"type":"lxc","node":"solo","pool":null},
                {"id":"lxc/218","vmid":218,"type":"lxc","node":"solo","pool":"\u0074eam"},
                {"id":"lxc/219","vmid":219,"type":"lxc","node":"solo","pool":"no name"}]"#,
        )
        .unwrap();
        let pools: Vec<&str> = list.pools.iter().map(PoolName::as_str).collect();
        assert_eq!(pools, ["team", "apps/web", "7"]);
        let of: Vec<Option<u32>> = list.guests.iter().map(|g| g.pool).collect();
        let (team, web, seven) = (Some(0), Some(1), Some(2));
        assert_eq!(of, [team, None, web, team, seven, None, team, None]);
    }

    #[test]
    fn what_else_is_shown_of_a_guest_is_told_apart() {
        let list = read(
            r#"[{"vmid":101,"type":"lxc","node":"pve1","name":"web","tags":"a;b","uptime":"70","maxdisk":2147483648},
                {"vmid":102,"type":"lxc","node":"pve1","name":"web","tags":"a;b","uptime":-1,"maxdisk":0.5},
                {"vmid":103,"type":"lxc","node":"pve1","name":"web2","tags":"a;b"},
                {"vmid":104,"type":"lxc","node":"pve1","name":"web","tags":"a"},
                {"vmid":105,"type":"lxc","node":"pve1","name":"web","tags":"a;b","pool":"team"},
                {"vmid":106,"type":"lxc","node":"pve1","tags":"a;b","lock":"create"},
                {"vmid":107,"type":"lxc","node":"pve1","name":7,"tags":-7.5,"lock":"backup"}]"#,
        )
        .unwrap();
        let words: Vec<Option<u64>> = list.guests.iter().map(|g| g.words).collect();
        assert_eq!(words[0], words[1]);
        assert_eq!(words[0], words[4], "its pool is told beside");
        for other in [2, 3] {
            assert_ne!(words[0], words[other], "{other}");
        }
        assert_eq!((words[5], words[6].is_some()), (None, true));
        let figures: Vec<_> = list
            .guests
            .iter()
            .map(|g| (g.uptime_s, g.disk_mib))
            .collect();
        assert_eq!(figures[..3], [(70, 2048), (0, 0), (0, 0)]);
        let made: Vec<u32> = list
            .guests
            .iter()
            .filter(|g| g.in_the_making)
            .map(|g| g.vmid.get())
            .collect();
        assert_eq!(made, [106]);
    }

    #[test]
    fn the_sum_tells_of_what_does_not_change_by_itself_whatever_the_order() {
        let web = r#"{"vmid":101,"type":"lxc","node":"pve1","status":"running","name":"web","tags":"a","pool":"team",
            "maxmem":512,"maxcpu":2,"template":0,"uptime":70,"cpu":0.1,"maxdisk":7}"#;
        let db = r#"{"vmid":102,"type":"qemu","node":"pve2","status":"stopped","name":"db","maxdisk":7}"#;
        let sum = |rows: &[&str]| read(&format!("[{}]", rows.join(","))).unwrap().sum;
        let first = sum(&[web, db]);
        assert_eq!(sum(&[db, web]), first);
        let figures = r#""uptime":70,"cpu":0.1,"maxdisk":7"#;
        let by_itself = web.replace(figures, r#""uptime":80,"maxdisk":8"#);
        assert_eq!(sum(&[&by_itself, db]), first);
        for (was, is) in [
            ("101", "103"),
            ("pve1", "pve2"),
            ("running", "stopped"),
            (r#""web""#, r#""shop""#),
            (r#""a""#, r#""b""#),
            ("team", "other"),
            (r#""maxmem":512"#, r#""maxmem":1024"#),
            (r#""maxcpu":2"#, r#""maxcpu":1"#),
            (r#""template":0"#, r#""template":1"#),
            (r#""pool":"team","#, ""),
            ("lxc", "qemu"),
            (r#""uptime":70"#, r#""hastate":"started""#),
        ] {
            assert!(web.contains(was), "{was}");
            assert_ne!(sum(&[&web.replace(was, is), db]), first, "{was} {is}");
        }
        let larger = db.replace(r#""maxdisk":7"#, r#""maxdisk":8"#);
        assert_ne!(sum(&[web, &larger]), first);
        assert_ne!(sum(&[web]), first);
    }

    #[test]
    fn one_bad_row_spoils_the_list() {
        let good = r#"{"vmid":101,"type":"lxc","node":"pve1"}"#;
        for bad in [
            r#"{"vmid":99,"type":"lxc","node":"pve1"}"#,
            r#"{"vmid":-101,"type":"lxc","node":"pve1"}"#,
            r#"{"vmid":"x","type":"lxc","node":"pve1"}"#,
            r#"{"vmid":101,"type":"storage","node":"pve1"}"#,
            r#"{"vmid":101,"type":"lxc","node":"not a node"}"#,
            r#"{"vmid":101,"type":"lxc"}"#,
            r#"{"type":"lxc","node":"pve1"}"#,
            "7",
        ] {
            assert!(read(&format!("[{good},{bad}]")).is_err(), "{bad}");
        }
        assert!(read(&format!("[{good},")).is_err(), "cut off");
        assert!(read("{}").is_err() && read("null").is_err());
        assert_eq!(read("[]"), Ok(GuestList::default()));
    }
}
