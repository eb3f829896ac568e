//! `proximity logs`.

use std::time::Duration;

use proximity_api::logs::{LogLine, LogPage, LogQuery};

use crate::cli::LogsArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::output::{Output, Reader, reader_gone};
use crate::progress;
use crate::text::moment;

/// Pause between two looks with `--follow`.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn run(context: &Context, args: LogsArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let first = LogQuery {
        after: None,
        limit: Some(u32::from(args.lines)),
    };
    let page = client.logs(&args.app, &first).await?;
    if !args.follow {
        return context.output.result(&page, human);
    }
    // From here on by id: the host name may go to another app.
    let app = client.app(&args.app).await.map_or(args.app, |app| app.id);
    let follow = async {
        let mut page = page;
        loop {
            if print(context.output, &page)? == Reader::Gone {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
            let query = LogQuery {
                after: Some(page.next_after),
                limit: Some(1000),
            };
            page = client.logs(&app, &query).await?;
        }
    };
    tokio::select! {
        ended = follow => ended,
        () = reader_gone() => Ok(()),
        // Ctrl-C is how one ends it.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

fn print(output: Output, page: &LogPage) -> Result<Reader, Failed> {
    for line in &page.lines {
        let text = if output.json {
            serde_json::to_string(line).unwrap_or_default()
        } else {
            one(line)
        };
        if output.tell(&text)? == Reader::Gone {
            return Ok(Reader::Gone);
        }
    }
    Ok(Reader::Listens)
}

fn human(page: &LogPage) -> String {
    page.lines.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn one(line: &LogLine) -> String {
    format!("{}  {}", moment(line.at), progress::text(line))
}
