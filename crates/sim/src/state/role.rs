//! Roles, and who stands above whom (`developers/topics/permissions`, "Permission Hierarchy").

use std::{cmp::Reverse, collections::BTreeMap};

use serde_json::{Value, json};

use super::Guild;
use crate::id::Id;

/// A guild has at most so many roles, `@everyone` among them.
pub const MOST_ROLES: usize = 250;

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
}

impl Guild {
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
