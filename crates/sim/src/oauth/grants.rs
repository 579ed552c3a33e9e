//! What users have allowed, and the codes and tokens that stand for it. Secrets are kept as hashes: none can be shown, and none is
//! found out by how long a comparison takes.

use std::collections::{BTreeMap, VecDeque};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::scope::Scopes;
use crate::id::Id;

/// Codes and tokens kept; the oldest go first.
const KEPT: usize = 20_000;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Hash([u8; 32]);

impl Hash {
    fn of(secret: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
        Self(hash)
    }
}

/// What a user has allowed an application.
#[derive(Debug, Clone)]
pub struct Authorization {
    pub scopes: Scopes,
    /// When, in Unix milliseconds.
    pub since: u64,
}

/// What a code or a token stands for.
#[derive(Debug, Clone)]
pub struct Grant {
    pub user: Id,
    pub application: Id,
    pub scopes: Scopes,
    /// The guild that the application came to.
    pub guild: Option<Id>,
}

/// How a code is bound.
#[derive(Debug, Clone)]
pub struct Binding {
    pub redirect_uri: String,
    /// The challenge of PKCE, by S256.
    pub challenge: Option<String>,
}

struct Code {
    secret: Hash,
    grant: Grant,
    binding: Binding,
    made: u64,
}

struct Token {
    access: Hash,
    /// That of the client credentials grant has none.
    refresh: Option<Hash>,
    grant: Grant,
    made: u64,
}

/// A good access token, and what it stands for.
#[derive(Debug, Clone)]
pub struct Access {
    pub user: Id,
    pub application: Id,
    pub scopes: Scopes,
    /// When it ends, in Unix milliseconds.
    pub expires: u64,
}

/// Why there is no token for a code or a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantError {
    /// It is unknown, used, expired, or somebody else's.
    Secret,
    RedirectUri,
    /// There is a challenge, and no verifier.
    NoVerifier,
    Verifier,
}

/// All of it, with the secrets of the applications.
#[derive(Default)]
pub struct Grants {
    secrets: BTreeMap<Id, Hash>,
    authorizations: BTreeMap<(Id, Id), Authorization>,
    codes: VecDeque<Code>,
    tokens: VecDeque<Token>,
    /// By application: what may be said of its users.
    pub metadata: BTreeMap<Id, Vec<Value>>,
    /// By user and application: what is said.
    pub connections: BTreeMap<(Id, Id), Value>,
}

impl Grants {
    /// Back to the start, but for the secrets of the applications.
    pub fn reset(&mut self) {
        *self = Self {
            secrets: std::mem::take(&mut self.secrets),
            ..Self::default()
        };
    }

    pub fn set_secret(&mut self, application: Id, secret: &str) {
        self.secrets.insert(application, Hash::of(secret));
    }

    pub fn is_secret(&self, application: Id, secret: &str) -> bool {
        self.secrets.get(&application) == Some(&Hash::of(secret))
    }

    /// The user allows this, besides what he has allowed before.
    pub fn authorize(&mut self, grant: &Grant, now: u64) {
        let key = (grant.user, grant.application);
        let authorization = self.authorizations.entry(key).or_insert(Authorization {
            scopes: Scopes::default(),
            since: now,
        });
        authorization.scopes.extend(&grant.scopes);
    }

    /// What the user has allowed.
    pub fn authorization(&self, user: Id, application: Id) -> Option<&Authorization> {
        self.authorizations.get(&(user, application))
    }

    /// All that was allowed, by whom and to whom, with how many tokens there are.
    pub fn iter(&self) -> impl Iterator<Item = (Id, Id, &Authorization, usize)> {
        self.authorizations
            .iter()
            .map(|(&(user, application), authorization)| {
                let of = |grant: &Grant| (grant.user, grant.application) == (user, application);
                let tokens = self.tokens.iter().filter(|token| of(&token.grant)).count();
                (user, application, authorization, tokens)
            })
    }

    pub fn add_code(&mut self, secret: &str, grant: Grant, binding: Binding, now: u64) {
        if self.codes.len() == KEPT {
            self.codes.pop_front();
        }
        self.codes.push_back(Code {
            secret: Hash::of(secret),
            grant,
            binding,
            made: now,
        });
    }

    /// What a code stands for, which is good once, for `lifetime` ms, and to the application that it was made for.
    pub fn redeem(
        &mut self,
        application: Id,
        secret: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
        lifetime: u64,
        now: u64,
    ) -> Result<Grant, GrantError> {
        self.codes
            .retain(|code| now.saturating_sub(code.made) < lifetime);
        let secret = Hash::of(secret);
        let found = self
            .codes
            .iter()
            .position(|code| (code.secret, code.grant.application) == (secret, application));
        let at = found.ok_or(GrantError::Secret)?;
        let code = self.codes.get(at).ok_or(GrantError::Secret)?;
        if code.binding.redirect_uri != redirect_uri {
            return Err(GrantError::RedirectUri);
        }
        match (&code.binding.challenge, verifier) {
            (Some(_), None) => return Err(GrantError::NoVerifier),
            (Some(challenge), Some(verifier)) if *challenge != s256(verifier) => {
                return Err(GrantError::Verifier);
            }
            _ => {}
        }
        let code = self.codes.remove(at).ok_or(GrantError::Secret)?;
        Ok(code.grant)
    }

    pub fn add_token(&mut self, access: &str, refresh: Option<&str>, grant: Grant, now: u64) {
        if self.tokens.len() == KEPT {
            self.tokens.pop_front();
        }
        self.tokens.push_back(Token {
            access: Hash::of(access),
            refresh: refresh.map(Hash::of),
            grant,
            made: now,
        });
    }

    /// What a refresh token stands for. It is used up, and so is the access token that came with it.
    pub fn refresh(&mut self, application: Id, secret: &str) -> Result<Grant, GrantError> {
        let secret = Some(Hash::of(secret));
        let found = self
            .tokens
            .iter()
            .position(|token| token.refresh == secret && token.grant.application == application);
        let token = found.and_then(|at| self.tokens.remove(at));
        Ok(token.ok_or(GrantError::Secret)?.grant)
    }

    /// What an access token stands for, which is good for `lifetime` ms.
    pub fn access(&self, secret: &str, lifetime: u64, now: u64) -> Option<Access> {
        let secret = Hash::of(secret);
        let token = self.tokens.iter().find(|token| token.access == secret)?;
        let expires = token.made.saturating_add(lifetime);
        (now < expires).then(|| Access {
            user: token.grant.user,
            application: token.grant.application,
            scopes: token.grant.scopes.clone(),
            expires,
        })
    }

    /// Ends the authorization that a token of the application, of whichever kind, belongs to.
    pub fn revoke_by_token(&mut self, application: Id, secret: &str) -> Option<Id> {
        let secret = Hash::of(secret);
        let token = self.tokens.iter().find(|token| {
            (token.access == secret || token.refresh == Some(secret))
                && token.grant.application == application
        });
        let user = token?.grant.user;
        self.revoke(user, application);
        Some(user)
    }

    /// Ends an authorization: all of its codes and tokens, and what the application says of the user. `false`: there was none.
    pub fn revoke(&mut self, user: Id, application: Id) -> bool {
        let other = |grant: &Grant| (grant.user, grant.application) != (user, application);
        self.codes.retain(|code| other(&code.grant));
        self.tokens.retain(|token| other(&token.grant));
        self.connections.remove(&(user, application));
        self.authorizations.remove(&(user, application)).is_some()
    }

    /// Lets the user's access tokens and codes end now; refresh tokens stay good.
    pub fn expire(&mut self, user: Id) {
        self.codes.retain(|code| code.grant.user != user);
        for token in &mut self.tokens {
            if token.grant.user == user {
                token.made = 0;
            }
        }
    }
}

/// The challenge for a verifier: <https://www.rfc-editor.org/rfc/rfc7636#section-4.2>
fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const APP: Id = Id(1);
    const USER: Id = Id(2);
    const HERE: &str = "http://127.0.0.1/callback";

    fn grant(application: Id, user: Id) -> Grant {
        Grant {
            user,
            application,
            scopes: Scopes::parse("identify").unwrap(),
            guild: None,
        }
    }

    fn with_code(challenge: Option<&str>) -> Grants {
        let mut grants = Grants::default();
        let binding = Binding {
            redirect_uri: HERE.to_owned(),
            challenge: challenge.map(str::to_owned),
        };
        grants.add_code("code", grant(APP, USER), binding, 1_000);
        grants
    }

    fn error(result: Result<Grant, GrantError>) -> GrantError {
        result.map(|grant| grant.user).unwrap_err()
    }

    #[test]
    fn a_code_is_good_once() {
        let mut grants = with_code(None);
        let redeemed = grants.redeem(APP, "code", HERE, None, 100, 1_050);
        assert_eq!(redeemed.unwrap().user, USER);
        let again = grants.redeem(APP, "code", HERE, None, 100, 1_050);
        assert_eq!(error(again), GrantError::Secret);
    }

    #[test]
    fn a_code_is_good_for_a_while() {
        let late = with_code(None).redeem(APP, "code", HERE, None, 100, 1_100);
        assert_eq!(error(late), GrantError::Secret);
        assert!(
            with_code(None)
                .redeem(APP, "code", HERE, None, 100, 1_099)
                .is_ok()
        );
    }

    #[test]
    fn a_code_is_good_where_it_was_made_for() {
        let mut grants = with_code(None);
        let elsewhere = grants.redeem(Id(9), "code", HERE, None, 100, 1_000);
        assert_eq!(error(elsewhere), GrantError::Secret);
        let redirected = grants.redeem(APP, "code", "http://127.0.0.1/callback/", None, 100, 1_000);
        assert_eq!(error(redirected), GrantError::RedirectUri);
        assert!(grants.redeem(APP, "code", HERE, None, 100, 1_000).is_ok());
    }

    #[test]
    fn a_code_with_a_challenge_needs_its_verifier() {
        // The example of the RFC's appendix B.
        let mut grants = with_code(Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        let none = grants.redeem(APP, "code", HERE, None, 100, 1_000);
        assert_eq!(error(none), GrantError::NoVerifier);
        let wrong = grants.redeem(APP, "code", HERE, Some("wrong"), 100, 1_000);
        assert_eq!(error(wrong), GrantError::Verifier);
        let right = Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert!(grants.redeem(APP, "code", HERE, right, 100, 1_000).is_ok());
    }

    #[test]
    fn a_refresh_uses_up_both_tokens() {
        let mut grants = Grants::default();
        grants.add_token("a1", Some("r1"), grant(APP, USER), 1_000);
        assert_eq!(grants.access("a1", 100, 1_099).unwrap().expires, 1_100);
        assert!(grants.access("a1", 100, 1_100).is_none(), "too late");
        assert!(grants.access("r1", 100, 1_000).is_none());
        assert_eq!(error(grants.refresh(Id(9), "r1")), GrantError::Secret);
        assert!(grants.refresh(APP, "r1").is_ok());
        assert_eq!(error(grants.refresh(APP, "r1")), GrantError::Secret);
        assert!(grants.access("a1", 100, 1_000).is_none());
    }

    #[test]
    fn either_token_ends_all_of_the_authorization() {
        for token in ["a1", "r2"] {
            let mut grants = with_code(None);
            grants.authorize(&grant(APP, USER), 1_000);
            grants.connections.insert((USER, APP), Value::Null);
            for (access, refresh) in [("a1", "r1"), ("a2", "r2")] {
                grants.add_token(access, Some(refresh), grant(APP, USER), 1_000);
            }
            grants.add_token("a3", Some("r3"), grant(APP, Id(3)), 1_000);
            assert_eq!(grants.iter().next().unwrap().3, 2);
            assert_eq!(grants.revoke_by_token(Id(9), token), None);
            assert_eq!(grants.revoke_by_token(APP, token), Some(USER));
            assert!(grants.authorization(USER, APP).is_none());
            assert!(grants.access("a1", 100, 1_000).is_none());
            assert!(grants.access("a2", 100, 1_000).is_none());
            assert!(grants.connections.is_empty());
            assert!(grants.access("a3", 100, 1_000).is_some(), "somebody else's");
            let code = grants.redeem(APP, "code", HERE, None, 100, 1_000);
            assert_eq!(error(code), GrantError::Secret);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut grants = Grants::default();
        for number in 0..=KEPT {
            grants.add_token(&number.to_string(), None, grant(APP, USER), 1_000);
        }
        assert!(grants.access("0", 100, 1_000).is_none());
        assert!(grants.access("1", 100, 1_000).is_some());
    }
}
