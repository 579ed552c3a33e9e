//! What an application asks of a user, by the query of the consent page.

use url::{Host, Url};

use super::{params::Params, scope::Scopes};
use crate::id::Id;

/// What the judge of a request has to know.
pub trait Known {
    fn is_application(&self, id: Id) -> bool;
    /// The redirect URIs that the application has registered; none: any of this machine.
    fn redirect_uris(&self) -> &[String];
}

/// A request that makes sense.
#[derive(Debug, Clone)]
pub struct Request {
    pub application: Id,
    pub scopes: Scopes,
    /// What follows when the user has agreed; a bot may come to a guild with nothing after it.
    pub then: Option<Callback>,
    /// Whether a user who has allowed as much before is not asked.
    pub quietly: bool,
    /// Something comes to a guild.
    pub install: Option<Install>,
}

/// Where the code is brought, and what goes with it.
#[derive(Debug, Clone)]
pub struct Callback {
    pub uri: Url,
    /// As it was written, which the exchange must repeat.
    pub written: String,
    pub state: Option<String>,
    /// Who answers: <https://www.rfc-editor.org/rfc/rfc9207>
    issuer: String,
    /// The challenge of PKCE.
    pub challenge: Option<String>,
}

/// What comes to a guild: the application's commands, and its bot with permissions.
#[derive(Debug, Clone, Copy)]
pub struct Install {
    pub permissions: u64,
    pub guild: Option<Id>,
    /// Whether it is that guild or none.
    pub only_there: bool,
}

/// A request that makes none.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// The application cannot be told, for it is not known who it is or where: the user is shown this.
    Shown { title: &'static str, why: String },
    /// The application is told.
    Told(Url),
}

// Errors that the application is told. Discord uses OAuthLib; the descriptions are OAuthLib's.

const UNSUPPORTED_RESPONSE_TYPE: (&str, &str) = (
    "unsupported_response_type",
    "The authorization server does not support obtaining an authorization code using this method.",
);
const INVALID_SCOPE: (&str, &str) = (
    "invalid_scope",
    "The requested scope is invalid, unknown, or malformed.",
);
pub const ACCESS_DENIED: (&str, &str) = (
    "access_denied",
    "The resource owner or authorization server denied the request",
);

impl Callback {
    /// The URL with this in its query, the state, and who answers.
    pub fn with(&self, pairs: &[(&str, &str)]) -> Url {
        let mut url = self.uri.clone();
        url.query_pairs_mut().extend_pairs(pairs);
        if let Some(state) = &self.state {
            url.query_pairs_mut().append_pair("state", state);
        }
        url.query_pairs_mut().append_pair("iss", &self.issuer);
        url
    }

    pub fn error(&self, (error, description): (&str, &str)) -> Url {
        self.with(&[("error", error), ("error_description", description)])
    }
}

/// Judges a request; `issuer` is who does.
pub fn judge(params: &Params, known: &impl Known, issuer: &str) -> Result<Request, Refusal> {
    if let Some(name) = params.doubled() {
        return Err(form(name, "This parameter is there more than once"));
    }
    let application = number(params, "client_id", "snowflake")?
        .map(Id)
        .ok_or_else(|| form("client_id", "This field is required"))?;
    if !known.is_application(application) {
        return Err(shown("Unknown Application"));
    }
    let scopes = params.get("scope").and_then(Scopes::parse);
    let installs = scopes.as_ref().is_some_and(Scopes::only_installs);
    let then = match callback(params, known, issuer)? {
        None if installs && params.get("response_type").is_none() => None,
        None => return Err(shown("Invalid OAuth2 redirect_uri")),
        Some(then) => then.wants_code(params, installs)?,
    };
    let told = |error| match &then {
        Some(then) => Refusal::Told(then.error(error)),
        None => shown(error.1),
    };
    let scopes = scopes.ok_or_else(|| told(INVALID_SCOPE))?;
    let quietly = match params.get("prompt") {
        None | Some("consent") => false,
        Some("none") => true,
        Some(_) => return Err(told(("invalid_request", "prompt must be consent or none."))),
    };
    match number(params, "integration_type", "int")? {
        None | Some(0) => {}
        Some(1) => {
            return Err(form(
                "integration_type",
                "discord-sim adds applications to servers, not to users",
            ));
        }
        Some(_) => return Err(form("integration_type", "Value must be one of {0, 1}.")),
    }
    let install = scopes.installs().then(|| install(params)).transpose()?;
    Ok(Request {
        application,
        // What comes to a guild is asked for each time.
        quietly: quietly && install.is_none(),
        scopes,
        then,
        install,
    })
}

/// The redirect URI, which must be registered as it is written; without one it is the first of those that are.
fn callback(
    params: &Params,
    known: &impl Known,
    issuer: &str,
) -> Result<Option<Callback>, Refusal> {
    let registered = known.redirect_uris();
    let invalid = || shown("Invalid OAuth2 redirect_uri");
    let first = registered.first().map(String::as_str);
    let Some(written) = params.get("redirect_uri").or(first) else {
        return Ok(None);
    };
    let uri = Url::parse(written).map_err(|_| invalid())?;
    let good = if registered.is_empty() {
        is_of_this_machine(&uri)
    } else {
        registered.iter().any(|one| one == written)
    };
    if !good || uri.fragment().is_some() {
        return Err(invalid());
    }
    Ok(Some(Callback {
        uri,
        written: written.to_owned(),
        state: params.get("state").map(str::to_owned),
        issuer: issuer.to_owned(),
        challenge: None,
    }))
}

impl Callback {
    /// Looks at what there is to be said about the code. `None`: none is wanted.
    fn wants_code(mut self, params: &Params, installs: bool) -> Result<Option<Self>, Refusal> {
        let told = |error| Err(Refusal::Told(self.error(error)));
        match params.get("response_type") {
            Some("code") => {}
            Some(_) => return told(UNSUPPORTED_RESPONSE_TYPE),
            None if installs => return Ok(None),
            None => return told(("invalid_request", "Missing response_type parameter.")),
        }
        let method = params.get("code_challenge_method");
        match params.get("code_challenge") {
            None if method.is_some() => {
                return told(("invalid_request", "Code challenge required."));
            }
            None => {}
            // What is not said is `plain`: https://www.rfc-editor.org/rfc/rfc7636#section-4.3
            Some(_) if method != Some("S256") => {
                return told(("invalid_request", "Transform algorithm not supported."));
            }
            Some(challenge) if !is_challenge(challenge) => {
                return told(("invalid_request", "Invalid code_challenge."));
            }
            Some(challenge) => self.challenge = Some(challenge.to_owned()),
        }
        Ok(Some(self))
    }
}

fn install(params: &Params) -> Result<Install, Refusal> {
    Ok(Install {
        permissions: number(params, "permissions", "int")?.unwrap_or(0),
        guild: number(params, "guild_id", "snowflake")?.map(Id),
        only_there: params.get("disable_guild_select") == Some("true"),
    })
}

fn number(params: &Params, name: &str, kind: &str) -> Result<Option<u64>, Refusal> {
    let text = params.get(name);
    let wrong = |text| form(name, format!("Value \"{text}\" is not {kind}."));
    text.map(|text| text.parse().map_err(|_| wrong(text)))
        .transpose()
}

/// Whether the redirect stays on this machine, by `http` or `https`.
fn is_of_this_machine(uri: &Url) -> bool {
    let here = match uri.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    here && ["http", "https"].contains(&uri.scheme())
}

/// A SHA-256 in URL-safe base64 without padding.
fn is_challenge(text: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || [b'-', b'_'].contains(&byte);
    text.len() == 43 && text.bytes().all(safe)
}

fn shown(why: impl Into<String>) -> Refusal {
    let title = "Unknown Error";
    Refusal::Shown {
        title,
        why: why.into(),
    }
}

fn form(name: &str, why: impl AsRef<str>) -> Refusal {
    let title = "Invalid Form Body";
    Refusal::Shown {
        title,
        why: format!("{name}: {}", why.as_ref()),
    }
}

#[cfg(test)]
mod tests;
