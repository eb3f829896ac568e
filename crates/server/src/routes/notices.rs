//! `/api/notify`.

use axum::Json;
use axum::extract::State;
use proximity_api::notices::{ChannelList, ChannelTests, TestChannels};

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::Body;
use crate::refusal::Refusal;
use crate::router::AppState;

/// List the channels people are told through
///
/// Those of the configuration, with how far each was told of what happened. What leads to them is not shown.
#[utoipa::path(get, path = "/api/notify/channels", tag = "installation", operation_id = "list_channels",
    responses((status = 200, description = "The channels now.", body = ChannelList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<ChannelList>, Refusal> {
    caller.require(Scope::Read)?;
    let report = state.notices().report().await?;
    Ok(Json(convert::channel_list(report)))
}

/// Send a test through one channel, or through all
///
/// Says what each receiver really answered. A channel that does not take it is an answer, and no error. Nothing is sent
/// again.
#[utoipa::path(post, path = "/api/notify/test", tag = "installation", operation_id = "test_channels",
    request_body = TestChannels,
    responses((status = 200, description = "What came of it.", body = ChannelTests)),
    extensions(("x-codes" = json!(["not_found"]))))]
pub(crate) async fn test(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<TestChannels>,
) -> Result<Json<ChannelTests>, Refusal> {
    caller.require(Scope::Hosts)?;
    let tests = state.notices().test(body.channel.as_deref()).await?;
    Ok(Json(convert::channel_tests(tests)))
}
