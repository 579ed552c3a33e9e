//! Roles, and who stands above whom (`developers/topics/permissions`, "Permission Hierarchy").

use std::{cmp::Reverse, collections::BTreeMap};

use serde_json::{Value, json};

use super::{Action, Actor, Guild, State, audit_log::change as changed};
use crate::{gateway::intents, id::Id};

/// A guild has at most so many roles, `@everyone` among them.
pub const MOST_ROLES: usize = 250;

/// There is no room for another role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Maximum number of server roles reached ({MOST_ROLES})")]
pub struct RolesFull;

/// Who gives a role instead of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// The bot whose own role it is.
    Bot(Id),
    /// Discord, to those who boost the guild.
    Boosts,
}

/// A role. Its permissions are Discord's bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    pub id: Id,
    pub name: String,
    pub position: u32,
    pub color: u32,
    pub permissions: u64,
    pub hoist: bool,
    pub mentionable: bool,
    pub manager: Option<Manager>,
}

/// Where a role stands: those of one position are ordered by id, the older one above.
pub type Rank = (u32, Reverse<Id>);

impl Role {
    pub fn new(id: Id, name: &str, position: u32, permissions: u64) -> Self {
        Self {
            id,
            name: name.to_owned(),
            position,
            color: 0,
            permissions,
            hoist: false,
            mentionable: false,
            manager: None,
        }
    }

    pub fn rank(&self) -> Rank {
        (self.position, Reverse(self.id))
    }

    pub fn json(&self) -> Value {
        let mut role = json!({
            "id": self.id,
            "name": self.name,
            "color": self.color,
            "colors": {"primary_color": self.color, "secondary_color": null, "tertiary_color": null},
            "hoist": self.hoist,
            "icon": null,
            "unicode_emoji": null,
            "position": self.position,
            "permissions": self.permissions.to_string(),
            "managed": self.manager.is_some(),
            "mentionable": self.mentionable,
            "flags": 0,
        });
        match self.manager {
            Some(Manager::Bot(bot)) => role["tags"] = json!({"bot_id": bot}),
            Some(Manager::Boosts) => role["tags"] = json!({"premium_subscriber": null}),
            None => {}
        }
        role
    }
}

impl Guild {
    pub fn role(&self, id: Id) -> Option<&Role> {
        self.roles.iter().find(|role| role.id == id)
    }

    /// Where a member's highest role stands; who has none stands with `@everyone`.
    pub fn rank(&self, user: Id) -> Rank {
        let own = self.member(user).map_or(&[][..], |member| &member.roles);
        let of_user = self.roles.iter().filter(|role| own.contains(&role.id));
        let highest = of_user.map(Role::rank).max();
        highest.unwrap_or((0, Reverse(self.id)))
    }

    /// Whether a member's place allows to rename, kick or ban another.
    pub fn outranks(&self, user: Id, other: Id) -> bool {
        other != self.owner && (user == self.owner || self.rank(user) > self.rank(other))
    }

    /// Whether a member's place allows to give, take and change a role.
    pub fn is_above(&self, user: Id, role: &Role) -> bool {
        user == self.owner || self.rank(user) > role.rank()
    }

    /// The roles with new positions, in a row from 0; `@everyone` stays at the bottom.
    pub fn arranged(&self, places: &BTreeMap<Id, u32>) -> Vec<Role> {
        let mut order: Vec<&Role> = self.roles.iter().collect();
        order.sort_by_key(|role| {
            let position = *places.get(&role.id).unwrap_or(&role.position);
            // One that goes up comes above the one whose place it takes, one that goes down below it.
            let way = i64::from(position) - i64::from(role.position);
            (role.id != self.id, position, way.signum(), role.rank())
        });
        (0..)
            .zip(order)
            .map(|(position, role)| Role {
                position,
                ..role.clone()
            })
            .collect()
    }
}

impl State {
    /// A role is made, at the bottom: the others go up by one, of which nobody is told.
    pub fn create_role(&mut self, guild: Id, role: Role, by: Actor) {
        let Some(known) = self.guilds.get_mut(guild) else {
            return;
        };
        for other in known.roles.iter_mut().filter(|role| role.id != guild) {
            other.position += u32::from(other.position >= role.position);
        }
        known.roles.push(role.clone());
        self.tell_of_role("GUILD_ROLE_CREATE", "role_create", guild, &role);
        let changes = role_changes(None, Some(&role));
        self.audit(guild, by, Action::RoleCreate, role.id, changes);
    }

    /// A role takes the place of the one with its id. What stays as it was is not told.
    pub fn change_role(&mut self, guild: Id, role: Role, by: Actor) {
        let roles = self.guilds.get_mut(guild).map(|guild| &mut guild.roles);
        let old = roles.and_then(|roles| roles.iter_mut().find(|old| old.id == role.id));
        let Some(old) = old.filter(|old| **old != role) else {
            return;
        };
        let before = std::mem::replace(old, role.clone());
        self.tell_of_role("GUILD_ROLE_UPDATE", "role_update", guild, &role);
        let changes = role_changes(Some(&before), Some(&role));
        self.audit(guild, by, Action::RoleUpdate, role.id, changes);
    }

    /// A role is deleted.
    pub fn delete_role(&mut self, guild: Id, role: Id, by: Actor) {
        if let Some(deleted) = self.remove_role(guild, role) {
            let changes = role_changes(Some(&deleted), None);
            self.audit(guild, by, Action::RoleDelete, role, changes);
        }
    }

    /// A role goes; who had it loses it and those above it go down by one, of which nobody is told.
    pub(super) fn remove_role(&mut self, guild: Id, role: Id) -> Option<Role> {
        let known = self.guilds.get_mut(guild)?;
        let at = known.roles.iter().position(|known| known.id == role)?;
        let deleted = known.roles.remove(at);
        for other in &mut known.roles {
            other.position -= u32::from(other.position > deleted.position);
        }
        for member in known.members.values_mut() {
            member.roles.retain(|own| *own != role);
        }
        let data = json!({"guild_id": guild, "role_id": role});
        self.tell_guild("GUILD_ROLE_DELETE", guild, &data, |_, session| {
            session.wants(intents::GUILDS)
        });
        self.log.push("role_delete", data);
        Some(deleted)
    }

    fn tell_of_role(&mut self, kind: &str, event: &'static str, guild: Id, role: &Role) {
        let data = json!({"guild_id": guild, "role": role.json()});
        self.tell_guild(kind, guild, &data, |_, session| {
            session.wants(intents::GUILDS)
        });
        self.log.push(event, data);
    }
}

/// The keys in which two states of a role differ; `None` is a role that is not there.
fn role_changes(old: Option<&Role>, new: Option<&Role>) -> Vec<Value> {
    let (old, new) = (old.map(Role::json), new.map(Role::json));
    let of = |role: &Option<Value>, key: &str| {
        role.as_ref().map_or(Value::Null, |role| role[key].clone())
    };
    let keys = [
        "name",
        "permissions",
        "color",
        "hoist",
        "mentionable",
        "position",
    ];
    keys.iter()
        .filter_map(|key| changed(key, of(&old, key), of(&new, key)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_roles_in_one_position_the_older_stands_above() {
        let [older, newer, higher] =
            [(1, 5), (2, 5), (3, 6)].map(|(id, position)| Role::new(Id(id), "", position, 0));
        assert!(older.rank() > newer.rank());
        assert!(higher.rank() > older.rank());
    }
}
