//! P11: a plan of very many apps of which none is to be changed, made by the server as it is shipped.
//!
//! Beside it, in turn: the same list fetched and the same documents read once, typed, and nothing else; and the plan that terraform's core
//! makes of as many resources it has on record, where that program is here.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proximity_api::client::Client;
use proximity_api::plans::{MakePlan, Plan as Planned, PlanText};
use proximity_api::resources::ResourceQuery;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cost::{self, Cost, median};
use super::floor::Floor;
use super::terraform;
use super::world::{FIRST_VMID, World, runs, site_plan};
use super::{Args, server};
use crate::stack::{Site, eventually};

/// Documents of one text.
const OF_A_TEXT: u32 = 100;
/// Between two of them.
const BREAK: &str = "---\n";
/// Where the apps listen by their record, and where the edited one is to.
const PORT: u16 = 8080;
const OTHER_PORT: u16 = 8081;
/// Plans of one edited app that count.
const EDITS: usize = 21;
/// How long the server may take until it has recorded what the cluster lists.
const RECORDED: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// What one plan found, as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    unchanged: u64,
    update: u64,
}

/// Starts the server on what is on record, and has it plan.
pub(super) async fn measure(world: &World, args: &Args) -> Result<Value> {
    world.store.close().await;
    let site = Site::start(server::program(args), &args.dir, &site_plan(4)).await?;
    let found = planned(&site, world, args).await;
    site.end().await?;
    found
}

async fn planned(site: &Site, world: &World, args: &Args) -> Result<Value> {
    recorded(site.client(), u64::from(args.guests)).await?;
    let floor = Floor::new(world.lab.file())?;
    let texts = texts(args.apps);
    let bodies = bodies(&texts, args.sabotage);
    let process = server::process(site)?;
    let (bare, ours) = (
        async || bare(&floor, &texts, args).await,
        async || ours(site.client(), &process, &bodies).await,
    );
    // The first of each finds everything cold and does not count.
    bare().await?;
    ours().await?;
    cost::forget_most(&process)?;
    let (mut times, mut costs, mut processor) = (Vec::new(), Vec::new(), Vec::new());
    let rounds = if args.sabotage { 1 } else { args.rounds };
    for _ in 0..rounds {
        let (bare, ours) = (bare().await?, ours().await?);
        times.push(ours.times(bare).1);
        processor.push(ours.processor.as_secs_f64() * 1e3);
        costs.push((bare.wall, bare.processor, ours.wall, ours.processor));
    }
    let most_kib = cost::most_kib(&process)?;
    let edited = edited(site.client()).await?;
    let terraform = of_terraform(args).await?;
    let micros = |(a, b, c, d): &(Duration, Duration, Duration, Duration)| {
        [a, b, c, d].map(|took| took.as_micros())
    };
    let costs: Vec<[u128; 4]> = costs.iter().map(micros).collect();
    Ok(json!({
        "apps": args.apps, "guests": args.guests, "plans": bodies.len(), "times": median(times), "processor_ms": median(processor),
        "bare_and_ours_us": costs, "most_kib": most_kib, "edited_ms": edited, "terraform_ms": terraform,
    }))
}

/// What the server does at first is done.
pub(super) async fn recorded(client: &Client, guests: u64) -> Result<()> {
    let query = ResourceQuery {
        kind: Some("container".to_owned()),
        limit: Some(1),
        ..ResourceQuery::default()
    };
    eventually("all containers recorded", RECORDED, LOOK, async || {
        let listed = client.resources(&query).await?.total;
        Ok((listed >= guests).then_some(()))
    })
    .await
}

/// A document of an app: JSON, so that the bare reading of it is that of a library.
fn document(vmid: u32, port: u16) -> String {
    let power = if runs(vmid) { "running" } else { "stopped" };
    let spec = json!({ "host": "lab", "vmid": vmid, "port": port, "power": power });
    let name = json!({ "name": format!("app{vmid}") });
    json!({ "apiVersion": "proximity/v1", "kind": "AdoptedApp", "metadata": name, "spec": spec })
        .to_string()
}

/// All apps as they are.
fn texts(apps: u32) -> Vec<PlanText> {
    texts_of(0..apps, |vmid| document(vmid, PORT))
}

/// A document for each of these apps, which are counted from 0, many in each text.
pub(super) fn texts_of(apps: Range<u32>, document: impl Fn(u32) -> String) -> Vec<PlanText> {
    let text = |first: u32| {
        let last = (first + OF_A_TEXT).min(apps.end);
        let all = (first..last).map(|n| format!("{}\n{BREAK}", document(FIRST_VMID + n)));
        PlanText {
            name: format!("apps{first}.yaml"),
            text: all.collect(),
        }
    };
    let firsts = apps.clone().step_by(OF_A_TEXT as usize);
    firsts.map(text).collect()
}

/// A passing plan of these.
pub(super) fn body(documents: Vec<PlanText>) -> MakePlan {
    MakePlan {
        documents,
        values: Vec::new(),
        set: Vec::new(),
        prune: false,
        passing: true,
    }
}

/// One plan of all; the control makes one of each text, and so reads the record and asks the cluster as often.
fn bodies(texts: &[PlanText], apart: bool) -> Vec<MakePlan> {
    if apart {
        let texts = texts.iter();
        return texts.map(|text| body(vec![text.clone()])).collect();
    }
    vec![body(texts.to_vec())]
}

/// What the server's process takes for the plans.
async fn ours(client: &Client, process: &Path, bodies: &[MakePlan]) -> Result<Cost> {
    let before = cost::processor_time(process)?;
    let begun = Instant::now();
    for body in bodies {
        let apps = body.documents.iter().map(|text| documents_in(&text.text));
        let as_it_is = Found {
            unchanged: apps.sum(),
            update: 0,
        };
        check(&client.make_plan(body).await?, as_it_is)?;
    }
    Ok(Cost {
        wall: begun.elapsed(),
        processor: cost::processor_time(process)?.saturating_sub(before),
    })
}

fn documents_in(text: &str) -> u64 {
    u64::try_from(text.matches(BREAK).count()).unwrap_or(u64::MAX)
}

/// Refuses a plan that says anything but what is so.
fn check(plan: &Planned, wanted: Found) -> Result<()> {
    let found = Found {
        unchanged: plan.counts.unchanged,
        update: plan.counts.update,
    };
    let others = plan.changes.len() as u64 - plan.counts.update;
    let first = plan.changes.first();
    ensure!(
        found == wanted && others == 0,
        "{found:?} instead of {wanted:?}, {others} others: {first:?}"
    );
    Ok(())
}

/// How long a plan of one app takes whose document was edited, at the middle, milliseconds.
async fn edited(client: &Client) -> Result<f64> {
    let text = PlanText {
        name: "edited.yaml".to_owned(),
        text: document(FIRST_VMID, OTHER_PORT),
    };
    let body = body(vec![text]);
    let differs = Found {
        unchanged: 0,
        update: 1,
    };
    let mut all = Vec::new();
    for _ in 0..EDITS {
        let begun = Instant::now();
        let plan = client.make_plan(&body).await?;
        all.push(begun.elapsed().as_secs_f64() * 1e3);
        check(&plan, differs)?;
    }
    Ok(median(all))
}

/// What is read of a document at least.
#[derive(Debug, Deserialize)]
#[allow(dead_code)] // reading them is what is measured
struct Document {
    #[serde(rename = "apiVersion")]
    version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Metadata {
    name: String,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Spec {
    host: String,
    vmid: u32,
    port: u16,
    power: String,
}

/// What this process takes to fetch and read the list, and to read the documents.
async fn bare(floor: &Floor, texts: &[PlanText], args: &Args) -> Result<Cost> {
    cost::of(1, async || {
        floor.once(args.guests).await?;
        let mut read = Vec::new();
        for text in texts {
            for one in text.text.split_terminator(BREAK) {
                read.push(serde_json::from_str::<Document>(one)?);
            }
        }
        let all = usize::try_from(args.apps)?;
        ensure!(read.len() == all, "{} documents", read.len());
        Ok(())
    })
    .await
}

/// The processor time of its plans at the middle, milliseconds; nothing if it is not here.
async fn of_terraform(args: &Args) -> Result<Option<f64>> {
    let Some(program) = &args.terraform else {
        return Ok(None);
    };
    let dir = args.dir.join("terraform");
    terraform::write(&dir, FIRST_VMID..FIRST_VMID + args.apps)?;
    let mut all = Vec::new();
    // It takes its time: a few tell enough.
    for _ in 0..args.rounds.div_ceil(3) {
        let took = terraform::plan(program, &dir).await;
        let took = took.context("terraform's plan")?;
        all.push(took.as_secs_f64() * 1e3);
    }
    Ok(Some(median(all)))
}
