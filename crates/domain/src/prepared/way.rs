//! Which way a new container is made.

use std::collections::BTreeSet;

use super::{Base, BaseKey, FORMAT, Kept, Policy, Spot, Stage, age_ms};
use crate::ids::{PreparedId, Vmid};
use crate::names::Volid;
use crate::time::Timestamp;

/// What a container is wanted to be.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Where it comes.
    pub spot: &'a Spot,
    /// What a template has to be made of.
    pub key: &'a BaseKey,
    /// Size of its root file system, GiB.
    pub disk_gib: u32,
    /// Whether the storage can share what is the same, as the node itself says of the template.
    pub links: bool,
}

/// How a container comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A clone that shares the template's root file system.
    Linked(PreparedId),
    /// A whole copy of the template.
    Whole(PreparedId),
    /// From the OS template's archive, as without prepared templates.
    FromArchive(WhyArchive),
}

/// Why no prepared template is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyArchive {
    /// None are used at all.
    Off,
    /// There is none of this base here.
    NotThere,
    /// One is being made.
    NotReady,
    /// What it fetched is too old: an update may have come out since.
    TooOld,
    /// Its root file system has another size than the wanted one.
    OtherSize,
}

/// Which way a container is made. It is never refused for the sake of a template: where none will do, there is the archive.
#[must_use]
pub fn way(stock: &[Kept], ask: &Ask<'_>, policy: &Policy, now: Timestamp) -> Way {
    if !policy.on {
        return Way::FromArchive(WhyArchive::Off);
    }
    let all = stock.iter().map(|kept| &kept.prepared);
    let mut usable = all.filter(|one| one.stage != Stage::Leaving && one.spot == *ask.spot);
    let Some(found) = usable.find(|one| one.base.key() == *ask.key) else {
        return Way::FromArchive(WhyArchive::NotThere);
    };
    if found.stage != Stage::Ready {
        return Way::FromArchive(WhyArchive::NotReady);
    }
    if age_ms(found.stage_at, now) >= policy.fresh_ms {
        return Way::FromArchive(WhyArchive::TooOld);
    }
    if found.disk_gib != ask.disk_gib {
        return Way::FromArchive(WhyArchive::OtherSize);
    }
    match ask.links {
        true => Way::Linked(found.id),
        false => Way::Whole(found.id),
    }
}

/// A container of which the archive's size was not read.
#[derive(Debug, Clone, Copy)]
pub struct Guess<'a> {
    /// Where it would come.
    pub spot: &'a Spot,
    /// The OS template it would be made from.
    pub os_template: &'a Volid,
    /// The packages of its recipe.
    pub packages: &'a BTreeSet<String>,
    /// Size of its root file system, GiB.
    pub disk_gib: u32,
}

/// The number of the template that such a container would be cloned from now, as far as the record tells: whether the archive is still the
/// same, and the template still ours, is looked at when it is cloned.
#[must_use]
pub fn likely(stock: &[Kept], guess: &Guess<'_>, policy: &Policy, now: Timestamp) -> Option<Vmid> {
    let is_like = |base: &Base| {
        base.format == FORMAT
            && base.os_template == *guess.os_template
            && base.packages == *guess.packages
    };
    let mut all = stock.iter().map(|kept| &kept.prepared);
    let found =
        all.find(|one| one.stage == Stage::Ready && one.spot == *guess.spot && is_like(&one.base))?;
    let ask = Ask {
        spot: guess.spot,
        key: &found.base.key(),
        disk_gib: guess.disk_gib,
        links: false,
    };
    match way(stock, &ask, policy, now) {
        Way::Linked(_) | Way::Whole(_) => Some(found.identity.vmid),
        Way::FromArchive(_) => None,
    }
}
