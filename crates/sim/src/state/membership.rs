//! What is done to members, roles and bans: carried out, told to whom it concerns, and kept in the audit log. Whether
//! somebody may do it was asked before.

use serde_json::{Value, json};

use super::{
    Action, Actor, Entry, Guild, Member, Role, State, User, audit_log::change as changed,
    permissions as p,
};
use crate::{
    gateway::{Session, intents},
    id::{Id, unix_ms},
    voice::Seat,
};

/// What changes of a member.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemberChange {
    /// `Some(None)` takes the nickname away.
    pub nick: Option<Option<String>>,
    /// All roles that the member has from then on.
    pub roles: Option<Vec<Id>>,
}

impl State {
    /// A user becomes a member.
    pub fn join(&mut self, guild: Id, user: Id, nick: Option<String>, roles: Vec<Id>) {
        let Some(known) = self.guilds.get_mut(guild) else {
            return;
        };
        let mut member = Member {
            nick,
            joined_ms: unix_ms(),
            ..Member::new(user, Vec::new())
        };
        member.set_roles(guild, roles);
        known.members.insert(user, member);
        self.guild_added(guild, Some(user));
        self.tell_of_member("GUILD_MEMBER_ADD", "member_add", guild, user);
    }

    /// A member leaves, or is made to. `false`: the user is none.
    pub fn leave(&mut self, guild: Id, user: Id) -> bool {
        let known = self.guilds.get_mut(guild);
        if known.is_none_or(|guild| guild.members.remove(&user).is_none()) {
            return false;
        }
        self.leave_voice(Seat { guild, user });
        self.gateway.dispatch("GUILD_DELETE", |session| {
            let hears = session.user == user
                && session.wants(intents::GUILDS)
                && session.hears(Some(guild));
            hears.then(|| json!({"id": guild}))
        });
        let data = json!({"guild_id": guild, "user": self.user(user).map(User::json)});
        self.tell_guild("GUILD_MEMBER_REMOVE", guild, &data, |_, session| {
            session.wants(intents::GUILD_MEMBERS)
        });
        self.log
            .push("member_remove", json!({"guild_id": guild, "user_id": user}));
        // The role of a bot's own goes with it. Discord does not say that its audit log tells of that.
        let known = self.guilds.get(guild);
        let own = known.and_then(|guild| guild.role_of_bot(user));
        if let Some(role) = own.map(|role| role.id) {
            self.remove_role(guild, role);
        }
        true
    }

    /// A member is thrown out.
    pub fn kick(&mut self, guild: Id, user: Id, by: Actor) -> bool {
        let left = self.leave(guild, user);
        if left {
            self.audit(guild, by, Action::MemberKick, user, Vec::new());
        }
        left
    }

    /// A member gets a nickname or roles, or loses them. What stays as it was is not told.
    pub fn change_member(&mut self, guild: Id, user: Id, change: MemberChange, by: Actor) {
        let Some(known) = self.guilds.get_mut(guild) else {
            return;
        };
        let Some(member) = known.members.get_mut(&user) else {
            return;
        };
        let before = member.clone();
        if let Some(nick) = change.nick {
            member.nick = nick;
        }
        if let Some(roles) = change.roles {
            member.set_roles(guild, roles);
        }
        let after = member.clone();
        if after == before {
            return;
        }
        let role_changes = role_set_changes(known, &before, &after);
        self.tell_of_member("GUILD_MEMBER_UPDATE", "member_update", guild, user);
        let nick = changed("nick", json!(before.nick), json!(after.nick));
        if let Some(nick) = nick {
            self.audit(guild, by.clone(), Action::MemberUpdate, user, vec![nick]);
        }
        if !role_changes.is_empty() {
            self.audit(guild, by, Action::MemberRoleUpdate, user, role_changes);
        }
    }

    /// A user is banned, and thrown out if he is a member. `false`: he was banned already.
    pub fn ban(&mut self, guild: Id, user: Id, by: Actor) -> bool {
        let Some(known) = self.guilds.get_mut(guild) else {
            return false;
        };
        if known.bans.contains_key(&user) {
            return false;
        }
        known.bans.insert(user, by.reason.clone());
        self.tell_of_ban("GUILD_BAN_ADD", "ban_add", guild, user);
        self.leave(guild, user);
        self.audit(guild, by, Action::MemberBanAdd, user, Vec::new());
        true
    }

    /// A ban is lifted. `false`: there was none.
    pub fn unban(&mut self, guild: Id, user: Id, by: Actor) -> bool {
        let known = self.guilds.get_mut(guild);
        if known.is_none_or(|guild| guild.bans.remove(&user).is_none()) {
            return false;
        }
        self.tell_of_ban("GUILD_BAN_REMOVE", "ban_remove", guild, user);
        self.audit(guild, by, Action::MemberBanRemove, user, Vec::new());
        true
    }

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
    fn remove_role(&mut self, guild: Id, role: Id) -> Option<Role> {
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

    /// The guild gets another owner, or begins or ceases to demand two-factor authentication.
    pub fn change_guild(&mut self, guild: Id, owner: Option<Id>, mfa: Option<bool>, by: Actor) {
        let Some(known) = self.guilds.get_mut(guild) else {
            return;
        };
        let (old_owner, old_mfa) = (known.owner, known.mfa);
        known.owner = owner.unwrap_or(old_owner);
        known.mfa = mfa.unwrap_or(old_mfa);
        let changes = [
            changed("owner_id", json!(old_owner), json!(known.owner)),
            changed(
                "mfa_level",
                json!(u8::from(old_mfa)),
                json!(u8::from(known.mfa)),
            ),
        ];
        let changes: Vec<Value> = changes.into_iter().flatten().collect();
        if changes.is_empty() {
            return;
        }
        let data = known.json();
        self.tell_guild("GUILD_UPDATE", guild, &data, |_, session| {
            session.wants(intents::GUILDS)
        });
        self.log.push(
            "guild_update",
            json!({"guild_id": guild, "owner_id": data["owner_id"], "mfa_level": data["mfa_level"]}),
        );
        self.audit(guild, by, Action::GuildUpdate, guild, changes);
    }

    /// An account is not as it was before: its user is told, and his guilds if they see the change.
    pub fn user_changed(&mut self, before: &User) {
        let user = before.id;
        let Some(after) = self.user(user) else {
            return;
        };
        let is_seen = after.json() != before.json();
        let own = self.own_json(after);
        let own = (own != self.own_json(before)).then_some(own);
        self.gateway.dispatch("USER_UPDATE", |session| {
            own.clone().filter(|_| session.user == user)
        });
        if !is_seen {
            return;
        }
        let guilds = self.guilds.iter().filter(|guild| guild.has(user));
        let guilds: Vec<Id> = guilds.map(|guild| guild.id).collect();
        for guild in guilds {
            self.tell_of_member("GUILD_MEMBER_UPDATE", "member_update", guild, user);
        }
    }

    /// Writes an entry into the audit log.
    pub(super) fn audit(
        &mut self,
        guild: Id,
        by: Actor,
        action: Action,
        target: Id,
        changes: Vec<Value>,
    ) {
        let id = self.ids.next();
        let Some(known) = self.guilds.get_mut(guild) else {
            return;
        };
        let entry = Entry {
            id,
            by,
            target,
            action,
            changes,
        };
        let mut data = entry.json();
        known.audit_log.push(entry);
        data["guild_id"] = json!(guild);
        self.tell_guild(
            "GUILD_AUDIT_LOG_ENTRY_CREATE",
            guild,
            &data,
            |guild, session| {
                session.wants(intents::GUILD_MODERATION)
                    && guild.base_permissions(session.user) & p::VIEW_AUDIT_LOG != 0
            },
        );
        self.log.push("audit_log_entry", json!({"entry": data}));
    }

    /// Tells of a member those who want it; a bot is told of itself in any case.
    fn tell_of_member(&mut self, kind: &str, event: &'static str, guild: Id, user: Id) {
        let known = self.guilds.get(guild);
        let Some(mut data) = known.and_then(|known| self.member_json(known, user)) else {
            return;
        };
        data["guild_id"] = json!(guild);
        let update = kind == "GUILD_MEMBER_UPDATE";
        self.tell_guild(kind, guild, &data, |_, session| {
            session.wants(intents::GUILD_MEMBERS) || update && session.user == user
        });
        self.log.push(
            event,
            json!({"guild_id": guild, "user_id": user, "nick": data["nick"], "roles": data["roles"]}),
        );
    }

    fn tell_of_role(&mut self, kind: &str, event: &'static str, guild: Id, role: &Role) {
        let data = json!({"guild_id": guild, "role": role.json()});
        self.tell_guild(kind, guild, &data, |_, session| {
            session.wants(intents::GUILDS)
        });
        self.log.push(event, data);
    }

    fn tell_of_ban(&mut self, kind: &str, event: &'static str, guild: Id, user: Id) {
        let data = json!({"guild_id": guild, "user": self.user(user).map(User::json)});
        self.tell_guild(kind, guild, &data, |guild, session| {
            session.wants(intents::GUILD_MODERATION)
                && guild.base_permissions(session.user) & (p::BAN_MEMBERS | p::VIEW_AUDIT_LOG) != 0
        });
        self.log
            .push(event, json!({"guild_id": guild, "user_id": user}));
    }

    /// Dispatches to those sessions of members that `hears` says.
    pub(super) fn tell_guild(
        &mut self,
        kind: &str,
        guild: Id,
        data: &Value,
        hears: impl Fn(&Guild, &Session) -> bool,
    ) {
        let Some(known) = self.guilds.get(guild) else {
            return;
        };
        self.gateway.dispatch(kind, |session| {
            let told =
                session.hears(Some(guild)) && known.has(session.user) && hears(known, session);
            told.then(|| data.clone())
        });
    }
}

/// `$add` and `$remove`, with the roles' names.
fn role_set_changes(guild: &Guild, before: &Member, after: &Member) -> Vec<Value> {
    let only_in = |one: &Member, other: &Member| {
        let roles = guild
            .roles
            .iter()
            .filter(|role| one.roles.contains(&role.id) && !other.roles.contains(&role.id));
        let named = roles.map(|role| json!({"id": role.id, "name": role.name}));
        named.collect::<Vec<_>>()
    };
    let changes = [
        ("$add", only_in(after, before)),
        ("$remove", only_in(before, after)),
    ];
    let changes = changes.into_iter().filter(|(_, roles)| !roles.is_empty());
    changes
        .map(|(key, roles)| json!({"key": key, "new_value": roles}))
        .collect()
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
