//! What is done to members, and bans: carried out, told to whom it concerns, and kept in the audit log. Whether
//! somebody may do it was asked before.

use serde_json::{Value, json};

use super::{
    Action, Actor, Guild, Member, State, User, audit_log::change as changed, permissions as p,
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
