//! `/api/health`.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use proximity_api::health::{Health, HostHealth};
use proximity_engine::commands::HealthView;

use crate::auth::{self, Scope};
use crate::router::AppState;

/// Say whether everything works
///
/// Public; the reasons are told to callers with a token only.
#[utoipa::path(get, path = "/api/health", tag = "installation", operation_id = "show_health",
    security((), ("token" = [])),
    responses(
        (status = 200, description = "Healthy.", body = Health),
        (status = 503, description = "Degraded.", body = Health)
    ))]
pub(crate) async fn show(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> (StatusCode, Json<Health>) {
    let view = state.health().look(state.engine(), state.clock()).await;
    let caller = auth::optional(&state, &headers).await;
    let told = caller.is_some_and(|caller| caller.may(Scope::Read));
    let status = if view.status == "healthy" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(shown(view, told)))
}

fn shown(view: HealthView, told: bool) -> Health {
    let reason = |text: String| {
        if told || text == "ok" {
            text
        } else {
            "failing".to_owned()
        }
    };
    let hosts = if told { view.hosts } else { Vec::new() };
    Health {
        status: view.status,
        database: reason(view.database),
        gateway: reason(view.gateway),
        version: view.version,
        hosts: hosts
            .into_iter()
            .map(|host| {
                let reachable = host.api == "ok";
                HostHealth {
                    label: host.label,
                    reachable,
                    problem: (!reachable).then_some(host.api),
                }
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> HealthView {
        HealthView {
            status: "degraded".to_owned(),
            database: "ok".to_owned(),
            gateway: "no socket at /var/lib/proximity/gateway/control.sock".to_owned(),
            version: "1".to_owned(),
            hosts: vec![proximity_engine::commands::HostHealth {
                label: "home".to_owned(),
                api: "192.0.2.1 refused".to_owned(),
            }],
        }
    }

    #[test]
    fn without_a_token_no_path_and_no_address_is_told() {
        let text = serde_json::to_string(&shown(view(), false)).unwrap();
        assert!(text.contains("failing") && !text.contains("/var/") && !text.contains("192.0.2.1"));
    }

    #[test]
    fn with_a_token_the_reasons_are_told() {
        let health = shown(view(), true);
        assert!(health.gateway.contains("control.sock"));
        assert_eq!(
            health.hosts[0].problem.as_deref(),
            Some("192.0.2.1 refused")
        );
    }
}
