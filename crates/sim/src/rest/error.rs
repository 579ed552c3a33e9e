//! Discord's errors (`developers/topics/opcodes-and-status-codes`, JSON error codes).

use std::fmt;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

/// An error answer: HTTP status, Discord's code, a message, and for code 50035 the tree of what is wrong where.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    code: u32,
    message: String,
    errors: Option<Value>,
}

impl ApiError {
    fn new(status: StatusCode, code: u32, message: &str) -> Self {
        Self {
            status,
            code,
            message: message.to_owned(),
            errors: None,
        }
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, 0, "404: Not Found")
    }
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, 0, "405: Method Not Allowed")
    }
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 0, "401: Unauthorized")
    }
    pub fn bad_request() -> Self {
        Self::new(StatusCode::BAD_REQUEST, 0, "400: Bad Request")
    }
    pub fn unknown_channel() -> Self {
        Self::new(StatusCode::NOT_FOUND, 10003, "Unknown Channel")
    }
    pub fn unknown_guild() -> Self {
        Self::new(StatusCode::NOT_FOUND, 10004, "Unknown Guild")
    }
    pub fn unknown_member() -> Self {
        Self::new(StatusCode::NOT_FOUND, 10007, "Unknown Member")
    }
    pub fn unknown_message() -> Self {
        Self::new(StatusCode::NOT_FOUND, 10008, "Unknown Message")
    }
    pub fn unknown_role() -> Self {
        Self::new(StatusCode::NOT_FOUND, 10011, "Unknown Role")
    }
    pub fn unknown_ban() -> Self {
        Self::new(StatusCode::NOT_FOUND, 10026, "Unknown Ban")
    }
    pub fn too_many_roles() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            30005,
            "Maximum number of guild roles reached (250)",
        )
    }
    pub fn invalid_role() -> Self {
        Self::new(StatusCode::BAD_REQUEST, 50028, "Invalid Role")
    }
    pub fn invalid_guild() -> Self {
        Self::new(StatusCode::BAD_REQUEST, 50055, "Invalid Guild")
    }
    pub fn two_factor_required() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            60003,
            "Two factor is required for this operation",
        )
    }
    pub fn unknown_user() -> Self {
        Self::new(StatusCode::NOT_FOUND, 10013, "Unknown User")
    }
    pub fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            40005,
            "Request entity too large",
        )
    }
    pub fn unknown_webhook() -> Self {
        Self::new(StatusCode::NOT_FOUND, 10015, "Unknown Webhook")
    }
    pub fn unknown_voice_state() -> Self {
        Self::new(StatusCode::NOT_FOUND, 10065, "Unknown Voice State")
    }
    pub fn unknown_interaction() -> Self {
        Self::new(StatusCode::NOT_FOUND, 10062, "Unknown interaction")
    }
    pub fn too_many_command_creates(most: usize) -> Self {
        let message =
            format!("Max number of daily application command creates has been reached ({most})");
        Self::new(StatusCode::BAD_REQUEST, 30034, &message)
    }
    pub fn already_acknowledged() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            40060,
            "Interaction has already been acknowledged.",
        )
    }
    pub fn invalid_webhook_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 50027, "Invalid Webhook Token")
    }
    pub fn already_crossposted() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            40033,
            "This message has already been crossposted.",
        )
    }
    pub fn missing_access() -> Self {
        Self::new(StatusCode::FORBIDDEN, 50001, "Missing Access")
    }
    pub fn not_the_author() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            50005,
            "Cannot edit a message authored by another user",
        )
    }
    pub fn empty_message() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            50006,
            "Cannot send an empty message",
        )
    }
    pub fn cannot_dm() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            50007,
            "Cannot send messages to this user",
        )
    }
    pub fn missing_permissions() -> Self {
        Self::new(StatusCode::FORBIDDEN, 50013, "Missing Permissions")
    }
    pub fn wrong_channel_type() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            50024,
            "Cannot execute action on this channel type",
        )
    }
    pub fn too_many_guilds() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            30001,
            "Maximum number of guilds reached (100)",
        )
    }
    pub fn banned() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            40007,
            "The user is banned from this guild.",
        )
    }
    pub fn invalid_access_token() -> Self {
        Self::new(StatusCode::FORBIDDEN, 50025, "Invalid OAuth2 access token")
    }
    pub fn missing_scope() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            50026,
            "Missing required OAuth2 scope",
        )
    }
    pub fn invalid_json() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            50109,
            "The request body contains invalid JSON.",
        )
    }
    /// The same errors, of a form that is a part of another.
    pub fn below(self, key: &str) -> Self {
        let errors = self.errors.map(|errors| json!({key: errors}));
        Self { errors, ..self }
    }
    /// Code 50035 with a tree of errors, see [`FormErrors`].
    pub fn invalid_form(errors: FormErrors) -> Self {
        Self {
            errors: Some(Value::Object(errors.0)),
            ..Self::new(StatusCode::BAD_REQUEST, 50035, "Invalid Form Body")
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        match &self.errors {
            Some(errors) => write!(f, ": {errors}"),
            None => Ok(()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"message": self.message, "code": self.code});
        if let Some(errors) = self.errors {
            body["errors"] = errors;
        }
        (self.status, Json(body)).into_response()
    }
}

/// What is wrong in a form: a tree that mirrors the form, with a list `_errors` at each faulty place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FormErrors(Map<String, Value>);

impl FormErrors {
    /// One error at one place.
    pub fn one(path: &[&str], code: &str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(path, code, message);
        errors
    }

    /// Adds an error at a place: field names, and indexes of lists as decimal strings.
    pub fn add<S: AsRef<str>>(&mut self, path: &[S], code: &str, message: impl Into<String>) {
        let mut node = &mut self.0;
        for part in path {
            let child = node
                .entry(part.as_ref())
                .or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(child) = child else { return };
            node = child;
        }
        let error = json!({"code": code, "message": message.into()});
        if let Value::Array(errors) = node.entry("_errors").or_insert_with(|| json!([])) {
            errors.push(error);
        }
    }

    /// `Ok` when nothing was wrong.
    pub fn into_result(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ApiError::invalid_form(self))
        }
    }
}
