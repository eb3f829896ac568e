//! Three servers that want one VMID: exactly one gets it, and the others say why they did not.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use proximity_api::hosts::ChangeHost;

use crate::flight::{Watch, body};
use crate::stack::{Lab, Site};

/// How long a race may take.
const TO_END: Duration = Duration::from_secs(120);
const FIRST_VMID: u32 = 7_000;
const SERVERS: u16 = 3;
/// What a server says when its only VMID is somebody else's.
const LOST: [&str; 2] = ["vmids_exhausted", "vmid_taken"];

/// How one race ended.
#[derive(Debug)]
pub(super) struct Race {
    vmid: u32,
    /// State and code of each server's operation.
    ended: Vec<(String, Option<String>)>,
    /// Host names of the containers that run under the number.
    holders: Vec<String>,
    /// Create calls that came in the meantime: more than one, or nobody raced.
    calls: u64,
}

impl Race {
    /// Which servers got it.
    pub(super) fn winners(&self) -> Vec<usize> {
        let ended = self.ended.iter().enumerate();
        ended
            .filter(|(_, (state, _))| state == "succeeded")
            .map(|(server, _)| server)
            .collect()
    }

    /// Several asked PVE for it. A server that came late sees the number in the list and does not ask.
    pub(super) fn is_contested(&self) -> bool {
        self.calls > 1
    }

    /// What is not as it should be.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let winners = self.winners();
        if winners.len() != 1 {
            faults.push(format!(
                "{} servers got VMID {}: {:?}",
                winners.len(),
                self.vmid,
                self.ended
            ));
        }
        let expected: Vec<String> = winners
            .iter()
            .map(|server| hostname(*server, self.vmid))
            .collect();
        if self.holders != expected {
            faults.push(format!(
                "VMID {} runs as {:?}, not as {expected:?}",
                self.vmid, self.holders
            ));
        }
        for (state, code) in &self.ended {
            let lost =
                state == "failed" && code.as_deref().is_some_and(|code| LOST.contains(&code));
            if state != "succeeded" && !lost {
                faults.push(format!(
                    "the race for VMID {} ended {state} with {code:?}",
                    self.vmid
                ));
            }
        }
        faults
    }
}

fn hostname(server: usize, vmid: u32) -> String {
    format!("race{vmid}-{server}")
}

/// Starts the servers and plays `count` races. The control: with `apart` each server has a number of its own.
pub(super) async fn race(
    program: &Path,
    dir: &Path,
    lab: &mut Lab,
    count: u32,
    apart: bool,
) -> Result<Vec<Race>> {
    let mut sites = Vec::new();
    for number in 0..SERVERS {
        let plan = super::plan(1 + number, &format!("creator{number}"), 8);
        let site = Site::start(program, dir, &plan).await?;
        site.add_host(lab).await?;
        sites.push(site);
    }
    let mut races = Vec::new();
    for vmid in (FIRST_VMID..).step_by(10).take(usize::try_from(count)?) {
        races.push(one(&sites, lab, vmid, apart).await?);
    }
    for site in sites {
        site.end().await?;
    }
    Ok(races)
}

async fn one(sites: &[Site], lab: &Lab, vmid: u32, apart: bool) -> Result<Race> {
    for (site, number) in sites.iter().zip(vmid..) {
        let number = if apart { number } else { vmid };
        let only = ChangeHost {
            vmids: Some(Some(format!("{number}-{number}"))),
            ..ChangeHost::default()
        };
        site.client().change_host("lab", &only).await?;
    }
    let before = lab.create_calls().await?;
    let runs = sites
        .iter()
        .enumerate()
        .map(|(server, site)| run(site, hostname(server, vmid)));
    let ended = futures::future::try_join_all(runs).await?;
    let guests = lab.guests().await?;
    let of_number = guests
        .iter()
        .filter(|guest| guest.vmid == u64::from(vmid) && guest.running);
    Ok(Race {
        vmid,
        ended,
        holders: of_number.map(|guest| guest.hostname.clone()).collect(),
        calls: lab.create_calls().await? - before,
    })
}

async fn run(site: &Site, hostname: String) -> Result<(String, Option<String>)> {
    let client = site.client();
    let mut watch = Watch::begin(client).await?;
    let app = client.create_app(&body(&hostname), &hostname).await?;
    let operation = app.operation_id.context("a new app has no operation")?;
    watch
        .until("a race", TO_END, |w| w.ended.contains(&operation))
        .await?;
    let ended = client.operation(&operation).await?;
    Ok((ended.state, ended.problem.map(|problem| problem.code)))
}
