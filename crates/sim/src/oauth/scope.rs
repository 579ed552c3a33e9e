//! What a user can allow an application (`developers/topics/oauth2`, OAuth2 scopes).

use std::fmt;

use serde::{Serialize, Serializer};

pub const IDENTIFY: &str = "identify";
pub const EMAIL: &str = "email";
pub const CONNECTIONS: &str = "connections";
pub const GUILDS: &str = "guilds";
pub const GUILDS_JOIN: &str = "guilds.join";
pub const GUILDS_MEMBERS_READ: &str = "guilds.members.read";
pub const ROLE_CONNECTIONS_WRITE: &str = "role_connections.write";
pub const BOT: &str = "bot";
pub const COMMANDS: &str = "applications.commands";

/// Those that are simulated, each with what the consent page says of it.
const SIMULATED: [(&str, &str); 9] = [
    (IDENTIFY, "Access your username, avatar, and banner"),
    (EMAIL, "Access your email address"),
    (CONNECTIONS, "Access your third-party connections"),
    (GUILDS, "Know what servers you're in"),
    (GUILDS_JOIN, "Join servers for you"),
    (
        GUILDS_MEMBERS_READ,
        "Read your member info (nickname, avatar, roles, etc) for servers you belong to",
    ),
    (
        ROLE_CONNECTIONS_WRITE,
        "Update your connection and metadata for this app",
    ),
    (BOT, "Add a bot to a server"),
    (COMMANDS, "Create commands"),
];

/// A set of scopes, in the order in which they were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(Vec<&'static str>);

impl Scopes {
    /// Scopes with spaces between. `None`: one of them is unknown, or not simulated, or there is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut scopes = Self::default();
        for name in text.split_whitespace() {
            let (known, _) = SIMULATED.into_iter().find(|(known, _)| *known == name)?;
            scopes.add(known);
        }
        (!scopes.0.is_empty()).then_some(scopes)
    }

    fn add(&mut self, scope: &'static str) {
        if !self.has(scope) {
            self.0.push(scope);
        }
    }

    /// Takes over all of the others.
    pub fn extend(&mut self, others: &Self) {
        for scope in &others.0 {
            self.add(scope);
        }
    }

    pub fn has(&self, scope: &str) -> bool {
        self.0.contains(&scope)
    }

    /// Whether all of the others are among these.
    pub fn covers(&self, others: &Self) -> bool {
        others.0.iter().all(|scope| self.has(scope))
    }

    /// Whether there is nothing to be had with a token: only a bot or its commands come to a guild.
    pub fn only_installs(&self) -> bool {
        self.0.iter().all(|scope| [BOT, COMMANDS].contains(scope))
    }

    /// Whether something comes to a guild.
    pub fn installs(&self) -> bool {
        self.has(BOT) || self.has(COMMANDS)
    }

    /// What the consent page says of each.
    pub fn told(&self) -> impl Iterator<Item = &'static str> {
        let of = |scope: &&str| SIMULATED.into_iter().find(|(known, _)| known == scope);
        self.0.iter().filter_map(of).map(|(_, told)| told)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_scope_that_is_not_known_spoils_all() {
        let both = Scopes::parse("guilds.join  identify identify").unwrap();
        assert_eq!(both.to_string(), "guilds.join identify");
        assert_eq!(both.told().count(), 2);
        for text in [
            "",
            " ",
            "identify messages.read",
            "Identify",
            "identify,guilds",
        ] {
            assert_eq!(Scopes::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn scopes_cover_their_like() {
        let both = Scopes::parse("guilds.join identify").unwrap();
        let one = Scopes::parse("identify").unwrap();
        assert!(both.covers(&one) && !one.covers(&both));
        assert!(!both.only_installs());
        let bot = Scopes::parse("bot applications.commands").unwrap();
        assert!(bot.only_installs() && bot.installs());
    }
}
