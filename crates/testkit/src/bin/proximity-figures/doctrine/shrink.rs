//! R10: rights that shrink hide containers, and hidden is not missing; once they are back nothing is left to do.

use anyhow::{Result, anyhow};
use proximity_engine::saga::Guard;
use proximity_pve::transport::Method;
use proximity_testkit::pve::Pve;
use serde_json::json;

use super::Args;
use super::guards::Off;
use super::stand::Stand;
use crate::{say, verdict};

const NODES: u32 = 20;
/// So many looks find the alarm, and so many more prove nothing.
const ALARM: u32 = 2;
const LOOKS: u32 = 4;
/// So many looks until all is as it was, and so many that then write and change nothing.
const BACK: u32 = 3;
const QUIET: u32 = 100;
/// The token that looks.
const USER: &str = "observe@pve";
const TOKEN: &str = "observe@pve!proximity";

/// What is taken away.
#[derive(Debug, Clone, Copy)]
enum Shrunk {
    /// Sight of one container.
    One,
    /// Sight of each tenth.
    Tenth,
    /// Sight of all.
    All,
    /// The token is over.
    Expired,
    /// The pool has another name. Nothing is hidden by that.
    Pool,
}

impl Shrunk {
    const EVERY: [Self; 5] = [Self::One, Self::Tenth, Self::All, Self::Expired, Self::Pool];

    /// Takes it away, or gives it back.
    async fn set(self, stand: &Stand, away: bool) -> Result<()> {
        let pve = &stand.w.pve;
        match self {
            Self::One => sight(pve, stand.vmids().take(1), away).await,
            Self::Tenth => sight(pve, stand.vmids().step_by(10), away).await,
            Self::All => forbid(pve, "/", away).await,
            Self::Expired => {
                let at = if away { "1" } else { "0" };
                let path = format!("/access/users/{USER}/token/proximity");
                root(pve, Method::Put, &path, &[("expire", at)]).await
            }
            Self::Pool => {
                let (old, new) = if away {
                    ("ours", "renamed")
                } else {
                    ("renamed", "ours")
                };
                root(pve, Method::Delete, &format!("/pools/{old}"), &[]).await?;
                root(pve, Method::Post, "/pools", &[("poolid", new)]).await
            }
        }
    }

    fn hides(self) -> bool {
        match self {
            Self::One | Self::Tenth | Self::All | Self::Expired => true,
            Self::Pool => false,
        }
    }
}

pub(super) async fn run(args: &Args) -> Result<()> {
    let stand = Stand::raise_with_least(NODES, args.records).await?;
    let mut faults = Vec::new();
    stand.look().await?;
    let _off = Off::if_control(args.sabotage, Guard::Proof)?;
    for shrunk in Shrunk::EVERY {
        if let Err(what) = play(&stand, shrunk).await? {
            faults.push(format!("{shrunk:?}: {what}"));
        }
    }
    let archived = stand.archived().await?;
    if archived > 0 {
        faults.push(format!("{archived} records archived"));
    }
    let verdict = json!({
        "records": args.records,
        "cases": Shrunk::EVERY.len(),
        "archived": archived,
        "faults": faults.len(),
        "told": verdict::told(&faults),
    });
    Ok(say::line(&verdict.to_string())?)
}

/// Takes it away, looks, gives it back, looks.
async fn play(stand: &Stand, shrunk: Shrunk) -> Result<Result<(), String>> {
    shrunk.set(stand, true).await?;
    let mut alarmed = false;
    for look in 0..LOOKS {
        let report = stand.look().await?;
        alarmed |= look < ALARM && (report.suspected > 0 || !report.result.success);
        if report.result.orphans_found > 0 {
            return Ok(Err(format!("{} orphans", report.result.orphans_found)));
        }
    }
    shrunk.set(stand, false).await?;
    if alarmed != shrunk.hides() {
        return Ok(Err(format!("alarmed within {ALARM} looks: {alarmed}")));
    }
    for _ in 0..BACK {
        stand.look().await?;
    }
    let (commits, calls) = (*stand.w.store.commits().borrow(), stand.changing_calls());
    for _ in 0..QUIET {
        let report = stand.look().await?;
        if !report.result.success || report.suspected > 0 {
            return Ok(Err(format!("it does not come to rest: {report:?}")));
        }
    }
    let commits = *stand.w.store.commits().borrow() - commits;
    let calls = stand.changing_calls() - calls;
    Ok(if commits > 0 || calls > 0 {
        Err(format!(
            "at rest there were {commits} commits and {calls} changing calls"
        ))
    } else {
        Ok(())
    })
}

async fn sight(pve: &Pve, of: impl Iterator<Item = u32>, away: bool) -> Result<()> {
    for vmid in of {
        forbid(pve, &format!("/vms/{vmid}"), away).await?;
    }
    Ok(())
}

/// No access there for the token that looks, nor its user; or no longer none.
async fn forbid(pve: &Pve, path: &str, away: bool) -> Result<()> {
    let delete = if away { "0" } else { "1" };
    for (kind, holder) in [("users", USER), ("tokens", TOKEN)] {
        let entry = [
            ("path", path),
            ("roles", "NoAccess"),
            (kind, holder),
            ("delete", delete),
        ];
        root(pve, Method::Put, "/access/acl", &entry).await?;
    }
    Ok(())
}

async fn root(pve: &Pve, method: Method, path: &str, params: &[(&str, &str)]) -> Result<()> {
    let answer = pve.as_root(method, path, params).await;
    if answer.status == 200 {
        return Ok(());
    }
    Err(anyhow!(
        "{method} {path}: {} {}",
        answer.status,
        answer.reason
    ))
}
