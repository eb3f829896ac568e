//! Rules between settings. Pure.

use super::{Database, RetentionSettings, Settings};

/// What is wrong, one sentence with the name of the setting, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) hint: String,
}

pub(super) fn wrong(message: impl Into<String>, hint: &str) -> Wrong {
    Wrong {
        message: message.into(),
        hint: hint.to_owned(),
    }
}

/// A week.
const JANITOR_MOST_MINUTES: u32 = 7 * 24 * 60;
/// A hundred years.
const RETENTION_MOST_DAYS: u32 = 36_500;
/// Who follows the events is told of each, also a moment later.
const RETENTION_LEAST_EVENTS: u64 = 100;
/// A day.
const RETENTION_MOST_SECONDS: u32 = 24 * 60 * 60;

/// The first rule that is broken.
pub(super) fn check(settings: &Settings) -> Result<(), Wrong> {
    listener(settings)?;
    database(&settings.database)?;
    ports(settings)?;
    super::ingress::check(&settings.ingress)?;
    super::notify::check(&settings.notify)?;
    super::otlp::check(&settings.otlp)?;
    if settings.engine.operations == 0 || settings.engine.operations > 1_000 {
        return Err(wrong(
            format!("engine.operations is {}", settings.engine.operations),
            "choose 1 to 1000",
        ));
    }
    let per_host = settings.engine.operations_per_host;
    if per_host == 0 || per_host > settings.engine.operations {
        return Err(wrong(
            format!("engine.operations_per_host is {per_host}"),
            "choose 1 to engine.operations",
        ));
    }
    for (name, minutes) in settings.janitor.all() {
        if minutes == 0 || minutes > JANITOR_MOST_MINUTES {
            let hint = format!("choose 1 to {JANITOR_MOST_MINUTES}");
            return Err(wrong(format!("{name} is {minutes}"), &hint));
        }
    }
    retention(&settings.retention)?;
    log(settings)
}

fn retention(retention: &RetentionSettings) -> Result<(), Wrong> {
    for (name, days) in [
        ("retention.event_days", retention.event_days),
        ("retention.operation_days", retention.operation_days),
        ("retention.snapshot_days", retention.snapshot_days),
    ] {
        if days > RETENTION_MOST_DAYS {
            let hint = format!("choose 1 to {RETENTION_MOST_DAYS}, or 0 for no bound");
            return Err(wrong(format!("{name} is {days}"), &hint));
        }
    }
    let events = retention.events;
    if (1..RETENTION_LEAST_EVENTS).contains(&events) {
        let hint = format!("choose {RETENTION_LEAST_EVENTS} or more, or 0 for no bound");
        return Err(wrong(format!("retention.events is {events}"), &hint));
    }
    let seconds = retention.every_seconds;
    if seconds == 0 || seconds > RETENTION_MOST_SECONDS {
        let hint = format!("choose 1 to {RETENTION_MOST_SECONDS}");
        let message = format!("retention.every_seconds is {seconds}");
        return Err(wrong(message, &hint));
    }
    Ok(())
}

fn log(settings: &Settings) -> Result<(), Wrong> {
    let log = &settings.log;
    if log.file.is_some() && settings.gateway.log_file == log.file {
        return Err(wrong(
            "gateway.log_file and log.file are the same file, and one process writes a file",
            "name another file, or remove gateway.log_file to have one named after log.file",
        ));
    }
    for (name, value, most) in [
        ("log.size_mib", log.size_mib, 1 << 20),
        ("log.age_hours", u64::from(log.age_hours), 24 * 3660),
    ] {
        if value == 0 || value > most {
            let hint = format!("choose 1 to {most}");
            return Err(wrong(format!("{name} is {value}"), &hint));
        }
    }
    if log.keep > 1000 {
        return Err(wrong(
            format!("log.keep is {}", log.keep),
            "choose 0 to 1000",
        ));
    }
    Ok(())
}

fn listener(settings: &Settings) -> Result<(), Wrong> {
    let api = &settings.api;
    let with_tls = match (&api.tls_cert_file, &api.tls_key_file) {
        (Some(_), Some(_)) => true,
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => {
            return Err(wrong(
                "only one of api.tls_cert_file and api.tls_key_file is set",
                "set both, or neither",
            ));
        }
    };
    if !api.listen.ip().is_loopback() && !with_tls && !api.insecure_http {
        return Err(wrong(
            format!(
                "api.listen is {}, which others can reach, but there is no TLS: tokens would cross the \
                 network unprotected",
                api.listen
            ),
            "set api.tls_cert_file and api.tls_key_file, or listen on 127.0.0.1 behind a reverse proxy, or \
             accept the risk with api.insecure_http: true",
        ));
    }
    Ok(())
}

/// The messages never repeat the URL: it could hold a password.
fn database(database: &Database) -> Result<(), Wrong> {
    let url = database.url.as_str();
    if url == "sqlite" {
        return match database.password_file {
            None => Ok(()),
            Some(_) => Err(wrong(
                "database.password_file is set, but the database is a file",
                "remove it, or set database.url to postgres://USER@HOST/NAME",
            )),
        };
    }
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"));
    let Some(rest) = rest else {
        return Err(wrong(
            "database.url is neither sqlite nor the URL of a PostgreSQL database",
            "set it to sqlite, or to postgres://USER@HOST/NAME",
        ));
    };
    let (place, _) = rest.split_once('?').unwrap_or((rest, ""));
    // As a URL is read: the path begins at the first slash, and before it the last @ ends the user.
    let (server, name) = place.split_once('/').unwrap_or((place, ""));
    let user = server.rsplit_once('@').map_or("", |(user, _)| user);
    if user.contains(':') || url.contains("password=") {
        return Err(wrong(
            "database.url holds a password",
            "put it on the first line of a file and name that in database.password_file",
        ));
    }
    if name.is_empty() || user.is_empty() {
        return Err(wrong(
            "database.url names no user or no database",
            "write it as postgres://USER@HOST/NAME",
        ));
    }
    if proximity_store::leaves_encryption_open(&url.into()) {
        return Err(wrong(
            "database.url names another machine and does not say how the connection is protected: without a word \
             PostgreSQL's clients go on in clear text when anybody on the way says so",
            "add ?sslmode=verify-full&sslrootcert=FILE, or accept the risk with ?sslmode=disable",
        ));
    }
    Ok(())
}

fn ports(settings: &Settings) -> Result<(), Wrong> {
    let (public, internal) = (settings.ports.public.0, settings.ports.internal.0);
    if public.first <= internal.last && internal.first <= public.last {
        return Err(wrong(
            format!(
                "ports.public ({}) and ports.internal ({}) overlap",
                settings.ports.public, settings.ports.internal
            ),
            "choose two ranges without a common port",
        ));
    }
    let api = settings.api.listen.port();
    if public.contains(api) || internal.contains(api) {
        return Err(wrong(
            format!("api.listen has port {api}, which is also in a range of app ports"),
            "move the API or the range",
        ));
    }
    Ok(())
}
