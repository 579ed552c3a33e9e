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

    /// Whether a code was given to an Activity, which no page brings anywhere: it is bound to no redirect URI.
    pub fn is_of_activity(&self, secret: &str) -> bool {
        let code = self.codes.get(Hash::of(secret));
        code.is_some_and(|code| code.binding.redirect_uri.is_empty())
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
mod tests;
