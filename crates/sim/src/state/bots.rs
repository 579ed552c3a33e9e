//! Bots in guilds: each has a role of its own there, which comes and goes with it.

use super::{Action, Actor, Guild, MOST_ROLES, Manager, MemberChange, Role, RolesFull, State};
use crate::id::Id;

impl Guild {
    /// The role of a bot's own.
    pub fn role_of_bot(&self, bot: Id) -> Option<&Role> {
        let mut roles = self.roles.iter();
        roles.find(|role| role.manager == Some(Manager::Bot(bot)))
    }
}

impl State {
    /// A bot becomes a member. If it has permissions, it has a role of its own for them, at the bottom. A bot that is a member gets these
    /// permissions instead of those it had.
    pub fn add_bot(
        &mut self,
        guild: Id,
        bot: Id,
        permissions: u64,
        by: Actor,
    ) -> Result<(), RolesFull> {
        let Some(known) = self.guilds.get(guild) else {
            return Ok(());
        };
        let (is_member, is_full) = (known.has(bot), known.roles.len() >= MOST_ROLES);
        let role = match known.role_of_bot(bot).cloned() {
            Some(own) => {
                let id = own.id;
                let own = Role { permissions, ..own };
                self.change_role(guild, own, by.clone());
                Some(id)
            }
            None if permissions == 0 => None,
            None if is_full => return Err(RolesFull),
            None => {
                let name = self.user(bot).map(|bot| bot.display.clone());
                let id = self.ids.next();
                let own = Role::new(id, &name.unwrap_or_default(), 1, permissions);
                let manager = Some(Manager::Bot(bot));
                self.create_role(guild, Role { manager, ..own }, by.clone());
                Some(id)
            }
        };
        if !is_member {
            self.join(guild, bot, None, role.into_iter().collect());
            self.audit(guild, by, Action::BotAdd, bot, Vec::new());
        } else if let Some(role) = role {
            let member = self.guilds.get(guild).and_then(|guild| guild.member(bot));
            let roles = member.map_or(&[][..], |member| &member.roles);
            let roles = roles.iter().copied().chain([role]).collect();
            let change = MemberChange {
                roles: Some(roles),
                ..MemberChange::default()
            };
            self.change_member(guild, bot, change, by);
        }
        Ok(())
    }
}
