//! Where a request goes, and which rate limit holds it before Discord has said so.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use twilight_http::request::Method;
use twilight_http::routing::Route;

use crate::error::Error;
use crate::request::Auth;

/// Where a request goes: method, path and rate limit of a twilight [`Route`], or of a [`Raw`] route.
///
/// The texts in a [`Route`] (a token, an invite's code) are part of the path as they are: what comes from outside is checked
/// before.
#[derive(Clone)]
pub struct Target {
    pub(crate) method: Method,
    /// With the query. It may hold a webhook's or an interaction's token, and so is not shown.
    pub(crate) path: String,
    /// What this route is called, whatever the ids in it are.
    name: Arc<str>,
}

/// A route that twilight lacks: `channels/{id}/voice-status` is `within` that channel and has the path `voice-status`.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// The method.
    pub method: Method,
    /// What Discord counts the limit for, which the whole path begins with.
    pub within: Option<Within>,
    /// The rest of the path: names of lower case letters, digits, `@`, `_` and `-`, with a slash between them.
    pub path: &'a str,
}

/// The "major" resource of a route: each has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// `channels/{id}`.
    Channel(u64),
    /// `guilds/{id}`.
    Guild(u64),
}

impl Target {
    /// Whether it may be sent again although Discord may have acted upon it: GET, PUT and DELETE.
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(self.method, Method::Get | Method::Put | Method::Delete)
    }
}

impl From<&Route<'_>> for Target {
    fn from(route: &Route<'_>) -> Self {
        // The variant's name; what `Debug` says after it are ids and tokens.
        let mut name = format!("{route:?}");
        name.truncate(name.find([' ', '{']).unwrap_or(name.len()));
        Self {
            method: route.method(),
            path: route.to_string(),
            name: name.into(),
        }
    }
}

impl TryFrom<Raw<'_>> for Target {
    type Error = Error;

    fn try_from(raw: Raw<'_>) -> Result<Self, Error> {
        let is_name = |name: &str| {
            let fit = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'@' | b'_' | b'-');
            !name.is_empty() && name.bytes().all(fit)
        };
        if !raw.path.split('/').all(is_name) {
            let reason = "path: it must be names with slashes between them, such as voice-status";
            return Err(Error::InvalidRequest(reason.into()));
        }
        let (method, path) = (raw.method.name(), raw.path);
        let (name, path) = match raw.within {
            None => (format!("{method} {path}"), path.to_owned()),
            Some(Within::Channel(id)) => (
                format!("{method} channels/{path}"),
                format!("channels/{id}/{path}"),
            ),
            Some(Within::Guild(id)) => (
                format!("{method} guilds/{path}"),
                format!("guilds/{id}/{path}"),
            ),
        };
        Ok(Self {
            method: raw.method,
            path,
            name: name.into(),
        })
    }
}

/// The name: fit for a log, as it holds no ids and no tokens.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.name)
    }
}

/// Everything that tells one bucket from another: the route, and the "major" resource (channel, guild or webhook) that a
/// limit is counted for.
///
/// Discord names a limit only in the response, and the same name may stand for different limits
/// (discord-api-docs#8073), so the name is not part of this key but of the bucket that is kept under it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    name: Arc<str>,
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

impl Key {
    pub(crate) fn new(target: &Target, auth: &Auth) -> Self {
        let path = target.path.split('?').next().unwrap_or_default();
        let mut segments = path.split('/');
        // `webhooks/{id}/{token}…` and `interactions/{id}/{token}/callback` hold a credential of their own.
        let (major, with_token) = match (segments.next(), segments.next(), segments.next()) {
            (Some(kind @ ("webhooks" | "interactions")), id, Some(token)) => {
                (Some((kind, id, Some(token))), true)
            }
            (Some(kind @ ("channels" | "guilds" | "webhooks" | "interactions")), id, _) => {
                (Some((kind, id, None)), false)
            }
            _ => (None, false),
        };
        let mut hasher = DefaultHasher::new();
        major.hash(&mut hasher);
        auth.hash_identity(&mut hasher);
        Self {
            name: target.name.clone(),
            major: hasher.finish(),
            account: match auth {
                Auth::Bot if !with_token => Account::Bot,
                _ => Account::Other,
            },
        }
    }
}

/// As [`Target`]'s `Debug`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(route: &Route<'_>) -> Key {
        Key::new(&Target::from(route), &Auth::Bot)
    }

    fn raw(within: Option<Within>, path: &str) -> Result<Target, Error> {
        Target::try_from(Raw {
            method: Method::Put,
            within,
            path,
        })
    }

    #[test]
    fn a_name_has_no_ids_and_no_tokens() {
        let named = [
            (Route::GetCurrentUser, "GetCurrentUser"),
            (Route::CreateMessage { channel_id: 1 }, "CreateMessage"),
            (callback(1, "s3cret"), "InteractionCallback"),
        ];
        for (route, name) in named {
            assert_eq!(key(&route).to_string(), name);
        }
        let status = raw(Some(Within::Channel(1)), "voice-status").unwrap();
        assert_eq!(format!("{status:?}"), "Target(PUT channels/voice-status)");
        assert_eq!(status.path, "channels/1/voice-status");
        assert_eq!(raw(None, "users/@me").unwrap().path, "users/@me");
    }

    #[test]
    fn a_raw_path_is_names() {
        let paths = [
            "",
            "/users/@me",
            "a//b",
            "../oauth2",
            "%2e%2e/x",
            "a b",
            "a?b=c",
            "a#b",
            "a\\b",
            "é",
        ];
        for path in paths {
            for within in [None, Some(Within::Guild(1))] {
                assert!(raw(within, path).is_err(), "{path}");
            }
        }
    }

    #[test]
    fn a_major_resource_tells_buckets_apart() {
        let create = |channel_id| key(&Route::CreateMessage { channel_id });
        let update = |channel_id, message_id| {
            key(&Route::UpdateMessage {
                channel_id,
                message_id,
            })
        };
        assert_ne!(create(1), create(2));
        assert_ne!(create(1), update(1, 2));
        assert_eq!(update(1, 2), update(1, 3));
        assert_ne!(update(1, 2), update(2, 2));
        let commands = |application_id| key(&Route::SetGlobalCommands { application_id });
        assert_eq!(commands(1), commands(2));
        assert_ne!(key(&webhook(1, Some("a"))), key(&webhook(1, Some("b"))));
        let status = |id| Key::new(&raw(Some(Within::Channel(id)), "x").unwrap(), &Auth::Bot);
        assert_ne!(status(1), status(2));
        assert_eq!(status(1), status(1));
    }

    #[test]
    fn a_query_is_part_of_no_key() {
        let messages = |limit| {
            key(&Route::GetMessages {
                after: None,
                around: None,
                before: None,
                channel_id: 1,
                limit,
            })
        };
        assert_eq!(messages(None), messages(Some(5)));
    }

    #[test]
    fn a_token_in_the_path_is_a_credential_of_its_own() {
        for route in [webhook(1, Some("s3cret")), callback(1, "s3cret")] {
            let key = key(&route);
            assert_eq!(key.account, Account::Other);
            assert!(!format!("{key:?}{key}{:?}", Target::from(&route)).contains("s3cret"));
        }
        assert_eq!(key(&webhook(1, None)).account, Account::Bot);
    }

    #[test]
    fn bearer_tokens_have_buckets_of_their_own() {
        let me = Target::from(&Route::GetCurrentUser);
        let bearer = |token: &str| Key::new(&me, &Auth::Bearer(token.into()));
        assert_ne!(bearer("a"), bearer("b"));
        assert_ne!(bearer("a"), Key::new(&me, &Auth::Bot));
        assert_eq!(bearer("a").account, Account::Other);
    }

    fn webhook(webhook_id: u64, token: Option<&str>) -> Route<'_> {
        Route::GetWebhook { token, webhook_id }
    }

    fn callback(interaction_id: u64, interaction_token: &str) -> Route<'_> {
        Route::InteractionCallback {
            interaction_id,
            interaction_token,
            with_response: false,
        }
    }
}
