//! `proximity crash-points`: the places at which this build can be made to crash.

use crate::context::Context;
use crate::failed::Failed;

pub(crate) fn run(context: &Context) -> Result<(), Failed> {
    let places = proximity_engine::saga::crash_points();
    context.output.result(&places, |places| places.join("\n"))
}
