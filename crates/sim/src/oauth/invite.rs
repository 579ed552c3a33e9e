//! A bot comes to a guild (`developers/topics/oauth2`, "Bot Authorization Flow").

use crate::{
    id::Id,
    rest::MODERATION,
    state::{Actor, RolesFull, State, permissions as p, seed},
};

/// Why it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    #[error("You may not add this to that server: this requires Manage Server.")]
    Permission,
    #[error("The bot is banned from that server.")]
    Banned,
    #[error("That server demands two-factor authentication of the bot's owner, who has none.")]
    TwoFactor,
    #[error(transparent)]
    Roles(#[from] RolesFull),
}

impl State {
    /// Whether a user may add applications to a guild.
    pub fn may_install(&self, guild: Id, user: Id) -> bool {
        let guild = self.guilds.get(guild);
        guild.is_some_and(|guild| guild.base_permissions(user) & p::MANAGE_GUILD != 0)
    }

    /// A user invites a bot to a guild. It gets those of the permissions asked for that the user has himself; answers them.
    pub fn invite(&mut self, bot: Id, guild: Id, by: Id, asked: u64) -> Result<u64, InviteError> {
        if !self.may_install(guild, by) {
            return Err(InviteError::Permission);
        }
        let known = self.guilds.get(guild).ok_or(InviteError::Permission)?;
        if known.bans.contains_key(&bot) {
            return Err(InviteError::Banned);
        }
        let granted = asked & known.base_permissions(by);
        let owner_has_mfa = self.user(seed::DEVELOPER).is_some_and(|owner| owner.mfa);
        if known.mfa && granted & MODERATION != 0 && !owner_has_mfa {
            return Err(InviteError::TwoFactor);
        }
        let actor = Actor {
            user: by,
            reason: None,
        };
        self.add_bot(guild, bot, granted, actor)?;
        Ok(granted)
    }
}
