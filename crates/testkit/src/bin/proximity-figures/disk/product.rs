//! The program as it is, with a gateway and a lab, and what is true of it after any trouble.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use proximity_domain::ports::PortRange;

use super::loss;
use super::world::Verdict;
use crate::say;
use crate::stack::{Around, Lab, Plan, Site};

/// How long the lab takes to make a container, milliseconds.
const CREATE_MS: u64 = 300;
/// Operations at work at the same time.
const OPERATIONS: usize = 4;

/// Where it runs, and how often.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// The server's program.
    #[arg(long)]
    pub(super) program: PathBuf,
    /// An empty folder.
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Cases, one after the other.
    #[arg(long)]
    pub(super) cases: usize,
    /// From here on the installations of this one have their ports.
    #[arg(long)]
    port: u16,
}

/// An installation, and what it has been seen to do.
pub(super) struct Product {
    pub(super) site: Site,
    lab: Lab,
    plan: Plan,
    pub(super) verdict: Verdict,
    /// Ids of apps that it acknowledged.
    pub(super) acknowledged: Vec<String>,
}

impl Product {
    pub(super) async fn start(args: &Args, around: Around) -> Result<Self> {
        // Another provider that is there already is as good.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let mut lab = Lab::start(&args.program, &args.dir, CREATE_MS).await?;
        let range = |first: u16| PortRange {
            first,
            last: first + 49,
        };
        let plan = Plan {
            name: "site".to_owned(),
            public: range(args.port),
            internal: range(args.port + 50),
            bind: "127.0.0.1",
            operations: OPERATIONS,
        };
        let site = Site::start_in(&args.program, &args.dir, &plan, around).await?;
        site.add_host(&mut lab).await?;
        Ok(Self {
            site,
            lab,
            plan,
            verdict: Verdict::default(),
            acknowledged: Vec::new(),
        })
    }

    /// Writes down how a case went.
    pub(super) fn note(&mut self, what: &str, went: Result<String>) {
        match went {
            Ok(app) => self.acknowledged.push(app),
            Err(why) => {
                let case = self.verdict.cases;
                self.verdict.fault(format!("{what}, case {case}: {why:#}"));
            }
        }
        self.verdict.cases += 1;
    }

    /// Ends all of it; prints the verdict.
    pub(super) async fn finish(mut self, args: &Args) -> Result<()> {
        if let Err(why) = self.look().await {
            self.verdict.fault(format!("{why:#}"));
        }
        let ended = self.site.end().await;
        if let Err(why) = ended {
            self.verdict.fault(format!("{why:#}"));
        }
        let ports = (self.plan.public, self.plan.internal);
        let data = self.plan.data_dir(&args.dir);
        loss::look(&data, ports, &self.acknowledged, &mut self.verdict).await?;
        self.lab.end().await?;
        Ok(say::line(&serde_json::to_string(&self.verdict)?)?)
    }

    /// While it still runs: no panic, and nothing on the cluster that no app has.
    async fn look(&mut self) -> Result<()> {
        self.site.must_run()?;
        let output = self.site.output()?;
        let panic = output.lines().find(|line| line.contains("panicked at"));
        ensure!(panic.is_none(), "panic: {panic:?}");
        let guests = self.lab.guests().await?;
        ensure!(
            guests.is_empty(),
            "all apps are gone, and there is {guests:?}"
        );
        Ok(())
    }
}
