//! An adopted container has no identity row of ours, so nothing leads from it to a permit.

use proximity_domain::guest::ObservedContainer;
use proximity_domain::ids::Epoch;
use proximity_domain::time::Monotonic;

fn verify(adopted: ObservedContainer) {
    let _ = adopted.verify(Monotonic(0), Epoch(0));
}

fn main() {}
