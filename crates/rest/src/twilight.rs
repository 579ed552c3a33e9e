//! Requests that twilight-http made, from its `Route`s or typed builders.

use hyper::Method;
use twilight_http::request::Request as TwilightRequest;

use crate::error::Error;
use crate::request::{Auth, Body, Request};

impl TryFrom<TwilightRequest> for Request {
    type Error = Error;

    /// Fails only for a method that HTTP does not allow, which twilight does not have.
    fn try_from(request: TwilightRequest) -> Result<Self, Error> {
        let method = Method::from_bytes(request.method().name().as_bytes())
            .map_err(|error| Error::InvalidRequest(error.to_string()))?;
        let body = match (request.form(), request.body()) {
            (Some(form), _) => Body::Raw {
                content_type: String::from_utf8_lossy(&form.content_type()).into_owned(),
                bytes: form.clone().build().into(),
            },
            (None, Some(json)) => Body::Json(json.to_vec().into()),
            (None, None) => Body::Empty,
        };
        Ok(Self {
            body,
            headers: request.headers().cloned().unwrap_or_default(),
            auth: if request.use_authorization_token() {
                Auth::Bot
            } else {
                Auth::None
            },
            ..Self::new(method, request.path())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use twilight_http::routing::Route;

    #[test]
    fn a_route_becomes_a_request() {
        let route = Route::CreateMessage { channel_id: 7 };
        let request = TwilightRequest::builder(&route).body(b"{}".to_vec());
        let request = Request::try_from(request.build().unwrap()).unwrap();
        assert_eq!(
            (request.method, request.path.0.as_str()),
            (Method::POST, "channels/7/messages")
        );
        assert!(matches!(request.body, Body::Json(json) if json == "{}"));
    }
}
