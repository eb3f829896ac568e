//! Pure rules of Proximity: types, state machines, decisions and permits. No async, no IO, no clock, no randomness.
