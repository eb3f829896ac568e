//! Replays the journal, makes the images of every cut, and opens each with the real store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::{Context, Result, bail, ensure};
use proximity_store::Store;
use proximity_store::views::AppFilter;

use super::acks::{Ack, Expected, expected};
use super::cuts::{self, Cut};
use super::disk::Disk;
use super::image::Image;
use super::journal::{self, Record};
use super::state::{created, digest};
use super::verdict::Verdict;
use super::{Judge, work};
use crate::draw::Draw;
use crate::say;
use crate::things::Things;

/// Images that are opened at once.
const LANES: usize = 3;
/// Images that wait for a lane: they are held in memory.
const WAITING: usize = 4;

/// One image to open.
struct Case {
    cut: Cut,
    image: Image,
    expected: Expected,
}

/// Judges and prints the verdict.
///
/// # Errors
/// The journal cannot be used. A fault of the store is no error: it is counted.
pub(crate) fn run(judge: &Judge) -> Result<()> {
    let records = journal::read(&judge.journal)?;
    let mut draw = Draw::seeded(judge.seed);
    let from = ready(&records)?;
    let cuts = cuts::choose(Disk::default(), &records, from, judge.images, &mut draw)?;
    let verdict = Mutex::new(Verdict {
        records: records.len(),
        ..Verdict::default()
    });
    let (send, receive) = sync_channel(WAITING);
    let receive = Mutex::new(receive);
    std::thread::scope(|scope| -> Result<()> {
        let mut lanes = Vec::new();
        for lane in 0..LANES {
            let (receive, verdict) = (&receive, &verdict);
            let scratch = judge.scratch.join(format!("lane-{lane}"));
            lanes.push(scope.spawn(move || open_all(&scratch, receive, verdict)));
        }
        let mut seen = BTreeSet::new();
        each_case(
            Disk::default(),
            &records,
            &cuts,
            &mut draw,
            |case, acknowledged| {
                if seen.insert((case.image.number(), acknowledged)) {
                    let opened = case.expected.installation.is_some();
                    locked(&verdict)?.image(case.cut, acknowledged, opened);
                    send.send(case).context("no lane is left")?;
                }
                Ok(())
            },
        )?;
        drop(send);
        for lane in lanes {
            let Ok(ended) = lane.join() else {
                bail!("a lane panicked");
            };
            ended?;
        }
        Ok(())
    })?;
    let verdict = locked(&verdict)?;
    Ok(say::line(&serde_json::to_string(&*verdict)?)?)
}

fn locked(verdict: &Mutex<Verdict>) -> Result<std::sync::MutexGuard<'_, Verdict>> {
    match verdict.lock() {
        Ok(held) => Ok(held),
        Err(_) => bail!("a lane panicked"),
    }
}

/// Gives every cut with its image, in the order of the journal.
fn each_case(
    mut disk: Disk,
    records: &[Record],
    cuts: &[Cut],
    draw: &mut Draw,
    mut give: impl FnMut(Case, usize) -> Result<()>,
) -> Result<()> {
    let all = acks(records)?;
    let mut cuts = cuts.iter().peekable();
    let mut acknowledged = 0;
    for place in 0..=records.len() {
        if let Some(record) = place.checked_sub(1).and_then(|last| records.get(last)) {
            disk.take(record)?;
            acknowledged += usize::from(matches!(record, Record::Ack { .. }));
        }
        while let Some(cut) = cuts.next_if(|(at, _)| *at == place) {
            let image = Image::of(&disk, cut.1, draw);
            let (before, after) = all.split_at(acknowledged);
            let expected = expected(before, after.first());
            let case = Case {
                cut: *cut,
                image,
                expected,
            };
            give(case, acknowledged)?;
        }
    }
    Ok(())
}

/// The place after which the work begins.
fn ready(records: &[Record]) -> Result<usize> {
    let ready = serde_json::to_string(&Ack::Ready)?;
    let said = |record: &Record| matches!(record, Record::Ack { line } if *line == ready);
    Ok(records.iter().position(said).map_or(0, |place| place + 1))
}

fn acks(records: &[Record]) -> Result<Vec<Ack>> {
    let lines = records.iter().filter_map(|record| match record {
        Record::Ack { line } => Some(line),
        Record::Create { .. }
        | Record::Write { .. }
        | Record::Truncate { .. }
        | Record::Sync { .. }
        | Record::Lie
        | Record::SyncNames
        | Record::Rename { .. }
        | Record::Link { .. }
        | Record::Unlink { .. } => None,
    });
    let parsed = lines.map(|line| serde_json::from_str(line).with_context(|| line.clone()));
    parsed.collect()
}

/// One lane: opens what comes, until nothing does.
fn open_all(scratch: &Path, cases: &Mutex<Receiver<Case>>, verdict: &Mutex<Verdict>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::fs::create_dir_all(scratch)?;
    for number in 0_u64.. {
        let next = match cases.lock() {
            Ok(cases) => cases.recv(),
            Err(_) => bail!("another lane panicked"),
        };
        let Ok(case) = next else { break };
        let dir: PathBuf = scratch.join(number.to_string());
        case.image.write(&dir)?;
        if let Err(why) = runtime.block_on(look(&dir, &case.expected)) {
            locked(verdict)?.fault(case.cut.0, case.cut.1, &format!("{why:#}"));
        }
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

/// Opens an image as the product would, compares it with what must be there, and goes on working with it.
async fn look(dir: &Path, expected: &Expected) -> Result<()> {
    let mut things = Things::from(10_000);
    let store = work::open(dir, &mut things).await?;
    let found = compare(&store, expected).await;
    let found = match found {
        Ok(()) => go_on(&store, &mut things).await,
        Err(why) => Err(why),
    };
    store.close().await;
    found
}

async fn compare(store: &Store, expected: &Expected) -> Result<()> {
    let integrity = store.integrity().await?;
    ensure!(integrity == ["ok"], "integrity_check: {integrity:?}");
    let wrong = store.invariants().await?;
    ensure!(wrong.is_empty(), "rules are broken: {wrong:?}");
    if let Some(installation) = &expected.installation {
        let found = store.installation().to_string();
        ensure!(found == *installation, "the installation is another one");
    }
    if !expected.states.is_empty() {
        let found = digest(store).await?;
        ensure!(
            expected.states.contains(&found),
            "what is recorded is neither what was acknowledged last nor what was under way"
        );
    }
    for app in &expected.apps {
        let found = store
            .app(proximity_domain::ids::AppId(app.id.parse()?))
            .await?;
        let found =
            found.with_context(|| format!("app {} was acknowledged and is gone", app.id))?;
        let ports = found.ports.map(|pair| (pair.public, pair.internal));
        ensure!(
            ports == Some((app.public, app.internal)),
            "app {} has other ports than acknowledged",
            app.id
        );
        let operation = found.operation.map(|operation| operation.to_string());
        ensure!(
            operation.as_ref() == Some(&app.operation),
            "app {} has lost its operation",
            app.id
        );
    }
    whole(store).await
}

/// Every app was recorded whole: as an event, as an audit entry, with its operation.
async fn whole(store: &Store) -> Result<()> {
    let mut audited = 0;
    let mut after = 0;
    loop {
        let page = store.audit(1000, after).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        audited += page.iter().filter(|e| e.action == "app.create").count();
    }
    let made = created(store).await?;
    ensure!(
        made.len() == audited,
        "{} apps by the events, {audited} by the audit",
        made.len()
    );
    let mut live = 0;
    for id in made {
        let (app, archived) = (store.app(id).await?, store.archived_app(id).await?);
        ensure!(
            app.is_some() != archived.is_some(),
            "app {id} is there in part"
        );
        live += u64::from(app.is_some());
    }
    let (_, listed) = store.apps(AppFilter::default()).await?;
    ensure!(
        live == listed,
        "{live} live apps by the events, {listed} listed"
    );
    Ok(())
}

/// What a person would do next works.
async fn go_on(store: &Store, things: &mut Things) -> Result<()> {
    let known = store.hosts().await?;
    let host = match known.first() {
        Some(host) => host.id,
        None => {
            let host = things.host("after")?;
            let (id, at) = (host.id, things.now());
            store.add_host(host, &things.actor, at).await?;
            id
        }
    };
    let (app, operation) = things.app("after-the-cut", host)?;
    let at = things.now();
    store
        .create_app(app, operation, &things.actor, None, at)
        .await
        .context("going on")?;
    let wrong = store.invariants().await?;
    ensure!(wrong.is_empty(), "going on broke rules: {wrong:?}");
    Ok(())
}
