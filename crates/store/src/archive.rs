//! The end of an app: its record stays, its host name, ports and secrets go.

use proximity_domain::ids::AppId;
use proximity_domain::time::Timestamp;

use crate::apps::live_app;
use crate::error::StoreError;
use crate::ports;
use crate::row::to_json;
use crate::sql::{Tx, query, query_scalar};
use crate::views::ArchivedBy;

/// Moves `app` to the archive. Nothing happens if it is there already.
///
/// # Errors
/// [`StoreError::IllegalTransition`] while a guest of it is not gone: archiving would lose a container.
pub(crate) async fn archive(
    tx: &mut Tx,
    app: AppId,
    by: ArchivedBy,
    rest_ms: Option<i64>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(mut record) = live_app(tx, app).await? else {
        return Ok(());
    };
    record.operation = None;
    let guests: i64 =
        query_scalar("SELECT COUNT(*) FROM guests WHERE app_id = $1 AND gone_at IS NULL")
            .bind(app.to_string())
            .fetch_one(&mut *tx)
            .await?;
    if guests > 0 {
        let what = format!("app {app} cannot be archived: {guests} guest(s) of it are not gone");
        return Err(StoreError::IllegalTransition { what });
    }
    ports::free(tx, app, rest_ms, now).await?;
    for told in [
        "DELETE FROM guards WHERE app_id = $1",
        "DELETE FROM desired_drifts WHERE app_id = $1",
        "DELETE FROM root_passwords WHERE app_id = $1",
    ] {
        query(told).bind(app.to_string()).execute(&mut *tx).await?;
    }
    query(
        "UPDATE apps SET archived_at = $2, archived_by = $3, archived_record = $4, \
         environment_sealed = NULL WHERE id = $1",
    )
    .bind(app.to_string())
    .bind(now.0)
    .bind(by.to_string())
    .bind(to_json("archived record", &record)?)
    .execute(tx)
    .await?;
    Ok(())
}
