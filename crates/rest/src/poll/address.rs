//! Addresses, and where a redirect may lead.

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::{PathAndQuery, Scheme};

use super::Error;

/// The longest name of a host, which is as much of others' text as an error shows.
const LONGEST_HOST: usize = 253;

/// The address of a web server.
pub(super) fn read(url: &str) -> Result<Uri, Error> {
    let uri: Uri = url
        .parse()
        .map_err(|_| Error::Address("it is not a URL such as https://example.com/list"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(Error::Address("it must begin with https:// or http://"));
    }
    if uri
        .authority()
        .is_some_and(|host| host.as_str().contains('@'))
    {
        return Err(Error::Address("it must not hold a user or a password"));
    }
    Ok(uri)
}

/// Where `location`, in the answer from `from`, leads; or why we do not go there. It must be the same server: what the
/// request's headers hold is for that one. From http it may be the same server's https, and never the other way.
pub(super) fn follow(from: &Uri, location: &HeaderValue) -> Result<Uri, String> {
    let unusable = || "its Location is not a URL".to_owned();
    let location = location.to_str().map_err(|_| unusable())?;
    // A fragment is for who reads what is there.
    let location = location.split('#').next().unwrap_or_default();
    if location.starts_with('/') && !location.starts_with("//") {
        let path: PathAndQuery = location.parse().map_err(|_| unusable())?;
        let mut parts = from.clone().into_parts();
        parts.path_and_query = Some(path);
        return Uri::from_parts(parts).map_err(|_| unusable());
    }
    let to = read(location).map_err(|_| unusable())?;
    if same_server(from, &to) {
        return Ok(to);
    }
    let host = to.host().filter(|host| host.len() <= LONGEST_HOST);
    let host = host.unwrap_or("another host");
    Err(format!(
        "to {host}, which is not the same server; use that address if it is right"
    ))
}

fn same_server(from: &Uri, to: &Uri) -> bool {
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    let upgrade = from.scheme() == Some(&Scheme::HTTP)
        && to.scheme() == Some(&Scheme::HTTPS)
        && (port(from), port(to)) == (80, 443);
    let same = from.scheme() == to.scheme() && port(from) == port(to);
    host(from) == host(to) && (same || upgrade)
}

fn port(uri: &Uri) -> u16 {
    let usual = if uri.scheme() == Some(&Scheme::HTTPS) {
        443
    } else {
        80
    };
    uri.port_u16().unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, location: &str) -> Result<String, String> {
        let location = HeaderValue::from_str(location).unwrap();
        super::follow(&from.parse().unwrap(), &location).map(|uri| uri.to_string())
    }

    #[test]
    fn a_redirect_leads_to_the_same_server() {
        let from = "https://api.github.com/repos/a/b/actions/runs?per_page=50";
        for (location, to) in [
            (
                "https://api.github.com/repositories/7/actions/runs?per_page=50#x",
                "https://api.github.com/repositories/7/actions/runs?per_page=50",
            ),
            (
                "https://API.github.com:443/x",
                "https://API.github.com:443/x",
            ),
            ("/x?y=1", "https://api.github.com/x?y=1"),
            ("/", "https://api.github.com/"),
        ] {
            assert_eq!(follow(from, location).as_deref(), Ok(to));
        }
        assert_eq!(
            follow("http://example.com/a", "https://example.com/a").as_deref(),
            Ok("https://example.com/a")
        );
        assert_eq!(
            follow("http://[::1]:4000/a", "http://[::1]:4000/b").as_deref(),
            Ok("http://[::1]:4000/b")
        );
    }

    #[test]
    fn it_leads_nowhere_else() {
        let from = "https://example.com/a";
        for location in [
            "https://example.org/a",
            "https://example.com.evil.org/a",
            "https://example.com@evil.org/a",
            "https://user:x@example.com/a",
            "//evil.org/a",
            "http://example.com/a",
            "https://example.com:8443/a",
            "file:///etc/passwd",
            "gopher://example.com/",
            "x",
            "",
            "https://",
            "/a b",
        ] {
            assert!(follow(from, location).is_err(), "{location}");
        }
        for (from, location) in [
            ("http://example.com:4000/", "https://example.com/"),
            ("http://example.com/", "https://example.com:4000/"),
            ("http://127.0.0.1:4000/", "http://127.0.0.1:4001/"),
        ] {
            assert!(follow(from, location).is_err(), "{from} {location}");
        }
    }
}
