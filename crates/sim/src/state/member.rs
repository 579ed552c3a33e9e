//! Members of guilds.

use std::iter;

use serde_json::{Value, json};

use super::{Guild, State, User};
use crate::id::{Id, iso8601};

/// When those joined who were there from the beginning.
const JOINED_MS: u64 = 1_735_689_600_000;

/// A user's membership of a guild.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub user: Id,
    pub roles: Vec<Id>,
    pub nick: Option<String>,
    pub joined_ms: u64,
}

impl Member {
    /// Who was there from the beginning.
    pub fn new(user: Id, roles: Vec<Id>) -> Self {
        Self {
            user,
            roles,
            nick: None,
            joined_ms: JOINED_MS,
        }
    }

    /// All roles that the member has from then on: each once, in the order of their ids. `@everyone`, which has the guild's id, is none.
    pub fn set_roles(&mut self, guild: Id, mut roles: Vec<Id>) {
        roles.retain(|role| *role != guild);
        roles.sort_unstable();
        roles.dedup();
        self.roles = roles;
    }

    /// The member without its `user`, as message events carry it.
    pub fn json(&self) -> Value {
        json!({
            "roles": self.roles,
            "nick": self.nick,
            "avatar": null,
            "banner": null,
            "joined_at": iso8601(self.joined_ms),
            "premium_since": null,
            "deaf": false,
            "mute": false,
            "pending": false,
            "communication_disabled_until": null,
            "flags": 0,
        })
    }

    /// The whole member.
    pub fn json_with(&self, user: &User) -> Value {
        let mut member = self.json();
        member["user"] = user.json();
        member
    }
}

impl State {
    /// A member with his user.
    pub fn member_json(&self, guild: &Guild, user: Id) -> Option<Value> {
        match guild.member(user) {
            Some(member) => Some(member.json_with(self.user(user)?)),
            None => {
                let user = guild.of_crowd(user)?;
                Some(Member::new(user.id, Vec::new()).json_with(&user))
            }
        }
    }

    /// The members of a guild that are selected, with their users, in the order of their ids, from the one after `after`.
    pub fn members_json<'a>(
        &'a self,
        guild: &'a Guild,
        after: Id,
        select: impl Fn(&User, Option<&str>) -> bool + Copy + 'a,
    ) -> impl Iterator<Item = Value> + 'a {
        let known = guild.members.range(Id(after.0.saturating_add(1))..);
        let known = known.filter_map(move |(&id, member)| {
            let user = self.user(id)?;
            let selected = select(user, member.nick.as_deref());
            selected.then(|| (id, member.json_with(user)))
        });
        let crowd = guild
            .crowd(after)
            .filter(move |user| select(user, None))
            .map(|user| {
                let member = Member::new(user.id, Vec::new());
                (user.id, member.json_with(&user))
            });
        let (mut known, mut crowd) = (known.peekable(), crowd.peekable());
        iter::from_fn(move || {
            let crowd_first = match (known.peek(), crowd.peek()) {
                (Some((one, _)), Some((other, _))) => other < one,
                (None, _) => true,
                (_, None) => false,
            };
            let next = if crowd_first {
                crowd.next()
            } else {
                known.next()
            };
            next.map(|(_, member)| member)
        })
    }
}
