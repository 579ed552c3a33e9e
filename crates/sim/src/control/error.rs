//! Why a request to the control interface cannot be served.

use axum::{
    Json,
    extract::rejection::JsonRejection,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::task::JoinError;

use crate::{
    StartError, faults::RuleError, id::Id, state::RolesFull, stream::PlanError, voice::ShareError,
};

/// It is answered with 400 or 404, and `{"error": "…"}`.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("no such control; see the documentation of the crate discord-sim")]
    UnknownPath,
    #[error("no channel `{0}`")]
    UnknownChannel(String),
    #[error("no user `{0}`")]
    UnknownUser(String),
    #[error("a stream is for a user who has one session with a connection; `{0}` has not")]
    NotConnected(String),
    #[error("the stream could not be made: {0}")]
    Stream(#[from] JoinError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error(transparent)]
    Json(#[from] JsonRejection),
    #[error(transparent)]
    Network(#[from] ShareError),
    #[error("no user is in a call whom this is for")]
    NotInCall,
    #[error("at most {guilds} guilds, with {channels} channels and {members} members each")]
    TooMany {
        guilds: usize,
        channels: u16,
        members: u32,
    },
    #[error("there is no guild `{0}`")]
    UnknownGuild(Id),
    #[error("there is no role `{0}`")]
    UnknownRole(String),
    #[error("user `{0}` is not a member of that guild")]
    NoMember(Id),
    #[error("there is another user `{0}`")]
    NameTaken(String),
    #[error("at most {0} users")]
    TooManyPeople(usize),
    #[error(transparent)]
    RolesFull(#[from] RolesFull),
    #[error("`permissions` are bits, as a number or a decimal text")]
    Permissions,
    #[error("`{0}` is not a voice channel")]
    NotVoice(String),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("this action needs `{0}`")]
    Missing(&'static str),
    #[error("`numbered` needs `data` to be an object")]
    Numbered,
    #[error("no command `{0}` is registered, with these options")]
    UnknownCommand(String),
    #[error("there is no component `{0}` on that message that can be used")]
    UnknownComponent(String),
    #[error("interaction `{0}` was not answered with a modal for this user")]
    UnknownModal(String),
    #[error("the modal does not let the user submit this: {0}")]
    Entered(String),
    #[error("this user may not use `{0}` there")]
    MayNot(String),
    #[error("the application has no `event_webhooks_url`")]
    NoEventsEndpoint,
    #[error("`close` needs a `code` that a server may send")]
    CloseCode,
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownPath
            | Self::UnknownChannel(_)
            | Self::UnknownUser(_)
            | Self::UnknownGuild(_)
            | Self::UnknownCommand(_)
            | Self::UnknownRole(_)
            | Self::NoMember(_)
            | Self::UnknownComponent(_)
            | Self::UnknownModal(_)
            | Self::NotInCall => StatusCode::NOT_FOUND,
            Self::Start(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotConnected(_)
            | Self::Stream(_)
            | Self::Plan(_)
            | Self::Rule(_)
            | Self::Json(_)
            | Self::Network(_)
            | Self::NotVoice(_)
            | Self::TooMany { .. }
            | Self::TooManyPeople(_)
            | Self::RolesFull(_)
            | Self::NameTaken(_)
            | Self::Permissions
            | Self::Missing(_)
            | Self::Numbered
            | Self::MayNot(_)
            | Self::Entered(_)
            | Self::NoEventsEndpoint
            | Self::CloseCode => StatusCode::BAD_REQUEST,
        };
        (status, Json(json!({"error": self.to_string()}))).into_response()
    }
}
