//! Ids and random numbers from the system. The only place that draws them.

use proximity_engine::seams::IdSource;
use uuid::Uuid;

/// Ids by time and chance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemIds;

impl IdSource for SystemIds {
    #[allow(clippy::disallowed_methods)] // this is the implementation of the seam
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[allow(clippy::disallowed_methods)] // this is the implementation of the seam
    fn nonce(&self) -> u128 {
        // Two halves: a random UUID has six bits that are fixed.
        let (a, b) = (Uuid::new_v4().as_u128(), Uuid::new_v4().as_u128());
        a ^ b.rotate_left(64)
    }
}
