//! The real programs beside one another: a lab with simulated guests, servers, and a gateway for each server.

mod lab;
mod process;
mod site;

pub(crate) use self::lab::{CREATE_MS, ENTER_MS, Guest, Lab, START_MS};
pub(crate) use self::process::{Process, words};
pub(crate) use self::site::{Around, Plan, Site};

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// How long a program may take to answer.
const READY: Duration = Duration::from_secs(60);

/// Asks until there is an answer.
///
/// # Errors
/// The question's, or that the time is over.
pub(crate) async fn eventually<T>(
    what: &str,
    patience: Duration,
    pause: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if begun.elapsed() > patience {
            bail!("{what}: not within {} s", patience.as_secs());
        }
        sleep(pause).await;
    }
}
