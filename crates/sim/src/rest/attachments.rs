//! The contents of attachments, as Discord's CDN serves them.

use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{app::App, id::Id};

/// `GET /attachments/{channel_id}/{attachment_id}/{name}`
pub async fn attachment(
    State(app): State<App>,
    Path((_, id, _)): Path<(String, String, String)>,
) -> Response {
    let file = id
        .parse::<Id>()
        .ok()
        .and_then(|id| app.state().files.get(id).cloned());
    match file {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(file) => {
            let kind = file
                .content_type
                .unwrap_or_else(|| "application/octet-stream".to_owned());
            // Anybody may have sent it: no browser shall run it.
            (
                [
                    (header::CONTENT_TYPE, kind),
                    (header::CONTENT_SECURITY_POLICY, "sandbox".to_owned()),
                ],
                file.content,
            )
                .into_response()
        }
    }
}
