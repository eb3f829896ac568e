//! A copy of what is on record of the guests of live apps. Who looks at it again and again reads only what was written since.
//!
//! SQLite tells which rows were written ([`Touched`]), and PostgreSQL which apps (`touched_apps`). In memory every commit may have
//! changed everything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use proximity_domain::app::StatusLabel;
use proximity_domain::ids::{AppId, HostId, Vmid};
use proximity_domain::names::Hostname;

use crate::error::StoreError;
use crate::kept_rows::{Changed, ReadGuest, read_all, read_changed, read_since, read_snapshot};
use crate::observation::WatchedGuest;
use crate::sql::query;
use crate::sql::sqlite::{Position, Touched};
use crate::store::Reader;

/// Guests of live apps that are not gone, native and adopted, and how many apps are live: all as of one moment, that of the
/// newest [`KeptRecord::refresh`].
#[derive(Debug)]
pub struct KeptRecord {
    reader: Reader,
    as_of: Option<AsOf>,
    kept: Kept,
}

/// What the copy is as new as.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AsOf {
    Commit(u64),
    Rows(Position),
    /// What this snapshot of PostgreSQL's shows, and the newest commit of this process before it was taken.
    Snapshot(String, u64),
}

/// What is kept.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Kept {
    /// In the order of their VMIDs.
    guests: HashMap<HostId, Arc<Vec<WatchedGuest>>>,
    /// All live apps.
    apps: HashMap<AppId, Holds>,
}

/// Which of the guests that are kept is the app's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing,
    One(HostId, Vmid),
    /// There were several once.
    Several,
}

/// What a look at the database gave.
enum Found {
    Changed(Vec<Changed>),
    All(Kept),
}

impl Reader {
    /// A copy of what is on record of guests; empty until it is refreshed.
    #[must_use]
    pub fn keep_record(&self) -> KeptRecord {
        KeptRecord {
            reader: self.clone(),
            as_of: None,
            kept: Kept::default(),
        }
    }
}

impl KeptRecord {
    /// Brings the copy up to now: it is what one snapshot of the database shows, in which everything is that was committed by
    /// this process before the call. Nothing is read when nothing was written since, and of a database only what was. What another process wrote is read with the next commit of this one, at the latest.
    ///
    /// # Errors
    /// The database's; the copy is as before.
    pub async fn refresh(&mut self) -> Result<(), StoreError> {
        match self.reader.shared.touched.clone() {
            Some(touched) => self.refresh_rows(&touched).await,
            None if self.reader.is_on_a_server() => self.refresh_since().await,
            None => {
                self.refresh_all();
                Ok(())
            }
        }
    }

    /// Guests on a cluster, by VMID.
    #[must_use]
    pub fn guests(&self, host: HostId) -> Arc<Vec<WatchedGuest>> {
        self.kept.guests.get(&host).cloned().unwrap_or_default()
    }

    /// How many apps are live.
    #[must_use]
    pub fn live_apps(&self) -> u64 {
        u64::try_from(self.kept.apps.len()).unwrap_or(u64::MAX)
    }

    /// In memory everything is as near as what was written.
    fn refresh_all(&mut self) {
        let now = AsOf::Commit(*self.reader.commits().borrow());
        if self.as_of.as_ref() == Some(&now) {
            return;
        }
        if let Some(model) = self.reader.model() {
            self.kept = model.read(|state| Kept::of(state.live_apps(), state.all_watched()));
            self.as_of = Some(now);
        }
    }

    /// What PostgreSQL's snapshot shows that the one before did not.
    async fn refresh_since(&mut self) -> Result<(), StoreError> {
        // Taken before the read: what is committed during it is read the next time.
        let commit = *self.reader.commits().borrow();
        if matches!(&self.as_of, Some(AsOf::Snapshot(_, newest)) if *newest == commit) {
            return Ok(());
        }
        // What of the apps cannot be read would be asked for again and again: until this comes to its end, everything is read anew.
        let before = match self.as_of.take() {
            Some(AsOf::Snapshot(before, _)) => Some(before),
            Some(AsOf::Commit(_) | AsOf::Rows(_)) | None => None,
        };
        let found = self.reader.read(async |tx| {
            // The first statement takes the snapshot.
            let now = read_snapshot(tx).await?;
            let found = match &before {
                Some(before) => Found::Changed(read_since(tx, before).await?),
                None => Found::All(read_all(tx).await?),
            };
            Ok((now, found))
        });
        let (now, found) = found.await?;
        self.take(found);
        self.as_of = Some(AsOf::Snapshot(now, commit));
        Ok(())
    }

    fn take(&mut self, found: Found) {
        match found {
            Found::Changed(changed) => self.kept.apply(changed),
            Found::All(kept) => self.kept = kept,
        }
    }

    async fn refresh_rows(&mut self, touched: &Touched) -> Result<(), StoreError> {
        let known = match &self.as_of {
            Some(AsOf::Rows(position)) => Some(*position),
            Some(AsOf::Commit(_) | AsOf::Snapshot(..)) | None => None,
        };
        if known.is_some_and(|position| touched.is_current(position)) {
            return Ok(());
        }
        // In this order: what is settled now shows in the snapshot, and what shows in it has been announced. So whatever
        // differs between two snapshots is in the rows since what was settled before the first one.
        let settled = touched.settled();
        let kept = &self.kept;
        let found = self.reader.read(async |tx| {
            // The first statement takes the snapshot.
            query("SELECT only_row FROM installation")
                .fetch_one(&mut *tx)
                .await?;
            match known.and_then(|position| touched.since(position)) {
                Some(rows) => Ok(Found::Changed(read_changed(tx, &rows, kept).await?)),
                None => Ok(Found::All(read_all(tx).await?)),
            }
        });
        let found = match found.await {
            Ok(found) => found,
            Err(error) => {
                // What of the rows cannot be read would be asked for again and again: all that is watched may well be readable.
                self.as_of = None;
                return Err(error);
            }
        };
        self.take(found);
        self.as_of = Some(AsOf::Rows(settled));
        Ok(())
    }
}

/// What is kept, as far as it was read: all live apps come before the first guest.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    apps: HashMap<AppId, Holds>,
    guests: HashMap<HostId, Vec<WatchedGuest>>,
}

impl Gathered {
    pub(crate) fn add_live(&mut self, app: AppId) {
        self.apps.insert(app, Holds::Nothing);
    }

    /// Those of a cluster come in the order of their VMIDs.
    pub(crate) fn add_guest(&mut self, guest: WatchedGuest) {
        hold(&mut self.apps, &guest);
        let of_host = self.guests.entry(guest.watched.place.host).or_default();
        of_host.push(guest);
    }

    pub(crate) fn whole(mut self) -> Kept {
        self.apps.shrink_to_fit();
        let guests = self.guests.into_iter().map(|(host, mut guests)| {
            guests.shrink_to_fit();
            (host, Arc::new(guests))
        });
        Kept {
            guests: guests.collect(),
            apps: self.apps,
        }
    }
}

impl Kept {
    /// All live apps, and their guests: those of each cluster by VMID.
    pub(crate) fn of(
        live: impl IntoIterator<Item = AppId>,
        guests: impl IntoIterator<Item = WatchedGuest>,
    ) -> Self {
        let mut gathered = Gathered::default();
        for app in live {
            gathered.add_live(app);
        }
        for guest in guests {
            gathered.add_guest(guest);
        }
        gathered.whole()
    }

    /// Where the one guest of an app is kept, if it has one.
    pub(crate) fn place(&self, app: AppId) -> Option<(HostId, usize)> {
        let Some(Holds::One(host, vmid)) = self.apps.get(&app) else {
            return None;
        };
        let guests = self.guests.get(host)?;
        let at = find(guests, *vmid)?;
        let is_its_own = guests.get(at)?.watched.app == app;
        is_its_own.then_some((*host, at))
    }

    /// All of what was read is of one snapshot, so that the order does not matter.
    fn apply(&mut self, changed: Vec<Changed>) {
        let mut guests: BTreeMap<HostId, Vec<ReadGuest>> = BTreeMap::new();
        for changed in changed {
            match changed {
                Changed::App(app, hostname, status) => self.put_app(app, hostname, status),
                Changed::Whole {
                    app,
                    is_live,
                    guest,
                } => {
                    if is_live {
                        self.apps.entry(app).or_insert(Holds::Nothing);
                    } else {
                        self.apps.remove(&app);
                    }
                    if let Some(read) = guest {
                        let of_host = guests.entry(read.guest.watched.place.host).or_default();
                        of_host.push(read);
                    }
                }
            }
        }
        for (host, read) in guests {
            self.put_guests(host, read);
        }
    }

    fn put_app(&mut self, app: AppId, hostname: Hostname, status: StatusLabel) {
        if let Some((host, at)) = self.place(app)
            && let Some(guests) = self.guests.get_mut(&host)
            && let Some(guest) = Arc::make_mut(guests).get_mut(at)
        {
            guest.hostname = hostname;
            guest.status = status;
        }
    }

    /// Number and cluster of a guest are fixed at birth, and of those that are not gone each has its own.
    fn put_guests(&mut self, host: HostId, read: Vec<ReadGuest>) {
        let kept = Arc::make_mut(self.guests.entry(host).or_default());
        let apps = &mut self.apps;
        let read = read.into_iter();
        let (watched, others): (Vec<_>, Vec<_>) = read.partition(|read| read.is_watched);
        let (mut new, mut gone) = (BTreeMap::new(), HashSet::new());
        for ReadGuest { guest, .. } in watched {
            let vmid = guest.watched.place.vmid;
            let before = match find(kept, vmid) {
                Some(at) => kept.get_mut(at),
                None => None,
            };
            if let Some(before) = &before
                && before.watched.guest != guest.watched.guest
            {
                release(apps, before);
            }
            hold(apps, &guest);
            match before {
                Some(before) => *before = guest,
                None => {
                    new.insert(vmid, guest);
                }
            }
        }
        for ReadGuest { guest, .. } in others {
            let id = guest.watched.guest;
            let before = find(kept, guest.watched.place.vmid).and_then(|at| kept.get(at));
            if before.is_some_and(|before| before.watched.guest == id) && gone.insert(id) {
                release(apps, &guest);
            }
        }
        if !gone.is_empty() {
            kept.retain(|guest| !gone.contains(&guest.watched.guest));
        }
        if !new.is_empty() {
            kept.extend(new.into_values());
            kept.sort_by_key(|guest| guest.watched.place.vmid);
        }
    }
}

fn find(guests: &[WatchedGuest], vmid: Vmid) -> Option<usize> {
    let found = guests.binary_search_by_key(&vmid, |guest| guest.watched.place.vmid);
    found.ok()
}

fn one(guest: &WatchedGuest) -> Holds {
    let place = &guest.watched.place;
    Holds::One(place.host, place.vmid)
}

fn hold(apps: &mut HashMap<AppId, Holds>, guest: &WatchedGuest) {
    let one = one(guest);
    let holds = apps.entry(guest.watched.app).or_insert(one);
    if *holds == Holds::Nothing {
        *holds = one;
    } else if *holds != one {
        *holds = Holds::Several;
    }
}

/// Of what held several once it is not known which one is left.
fn release(apps: &mut HashMap<AppId, Holds>, guest: &WatchedGuest) {
    if let Some(holds) = apps.get_mut(&guest.watched.app)
        && *holds == one(guest)
    {
        *holds = Holds::Nothing;
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::guest::ContainerRef;
    use proximity_domain::ids::GuestId;
    use proximity_domain::observe::Watched;
    use uuid::Uuid;

    use super::*;

    const HOST: HostId = HostId(Uuid::from_u128(1));

    fn app(n: u128) -> AppId {
        AppId(Uuid::from_u128(n))
    }

    fn guest(id: u128, of: u128, vmid: u32) -> WatchedGuest {
        WatchedGuest {
            watched: Watched {
                guest: GuestId(Uuid::from_u128(id)),
                app: app(of),
                place: ContainerRef {
                    host: HOST,
                    node: "pve1".parse().unwrap(),
                    vmid: vmid.try_into().unwrap(),
                },
                confirmed: true,
            },
            adopted: false,
            hostname: "web".parse().unwrap(),
            status: StatusLabel::Running,
            operation: None,
        }
    }

    fn read(guest: WatchedGuest, is_watched: bool) -> Changed {
        Changed::Whole {
            app: guest.watched.app,
            is_live: true,
            guest: Some(ReadGuest { guest, is_watched }),
        }
    }

    fn kept(apps: &[u128], guests: Vec<WatchedGuest>) -> Kept {
        Kept::of(apps.iter().map(|n| app(*n)), guests)
    }

    #[test]
    fn a_number_may_have_another_guest_by_now() {
        let (old, new) = (guest(11, 1, 101), guest(12, 2, 101));
        for turned in [false, true] {
            let mut record = kept(&[1, 2], vec![old.clone(), guest(13, 3, 102)]);
            let mut changed = vec![read(old.clone(), false), read(new.clone(), true)];
            if turned {
                changed.reverse();
            }
            record.apply(changed);
            assert_eq!(record, kept(&[1, 2], vec![new.clone(), guest(13, 3, 102)]));
            assert_eq!(record.place(app(1)), None);
            assert_eq!(record.place(app(2)), Some((HOST, 0)));
        }
    }

    #[test]
    fn guests_come_in_the_order_of_their_numbers_and_go() {
        let mut record = kept(&[1, 2, 3], vec![guest(12, 2, 102)]);
        let came = [guest(13, 3, 103), guest(11, 1, 101), guest(11, 1, 101)];
        record.apply(came.map(|guest| read(guest, true)).into());
        let all = vec![guest(11, 1, 101), guest(12, 2, 102), guest(13, 3, 103)];
        assert_eq!(record, kept(&[1, 2, 3], all));
        let archived = Changed::Whole {
            app: app(2),
            is_live: false,
            guest: Some(ReadGuest {
                guest: guest(12, 2, 102),
                is_watched: false,
            }),
        };
        record.apply(vec![archived, read(guest(19, 3, 101), false)]);
        let left = vec![guest(11, 1, 101), guest(13, 3, 103)];
        assert_eq!(record, kept(&[1, 3], left));
    }

    #[test]
    fn an_app_with_several_guests_is_read_with_them() {
        let mut record = kept(&[1], vec![guest(11, 1, 101), guest(12, 1, 102)]);
        assert_eq!(record.place(app(1)), None);
        record.apply(vec![read(guest(12, 1, 102), false)]);
        assert_eq!(record.place(app(1)), None, "which one is left?");
        let mut record = kept(&[1], vec![guest(11, 1, 101)]);
        assert_eq!(record.place(app(1)), Some((HOST, 0)));
        record.apply(vec![read(guest(12, 1, 102), true)]);
        assert_eq!(record.place(app(1)), None);
    }

    #[test]
    fn what_an_app_says_reaches_its_guest() {
        let mut record = kept(&[1], vec![guest(11, 1, 101)]);
        let before = Arc::clone(&record.guests[&HOST]);
        let named = "shop".parse().unwrap();
        record.apply(vec![Changed::App(app(1), named, StatusLabel::Stopped)]);
        let now = &record.guests[&HOST][0];
        assert_eq!(
            (now.hostname.as_str(), now.status),
            ("shop", StatusLabel::Stopped)
        );
        assert_eq!(
            before[0],
            guest(11, 1, 101),
            "who looks at it sees it as it was"
        );
    }
}
