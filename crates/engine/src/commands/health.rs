//! Health of this installation, from what is read now.

use serde::Serialize;

use crate::engine::Engine;

/// Health as shown at `/api/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthView {
    /// `healthy` or `degraded`.
    pub status: String,
    /// `ok`, or why not.
    pub database: String,
    /// `ok`, or why not.
    pub gateway: String,
    /// Version of this program.
    pub version: String,
    /// Hosts, by label.
    pub hosts: Vec<HostHealth>,
}

/// One host's reachability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostHealth {
    /// Its label.
    pub label: String,
    /// `ok`, or why not.
    pub api: String,
}

impl Engine {
    /// Looks at database, gateway and hosts; each look is bounded to two seconds.
    pub async fn health(&self) -> HealthView {
        let limit = std::time::Duration::from_secs(2);
        let database = match tokio::time::timeout(limit, self.store().hosts()).await {
            Ok(Ok(_)) => "ok".to_owned(),
            Ok(Err(e)) => e.to_string(),
            Err(_) => "no answer within 2 s".to_owned(),
        };
        let gateway = match tokio::time::timeout(limit, self.inner.parts.ingress.routes()).await {
            Ok(Ok(_)) => "ok".to_owned(),
            Ok(Err(e)) => e.to_string(),
            Err(_) => "no answer within 2 s".to_owned(),
        };
        let hosts = futures::future::join_all(
            self.store()
                .hosts()
                .await
                .unwrap_or_default()
                .into_iter()
                .map(|host| async move {
                    let look = async {
                        let cluster = self
                            .inner
                            .clusters
                            .get(host.id)
                            .await
                            .map_err(|e| e.to_string())?;
                        cluster
                            .read()
                            .version()
                            .await
                            .map(|_| ())
                            .map_err(|e| e.to_string())
                    };
                    let api = match tokio::time::timeout(limit, look).await {
                        Ok(Ok(())) => "ok".to_owned(),
                        Ok(Err(e)) => e,
                        Err(_) => "no answer within 2 s".to_owned(),
                    };
                    HostHealth {
                        label: host.label.to_string(),
                        api,
                    }
                }),
        )
        .await;
        let ok = database == "ok" && gateway == "ok" && hosts.iter().all(|h| h.api == "ok");
        HealthView {
            status: if ok { "healthy" } else { "degraded" }.to_owned(),
            database,
            gateway,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hosts,
        }
    }
}
