//! What the listener itself answers: as JSON, with a word for programs and what to do.

use axum::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

/// A request that does not come to Elixir, or not to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    NotFound,
    BadRequest,
    BadHeader,
    Host,
    Chunked,
    HeadTooLarge,
    BodyTooLarge(u32),
    BodyBroken,
    Timeout,
    Busy,
    Soon,
    Absent,
    NoAnswer,
    Internal,
}

impl Refusal {
    /// What stands for hyper's own word.
    pub fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
                Self::HeadTooLarge
            }
            _ => Self::BadRequest,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadRequest | Self::BadHeader | Self::Host | Self::BodyBroken => {
                StatusCode::BAD_REQUEST
            }
            Self::Chunked => StatusCode::LENGTH_REQUIRED,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::Soon | Self::Absent | Self::NoAnswer => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::BadRequest | Self::BadHeader | Self::Host | Self::BodyBroken => "bad_request",
            Self::Chunked => "length_required",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTooLarge(_) => "too_large",
            Self::Timeout => "timeout",
            Self::Busy | Self::Soon | Self::Absent | Self::NoAnswer => "unavailable",
            Self::Internal => "internal",
        }
    }

    fn message(self) -> String {
        match self {
            Self::NotFound => "there is nothing here; all paths begin with /discord/, or with /portal/ where portals are served",
            Self::BadRequest => "this is not a request of HTTP/1.1 or HTTP/2; look at what sends it",
            Self::BadHeader => "a header is not UTF-8; send it without what is not",
            Self::Host => "a request of HTTP/1.1 has one Host; send it",
            Self::Chunked => "send the body with a Content-Length, not in chunks",
            Self::HeadTooLarge => {
                "the head of a request may have 16384 bytes and 100 headers here; send less"
            }
            Self::BodyTooLarge(limit) => {
                return format!("the body may have {limit} bytes here, and has more");
            }
            Self::BodyBroken => "the body did not come whole; send it again",
            Self::Timeout => "the request did not come in time; send it again",
            Self::Busy => "there is too much to do; send it again",
            Self::Soon => "portals are not served yet, or not at the moment; send it again",
            Self::Absent => "Uro is away, perhaps for a new version; send it again",
            Self::NoAnswer => {
                "there was no answer in time; perhaps it was done all the same: an Idempotency-Key makes it safe to send it again"
            }
            Self::Internal => "something went wrong here; it is in the log of uro_discord",
        }
        .into()
    }

    fn body(self) -> String {
        serde_json::json!({"error": self.error(), "message": self.message()}).to_string()
    }

    pub fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }

    /// The last answer of a connection of HTTP/1, for where there is no hyper to write it.
    pub fn bytes(self) -> Vec<u8> {
        let (status, body) = (self.status(), self.body());
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncache-control: no-store\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}
