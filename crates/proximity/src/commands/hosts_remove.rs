//! `proximity hosts remove`.

use serde_json::json;

use crate::cli::HostsRemove;
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn run(context: &Context, args: HostsRemove) -> Result<(), Failed> {
    context.client()?.remove_host(&args.host).await?;
    let removed = json!({ "removed": args.host });
    context.output.result(&removed, |_| {
        format!("{} is removed; nothing on it was changed", args.host)
    })
}
