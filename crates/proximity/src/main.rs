//! The Proximity binary: commands, configuration and the wiring of roles.
fn main() {}
