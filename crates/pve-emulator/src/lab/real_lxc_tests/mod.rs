//! Tests with real containers: each runs this very test again inside a private namespace, and afterwards checks from
//! outside that nothing of it is left on the machine.

mod alike;
mod console;
mod driver;
mod ending;
mod life;
mod power_loss;
mod restart;
mod support;
