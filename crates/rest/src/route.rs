//! Which rate limit a request falls under, before Discord has said so.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};

use hyper::Method;

use crate::request::Auth;

/// Everything that tells one bucket from another: the method, the path with its ids replaced, and the "major" resource
/// (channel, guild or webhook) that a limit is counted for.
///
/// Discord names a limit only in the response, and the same name may stand for different limits
/// (discord-api-docs#8073), so the name is not part of this key but of the bucket that is kept under it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Route {
    method: Method,
    template: String,
    /// A hash, because a webhook's token is part of it and secrets are not kept.
    major: u64,
    /// Whose limits these are, for the ones that span routes.
    pub(crate) account: Account,
}

/// Whose name a request is made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Account {
    /// The bot: it has a limit on all requests, and its token can be found invalid.
    Bot,
    /// A user's bearer token, nobody, or a webhook's or interaction's own token, which no global limit holds.
    Other,
}

impl Route {
    /// `path` is relative, with or without a query.
    pub(crate) fn new(method: &Method, path: &str, auth: &Auth) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        let with_token = carries_token(&segments);
        let mut major = DefaultHasher::new();
        if let [
            kind @ ("channels" | "guilds" | "webhooks" | "interactions"),
            id,
            ..,
        ] = segments[..]
        {
            (kind, id).hash(&mut major);
        }
        if with_token {
            segments[2].hash(&mut major);
        }
        auth.hash_identity(&mut major);
        let template: Vec<&str> = (0..segments.len())
            .map(|i| placeholder(&segments, i, with_token))
            .collect();
        Self {
            method: method.clone(),
            template: template.join("/"),
            major: major.finish(),
            account: match auth {
                Auth::Bot if !with_token => Account::Bot,
                _ => Account::Other,
            },
        }
    }
}

/// The method and the template: fit for a log, as it holds no ids and no tokens.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} /{}", self.method, self.template)
    }
}

/// Whether the path itself holds the credential: `webhooks/{id}/{token}…` and `interactions/{id}/{token}/callback`.
fn carries_token(segments: &[&str]) -> bool {
    matches!(segments, ["webhooks" | "interactions", _, _, ..])
}

fn placeholder<'a>(segments: &[&'a str], i: usize, with_token: bool) -> &'a str {
    let before = i.checked_sub(1).map(|i| segments[i]);
    match segments[i] {
        _ if with_token && i == 2 => ":token",
        id if !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) => ":id",
        _ if before == Some("reactions") => ":emoji",
        _ if matches!(before, Some("invites" | "templates")) => ":code",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Route {
        Route::new(&Method::GET, path, &Auth::Bot)
    }

    #[test]
    fn ids_are_not_part_of_a_template() {
        assert_eq!(
            get("channels/1/messages/2?around=3").to_string(),
            "GET /channels/:id/messages/:id"
        );
        assert_eq!(
            get("channels/1/messages/2/reactions/%F0%9F%98%80/@me").to_string(),
            "GET /channels/:id/messages/:id/reactions/:emoji/@me"
        );
        assert_eq!(get("users/@me").to_string(), "GET /users/@me");
        assert_eq!(
            get("guilds/templates/abc").to_string(),
            "GET /guilds/templates/:code"
        );
    }

    #[test]
    fn a_major_resource_tells_buckets_apart() {
        assert_ne!(get("channels/1/messages"), get("channels/2/messages"));
        assert_ne!(
            get("channels/1/messages"),
            Route::new(&Method::POST, "channels/1/messages", &Auth::Bot)
        );
        assert_eq!(get("channels/1/messages/2"), get("channels/1/messages/3"));
        assert_eq!(
            get("applications/1/commands"),
            get("applications/2/commands")
        );
        assert_ne!(get("webhooks/1/aaa"), get("webhooks/1/bbb"));
    }

    #[test]
    fn a_token_in_the_path_is_a_credential_of_its_own() {
        for path in [
            "webhooks/1/s3cret/messages/@original",
            "interactions/1/s3cret/callback",
        ] {
            let route = get(path);
            assert_eq!(route.account, Account::Other);
            assert!(!format!("{route:?}{route}").contains("s3cret"));
        }
        assert_eq!(get("webhooks/1").account, Account::Bot);
    }

    #[test]
    fn bearer_tokens_have_buckets_of_their_own() {
        let bearer =
            |token: &str| Route::new(&Method::GET, "users/@me", &Auth::Bearer(token.into()));
        assert_ne!(bearer("a"), bearer("b"));
        assert_ne!(bearer("a"), get("users/@me"));
        assert_eq!(bearer("a").account, Account::Other);
    }
}
