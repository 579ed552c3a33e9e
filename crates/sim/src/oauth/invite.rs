//! A bot comes to a guild (`developers/topics/oauth2`, "Bot Authorization Flow").

use crate::{
    id::Id,
    rest::MODERATION,
    state::{Actor, Manager, MemberChange, Role, State, permissions as p, seed},
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
}

impl State {
    /// Whether a user may add applications to a guild.
    pub fn may_install(&self, guild: Id, user: Id) -> bool {
        let guild = self.guilds.get(guild);
        guild.is_some_and(|guild| guild.base_permissions(user) & p::MANAGE_GUILD != 0)
    }

    /// A bot comes to a guild, with a role of its own for its permissions: those asked for that the user has himself. One that is
    /// there has these permissions from then on. Answers the permissions.
    pub fn invite(&mut self, bot: Id, guild: Id, by: Id, asked: u64) -> Result<u64, InviteError> {
        if !self.may_install(guild, by) {
            return Err(InviteError::Permission);
        }
        let known = self.guilds.get(guild).ok_or(InviteError::Permission)?;
        let invited = self.user(bot).ok_or(InviteError::Permission)?;
        if known.bans.contains_key(&bot) {
            return Err(InviteError::Banned);
        }
        let granted = asked & known.base_permissions(by);
        let owner_has_mfa = self.user(seed::DEVELOPER).is_some_and(|owner| owner.mfa);
        if known.mfa && granted & MODERATION != 0 && !owner_has_mfa {
            return Err(InviteError::TwoFactor);
        }
        let is_member = known.has(bot);
        let own = known
            .roles
            .iter()
            .find(|role| role.manager == Some(Manager::Bot(bot)));
        let (own, name) = (own.cloned(), invited.display.clone());
        let actor = Actor {
            user: by,
            reason: None,
        };
        let role = match own {
            Some(role) => {
                let id = role.id;
                let permissions = granted;
                self.change_role(
                    guild,
                    Role {
                        permissions,
                        ..role
                    },
                    actor.clone(),
                );
                Some(id)
            }
            None if granted != 0 => {
                let id = self.ids.next();
                let manager = Some(Manager::Bot(bot));
                let role = Role::new(id, &name, 1, granted);
                self.create_role(guild, Role { manager, ..role }, actor.clone());
                Some(id)
            }
            None => None,
        };
        if !is_member {
            self.join(guild, bot, None, role.into_iter().collect());
        } else if let Some(role) = role {
            let member = self.guilds.get(guild).and_then(|guild| guild.member(bot));
            let roles = member.map_or(&[][..], |member| &member.roles);
            let roles = roles.iter().copied().chain([role]).collect();
            let change = MemberChange {
                roles: Some(roles),
                ..MemberChange::default()
            };
            self.change_member(guild, bot, change, actor);
        }
        Ok(granted)
    }
}
