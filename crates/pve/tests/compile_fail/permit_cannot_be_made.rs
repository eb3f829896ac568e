//! A permit comes from a verification only.

use proximity_domain::destroy::DestroyPermit;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::Epoch;
use proximity_domain::time::Monotonic;

fn make(place: ContainerRef) -> DestroyPermit {
    DestroyPermit { place, expires: Monotonic(0), purges: bool::default(), epoch: Epoch(0) }
}

fn main() {}
