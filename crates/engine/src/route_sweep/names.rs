//! The host names of apps, as far as the sweep keeps them true: what is to be done, and what was fetched by them.

use std::net::SocketAddr;

use proximity_domain::app::StatusLabel;
use proximity_domain::ids::AppId;
use proximity_domain::site::Site;
use proximity_store::records::AppRecord;
use proximity_store::routed::RoutedApp;

use super::{Done, Need};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::seams::{Ingress, LedName, RouteView};

/// The same for its host name, when nothing is to be done for its ports.
pub(super) fn need_of_name(app: &RoutedApp, route: Option<&RouteView>) -> Option<Need> {
    if !app.exposed || (app.worked_on && app.status != StatusLabel::Updating) {
        return None;
    }
    let nobody = LedName::Nobody;
    let led = route.map_or(&nobody, |route| &route.name);
    let Some(wanted) = &app.site else {
        return (*led != LedName::Nobody).then_some(Need::CloseName);
    };
    if !matches!(app.status, StatusLabel::Running | StatusLabel::Updating) {
        return None;
    }
    let target = route.and_then(|route| route.target);
    if !target.is_some_and(|target| is_led(led, Some(&wanted.site), target)) {
        return Some(Need::Mend);
    }
    wanted.url.is_none().then_some(Need::Fetch)
}

/// It is led to under the name that is wanted, and under none if none is.
pub(super) fn is_led(led: &LedName, wanted: Option<&Site>, to: SocketAddr) -> bool {
    match (led, wanted) {
        (LedName::Nobody, None) => true,
        (LedName::As { site, target }, Some(wanted)) => site == wanted && *target == to,
        (LedName::Nobody | LedName::As { .. } | LedName::Changed | LedName::Not(_), _) => false,
    }
}

/// The site to set with an app's route.
pub(crate) fn wanted_site(ingress: &dyn Ingress, app: &AppRecord) -> Option<Site> {
    let of = app.site.as_ref().filter(|_| ingress.leads_names())?;
    Some(of.site.clone())
}

/// Ends a host name that nobody wants.
pub(super) async fn close_name(engine: &Engine, app: AppId) -> Done {
    match engine.inner.parts.ingress.withdraw_name(app).await {
        Ok(()) => Done::Changed,
        Err(e) => {
            tracing::warn!(%app, error = %e, "a host name that should not lead anywhere cannot be ended");
            Done::Left
        }
    }
}

/// Fetches an app by the host name that it is led to under, and writes down what came of it: a URL is one that was fetched.
pub(super) async fn fetch(engine: &Engine, app: &AppRecord) -> Result<Done, EngineError> {
    let Some(of) = &app.site else {
        return Ok(Done::Nothing);
    };
    let fetched = engine.inner.parts.ingress.fetch_by_name(&of.site).await;
    let did = match &fetched {
        Ok(_) => Done::Changed,
        Err(_) => Done::Left,
    };
    note_fetched(engine, app, fetched).await?;
    Ok(did)
}

/// Writes down what came of leading an app under its host name, unless that is on record already.
pub(super) async fn note_fetched(
    engine: &Engine,
    app: &AppRecord,
    fetched: Result<String, String>,
) -> Result<(), EngineError> {
    let Some(of) = &app.site else {
        return Ok(());
    };
    let is_known = match &fetched {
        Ok(url) => of.url.as_ref() == Some(url),
        Err(why) => of.url.is_none() && of.trouble.as_ref() == Some(why),
    };
    if !is_known {
        if let Err(why) = &fetched {
            tracing::warn!(app = %app.hostname, name = %of.site.name, %why, "the app does not answer by its host name");
        }
        let store = engine.store();
        store.site_fetched(app.id, &of.site, fetched).await?;
    }
    Ok(())
}

/// Writes down of each app that waits for its host name that Caddy is away.
pub(super) async fn note_away(engine: &Engine, why: &str) -> Result<(), EngineError> {
    let store = engine.store();
    for app in store.exposed_apps().await? {
        let Some(of) = app.site.filter(|_| !app.worked_on) else {
            continue;
        };
        if of.url.is_none() && of.trouble.as_deref() != Some(why) {
            let fetched = Err(why.to_owned());
            store.site_fetched(app.id, &of.site, fetched).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proximity_domain::ids::{HostId, InstallationId};
    use proximity_domain::ports::PortPair;
    use proximity_store::records::AppSite;
    use uuid::Uuid;

    use super::*;

    fn site(name: &str) -> Site {
        Site {
            name: name.parse().unwrap(),
            certificate: None,
        }
    }

    fn app(site: Option<Site>, status: StatusLabel) -> RoutedApp {
        RoutedApp {
            id: AppId(Uuid::from_u128(1)),
            host: HostId(Uuid::from_u128(2)),
            node: "pve1".parse().unwrap(),
            status,
            guest_port: 80,
            exposed: true,
            has_url: true,
            site: site.map(|site| AppSite {
                site,
                url: None,
                trouble: None,
            }),
            worked_on: false,
        }
    }

    fn route(name: LedName) -> RouteView {
        RouteView {
            app: AppId(Uuid::from_u128(1)),
            installation: Some(InstallationId(Uuid::from_u128(3))),
            ports: PortPair {
                public: 8100,
                internal: 9100,
            },
            target: Some("10.0.0.5:80".parse().unwrap()),
            listening: true,
            trouble: None,
            dial_failures: 0,
            name,
        }
    }

    fn led(name: &str, target: &str) -> RouteView {
        route(LedName::As {
            site: site(name),
            target: target.parse().unwrap(),
        })
    }

    #[test]
    fn a_name_is_mended_until_it_leads_where_the_port_does_and_then_fetched() {
        let running = StatusLabel::Running;
        let mut wanted = app(Some(site("blog.example.org")), running);
        for view in [
            route(LedName::Nobody),
            route(LedName::Changed),
            led("other.example.org", "10.0.0.5:80"),
            led("blog.example.org", "10.0.0.6:80"),
        ] {
            assert_eq!(
                need_of_name(&wanted, Some(&view)),
                Some(Need::Mend),
                "{view:?}"
            );
        }
        assert_eq!(need_of_name(&wanted, None), Some(Need::Mend));
        let right = led("blog.example.org", "10.0.0.5:80");
        assert_eq!(need_of_name(&wanted, Some(&right)), Some(Need::Fetch));
        if let Some(of) = &mut wanted.site {
            of.url = Some("https://blog.example.org/".to_owned());
        }
        assert_eq!(need_of_name(&wanted, Some(&right)), None);
        wanted.worked_on = true;
        assert_eq!(need_of_name(&wanted, None), None, "that is its operation's");
        wanted.status = StatusLabel::Updating;
        assert_eq!(need_of_name(&wanted, None), Some(Need::Mend));
    }

    #[test]
    fn a_name_that_nobody_wants_is_ended_whatever_the_app_does() {
        for status in [
            StatusLabel::Running,
            StatusLabel::Stopped,
            StatusLabel::Error,
        ] {
            let unnamed = app(None, status);
            let view = led("blog.example.org", "10.0.0.5:80");
            assert_eq!(need_of_name(&unnamed, Some(&view)), Some(Need::CloseName));
            let changed = route(LedName::Changed);
            assert_eq!(
                need_of_name(&unnamed, Some(&changed)),
                Some(Need::CloseName)
            );
            assert_eq!(need_of_name(&unnamed, Some(&route(LedName::Nobody))), None);
            assert_eq!(need_of_name(&unnamed, None), None);
        }
        let stopped = app(Some(site("blog.example.org")), StatusLabel::Stopped);
        assert_eq!(
            need_of_name(&stopped, None),
            None,
            "it leads nowhere as long as it does not run"
        );
    }
}
