//! P12: what carrying out very many changes takes by itself.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::observation::{WITH_SHIPPED, found, number};
use super::{Bench, Figure, Measured};
use crate::place::Place;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "P12",
    shows: "seconds until the shipped server has carried out a plan of 5,000 changes that ask no cluster, from the request on, and how many times as long that is as 1,000 of them take",
    goal: "<= 5 s, <= 6 times",
    binaries: WITH_SHIPPED,
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(300),
    measure,
};

/// Apps, all of them on record, and containers of the cluster; a fifth of them is changed first.
const APPS: u64 = 5_000;
/// The goals.
const ALL_MS: f64 = 5_000.0;
const TIMES: f64 = 6.0;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    judge(found(bench, "apply", (APPS, APPS), &[])?)
}

fn judge(found: Value) -> Result<Measured> {
    let (few, all) = (&found["few"], &found["all"]);
    let all_ms = number(all, "wall_ms")?;
    let times = all_ms / number(few, "wall_ms")?;
    let are_done = few["is_done"] == true && all["is_done"] == true;
    let (some, most) = (number(few, "changes")?, number(all, "changes")?);
    let beyond = if are_done { "" } else { ">" };
    Ok(Measured {
        value: format!("{beyond}{:.2}/{times:.1}", all_ms / 1e3),
        unit: "s/times as long as a fifth",
        reached: are_done && most / some >= 5.0 && all_ms <= ALL_MS && times <= TIMES,
        raw: found,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reached(few: (u64, f64, bool), all: (u64, f64, bool)) -> bool {
        let told = |(changes, ms, is_done): (u64, f64, bool)| json!({ "changes": changes, "wall_ms": ms, "is_done": is_done });
        let found = json!({ "few": told(few), "all": told(all) });
        judge(found).unwrap().reached
    }

    #[test]
    fn all_have_to_be_done_soon_and_in_proportion() {
        let few = (1_000, 900.0, true);
        assert!(reached(few, (5_000, 4_900.0, true)));
        assert!(!reached(few, (5_000, 5_100.0, true)));
        assert!(!reached((1_000, 800.0, true), (5_000, 4_900.0, true)));
        assert!(!reached(few, (5_000, 4_900.0, false)));
        assert!(!reached(few, (1_000, 900.0, true)));
    }
}
