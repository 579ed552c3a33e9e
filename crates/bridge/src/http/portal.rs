//! `/portal/…`: what the portals' endpoint answers, without Elixir; and its pages.

use super::body::read;
use super::budget::Budget;
use super::client::{Client, Work};
use super::pages::page;
use super::refusal::Refusal;
use crate::desired::Desired;
use crate::portal::Served;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::header::{CACHE_CONTROL, HeaderValue, LOCATION, ORIGIN};
use hyper::{HeaderMap, Response, StatusCode, Uri};
use std::any::Any;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::watch;
use tower::ServiceExt as _;
use uro_discord_portal::{ClientAddress, Held};

/// Under which path.
pub const PATH: &str = "/portal/";

/// The largest body: an offer of SDP.
const BODY: u32 = 64 * 1024;

/// Bytes of bodies that are held at once.
const BODIES: usize = 8 * 1024 * 1024;

#[derive(Clone)]
pub struct Portals {
    served: watch::Receiver<Served>,
    wanted: watch::Receiver<Desired>,
    bodies: Budget,
}

impl Portals {
    pub fn new(served: watch::Receiver<Served>, wanted: watch::Receiver<Desired>) -> Self {
        Self {
            served,
            wanted,
            bodies: Budget::new(BODIES),
        }
    }

    /// One request, to its answer.
    pub async fn answer(
        &self,
        request: Request,
        client: &Arc<Client>,
        work: &Work,
    ) -> Result<Response<Body>, Refusal> {
        if let Some(response) = elsewhere(request.uri(), &self.wanted.borrow().elsewhere) {
            return Ok(response);
        }
        // Not to be held while anything waits.
        let (routes, portals) = match &*self.served.borrow() {
            Served::Nothing => return Err(Refusal::NotFound),
            Served::Soon => return Err(Refusal::Soon),
            Served::Routes(routes, portals) => (routes.clone(), portals.clone()),
        };
        if let Some(page) = page(&request, portals.origins()) {
            return Ok(page);
        }
        let origin = request.headers().get(ORIGIN).cloned();
        let answer = forward(routes, request, &self.bodies, client, work).await;
        Ok(answer.unwrap_or_else(|refusal| {
            let mut response = refusal.response();
            portals.allow(origin.as_ref(), response.headers_mut());
            response
        }))
    }
}

/// Where a portal is that another bridge has. A browser goes there with what follows the `#`.
fn elsewhere(uri: &Uri, portals: &BTreeMap<String, String>) -> Option<Response<Body>> {
    let id = uri.path().strip_prefix(PATH)?.split('/').next()?;
    let base = portals.get(id)?.trim_end_matches('/');
    let there = format!("{base}{}", uri.path_and_query()?);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::try_from(there).ok()?);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

async fn forward(
    routes: Router,
    request: Request,
    bodies: &Budget,
    client: &Arc<Client>,
    work: &Work,
) -> Result<Response<Body>, Refusal> {
    let (mut parts, body) = request.into_parts();
    let (bytes, _share) = read(body, BODY, bodies, client, work).await?;
    let address = address(client.peer.to_canonical(), &parts.headers);
    parts.extensions.insert(ClientAddress(address));
    // A page that was let in is at work for as long as it is there.
    let page = client.clone();
    let held = move || -> Box<dyn Any + Send> { Box::new(page.asks(true, false)) };
    parts.extensions.insert(Held(Arc::new(held)));
    let answer = routes.oneshot(Request::from_parts(parts, Body::from(bytes)));
    answer.await.map_err(|never| match never {})
}

/// Who asks, by whom peers are counted. A proxy on this machine or in its network says for whom it does; what strangers say of
/// themselves is not believed, and of what a proxy says only the last, which is its own.
fn address(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let near = match peer {
        IpAddr::V4(peer) => peer.is_loopback() || peer.is_private() || peer.is_link_local(),
        IpAddr::V6(peer) => {
            peer.is_loopback() || peer.is_unique_local() || peer.is_unicast_link_local()
        }
    };
    let said = headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next())
        .and_then(|value| spoken(value.trim()));
    said.filter(|_| near).unwrap_or(peer).to_canonical()
}

/// An address, which some proxies write with its port.
fn spoken(value: &str) -> Option<IpAddr> {
    let with_port = || value.parse::<SocketAddr>().ok().map(|it| it.ip());
    value.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_nearby_says_who_asks_and_strangers_do_not() {
        let of = |peer: &str, said: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for said in said {
                headers.append("x-forwarded-for", HeaderValue::from_static(said));
            }
            address(peer.parse().unwrap(), &headers).to_string()
        };
        assert_eq!(of("127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            of("172.18.0.2", &["10.0.0.1, 198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(of("::1", &["10.0.0.1", "2001:db8::7"]), "2001:db8::7");
        assert_eq!(of("::1", &["::ffff:198.51.100.7"]), "198.51.100.7");
        assert_eq!(of("203.0.113.9", &["198.51.100.7"]), "203.0.113.9");
        assert_eq!(of("::1", &["198.51.100.7:443"]), "198.51.100.7");
        assert_eq!(of("::1", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(of("127.0.0.1", &["unknown"]), "127.0.0.1");
        assert_eq!(of("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn who_asks_for_a_portal_that_another_bridge_has_is_sent_there() {
        let there = BTreeMap::from([("lobby".into(), "https://b.uro.example/x/".into())]);
        let to = |uri: &'static str| {
            let response = elsewhere(&Uri::from_static(uri), &there)?;
            assert_eq!(response.status(), 307);
            let to = response.headers()[LOCATION].to_str().unwrap();
            Some(to.to_owned())
        };
        let expected = "https://b.uro.example/x/portal/lobby/whip?a=%20b";
        assert_eq!(to("/portal/lobby/whip?a=%20b").as_deref(), Some(expected));
        for here in ["/portal/lobby2/whip", "/portal/", "/portal/other/"] {
            assert_eq!(to(here), None);
        }
    }
}
