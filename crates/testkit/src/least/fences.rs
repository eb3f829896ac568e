//! What the main token may not touch: Proxmox VE itself refuses it.

use proximity_pve::transport::Method;

use super::flows::Hands;
use super::{ADOPTED, Least, OTHERS, POOL, cluster};
use crate::pve::Pve;

/// A guest of another pool.
const OF_OTHERS: u32 = 901;
/// The number that was ours.
const FREED: u32 = 500;
/// A guest of ours.
const OURS: u32 = 510;

/// What got through of stop, tags and destroy of guests that are none of ours: an adopted one, one of another pool, and a
/// stranger at a number that was ours and was freed. Nothing, if all is well.
///
/// # Errors
/// The guests could not be made; or a guest of ours could not be touched either, so that nothing was shown.
pub async fn passed() -> Result<Vec<String>, String> {
    let pve = cluster();
    let least = Least::on(&pve, None).await?;
    let hands = Hands::new(&pve, &least);
    for number in [FREED, OURS] {
        hands.create(number).await?;
    }
    hands.destroy(FREED).await?;
    pve.quiet().await;
    for number in [ADOPTED, OF_OTHERS, FREED] {
        let made = pve.stranger_creates("pve1", number).await;
        if made.status != 200 {
            return Err(format!("{number} could not be made: {made:?}"));
        }
    }
    into_pool(&pve, OTHERS, OF_OTHERS).await?;
    let mut passed = Vec::new();
    for number in [ADOPTED, OF_OTHERS, FREED] {
        let said = hands.touch(number).await;
        let through = said.into_iter().filter(|text| !is_denied(text, number));
        passed.extend(through.map(|text| format!("{number}: {text}")));
    }
    let ours = hands.touch(OURS).await;
    match ours.iter().find(|text| is_denied(text, OURS)) {
        Some(denied) => Err(format!("a guest in {POOL} is denied as well: {denied}")),
        None => Ok(passed),
    }
}

fn is_denied(said: &str, number: u32) -> bool {
    said.contains("403") && said.contains(&format!("(/vms/{number}, VM."))
}

async fn into_pool(pve: &Pve, pool: &str, number: u32) -> Result<(), String> {
    let number = number.to_string();
    let member = [("poolid", pool), ("vms", number.as_str())];
    let answer = pve.as_root(Method::Put, "/pools", &member).await;
    (answer.status == 200)
        .then_some(())
        .ok_or_else(|| format!("into {pool}: {answer:?}"))
}
