//! The floor: the same list, fetched over the same kind of connection and read into rows, and nothing else.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use proximity_pve_emulator::lab::LabFile;
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;

/// A row, as a program that manages guests reads it.
#[derive(Debug, Deserialize)]
#[allow(dead_code)] // reading them is what is measured
struct Row {
    vmid: u32,
    #[serde(rename = "type")]
    kind: String,
    node: String,
    status: String,
    name: Option<String>,
    tags: Option<String>,
    lock: Option<String>,
    pool: Option<String>,
    uptime: Option<u64>,
    mem: Option<u64>,
    maxmem: Option<u64>,
    maxdisk: Option<u64>,
    maxcpu: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct List {
    data: Vec<Row>,
}

/// A bare client.
#[derive(Debug)]
pub(super) struct Floor {
    client: Client,
    url: String,
}

impl Floor {
    pub(super) fn new(lab: &LabFile) -> Result<Self> {
        let authority = reqwest::Certificate::from_pem(&std::fs::read(&lab.ca_pem_path)?)?;
        let token = &lab.tokens.full;
        let word = HeaderValue::from_str(&format!("PVEAPIToken={}={}", token.id, token.secret))?;
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, word)]))
            .build()?;
        let node = lab.api.first().context("the lab has no node")?;
        let url = format!("{}/api2/json", node.url);
        Ok(Self { client, url })
    }

    async fn fetch(&self, path: &str) -> Result<Bytes> {
        let answer = self.client.get(format!("{}/{path}", self.url)).send();
        Ok(answer.await?.error_for_status()?.bytes().await?)
    }

    /// There and back.
    pub(super) async fn trip(&self) -> Result<()> {
        self.fetch("version").await.map(drop)
    }

    /// Fetches and reads once.
    pub(super) async fn once(&self, guests: u32) -> Result<()> {
        let body = self.fetch("cluster/resources?type=vm").await?;
        let list: List = serde_json::from_slice(&body)?;
        if list.data.len() != usize::try_from(guests)? {
            bail!("the list has {} guests", list.data.len());
        }
        Ok(())
    }
}
