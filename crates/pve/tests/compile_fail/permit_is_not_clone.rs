//! A permit is good for one attempt: it cannot be copied.

fn twice(permit: proximity_domain::destroy::DestroyPermit) {
    let _second = permit.clone();
}

fn main() {}
