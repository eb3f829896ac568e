//! P12: what it takes to carry out very many changes, beside a fifth of them.
//!
//! Each change begins or ends the guard of an adopted app: all of it is in the record, and no cluster is asked, so that what is measured is
//! what the carrying out takes by itself. The routes are called as anybody would who has no client of ours.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proximity_api::client::{Client, read_token_file};
use proximity_api::plans::{MakePlan, PlanText};
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::busy::stand_still;
use super::plan_size::{body, recorded, texts_of};
use super::world::{FIRST_VMID, World, data_dir, site_plan};
use super::{Args, cost, server};
use crate::stack::Site;

/// Of all apps so many are changed first.
const FIRST: u32 = 5;
/// Changes at the same time.
const PARALLEL: u32 = 16;
/// What takes longer is far from the goal, however much.
const PATIENCE: Duration = Duration::from_secs(12);
const LOOK: Duration = Duration::from_millis(20);
/// In the control the server stands still for so long, and runs for so long, by turns.
const STILL: Duration = Duration::from_millis(900);
const RUNS: Duration = Duration::from_millis(100);

/// What carrying out a plan took.
#[derive(Debug, Clone, Copy)]
struct Took {
    changes: u64,
    /// From the request on.
    wall: Duration,
    processor: Duration,
    /// All changes were made by then.
    is_done: bool,
}

/// The server's routes.
struct Routes {
    http: reqwest::Client,
    url: String,
    token: SecretString,
}

/// A fifth of the apps first, then all of them.
pub(super) async fn measure(world: &World, args: &Args) -> Result<Value> {
    world.store.close().await;
    let site = Site::start(server::program(args), &args.dir, &site_plan(4)).await?;
    recorded(site.client(), u64::from(args.guests)).await?;
    let stop = CancellationToken::new();
    let applying = async {
        let applied = applied(&site, args).await;
        stop.cancel();
        applied
    };
    let still = async {
        match args.sabotage {
            true => stand_still(&site, (STILL, RUNS), &stop).await,
            false => Ok(()),
        }
    };
    let (applied, still) = tokio::join!(applying, still);
    site.end().await?;
    still?;
    let [few, all] = applied?;
    Ok(json!({ "few": told(few), "all": told(all) }))
}

fn told(took: Took) -> Value {
    json!({
        "changes": took.changes, "wall_ms": took.wall.as_secs_f64() * 1e3,
        "processor_ms": took.processor.as_secs_f64() * 1e3, "is_done": took.is_done,
    })
}

async fn applied(site: &Site, args: &Args) -> Result<[Took; 2]> {
    let routes = Routes {
        http: reqwest::Client::builder().no_proxy().build()?,
        url: site.url().to_owned(),
        token: read_token_file(&data_dir(&args.dir).join("admin.token"))?,
    };
    let first = FIRST_VMID + args.apps / FIRST;
    let few = texts_of(0..args.apps / FIRST, |vmid| document(vmid, true));
    // Those that are guarded by then are to be so no longer.
    let all = texts_of(0..args.apps, |vmid| document(vmid, vmid >= first));
    let few = carried_out(site, &routes, few).await?;
    // Without the first ones there are others to change.
    let all = match few.is_done {
        true => carried_out(site, &routes, all).await?,
        false => few,
    };
    Ok([few, all])
}

fn document(vmid: u32, guard: bool) -> String {
    let name = json!({ "name": format!("app{vmid}") });
    let spec = json!({ "host": "lab", "vmid": vmid, "guard": guard });
    json!({ "apiVersion": "proximity/v1", "kind": "AdoptedApp", "metadata": name, "spec": spec })
        .to_string()
}

/// Plans, and carries the plan out.
async fn carried_out(site: &Site, routes: &Routes, texts: Vec<PlanText>) -> Result<Took> {
    let (plan, changes) = planned(site.client(), texts).await?;
    let process = server::process(site)?;
    let before = cost::processor_time(&process)?;
    let begun = Instant::now();
    let wanted = json!({ "plan_id": plan, "parallel": PARALLEL });
    let start = routes.request(Method::POST, "/api/applies");
    let start = start.header("Idempotency-Key", &plan).json(&wanted);
    let apply: Value = start.send().await?.error_for_status()?.json().await?;
    let id = apply["id"].as_str().context("an apply without an id")?;
    let mut state = "running".to_owned();
    while begun.elapsed() < PATIENCE && ["running", "stopping"].contains(&state.as_str()) {
        sleep(LOOK).await;
        state = routes.state(id).await?;
    }
    let is_done = state == "done";
    ensure!(
        is_done || begun.elapsed() >= PATIENCE,
        "it ended as {state}"
    );
    Ok(Took {
        changes,
        wall: begun.elapsed(),
        processor: cost::processor_time(&process)?.saturating_sub(before),
        is_done,
    })
}

/// A plan that is kept, all of whose changes are updates; and how many they are.
async fn planned(client: &Client, texts: Vec<PlanText>) -> Result<(String, u64)> {
    let wanted = MakePlan {
        passing: false,
        ..body(texts)
    };
    let plan = client.make_plan(&wanted).await?;
    let changes = plan.changes.len() as u64;
    let first = plan.changes.first();
    ensure!(
        changes == plan.counts.update && plan.counts.unchanged == 0,
        "{changes} changes, {first:?}"
    );
    let id = plan.id.context("the plan was not kept")?;
    Ok((id, changes))
}

impl Routes {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        request.bearer_auth(self.token.expose_secret())
    }

    /// Where the newest apply stands, which is this one; without its changes, which are many.
    async fn state(&self, id: &str) -> Result<String> {
        let list = self.request(Method::GET, "/api/applies?limit=1");
        let list: Value = list.send().await?.error_for_status()?.json().await?;
        let newest = &list["applies"][0];
        ensure!(newest["id"].as_str() == Some(id), "another apply is newer");
        let state = newest["state"].as_str();
        Ok(state.context("an apply without a state")?.to_owned())
    }
}
