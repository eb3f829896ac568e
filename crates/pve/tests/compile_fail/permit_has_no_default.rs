//! A permit comes from a verification only.

fn main() {
    let _permit = proximity_domain::destroy::DestroyPermit::default();
}
