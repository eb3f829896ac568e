//! Documents from outside the crate: what is read, what is refused and how, and what is written.
#![allow(clippy::unwrap_used)] // helpers of tests may fail the test

mod bad;
mod export;
mod good;
mod hostile;
mod novice;
mod round_trip;
mod wishes;

use proximity_manifest::{Given, Manifests, Problems, Source, read};

/// A text under a name.
fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.to_owned(),
        bytes: text.as_bytes().to_vec(),
    }
}

/// One text, read alone.
fn read_one(text: &str) -> Result<Manifests, Problems> {
    let given = Given {
        documents: vec![source("x.yaml", text)],
        ..Given::default()
    };
    read(&given)
}
