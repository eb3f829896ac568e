//! `proximity guard` and `proximity unguard`.

use proximity_api::adoption::Guarding;

use crate::cli::ShowArgs;
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn begin(context: &Context, args: ShowArgs) -> Result<(), Failed> {
    let done = context.client()?.guard(&args.app).await?;
    context.output.result(&done, human)
}

pub(crate) async fn end(context: &Context, args: ShowArgs) -> Result<(), Failed> {
    let done = context.client()?.unguard(&args.app).await?;
    context.output.result(&done, human)
}

fn human(done: &Guarding) -> String {
    let app = &done.hostname;
    match done.since {
        Some(since) => format!("{app} is guarded since {since}: its drift is told"),
        None => format!("{app} is not guarded: its drift is shown by proximity drift {app} alone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_is_on_record() {
        let mut done = Guarding {
            app_id: "1".to_owned(),
            hostname: "db".to_owned(),
            guarded: true,
            since: Some(jiff::Timestamp::UNIX_EPOCH),
        };
        let guarded = human(&done);
        assert_eq!(
            guarded,
            "db is guarded since 1970-01-01T00:00:00Z: its drift is told"
        );
        done.since = None;
        assert!(human(&done).starts_with("db is not guarded"));
    }
}
