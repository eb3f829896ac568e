//! `/api/apps/{app}/run` and `/exec`: commands inside the container of an app.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream;
use proximity_api::inside::{CommandOutput, ExecEvent, ExecRequest, RunCommand};
use proximity_engine::commands::{ExecApp, ExecRun};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::events::UNBUFFERED;
use crate::auth::{Caller, Scope, Watch};
use crate::convert;
use crate::extract::{Body, Name, invalid};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::lookup;

/// How long a stream is silent at most: a client that went away is noticed by then.
const SILENCE: Duration = Duration::from_secs(5);

/// Look into an app's container
///
/// Runs one of ten commands that only look, and gives what it printed, without the app's secrets. It is audited.
#[utoipa::path(post, path = "/api/apps/{app}/run", tag = "apps", operation_id = "run_command",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    request_body = RunCommand,
    responses((status = 200, description = "What it printed, also where it failed.", body = CommandOutput)),
    extensions(("x-codes" = json!(["app_not_found", "not_found", "invalid_value", "not_in_state", "too_many_commands",
        "no_guest_access", "identity_conflict", "ssh_unreachable", "ssh_node_unknown", "ssh_host_key_changed",
        "helper_missing", "helper_not_allowed", "helper_declined", "guest_request_refused", "guest_outcome_unknown",
        "container_elsewhere", "@cluster"]))))]
pub(crate) async fn run(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<RunCommand>,
) -> Result<Json<CommandOutput>, Refusal> {
    caller.require(Scope::Operate)?;
    let app = lookup::own_app(&state.reader(), &caller, Scope::Operate, &name).await?;
    let (id, asked) = (app.id.to_string(), body.command);
    let request = convert::safe_request(body);
    let (engine, actor) = (state.engine(), caller.actor());
    let ran = engine.run_safe(actor, &id, &request).await?;
    Ok(Json(convert::command_output(asked, ran)))
}

/// Run a program in an app's container
///
/// As root and without a shell. What it prints is told while it runs, without the app's secrets, as Server-Sent Events with an `ExecEvent` each,
/// of which `ended` and `failed` are the last. It is ended when its time is over, or when the client goes away. It is audited, with its
/// arguments and without its input.
#[utoipa::path(post, path = "/api/apps/{app}/exec", tag = "apps", operation_id = "exec_in_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    request_body = ExecRequest,
    responses((status = 200, description = "It runs.",
        content((String = "text/event-stream",
            extensions(("x-item-schema" = json!({"$ref": "#/components/schemas/ExecEvent"}))))))),
    extensions(("x-codes" = json!(["app_not_found", "not_found", "invalid_value", "busy", "too_many_commands",
        "no_guest_access", "identity_conflict", "@cluster"]))))]
pub(crate) async fn exec(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<ExecRequest>,
) -> Result<Response, Refusal> {
    caller.require(Scope::Exec)?;
    let app = lookup::own_app(&state.reader(), &caller, Scope::Exec, &name).await?;
    let request = ExecApp {
        argv: body.argv,
        stdin: body.stdin.as_deref().map(input).transpose()?,
        timeout_s: body.timeout_s,
    };
    let (engine, actor) = (state.engine(), caller.actor());
    let run = engine.exec(actor, &app.id.to_string(), request).await?;
    let told = Told {
        run,
        closing: state.closing(),
        watch: Watch::new(&state, &caller),
    };
    Ok((UNBUFFERED, body_of(told)).into_response())
}

fn input(text: &str) -> Result<Bytes, Refusal> {
    let decoded = STANDARD.decode(text);
    let decoded = decoded.map_err(|_| invalid("stdin", "it is no base64".to_owned()))?;
    Ok(decoded.into())
}

/// A run that is told of.
struct Told {
    run: ExecRun,
    closing: CancellationToken,
    watch: Watch,
}

/// What is told of a run, until its end or the server's, or until whoever asked for it is not let in any more.
fn body_of(told: Told) -> HttpBody {
    HttpBody::from_stream(stream::unfold(told, piece))
}

async fn piece(mut told: Told) -> Option<(Result<Bytes, Infallible>, Told)> {
    let silent_until = Instant::now() + SILENCE;
    loop {
        if !told.watch.holds().await {
            return None;
        }
        let piece = tokio::select! {
            biased;
            next = told.run.next() => block(&convert::exec_event(next?)),
            () = told.closing.cancelled() => return None,
            () = tokio::time::sleep_until(silent_until) => Bytes::from_static(b": alive\n\n"),
            () = tokio::time::sleep_until(told.watch.due()) => continue,
        };
        return Some((Ok(piece), told));
    }
}

fn block(event: &ExecEvent) -> Bytes {
    // A struct of texts and numbers always serialises.
    let data = serde_json::to_string(event).unwrap_or_default();
    format!("data: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_base64_or_refused() {
        assert_eq!(input("aGk=").unwrap(), "hi");
        assert_eq!(input("").unwrap(), "");
        assert_eq!(input("hi there").unwrap_err().body.code, "invalid_value");
    }
}
