//! What happens to every REST request before and after its route: faults, rate limits, authorization, the log.

use std::time::Instant;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    ApiError, Version, interactions,
    limits::{Verdict, bucket},
    version,
};
use crate::{
    app::App,
    faults::{Cut, RestFault},
    id::{Id, unix_ms},
    oauth::{self, Access},
    server::HangUp,
    state::RequestRecord,
};

/// Who makes a request: the middleware finds it out.
#[derive(Debug, Clone, Copy)]
pub struct Caller(pub Id);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get().copied();
        caller.ok_or_else(ApiError::unauthorized)
    }
}

/// Whether a route needs no token.
fn is_open(route: &str) -> bool {
    route == "/gateway" || interactions::OPEN.contains(&route) || oauth::OPEN.contains(&route)
}

/// The middleware around all routes.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let call = Call::new(&app, &request);
    let mut log = Log {
        app: app.clone(),
        started: Instant::now(),
        record: RequestRecord {
            time: unix_ms(),
            method: call.method.to_string(),
            path: request
                .uri()
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            route: call.route.clone(),
            version: call.version.number(),
            status: None,
            bucket: bucket(&call.method, call.template()),
            user_id: call.user,
            took: 0,
        },
    };
    let response = answer(&app, call, request, next).await;
    if response.extensions().get::<HangUp>().is_none() {
        log.record.status = Some(response.status().as_u16());
    }
    if counts_as_invalid(&response) {
        app.state().limits.count_invalid(Instant::now());
    }
    response
}

/// Logs a request when it is over: also when the client has gone before its answer.
struct Log {
    app: App,
    started: Instant,
    record: RequestRecord,
}

impl Drop for Log {
    fn drop(&mut self) {
        self.record.took = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.app.state().requests.push(self.record.clone());
    }
}

/// What a request is, as far as all routes have it in common.
struct Call {
    method: Method,
    path: String,
    /// The template of the route that it matched.
    route: Option<String>,
    user: Option<Id>,
    version: Version,
    /// Whether version 6 is to tell moments in milliseconds.
    precise: bool,
    /// The token of OAuth2 that it comes with.
    access: Option<Access>,
}

impl Call {
    fn new(app: &App, request: &Request) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        let token = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let version = request.extensions().get::<Version>();
        let precision = request.headers().get("x-ratelimit-precision");
        let bearer = token.and_then(|token| token.strip_prefix("Bearer "));
        let access = bearer.and_then(|token| app.state().access(token));
        let own =
            || token.and_then(|token| app.state().user_by_token(token, true).map(|user| user.id));
        Self {
            version: version.copied().unwrap_or(Version::Ten),
            precise: precision.is_some_and(|precision| precision == "millisecond"),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            route: matched
                .and_then(|path| version::template(path.as_str()))
                .map(str::to_owned),
            user: access.as_ref().map(|access| access.user).or_else(own),
            access,
        }
    }

    fn template(&self) -> &str {
        self.route.as_deref().unwrap_or_default()
    }

    /// The channel or guild in the path: each has windows of its own.
    fn major(&self) -> &str {
        let mut segments = self.path.split('/').skip(1);
        match segments.next() {
            Some("channels" | "guilds" | "webhooks") => segments.next().unwrap_or_default(),
            _ => "",
        }
    }
}

async fn answer(app: &App, call: Call, mut request: Request, next: Next) -> Response {
    let verdict = {
        let mut state = app.state();
        let factor = state.settings.rate_limit_factor;
        state.limits.check(
            call.user,
            &call.method,
            call.template(),
            call.major(),
            factor,
            Instant::now(),
        )
    };
    let limit_headers = match verdict {
        Verdict::Pass(mut headers) => {
            let precise = call.precise;
            call.version.limit_headers(&mut headers, None, precise);
            headers
        }
        Verdict::Limited {
            mut headers,
            global,
            retry_after,
        } => {
            let (version, precise) = (call.version, call.precise);
            version.limit_headers(&mut headers, Some(retry_after), precise);
            let body = json!({
                "message": "You are being rate limited.",
                "retry_after": version.retry_after(retry_after),
                "global": global,
            });
            return (StatusCode::TOO_MANY_REQUESTS, headers, Json(body)).into_response();
        }
    };
    let fault = app.state().faults.for_request(&call.method, &call.path);
    if let Some(fault) = &fault {
        app.state().log.push(
            "fault",
            json!({"method": call.method.as_str(), "path": call.path}),
        );
        tokio::time::sleep(fault.delay).await;
    }
    let mut response = if fault.as_ref().is_none_or(|fault| fault.apply) {
        let known = call.user.is_some() || call.route.is_none() || is_open(call.template());
        let may = call.access.as_ref().map_or(Ok(()), |access| {
            oauth::may(access, &call.method, call.template())
        });
        if let Some(user) = call.user {
            request.extensions_mut().insert(Caller(user));
        }
        if let Some(access) = call.access {
            request.extensions_mut().insert(access);
        }
        match may {
            Ok(()) if known => next.run(request).await,
            Ok(()) => ApiError::unauthorized().into_response(),
            Err(error) => error.into_response(),
        }
    } else {
        StatusCode::OK.into_response()
    };
    add_headers(response.headers_mut(), limit_headers);
    match fault {
        Some(fault) => spoil(fault, response).await,
        None => response,
    }
}

fn add_headers(to: &mut HeaderMap, headers: HeaderMap) {
    for (name, value) in headers {
        if let Some(name) = name {
            to.insert(name, value);
        }
    }
}

/// Turns an answer into what a fault makes of it.
async fn spoil(fault: RestFault, mut response: Response) -> Response {
    tokio::time::sleep(fault.answer_delay).await;
    if let Some((status, body)) = fault.answer {
        *response.status_mut() = status;
        let (kind, body) = match body {
            None => (None, Body::empty()),
            Some(Value::String(text)) => (Some("text/html"), Body::from(text)),
            Some(json) => (Some("application/json"), Body::from(json.to_string())),
        };
        *response.body_mut() = body;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().remove(header::CONTENT_TYPE);
        if let Some(kind) = kind {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
    }
    for (name, value) in fault.headers {
        match value {
            Some(value) => {
                response.headers_mut().insert(name, value);
            }
            None => {
                response.headers_mut().remove(name);
            }
        }
    }
    match fault.cut {
        None => response,
        Some(Cut::BeforeAnswer) => {
            response.extensions_mut().insert(HangUp);
            response
        }
        Some(Cut::MidAnswer) => cut_in_half(response).await,
    }
}

/// The head with the length of the whole body, and half of the body: then the connection breaks.
async fn cut_in_half(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(whole) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half: Bytes = whole.slice(..whole.len() / 2);
    let break_off = stream::once(async {
        // Lets the server write the first half before it learns of the break.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut"))
    });
    let body = Body::from_stream(stream::iter([Ok(half)]).chain(break_off));
    Response::from_parts(parts, body)
}

fn counts_as_invalid(response: &Response) -> bool {
    let shared = response
        .headers()
        .get("x-ratelimit-scope")
        .is_some_and(|scope| scope == "shared");
    matches!(response.status().as_u16(), 401 | 403 | 429) && !shared
}
