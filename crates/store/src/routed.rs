//! What the routes of the gateway are kept by, of each app: one lean statement, page by page, for all apps may be exposed.

use proximity_domain::app::StatusLabel;
use proximity_domain::ids::{AppId, HostId};
use proximity_domain::names::NodeName;

use crate::error::StoreError;
use crate::pages::{PAGE, next};
use crate::records::{AppRecord, AppSite};
use crate::row::Columns;
use crate::sites::site;
use crate::sql::{Row, Tx, query};
use crate::store::Reader;

/// An app, as far as its route is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedApp {
    /// The app.
    pub id: AppId,
    /// Where its container is on record.
    pub host: HostId,
    /// Its node.
    pub node: NodeName,
    /// Its status.
    pub status: StatusLabel,
    /// The port in its container.
    pub guest_port: u16,
    /// Somebody wants its ports to lead there.
    pub exposed: bool,
    /// Something was fetched from it.
    pub has_url: bool,
    /// Under which host name it is to be led to.
    pub site: Option<AppSite>,
    /// An operation is at work on it.
    pub worked_on: bool,
}

impl From<&AppRecord> for RoutedApp {
    fn from(app: &AppRecord) -> Self {
        Self {
            id: app.id,
            host: app.host,
            node: app.node.clone(),
            status: app.status.label(),
            guest_port: app.guest_port,
            exposed: app.exposed,
            has_url: app.url.is_some(),
            site: app.site.clone(),
            worked_on: app.operation.is_some(),
        }
    }
}

/// `$1` the app that a page is behind, `$2` how many.
const EXPOSED: &str = "SELECT a.id, a.host_id, a.node, a.status, a.guest_port, \
     a.site_name, a.site_cert_file, a.site_key_file, a.site_url, a.site_trouble, \
     CAST(CASE WHEN a.url IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_url, \
     CAST(CASE WHEN o.id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS worked_on FROM apps a \
     LEFT JOIN operations o ON o.app_id = a.id \
     AND o.state IN ('queued', 'running', 'unwinding', 'stuck') \
     WHERE a.archived_at IS NULL AND a.exposed = 1 AND a.id > $1 ORDER BY a.id LIMIT $2";

impl Reader {
    /// The live apps that are exposed, by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn exposed_apps(&self) -> Result<Vec<RoutedApp>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.exposed_apps()));
        }
        self.read_as("exposed_apps", read_exposed).await
    }
}

async fn read_exposed(tx: &mut Tx) -> Result<Vec<RoutedApp>, StoreError> {
    let (mut all, mut behind) = (Vec::new(), String::new());
    loop {
        let rows = query(EXPOSED).bind(behind.as_str()).bind(PAGE);
        let rows = rows.fetch_all(&mut *tx).await?;
        for row in &rows {
            all.push(routed(row)?);
        }
        match next(&rows) {
            Some(last) => behind = last.text("id")?,
            None => return Ok(all),
        }
    }
}

fn routed(row: &Row) -> Result<RoutedApp, StoreError> {
    Ok(RoutedApp {
        id: row.parsed("id")?,
        host: row.parsed("host_id")?,
        node: row.parsed("node")?,
        status: row.label("status", StatusLabel::parse)?,
        guest_port: row.number("guest_port")?,
        exposed: true,
        has_url: row.int("has_url")? == 1,
        site: site(row)?,
        worked_on: row.int("worked_on")? == 1,
    })
}
