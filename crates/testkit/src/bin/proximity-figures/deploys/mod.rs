//! Many deploys at the same time on three nodes; then three servers, each with a record of its own, that may give new
//! containers one VMID only, and want it at the same moment.

mod creators;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use proximity_domain::ports::PortRange;
use serde_json::json;
use tokio::time::Instant;

use self::creators::Race;
use crate::flight::{self, Watch};
use crate::say;
use crate::stack::{CREATE_MS, Lab, Plan, Site};
use crate::verdict::{self, Deployed};

/// How long all may take to end.
const TO_END: Duration = Duration::from_secs(600);

/// `proximity-figures deploys`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's program
    #[arg(long)]
    program: PathBuf,
    /// An empty folder
    #[arg(long)]
    dir: PathBuf,
    /// Deploys at the same time
    #[arg(long)]
    apps: usize,
    /// How often three servers want the same VMID
    #[arg(long)]
    races: u32,
    /// The control: half of the deploys go to a second server, on a copy of the first one's record, and in the races each
    /// server has a VMID of its own
    #[arg(long)]
    sabotage: bool,
}

/// The installation of this number; none shares a port with another.
fn plan(number: u16, name: &str, operations: usize) -> Plan {
    let from = |base: u16| PortRange {
        first: base + number * 200,
        last: base + number * 200 + 199,
    };
    Plan {
        name: name.to_owned(),
        public: from(12_000),
        internal: from(14_000),
        bind: "127.0.0.1",
        operations,
    }
}

/// Runs it and prints the verdict.
pub(crate) async fn run(args: Args) -> Result<()> {
    let mut lab = Lab::start(&args.program, &args.dir, CREATE_MS).await?;
    let plan = plan(0, "site", args.apps + 8);
    let mut site = Site::start(&args.program, &args.dir, &plan).await?;
    site.add_host(&mut lab).await?;
    let copy = if args.sabotage {
        Some(copied(&args, &plan, &mut site).await?)
    } else {
        None
    };
    let begun = Instant::now();
    let deployed = match &copy {
        None => deploy(&site, "web", args.apps).await?,
        Some(copy) => {
            let half = args.apps / 2;
            let (one, other) = tokio::join!(
                deploy(&site, "web", args.apps - half),
                deploy(copy, "other", half)
            );
            let mut deployed = one?;
            deployed.merge(other?);
            deployed
        }
    };
    let took = begun.elapsed();
    let mut faults = verdict::faults(&deployed, &lab).await?;
    let nodes = spread(&lab).await?;
    if nodes.len() < 3 {
        faults.push(format!("only {nodes:?} got containers"));
    }
    if let Some(copy) = copy {
        copy.end().await?;
    }
    site.end().await?;
    let races = creators::race(
        &args.program,
        &args.dir,
        &mut lab,
        args.races,
        args.sabotage,
    )
    .await?;
    let of_races: Vec<String> = races.iter().flat_map(Race::faults).collect();
    lab.end().await?;
    let told = [verdict::told(&faults), verdict::told(&of_races)].concat();
    let winners: Vec<Vec<usize>> = races.iter().map(Race::winners).collect();
    let result = json!({
        "apps": args.apps, "races": races.len(), "contested": races.iter().filter(|r| r.is_contested()).count(),
        "faults": { "apps": faults.len(), "races": of_races.len() }, "told": told,
        "deployed_ms": took.as_millis(), "nodes": nodes, "winners": winners,
    });
    say::line(&result.to_string())?;
    Ok(())
}

/// Deploys `count` apps at the same time and waits until all operations ended.
async fn deploy(site: &Site, prefix: &str, count: usize) -> Result<Deployed> {
    let mut watch = Watch::begin(site.client()).await?;
    let apps = flight::ask(site.client(), prefix, count).await?;
    watch
        .until("all ended", TO_END, |w| w.ended.len() >= count)
        .await?;
    let hostnames: Vec<&str> = apps.iter().map(|app| app.hostname.as_str()).collect();
    Deployed::read(site.client(), &hostnames).await
}

/// A second server on a copy of the first one's record: it gives out the same ports.
async fn copied(args: &Args, plan: &Plan, site: &mut Site) -> Result<Site> {
    site.kill_server().await?;
    let copy = Plan {
        name: "copy".to_owned(),
        bind: "127.0.0.2",
        ..plan.clone()
    };
    let to = copy.data_dir(&args.dir);
    std::fs::create_dir_all(&to)?;
    for file in std::fs::read_dir(plan.data_dir(&args.dir))? {
        let file = file?;
        if file.file_type()?.is_file() {
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    let program: &Path = &args.program;
    site.begin_again(program, &[])?;
    site.ready().await?;
    Site::start(program, &args.dir, &copy).await
}

/// How many containers each node has.
async fn spread(lab: &Lab) -> Result<std::collections::BTreeMap<String, usize>> {
    let mut nodes = std::collections::BTreeMap::new();
    for guest in lab.guests().await? {
        *nodes.entry(guest.node).or_default() += 1;
    }
    Ok(nodes)
}
