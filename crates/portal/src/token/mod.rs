//! Tokens: JWTs (RFC 7519) with HS256 and nothing else, as `UroDiscord.Portal.token/2` makes them.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// The issuer.
const ISSUER: &str = "uro_discord";

/// Bytes of a token.
const LARGEST: usize = 4096;

/// How far clocks may be apart.
const LEEWAY: u64 = 30;

/// How long a token is good at most.
const LONGEST: u64 = 24 * 60 * 60;

/// Bytes of a key (RFC 7518, section 3.2).
pub const SHORTEST_KEY: usize = 32;

/// Characters of what a token says of its bearer.
const TEXT: usize = 128;

/// What a bearer may do.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Speak: `whip`.
    Publish,
    /// Listen: `whep`.
    Watch,
    /// Both, and data channels: all endpoints.
    Peer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Watch => "watch",
            Self::Peer => "peer",
        })
    }
}

/// What a token says.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// `uro_discord`.
    pub iss: String,
    /// The one portal it is for.
    pub portal: String,
    /// What the bearer may do.
    pub role: Role,
    /// Who the bearer is.
    pub sub: String,
    /// Who it is, for people.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// Until when it is good.
    pub exp: u64,
    /// What makes it another one than all others.
    pub jti: String,
}

impl Claims {
    /// How long the bearer may stay who is there at this time, in seconds since 1970. Who only watches gets another token as easily as this one,
    /// if he still may; worlds and publishers stay for longer than any token is good.
    pub(crate) fn stays(&self, now: u64) -> Option<Duration> {
        let end = self.exp.saturating_add(LEEWAY);
        (self.role == Role::Watch).then(|| Duration::from_secs(end.saturating_sub(now)))
    }
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("this is no token; use one of UroDiscord.Portal.token/2 as it is")]
    Malformed,
    #[error("tokens are signed with HS256 here; use one of UroDiscord.Portal.token/2")]
    Algorithm,
    #[error("the token's signature is not ours; is the portal's key the same on both sides?")]
    Signature,
    #[error("the token has expired; get another one")]
    Expired,
    #[error(
        "the token is good for longer than a day, or from a time that has not come; compare clocks"
    )]
    Times,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    /// Extensions that must be understood: none is.
    crit: Option<serde::de::IgnoredAny>,
}

/// How long a token is good that is made for somebody who publishes: so long his connection may be lost.
const RENEWED: u64 = 10 * 60;

/// Keys of which any one is good, so that they can be changed while tokens are out.
pub(crate) struct Keys(Vec<hmac::Key>);

impl Keys {
    pub(crate) fn new(keys: &[SecretString]) -> Self {
        let key =
            |key: &SecretString| hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());
        Self(keys.iter().map(key).collect())
    }

    /// Another token for somebody who is publishing, with which he may come again when his connection is lost; none a day after the first
    /// was made.
    pub(crate) fn renew(&self, claims: &Claims, now: u64) -> Option<String> {
        let last = claims.iat.saturating_add(LONGEST);
        let exp = now.saturating_add(RENEWED).max(claims.exp).min(last);
        let renewed = Claims {
            exp,
            ..claims.clone()
        };
        let key = self.0.first().filter(|_| exp > now)?;
        Some(sign_by(key, &serde_json::to_vec(&renewed).ok()?))
    }

    /// Checks a token at a time in seconds since 1970.
    pub(crate) fn verify(&self, token: &str, now: u64) -> Result<Claims, TokenError> {
        if token.len() > LARGEST {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = decode(header)?;
        if header.alg != "HS256" || header.crit.is_some() {
            return Err(TokenError::Algorithm);
        }
        if header
            .typ
            .is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT"))
        {
            return Err(TokenError::Malformed);
        }
        let signature = bytes(signature)?;
        // ring compares in constant time. Which key it was may be seen, and is no secret.
        let good = |key| hmac::verify(key, signed.as_bytes(), &signature).is_ok();
        if !self.0.iter().any(good) {
            return Err(TokenError::Signature);
        }
        let claims: Claims = decode(claims)?;
        let texts = [&claims.portal, &claims.sub, &claims.name, &claims.jti];
        let good = |text: &&String| {
            (1..=TEXT).contains(&text.chars().take(TEXT.saturating_add(1)).count())
        };
        if claims.iss != ISSUER || !texts.iter().all(good) {
            return Err(TokenError::Malformed);
        }
        if claims.exp.saturating_add(LEEWAY) <= now {
            return Err(TokenError::Expired);
        }
        let late = claims.exp.saturating_sub(claims.iat) > LONGEST;
        if late || claims.iat > now.saturating_add(LEEWAY) {
            return Err(TokenError::Times);
        }
        Ok(claims)
    }
}

fn bytes(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    serde_json::from_slice(&bytes(part)?).map_err(|_| TokenError::Malformed)
}

/// Makes a token, as Elixir does: for programs that have the key, and tests.
#[must_use]
pub fn mint(key: &SecretString, claims: &Claims) -> String {
    // Strings and numbers always become JSON.
    sign(key, &serde_json::to_vec(claims).unwrap_or_default())
}

pub(crate) fn sign(key: &SecretString, claims: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());
    sign_by(&key, claims)
}

fn sign_by(key: &hmac::Key, claims: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", encode(claims));
    let signature = hmac::sign(key, signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.into(),
            portal: "lobby".into(),
            role: Role::Peer,
            sub: "user:1".into(),
            name: "Ann".into(),
            iat: 1_000,
            exp: 2_000,
            jti: "x".into(),
        }
    }

    fn keys() -> Keys {
        Keys::new(&["another key that is another key!".into(), KEY.into()])
    }

    fn verify(change: impl FnOnce(&mut Claims), now: u64) -> Result<Claims, TokenError> {
        let mut claims = claims();
        change(&mut claims);
        keys().verify(&mint(&KEY.into(), &claims), now)
    }

    #[test]
    fn a_good_token_is_read() {
        assert_eq!(verify(|_| (), 1_500), Ok(claims()));
        assert_eq!(verify(|_| (), 2_029), Ok(claims()));
        assert_eq!(verify(|_| (), 970), Ok(claims()));
    }

    #[test]
    fn times_are_kept() {
        assert_eq!(verify(|_| (), 2_030), Err(TokenError::Expired));
        assert_eq!(verify(|_| (), 969), Err(TokenError::Times));
        let long = |claims: &mut Claims| claims.exp = claims.iat + LONGEST + 1;
        assert_eq!(verify(long, 1_500), Err(TokenError::Times));
        let never = |claims: &mut Claims| (claims.iat, claims.exp) = (u64::MAX, u64::MAX);
        assert_eq!(verify(never, 1_500), Err(TokenError::Times));
    }

    #[test]
    fn a_renewed_token_is_good_for_a_while_and_a_day_at_most() {
        let renewed = |now| keys().renew(&claims(), now);
        let read = |now| keys().verify(&renewed(now).unwrap(), now).unwrap();
        assert_eq!(read(1_100), claims());
        let later = Claims {
            exp: 1_990 + RENEWED,
            ..claims()
        };
        assert_eq!(read(1_990), later);
        let last = 1_000 + LONGEST;
        assert_eq!(read(last - 1).exp, last);
        assert_eq!(renewed(last), None);
    }

    #[test]
    fn what_a_token_must_say() {
        assert_eq!(
            verify(|it| it.iss = "me".into(), 1_500),
            Err(TokenError::Malformed)
        );
        assert_eq!(
            verify(|it| it.sub.clear(), 1_500),
            Err(TokenError::Malformed)
        );
        assert_eq!(
            verify(|it| it.name = "n".repeat(129), 1_500),
            Err(TokenError::Malformed)
        );
    }

    #[test]
    fn other_signatures_are_refused() {
        let token = mint(&KEY.into(), &claims());
        let other = mint(&"f0123456789abcdef0123456789abcdef".into(), &claims());
        assert_eq!(keys().verify(&other, 1_500), Err(TokenError::Signature));
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert_eq!(
            keys().verify(&format!("{signed}."), 1_500),
            Err(TokenError::Signature)
        );
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS512","typ":"JWT"}"#,
            r#"{"alg":"RS256","typ":"JWT"}"#,
            r#"{"alg":"HS256","crit":["exp"]}"#,
        ] {
            let (_, rest) = token.split_once('.').unwrap();
            let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
            assert_eq!(
                keys().verify(&forged, 1_500),
                Err(TokenError::Algorithm),
                "{header}"
            );
        }
        for junk in ["", ".", "..", "a.b.c", &"x".repeat(LARGEST + 1)] {
            assert_eq!(
                keys().verify(junk, 1_500),
                Err(TokenError::Malformed),
                "{junk}"
            );
        }
    }

    /// RFC 7515, appendix A.1: what others sign is checked the same way.
    #[test]
    fn the_example_of_the_rfc() {
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let keys = Keys(vec![hmac::Key::new(hmac::HMAC_SHA256, &key)]);
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        // Its signature is good; its claims are not ours.
        assert_eq!(keys.verify(token, 1_500), Err(TokenError::Malformed));
        let forged = token.replace("dBjft", "dBjfu");
        assert_eq!(keys.verify(&forged, 1_500), Err(TokenError::Signature));
    }
}
