//! Errors of the token endpoint: <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::grants::GrantError;

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("")]
    Client,
    /// Discord says no more of a refresh token.
    #[error("")]
    Refresh,
    #[error("Grant type {0} is not supported")]
    GrantType(String),
    #[error("Missing \"{0}\" in request.")]
    Missing(&'static str),
    #[error("\"{0}\" is there more than once.")]
    Doubled(String),
    #[error("Invalid \"{0}\" in request.")]
    Grant(&'static str),
    #[error("Code verifier required.")]
    NoVerifier,
    #[error("The requested scope is invalid, unknown, or malformed.")]
    Scope,
    #[error("no random bytes")]
    Random,
}

impl From<GrantError> for TokenError {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Secret => Self::Grant("code"),
            GrantError::RedirectUri => Self::Grant("redirect_uri"),
            GrantError::Verifier => Self::Grant("code_verifier"),
            GrantError::NoVerifier => Self::NoVerifier,
        }
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::Client => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::GrantType(_) => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            Self::Grant(_) | Self::Refresh => (StatusCode::BAD_REQUEST, "invalid_grant"),
            Self::Scope => (StatusCode::BAD_REQUEST, "invalid_scope"),
            Self::Missing(_) | Self::Doubled(_) | Self::NoVerifier => {
                (StatusCode::BAD_REQUEST, "invalid_request")
            }
            Self::Random => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        };
        let mut body = json!({"error": error});
        let description = self.to_string();
        if !description.is_empty() {
            body["error_description"] = description.into();
        }
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"discord-sim\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}
