//! What is answered to what cannot be done: a word for programs, and what to do.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};

use super::request::BODY;
use crate::peer::OfferError;
use crate::server::{Full, Kind};
use crate::token::TokenError;

#[derive(Debug)]
pub(super) enum Refusal {
    NotFound,
    Method(&'static str),
    NoToken,
    Token(TokenError),
    OtherPortal,
    Role(Kind),
    /// Somebody who may has ended what he publishes.
    Stopped,
    MediaType(&'static str),
    NotAcceptable,
    NoPortal,
    NoSession,
    TooLarge,
    Broken,
    NotText,
    Offer(OfferError),
    Wants(Kind),
    /// A picture is published in no codec that a portal takes.
    NoCodec,
    Fragment,
    NoCredentials,
    Precondition,
    Restart(String),
    /// No WebSocket is asked for as RFC 6455 has it.
    Upgrade(String),
    /// The first message of a page is none, or did not come.
    Hello(String),
    /// One after it is not understood.
    Words(String),
    Full(Full),
    /// ICE begins anew all the time.
    Often,
    /// The still picture is asked for all the time.
    StillOften,
    /// There is no still picture.
    NoPicture,
    Busy,
    Internal,
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::NoPortal | Self::NoSession | Self::NoPicture => {
                StatusCode::NOT_FOUND
            }
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoToken | Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::OtherPortal | Self::Role(_) | Self::Stopped => StatusCode::FORBIDDEN,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken
            | Self::NotText
            | Self::Offer(_)
            | Self::Wants(_)
            | Self::NoCodec
            | Self::Fragment
            | Self::NoCredentials
            | Self::Hello(_)
            | Self::Words(_)
            | Self::Restart(_) => StatusCode::BAD_REQUEST,
            Self::Upgrade(_) => StatusCode::UPGRADE_REQUIRED,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::Full(Full::Portal) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full(Full::Subject | Full::Token | Full::Address | Full::Often)
            | Self::Often
            | Self::StillOften => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn error(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::NoToken => "no_token",
            Self::Token(TokenError::Expired) => "token_expired",
            Self::Token(_) => "bad_token",
            Self::OtherPortal => "other_portal",
            Self::Role(_) => "other_role",
            Self::Stopped => "stopped",
            Self::MediaType(_) => "unsupported_media_type",
            Self::NotAcceptable => "not_acceptable",
            Self::NoPortal => "no_portal",
            Self::NoSession => "no_session",
            Self::TooLarge => "too_large",
            Self::Broken | Self::NotText => "bad_request",
            Self::Offer(_) | Self::Wants(_) => "bad_offer",
            Self::NoCodec => "no_codec",
            Self::Fragment | Self::NoCredentials | Self::Restart(_) => "bad_fragment",
            Self::Upgrade(_) => "no_websocket",
            Self::Hello(_) => "no_hello",
            Self::Words(_) => "bad_message",
            Self::Precondition => "other_ice_session",
            Self::Full(Full::Portal) => "portal_full",
            Self::Full(Full::Subject) => "too_many_of_yours",
            Self::Full(Full::Token) => "token_in_use",
            Self::Full(Full::Address) => "too_many_peers",
            Self::Full(Full::Often) | Self::Often | Self::StillOften => "too_often",
            Self::NoPicture => "no_picture",
            Self::Busy => "unavailable",
            Self::Internal => "internal",
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::NotFound => {
                "there is nothing here; POST to /portal/ID/whip, /portal/ID/whep or /portal/ID/peer, GET /portal/ID/still.jpg, or open a WebSocket at /portal/ID/tv"
            }
            Self::Method(methods) => return format!("this takes {methods}"),
            Self::NoToken => {
                "there is no token; send Authorization: Bearer with one of UroDiscord.Portal.token/2"
            }
            Self::Token(error) => return error.to_string(),
            Self::OtherPortal => "the token is for another portal; get one for this one",
            Self::Role(kind) => {
                return format!(
                    "the token's role does not let it {}; publish is for whip, watch for whep and tv, peer for all",
                    match kind {
                        Kind::Whip => "publish",
                        Kind::Whep => "listen",
                        Kind::Peer => "do both",
                        Kind::Tv => "watch",
                    }
                );
            }
            Self::Stopped => "a moderator has ended what you show here; ask one to allow it again",
            Self::MediaType(wanted) => return format!("send the body with Content-Type: {wanted}"),
            Self::NotAcceptable => "the answer is application/sdp; accept that",
            Self::NoPortal => "the portal is not open; open it with UroDiscord.Portal.open/2, or try again later",
            Self::NoSession => "there is no such session with this token; it may have ended: POST a new offer",
            Self::TooLarge => return format!("a body may have {BODY} bytes here, and has more"),
            Self::Broken => "the body did not come whole; send it again",
            Self::NotText => "the body is not UTF-8; send the SDP as it is",
            Self::Offer(error) => return error.to_string(),
            Self::Wants(Kind::Whip) => {
                "whip wants an m=audio or m=video that sends (Opus; VP8, or H264 with packetization-mode=1), and no data channels; for those there is /peer"
            }
            Self::NoCodec => {
                "the picture is in no codec that a portal takes (VP8, or H264 with packetization-mode=1); choose an encoder of H.264, in OBS under Settings, Output"
            }
            Self::Wants(Kind::Whep) => {
                "whep wants an m=audio or m=video that receives (Opus; VP8, or H264 with packetization-mode=1), and no data channels; for those there is /peer"
            }
            Self::Wants(Kind::Peer | Kind::Tv) => "peer wants m=audio, m=video or m=application (data channels)",
            Self::Fragment => "the body is no SDP fragment (RFC 8840); send lines as a=candidate:… or a=ice-ufrag:…",
            Self::NoCredentials => "with If-Match: * ICE begins anew: send a=ice-ufrag and a=ice-pwd of the new offer",
            Self::Precondition => "ICE has begun anew since; send candidates with the newest ETag as If-Match",
            Self::Upgrade(why) => return format!("this takes a WebSocket (RFC 6455): {why}"),
            Self::Hello(why) => {
                return format!("send {{\"op\":\"hello\",\"token\":…}} first, with a token of UroDiscord.Portal.token/2: {why}");
            }
            Self::Words(why) => return format!("this message is not understood: {why}; docs/portal.md has all of them"),
            Self::Restart(why) => return format!("ICE does not begin anew: {why}; POST a new offer"),
            Self::Full(Full::Portal) => "the portal has as many peers as it may; try again later",
            Self::Full(Full::Subject) => {
                "whom the token is for is here as often as one may be, with all tokens together; close one of the others, and try again"
            }
            Self::Full(Full::Token) => {
                "this token has as many peers as it may; end one with DELETE, or get another token"
            }
            Self::Full(Full::Address) => "this address has as many peers as it may; try again later",
            Self::Full(Full::Often) => "this token, its owner, or this address, has joined too often just now; try again later",
            Self::Often => "ICE has begun anew too often just now; try again later",
            Self::StillOften => {
                "this token, or this address, has asked for the picture too often just now; ask once a second, with If-None-Match"
            }
            Self::NoPicture => {
                "no JPEG comes of the camera that is on air; have a Godot world show one (UroPortalCamera) and put it on air (/portal camera), or watch by WHEP what others send"
            }
            Self::Busy => "there is too much to do; try again",
            Self::Internal => "something went wrong here; it is in the log of uro_discord",
        }
        .into()
    }

    pub(super) fn response(&self) -> Response<Body> {
        let body = serde_json::json!({"error": self.error(), "message": self.message()});
        let mut response = Response::new(Body::from(body.to_string()));
        let status = self.status();
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Self::Method(allowed) = self {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let later = [
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        if later.contains(&status) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
