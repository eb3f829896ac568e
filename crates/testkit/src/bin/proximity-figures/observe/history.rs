//! P15: what a change of a container takes of the database, what a look takes that finds none, and how long the server takes to tell what
//! became of one container among very many changes.
//!
//! Changes are made in the lab, and recorded by the product's own pass and its own recording of resources. What is more is written by the
//! product's call that the sweep writes with: somebody changes the memory limit of each container, again and again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use proximity_api::client::Client;
use proximity_api::resources::{AtQuery, HistoryQuery};
use proximity_domain::ids::{HostId, Vmid};
use proximity_domain::resource::{Found, ResourceId, ResourceKey};
use proximity_domain::time::{Clock, Timestamp};
use proximity_store::Store;
use proximity_testkit::sources::RealClock;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::latency::Latencies;
use super::passes::{pass, quiet, settle, switch};
use super::world::{FIRST_VMID, World, data_dir, runs, site_plan};
use super::{Args, server};
use crate::stack::{Around, Site};

/// Looks at a cluster that stays as it is.
const QUIET_LOOKS: u64 = 20;
/// Snapshots of one commit, as the product makes them.
const AT_ONCE: usize = 200;
/// From one change of a container to its next, in the history, milliseconds.
const APART_MS: i64 = 1_000;
/// The history ends so long before now, milliseconds.
const LEAD_MS: i64 = 60_000;
/// How many passes it may take until all changes are followed, and the time between them.
const MOST_PASSES: usize = 60;
const EVERY: Duration = Duration::from_secs(10);
/// Snapshots of a page.
const PAGE: usize = 50;
/// Further apart than neighbours, and in no common measure with their number.
const STRIDE: u64 = 7_919;
/// Bytes of the notes in the control.
const WIDE: usize = 4 << 10;

/// The containers of the lab, and what is written of them.
struct Guests {
    host: HostId,
    vmids: Range<u32>,
    /// The control: each snapshot takes a multiple.
    is_wide: bool,
}

/// When the history that was written began, and how many times each container changed in it.
#[derive(Debug, Clone, Copy)]
struct Span {
    begin: Timestamp,
    turns: u64,
}

/// Measures all of it, the server at the end.
pub(super) async fn measure(world: &World, args: &Args) -> Result<Value> {
    let hosts = world.store.hosts().await?;
    let guests = Guests {
        host: hosts.first().context("no host")?.id,
        vmids: FIRST_VMID..FIRST_VMID + args.guests,
        is_wide: args.sabotage,
    };
    let file = Connection::open(data_dir(&args.dir).join("proximity.db"))?;
    quiet(world).await?;
    record(world).await?;
    let seen = guests.newest(&world.store).await?;
    guests.write(&world.store, 0, seen).await?;
    let still = guests.vmids.clone().filter(|vmid| !runs(*vmid)).count();
    switch(world, 0..world.apps.len(), true).await?;
    follow(world, still).await?;
    settle(world).await?;
    record(world).await?;
    let unchanged = unchanged(world, &guests, &file, args.sabotage).await?;
    let (changes, grown) = changed(world, args, &file).await?;
    let turns = args.events.div_ceil(u64::from(args.guests));
    // It ends before anything that the server will see by its own clock.
    let long = APART_MS * i64::try_from(turns)? + LEAD_MS;
    let begin = Timestamp(RealClock.now().0 - long);
    let begun = Instant::now();
    let mut written = 0;
    for turn in 1..=turns {
        let ahead = i64::try_from(turn)? * APART_MS;
        let at = Timestamp(begin.0 + ahead);
        written += guests.write(&world.store, turn, at).await?;
    }
    let wanted = turns * u64::from(args.guests);
    ensure!(written == wanted, "{written} of {wanted} were written");
    let filled_s = begun.elapsed().as_secs_f64();
    let whole = bytes(&file)?;
    drop(file);
    world.store.close().await;
    let span = Span { begin, turns };
    let read = read(&guests, span, args).await?;
    Ok(json!({
        "guests": args.guests, "snapshots": written, "database_bytes": whole, "filled_s": filled_s,
        "unchanged_bytes": unchanged, "changes": changes, "changed_bytes": grown, "read": read,
    }))
}

/// Records what the last pass handed over; how many snapshots that made.
async fn record(world: &World) -> Result<u64> {
    let report = world.engine.reconciler().record_resources().await?;
    ensure!(report.failed.is_empty(), "{:?}", report.failed);
    Ok(report.written)
}

/// Bytes of the database that hold anything, those that are in its log alone as well.
fn bytes(file: &Connection) -> Result<u64> {
    let number = |name: &str| -> Result<i64> {
        let pragma = format!("PRAGMA {name}");
        Ok(file.query_row(&pragma, [], |row| row.get(0))?)
    };
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(u64::try_from(pages * number("page_size")?)?)
}

/// What looks take that find no change. The control writes a snapshot of each container at each of them, as if one had to.
async fn unchanged(
    world: &World,
    guests: &Guests,
    file: &Connection,
    sabotage: bool,
) -> Result<u64> {
    let before = bytes(file)?;
    let commits = *world.store.commits().borrow();
    for look in 1..=QUIET_LOOKS {
        quiet(world).await?;
        ensure!(record(world).await? == 0, "a change that nobody made");
        if sabotage {
            let at = guests.newest(&world.store).await?;
            guests.write(&world.store, look, at).await?;
        }
    }
    let committed = *world.store.commits().borrow() - commits;
    ensure!(committed == 0 || sabotage, "{committed} commits");
    Ok(bytes(file)?.saturating_sub(before))
}

/// Somebody switches all containers, again and again: how many changes that is, and the bytes that they take with all that is told of them.
async fn changed(world: &World, args: &Args, file: &Connection) -> Result<(u64, u64)> {
    let (before, mut changes) = (bytes(file)?, 0);
    let all = u64::try_from(world.apps.len())?;
    // An even number, so that all are alike again.
    for round in 0..args.rounds.next_multiple_of(2) {
        switch(world, 0..world.apps.len(), round % 2 == 1).await?;
        follow(world, world.apps.len()).await?;
        let noted = record(world).await?;
        ensure!(noted >= all, "{noted} of {all} changes were recorded");
        changes += all;
    }
    Ok((changes, bytes(file)?.saturating_sub(before)))
}

/// Passes until so many changes of power are on record.
async fn follow(world: &World, mut left: usize) -> Result<()> {
    for _ in 0..MOST_PASSES {
        left = left.saturating_sub(pass(world).await?.refreshed);
        if left == 0 {
            return Ok(());
        }
        world.pass_time(EVERY);
    }
    bail!("{left} changes were not followed")
}

impl Guests {
    fn resource(&self, vmid: u32) -> Result<ResourceId> {
        let key = ResourceKey::container(Vmid::try_from(vmid)?);
        Ok(ResourceId::of(self.host, &key))
    }

    /// When a container changed last.
    async fn newest(&self, store: &Store) -> Result<Timestamp> {
        let mut newest = Timestamp(0);
        for vmid in [self.vmids.start, self.vmids.end - 1] {
            let of_it = store.snapshots(self.resource(vmid)?, None, 1).await?;
            let of_it = of_it.first().context("a container is not recorded")?;
            newest = newest.max(of_it.at);
        }
        Ok(newest)
    }

    /// Each has another memory limit than at the turn before; how many snapshots that makes.
    async fn write(&self, store: &Store, turn: u64, at: Timestamp) -> Result<u64> {
        let found = self.vmids.clone().map(|vmid| {
            let config = self.config(vmid, turn)?;
            Ok(Found::configured(self.host, Vmid::try_from(vmid)?, &config))
        });
        let found = found.collect::<Result<Vec<Found>>>()?;
        let mut written = 0;
        for part in found.chunks(AT_ONCE) {
            written += store.note_resources(part, at).await?;
        }
        Ok(written)
    }

    /// A configuration as Proxmox VE has it.
    fn config(&self, vmid: u32, turn: u64) -> Result<BTreeMap<String, Value>> {
        let [_, a, b, c] = vmid.to_be_bytes();
        let notes = match self.is_wide {
            true => "x".repeat(WIDE),
            false => format!("app{vmid}, taken over"),
        };
        let config = json!({
            "arch": "amd64", "cores": 1, "description": notes, "features": "nesting=1", "hostname": format!("app{vmid}"),
            "memory": 512 + turn % 2, "net0": format!("name=eth0,bridge=vmbr0,hwaddr=BC:24:11:{a:02X}:{b:02X}:{c:02X},ip=dhcp,type=veth"),
            "onboot": 1, "ostype": "debian", "rootfs": format!("local:vm-{vmid}-disk-0,size=4G"), "swap": 512,
            "unprivileged": 1,
        });
        Ok(serde_json::from_value(config)?)
    }
}

/// The server on that record: pages of histories, and states at moments, one after the other.
async fn read(guests: &Guests, span: Span, args: &Args) -> Result<Value> {
    let unbound = json!({ "snapshots": 0, "snapshot_days": 0 });
    let around = Around {
        config: Map::from_iter([("retention".to_owned(), unbound)]),
        ..Around::default()
    };
    let program = server::program(args);
    let site = Site::start_in(program, &args.dir, &site_plan(4), around).await?;
    let read = asked(site.client(), guests, span, args.requests).await;
    site.end().await?;
    let [pages, states, health] = read?;
    Ok(json!({
        "requests": pages.count(), "page_p50_ms": pages.of_thousand(500), "page_p99_ms": pages.of_thousand(990),
        "state_p50_ms": states.of_thousand(500), "state_p99_ms": states.of_thousand(990),
        "health_p50_ms": health.of_thousand(500), "health_p99_ms": health.of_thousand(990),
    }))
}

/// Pages, states, and what an answer takes that needs no database beside them. Each answer is looked at.
async fn asked(
    client: &Client,
    guests: &Guests,
    span: Span,
    requests: u64,
) -> Result<[Latencies; 3]> {
    let [mut pages, mut states, mut health] = [(); 3].map(|()| Latencies::default());
    let all = u64::from(guests.vmids.end - guests.vmids.start);
    for number in 0..requests {
        let drawn = number * STRIDE;
        let vmid = guests.vmids.start + u32::try_from(drawn % all)?;
        let id = guests.resource(vmid)?.to_string();
        let turn = 1 + drawn / all % span.turns;
        // The newest page, and one of long ago.
        let after = (number % 2 == 1).then_some(turn);
        let took = page(client, &id, after).await?;
        pages.add(took);
        let at = span.begin.0 + i64::try_from(turn)? * APART_MS;
        states.add(state(client, &id, at).await?);
        let begun = Instant::now();
        client.health().await?;
        health.add(begun.elapsed());
    }
    Ok([pages, states, health])
}

/// How long a page takes that begins behind this number, or with the newest.
async fn page(client: &Client, id: &str, after: Option<u64>) -> Result<Duration> {
    let query = HistoryQuery {
        limit: None,
        after: after.map(|seq| seq.to_string()),
    };
    let begun = Instant::now();
    let page = client.resource_history(id, &query).await?;
    let took = begun.elapsed();
    let wanted = match after {
        Some(seq) => PAGE.min(usize::try_from(seq)?.saturating_sub(1)),
        None => PAGE,
    };
    let told = page.snapshots.len();
    ensure!(told == wanted, "{told} of {wanted} in a page");
    Ok(took)
}

/// How long it takes to be told what it was half way to its next change, which has to be what was written then.
async fn state(client: &Client, id: &str, at_ms: i64) -> Result<Duration> {
    let time = jiff::Timestamp::from_millisecond(at_ms + APART_MS / 2)?;
    let begun = Instant::now();
    let told = client.resource_at(id, &AtQuery { time }).await?;
    let took = begun.elapsed();
    let found_ms = told.snapshot.at.as_millisecond();
    ensure!(found_ms == at_ms, "{found_ms} instead of {at_ms}");
    Ok(took)
}
