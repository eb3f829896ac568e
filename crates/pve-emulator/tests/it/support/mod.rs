//! What the emulator's tests share: a cluster on virtual time, guests that keep state and can fail,
//! a raw HTTPS client.
#![allow(
    dead_code,
    reason = "each test binary is a crate of its own that uses its part of this"
)]

pub mod guests;
pub mod https;
pub mod seed;
pub mod sim;
