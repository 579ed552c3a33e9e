//! The contents of attachments, as Discord's CDN serves them, and attachment objects.

use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use serde_json::{Value, json};

use super::{body::File, validate::AttachmentForm};
use crate::{
    app::App,
    id::Id,
    state::{State as Discord, StoredFile},
};

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

/// Stores files that came along; returns their attachment objects. `described` tells more about some of them.
pub fn attach(
    state: &mut Discord,
    app: &App,
    channel: Id,
    files: Vec<File>,
    described: Option<&[AttachmentForm]>,
) -> Vec<Value> {
    let mut attach_one = |file: File| {
        let id = state.ids.next();
        let about = described
            .into_iter()
            .flatten()
            .find(|about| about.id == file.number);
        let name = about
            .and_then(|about| about.filename.clone())
            .unwrap_or(file.name);
        // What Discord leaves of a file's name.
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '_'
            }
        };
        let name: String = name.chars().map(safe).collect();
        let url = format!("{}/attachments/{channel}/{id}/{name}", app.addresses().cdn);
        let mut attachment = json!({
            "id": id,
            "filename": name,
            "size": file.content.len(),
            "url": url,
            "proxy_url": url,
        });
        if let Some(kind) = &file.content_type {
            attachment["content_type"] = json!(kind);
        }
        if let Some(description) = about.and_then(|about| about.description.as_ref()) {
            attachment["description"] = json!(description);
        }
        state.files.push(StoredFile {
            id,
            content_type: file.content_type,
            content: file.content,
        });
        attachment
    };
    files.into_iter().map(&mut attach_one).collect()
}
