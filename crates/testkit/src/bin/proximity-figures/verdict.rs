//! Whether apps that were deployed side by side all run, each with a container, a number and ports of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use proximity_api::apps::App;
use proximity_api::client::Client;

use crate::stack::Lab;

/// Sentences that are printed; the rest is counted.
const TOLD: usize = 20;

/// The first of them.
pub(crate) fn told(faults: &[String]) -> &[String] {
    faults.get(..TOLD).unwrap_or(faults)
}

/// What the API says of the apps, and what their pages show.
#[derive(Debug, Default)]
pub(crate) struct Deployed {
    apps: Vec<App>,
    /// The title of each page, by host name.
    titles: BTreeMap<String, String>,
}

impl Deployed {
    pub(crate) async fn read(client: &Client, hostnames: &[&str]) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;
        let mut deployed = Self::default();
        for hostname in hostnames {
            let app = client.app(hostname).await?;
            if let Some(url) = &app.url {
                let title = match http.get(url).send().await {
                    Ok(answer) => title(&answer.text().await.unwrap_or_default()),
                    Err(error) => error.to_string(),
                };
                deployed.titles.insert(app.hostname.clone(), title);
            }
            deployed.apps.push(app);
        }
        Ok(deployed)
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.apps.extend(other.apps);
        self.titles.extend(other.titles);
    }
}

fn title(page: &str) -> String {
    let after = page.split_once("<title>").map(|(_, after)| after);
    let inner = after.and_then(|after| after.split_once("</title>"));
    inner.map_or_else(
        || format!("no title: {page:.80}"),
        |(inner, _)| inner.to_owned(),
    )
}

/// One sentence for each thing that is not as it should be.
pub(crate) async fn faults(deployed: &Deployed, lab: &Lab) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let guests = lab.guests().await?;
    let created = lab.created().await?;
    for app in &deployed.apps {
        let name = &app.hostname;
        if app.status != "running" {
            faults.push(format!("{name} is {}: {:?}", app.status, app.error));
        }
        let title = deployed.titles.get(name).map(String::as_str);
        if title != Some(name.as_str()) {
            faults.push(format!("the page of {name} shows {title:?}"));
        }
        let theirs: Vec<_> = guests.iter().filter(|g| g.hostname == *name).collect();
        match theirs.as_slice() {
            [guest] if Some(guest.vmid) == app.vmid.map(u64::from) && guest.node == app.node => {
                if !guest.running {
                    faults.push(format!("the container of {name} does not run"));
                }
            }
            others => faults.push(format!(
                "{name} is recorded as {:?} on {}, and there is {others:?}",
                app.vmid, app.node
            )),
        }
    }
    faults.extend(doubled(&deployed.apps));
    for (vmid, times) in created.iter().filter(|(_, times)| **times > 1) {
        faults.push(format!("container {vmid} was made {times} times"));
    }
    let expected = deployed.apps.len();
    let (there, calls) = (guests.len(), lab.create_calls().await?);
    if there != expected || calls != u64::try_from(expected)? {
        faults.push(format!(
            "{calls} create calls came and {there} containers are there for {expected} apps"
        ));
    }
    Ok(faults)
}

/// Numbers and ports that two apps have.
fn doubled(apps: &[App]) -> Vec<String> {
    let mut by_thing: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for app in apps {
        let vmid = app.vmid.map(|vmid| format!("VMID {vmid}"));
        let ports = app.ports.as_ref();
        let ports = ports.map(|p| {
            [
                format!("public port {}", p.public),
                format!("internal port {}", p.internal),
            ]
        });
        for thing in vmid.into_iter().chain(ports.into_iter().flatten()) {
            by_thing.entry(thing).or_default().push(&app.hostname);
        }
    }
    let doubled = by_thing.into_iter().filter(|(_, of)| of.len() > 1);
    doubled
        .map(|(thing, of)| format!("{thing} belongs to {}", of.join(" and ")))
        .collect()
}
