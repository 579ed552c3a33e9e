//! What was done in a guild, by whom and why (`developers/resources/audit-log`).

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{State, permissions as p};
use crate::{gateway::intents, id::Id};

/// Entries kept of each guild; the oldest go first. (Discord keeps 45 days.)
const KEPT: usize = 10_000;

/// What was done, with Discord's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    GuildUpdate = 1,
    MemberKick = 20,
    MemberBanAdd = 22,
    MemberBanRemove = 23,
    MemberUpdate = 24,
    MemberRoleUpdate = 25,
    BotAdd = 28,
    RoleCreate = 30,
    RoleUpdate = 31,
    RoleDelete = 32,
}

/// Who does something, and why.
#[derive(Debug, Clone)]
pub struct Actor {
    pub user: Id,
    pub reason: Option<String>,
}

/// One thing that was done.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: Id,
    pub by: Actor,
    pub target: Id,
    pub action: Action,
    pub changes: Vec<Value>,
}

impl Entry {
    pub fn json(&self) -> Value {
        let mut entry = json!({
            "id": self.id,
            "user_id": self.by.user,
            "target_id": self.target,
            "action_type": self.action as u8,
        });
        if !self.changes.is_empty() {
            entry["changes"] = json!(self.changes);
        }
        if let Some(reason) = &self.by.reason {
            entry["reason"] = json!(reason);
        }
        entry
    }
}

/// A change of one key; what was or is `null` is left out.
pub fn change(key: &str, old: Value, new: Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let mut change = json!({"key": key});
    for (name, value) in [("old_value", old), ("new_value", new)] {
        if !value.is_null() {
            change[name] = value;
        }
    }
    Some(change)
}

/// The audit log of a guild.
#[derive(Debug, Default)]
pub struct AuditLog(VecDeque<Entry>);

impl AuditLog {
    pub fn push(&mut self, entry: Entry) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(entry);
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.0.iter()
    }
}

impl State {
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
}
