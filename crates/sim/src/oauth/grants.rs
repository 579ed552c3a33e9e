//! What users have allowed, and the codes and tokens that stand for it.

use std::{collections::BTreeMap, iter};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::{
    kept::{Behind, Hash, Kept, Owner, all_of},
    scope::Scopes,
};
use crate::id::Id;

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

impl Grant {
    fn owner(&self) -> Owner {
        (self.user, self.application)
    }
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

impl Behind for Code {
    fn owner(&self) -> Owner {
        self.grant.owner()
    }

    fn secrets(&self) -> impl Iterator<Item = Hash> {
        iter::once(self.secret)
    }
}

struct Token {
    access: Hash,
    /// That of the client credentials grant has none.
    refresh: Option<Hash>,
    grant: Grant,
    made: u64,
}

impl Behind for Token {
    fn owner(&self) -> Owner {
        self.grant.owner()
    }

    fn secrets(&self) -> impl Iterator<Item = Hash> {
        iter::once(self.access).chain(self.refresh)
    }
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
    authorizations: BTreeMap<Owner, Authorization>,
    codes: Kept<Code>,
    /// Those that can be refreshed.
    tokens: Kept<Token>,
    /// Those that cannot. They are kept apart, for each of them ends: none takes the place of one that does not.
    ending: Kept<Token>,
    /// By application: what may be said of its users.
    pub metadata: BTreeMap<Id, Vec<Value>>,
    /// By user and application: what is said.
    pub connections: BTreeMap<Owner, Value>,
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
        let authorization = self.authorizations.entry(grant.owner());
        let authorization = authorization.or_insert(Authorization {
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
                let owner = (user, application);
                let tokens = self.tokens.count(owner) + self.ending.count(owner);
                (user, application, authorization, tokens)
            })
    }

    pub fn add_code(&mut self, secret: &str, grant: Grant, binding: Binding, now: u64) {
        self.codes.add(Code {
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
        let secret = Hash::of(secret);
        let good = |code: &&Code| {
            code.grant.application == application && now.saturating_sub(code.made) < lifetime
        };
        let code = self.codes.get(secret).filter(good);
        let code = code.ok_or(GrantError::Secret)?;
        if code.binding.redirect_uri != redirect_uri {
            return Err(GrantError::RedirectUri);
        }
        match (&code.binding.challenge, verifier) {
            (Some(_), None) => return Err(GrantError::NoVerifier),
            (Some(challenge), Some(verifier)) if *challenge != s256(verifier) => {
                return Err(GrantError::Verifier);
            }
            // OAuthLib does not look at a verifier that no challenge is there for.
            _ => {}
        }
        let code = self.codes.take(secret).ok_or(GrantError::Secret)?;
        Ok(code.grant)
    }

    pub fn add_token(&mut self, access: &str, refresh: Option<&str>, grant: Grant, now: u64) {
        let kept = match refresh {
            Some(_) => &mut self.tokens,
            None => &mut self.ending,
        };
        kept.add(Token {
            access: Hash::of(access),
            refresh: refresh.map(Hash::of),
            grant,
            made: now,
        });
    }

    /// What a refresh token stands for. It is used up, and so is the access token that came with it.
    pub fn refresh(&mut self, application: Id, secret: &str) -> Result<Grant, GrantError> {
        let secret = Hash::of(secret);
        let token = self.tokens.get(secret).ok_or(GrantError::Secret)?;
        if token.refresh != Some(secret) || token.grant.application != application {
            return Err(GrantError::Secret);
        }
        let token = self.tokens.take(secret).ok_or(GrantError::Secret)?;
        Ok(token.grant)
    }

    /// What an access token stands for, which is good for `lifetime` ms.
    pub fn access(&self, secret: &str, lifetime: u64, now: u64) -> Option<Access> {
        let secret = Hash::of(secret);
        let token = self.token(secret).filter(|token| token.access == secret)?;
        let expires = token.made.saturating_add(lifetime);
        (now < expires).then(|| Access {
            user: token.grant.user,
            application: token.grant.application,
            scopes: token.grant.scopes.clone(),
            expires,
        })
    }

    /// The token behind a secret of either kind.
    fn token(&self, secret: Hash) -> Option<&Token> {
        self.tokens.get(secret).or_else(|| self.ending.get(secret))
    }

    /// Ends the authorization that a token of the application, of whichever kind, belongs to.
    pub fn revoke_by_token(&mut self, application: Id, secret: &str) -> Option<Id> {
        let token = self.token(Hash::of(secret))?;
        if token.grant.application != application {
            return None;
        }
        let user = token.grant.user;
        self.revoke(user, application);
        Some(user)
    }

    /// Ends an authorization: all of its codes and tokens, and what the application says of the user. `false`: there was none.
    pub fn revoke(&mut self, user: Id, application: Id) -> bool {
        let owner = (user, application);
        self.codes.remove_all(owner..=owner);
        self.tokens.remove_all(owner..=owner);
        self.ending.remove_all(owner..=owner);
        self.connections.remove(&owner);
        self.authorizations.remove(&owner).is_some()
    }

    /// Lets the user's access tokens and codes end now; refresh tokens stay good.
    pub fn expire(&mut self, user: Id) {
        self.codes.remove_all(all_of(user));
        self.ending.remove_all(all_of(user));
        self.tokens.change_all(all_of(user), |token| token.made = 0);
    }
}

/// The challenge for a verifier: <https://www.rfc-editor.org/rfc/rfc7636#section-4.2>
fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::{Duration, Instant};

    use super::*;
    use crate::oauth::kept::MOST;

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
        grants.add_token("first", Some("r"), grant(APP, USER), 1_000);
        for number in 0..=MOST {
            grants.add_token(&number.to_string(), None, grant(APP, USER), 1_000);
        }
        let good = |secret: &str| grants.access(secret, 100, 1_000).is_some();
        assert!(!good("0"));
        assert!(good("1") && good(&MOST.to_string()));
        assert!(good("first"), "those that end push out their like only");
        grants.authorize(&grant(APP, USER), 1_000);
        assert_eq!(grants.iter().next().unwrap().3, MOST + 1);
        assert!(grants.revoke(USER, APP));
        assert!(grants.token(Hash::of("first")).is_none());
        assert!(grants.token(Hash::of("1")).is_none());
    }

    /// How long it takes to link so many users, ask about each, and end it.
    fn linking(users: u64) -> Duration {
        let mut grants = Grants::default();
        let began = Instant::now();
        for user in 1..=users {
            let own = grant(APP, Id(user));
            let binding = Binding {
                redirect_uri: HERE.to_owned(),
                challenge: None,
            };
            let (code, access, refresh) =
                (format!("c{user}"), format!("a{user}"), format!("r{user}"));
            grants.authorize(&own, 1_000);
            grants.add_code(&code, own, binding, 1_000);
            let own = grants.redeem(APP, &code, HERE, None, 100, 1_000).unwrap();
            grants.add_token(&access, Some(&refresh), own, 1_000);
        }
        assert_eq!(
            grants.iter().map(|(.., tokens)| tokens as u64).sum::<u64>(),
            users
        );
        for user in 1..=users {
            let access = grants.access(&format!("a{user}"), 100, 1_000).unwrap();
            assert_eq!(access.user, Id(user));
            grants.expire(Id(user));
            let refreshed = grants.refresh(APP, &format!("r{user}")).unwrap();
            grants.add_token("again", Some("and again"), refreshed, 1_000);
            assert_eq!(grants.revoke_by_token(APP, "again"), Some(Id(user)));
        }
        assert_eq!(grants.iter().count(), 0);
        began.elapsed()
    }

    #[test]
    fn ten_times_as_many_users_cost_ten_times_as_much() {
        // Both take as long, whatever else the machine does meanwhile. With a walk over all for each user the second takes ten times as
        // long.
        let ten_times_few = || -> Duration { (0..10).map(|_| linking(1_000)).sum() };
        let rounds = (0..3).map(|_| (ten_times_few(), linking(10_000)));
        let (few, many): (Vec<Duration>, Vec<Duration>) = rounds.unzip();
        let (few, many) = (few.iter().min().unwrap(), many.iter().min().unwrap());
        assert!(*many < *few * 4, "{few:?} {many:?}");
    }
}
