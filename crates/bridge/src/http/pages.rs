//! The pages of portals: the one by which a browser joins a call, the one by which a person shows camera or screen, and World TV, which Discord shows as an Activity. Their files are beside each other, so that they are
//! found whatever a proxy takes from the path.

use super::portal::PATH;
use axum::body::Body;
use axum::extract::Request;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY,
    UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};

type File = (&'static str, &'static str);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($folder:literal, $($file:literal)*) => {
        [$(($file, include_str!(concat!("../../../../assets/", $folder, "/", $file)))),*]
    };
}

/// What all pages have beside them.
const COMMON: [File; 5] =
    files!["common", "base.css" "connection.js" "people.js" "reasons.js" "ticket.js"];

const JOIN: [File; 5] = files!["portal", "index.html" "page.css" "page.js" "session.js" "level.js"];

const TV: [File; 10] = files![
    "tv", "index.html" "page.css" "page.js" "picture.js" "ring.js" "socket.js" "sound.js" "whep.js"
    "activity.js" "sdk.js"
];

const SHARE: [File; 4] = files!["share", "index.html" "page.css" "page.js" "whip.js"];

/// What a page may do: speak with the address it came from, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

/// Who may show it in a frame of his: nobody.
const ALONE: &str = "; frame-ancestors 'none'";

/// And the Activity: Discord's clients on the web, of all its channels of release, and whoever else is in the configuration.
const DISCORD: &str =
    "; frame-ancestors https://discord.com https://*.discord.com https://*.discordsays.com";

/// The page, or a file of it, if it is that which is asked for. `origins` may show the Activity beside Discord.
pub fn page(request: &Request, origins: &[String]) -> Option<Response<Body>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.uri().path().strip_prefix(PATH)?;
    let Some((id, rest)) = path.split_once('/') else {
        // An Activity is asked for without a path.
        return if is_id(path) {
            moved(path)
        } else {
            let all = [DISCORD]
                .into_iter()
                .chain(origins.iter().map(String::as_str));
            file(&TV, path, &all.collect::<Vec<_>>().join(" "))
        };
    };
    if !is_id(id) {
        return None;
    }
    match rest.split_once('/') {
        Some(("tv", name)) => file(&TV, name, ALONE),
        Some(("share", name)) => file(&SHARE, name, ALONE),
        // Else it is the WebSocket's.
        None if rest == "tv" && !request.headers().contains_key(UPGRADE) => moved("tv"),
        None if rest == "share" => moved("share"),
        _ => file(&JOIN, rest, ALONE),
    }
}

fn is_id(text: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.bytes().all(fit)
}

/// Its files are beside it: the address ends with a slash. It is told from here, as proxies may take the path's beginning away.
fn moved(last: &str) -> Option<Response<Body>> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let location = HeaderValue::try_from(format!("{last}/")).ok()?;
    response.headers_mut().insert(LOCATION, location);
    Some(response)
}

fn file(files: &[File], name: &str, frames: &str) -> Option<Response<Body>> {
    let name = if name.is_empty() { "index.html" } else { name };
    let mut there = files.iter().chain(&COMMON);
    let (_, content) = there.find(|(file, _)| *file == name)?;
    let kind = match name.rsplit_once('.') {
        Some((_, "html")) => HTML,
        Some((_, "css")) => CSS,
        _ => JAVASCRIPT,
    };
    let policy = HeaderValue::try_from(format!("{POLICY}{frames}")).ok()?;
    let mut response = Response::new(Body::from(*content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, upgrade: bool) -> Option<Response<Body>> {
        let mut request = Request::builder().uri(path);
        if upgrade {
            request = request.header(UPGRADE, "websocket");
        }
        let origins = ["http://localhost:3333".to_owned()];
        page(&request.body(Body::empty()).unwrap(), &origins)
    }

    fn kind(path: &str) -> String {
        let Some(response) = get(path, false) else {
            return String::new();
        };
        let headers = response.headers();
        let value = headers.get(LOCATION).or(headers.get(CONTENT_TYPE));
        value.unwrap().to_str().unwrap().into()
    }

    #[test]
    fn pages_have_their_files_beside_them() {
        assert_eq!(kind("/portal/lobby"), "lobby/");
        assert_eq!(kind("/portal/lobby/"), HTML);
        assert_eq!(kind("/portal/lobby/session.js"), JAVASCRIPT);
        assert_eq!(kind("/portal/lobby/tv"), "tv/");
        assert_eq!(kind("/portal/lobby/tv/"), HTML);
        assert_eq!(kind("/portal/lobby/tv/page.css"), CSS);
        assert_eq!(kind("/portal/lobby/share"), "share/");
        assert_eq!(kind("/portal/lobby/share/"), HTML);
        assert_eq!(kind("/portal/lobby/share/whip.js"), JAVASCRIPT);
        assert_eq!(kind("/portal/"), HTML);
        assert_eq!(kind("/portal/sdk.js"), JAVASCRIPT);
        for folder in [
            "/portal",
            "/portal/lobby",
            "/portal/lobby/tv",
            "/portal/lobby/share",
        ] {
            assert_eq!(kind(&format!("{folder}/base.css")), CSS);
        }
        for other in [
            "/portal/lobby/whep",
            "/portal/a.b/",
            "/portal/lobby/tv/x",
            "/portal/x.js",
            "/portal//tv/",
        ] {
            assert_eq!(kind(other), "", "{other}");
        }
        assert!(
            get("/portal/lobby/tv", true).is_none(),
            "a WebSocket is no page"
        );
    }

    #[test]
    fn only_the_activity_may_be_framed_and_by_discord_only() {
        let frames = |path| {
            let response = get(path, false).unwrap();
            let policies = response.headers().get_all(CONTENT_SECURITY_POLICY);
            let [policy] = policies.iter().collect::<Vec<_>>()[..] else {
                panic!("{path}");
            };
            let policy = policy.to_str().unwrap().to_owned();
            let (_, frames) = policy.split_once("; frame-ancestors ").unwrap();
            frames.to_owned()
        };
        for path in [
            "/portal/lobby/",
            "/portal/lobby/tv/",
            "/portal/lobby/share/",
        ] {
            assert_eq!(frames(path), "'none'");
        }
        let discord = "https://discord.com https://*.discord.com https://*.discordsays.com";
        assert_eq!(
            frames("/portal/"),
            format!("{discord} http://localhost:3333")
        );
    }
}
