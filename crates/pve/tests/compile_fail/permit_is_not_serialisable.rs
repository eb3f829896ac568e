//! A permit cannot be stored: after a crash one must look again.

fn is_serialisable<T: serde::Serialize>() {}
fn is_deserialisable<T: serde::de::DeserializeOwned>() {}

fn main() {
    is_serialisable::<proximity_domain::destroy::DestroyPermit>();
    is_deserialisable::<proximity_domain::destroy::DestroyPermit>();
}
