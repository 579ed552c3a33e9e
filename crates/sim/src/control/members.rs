//! Members, as those who run the guild, and they themselves, change them.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Answer, Body, ControlError,
    people::{may_make, new_person, people},
    user_id,
};
use crate::{
    app::App,
    id::{Id, from_json},
    state::{Actor, Guild, MOST_ROLES, MemberChange, Role, RolesFull, State as Discord, seed},
};

/// The guild that is meant: the first one, unless another is named.
pub fn guild_id(state: &Discord, guild: Option<&Value>) -> Result<Id, ControlError> {
    let Some(guild) = guild else {
        return Ok(state.guilds.home.id);
    };
    let id = from_json(guild).filter(|id| state.guilds.get(*id).is_some());
    id.ok_or_else(|| ControlError::UnknownGuild(from_json(guild).unwrap_or(Id(0))))
}

pub fn guild(state: &Discord, id: Id) -> Result<&Guild, ControlError> {
    state.guilds.get(id).ok_or(ControlError::UnknownGuild(id))
}

/// A role by name or id.
pub fn role<'a>(guild: &'a Guild, wanted: &str) -> Result<&'a Role, ControlError> {
    let by_id = || guild.role(wanted.parse().ok()?);
    let named = guild.roles.iter().find(|role| role.name == wanted);
    named
        .or_else(by_id)
        .ok_or_else(|| ControlError::UnknownRole(wanted.to_owned()))
}

fn role_ids(guild: &Guild, wanted: &[String]) -> Result<Vec<Id>, ControlError> {
    let roles = wanted.iter().map(|wanted| role(guild, wanted));
    roles.map(|role| role.map(|role| role.id)).collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    guild: Option<String>,
    user: Option<String>,
}

/// The members of a guild, or one of them.
pub async fn list(State(app): State<App>, Query(which): Query<Which>) -> Answer {
    let state = app.state();
    let id = guild_id(&state, which.guild.map(Value::from).as_ref())?;
    let guild = guild(&state, id)?;
    let members: Vec<Value> = match &which.user {
        Some(user) => {
            let user = user_id(&state, user)?;
            state.member_json(guild, user).into_iter().collect()
        }
        None => state.members_json(guild, Id(0), |_, _| true).collect(),
    };
    Ok(Json(members.into()))
}

/// What happens to a member.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Join,
    Leave,
    Kick,
    Ban,
    Unban,
    Rename,
    Roles,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    action: Kind,
    guild: Option<Value>,
    user: Option<String>,
    #[serde(default)]
    users: Vec<String>,
    /// How many people are made, who join.
    #[serde(default)]
    count: usize,
    /// Who does it: the guild's owner, unless somebody is named.
    by: Option<String>,
    reason: Option<String>,
    nick: Option<String>,
    /// All roles that the members have then.
    roles: Option<Vec<String>>,
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

/// Does it, without asking who may do it; answers the members it was done to, as they are afterwards.
pub async fn act(State(app): State<App>, Body(act): Body<Act>) -> Answer {
    let mut state = app.state();
    let state = &mut *state;
    // All is looked up before anything is done: a request that is refused changes nothing.
    let deed = Deed::of(state, &act)?;
    let users = users(state, &act, deed.guild)?;
    for &user in &users {
        deed.do_to(state, user)?;
    }
    let known = guild(state, deed.guild)?;
    let members = users
        .iter()
        .filter_map(|user| state.member_json(known, *user));
    Ok(Json(members.collect()))
}

/// What is done to each user, with everything that it names looked up.
struct Deed<'a> {
    act: &'a Act,
    guild: Id,
    by: Actor,
    /// All roles that the members have then.
    all: Option<Vec<Id>>,
    add: Vec<Id>,
    remove: Vec<Id>,
}

impl<'a> Deed<'a> {
    fn of(state: &Discord, act: &'a Act) -> Result<Self, ControlError> {
        let id = guild_id(state, act.guild.as_ref())?;
        let known = guild(state, id)?;
        let by = act.by.as_ref().map(|by| user_id(state, by)).transpose()?;
        let all = act.roles.as_deref().map(|roles| role_ids(known, roles));
        Ok(Self {
            act,
            guild: id,
            by: Actor {
                user: by.unwrap_or(known.owner),
                reason: act.reason.clone(),
            },
            all: all.transpose()?,
            add: role_ids(known, &act.add)?,
            remove: role_ids(known, &act.remove)?,
        })
    }

    fn do_to(&self, state: &mut Discord, user: Id) -> Result<(), ControlError> {
        let (id, by) = (self.guild, self.by.clone());
        match self.act.action {
            Kind::Join => self.join(state, user)?,
            Kind::Leave => {
                state.leave(id, user);
            }
            Kind::Kick => {
                state.kick(id, user, by);
            }
            Kind::Ban => {
                state.ban(id, user, by);
            }
            Kind::Unban => {
                state.unban(id, user, by);
            }
            Kind::Rename => {
                let change = MemberChange {
                    nick: Some(self.act.nick.clone()),
                    roles: None,
                };
                state.change_member(id, user, change, by);
            }
            Kind::Roles => {
                let before = match &self.all {
                    Some(all) => all.clone(),
                    None => roles_of(guild(state, id)?, user),
                };
                let roles = before.into_iter().chain(self.add.iter().copied());
                let change = MemberChange {
                    nick: None,
                    roles: Some(roles.filter(|role| !self.remove.contains(role)).collect()),
                };
                state.change_member(id, user, change, by);
            }
        }
        Ok(())
    }

    fn join(&self, state: &mut Discord, user: Id) -> Result<(), ControlError> {
        let (id, nick) = (self.guild, self.act.nick.clone());
        if guild(state, id)?.has(user) {
            return Ok(());
        }
        if !state.user(user).is_some_and(|user| user.bot) {
            state.join(id, user, nick, self.all.clone().unwrap_or_default());
            return Ok(());
        }
        // As if he who does it invited it.
        state.add_bot(id, user, seed::permissions(user), self.by.clone())?;
        let own = roles_of(guild(state, id)?, user);
        let change = MemberChange {
            nick: nick.map(Some),
            roles: self.all.as_ref().map(|all| [own, all.clone()].concat()),
        };
        state.change_member(id, user, change, self.by.clone());
        Ok(())
    }
}

fn roles_of(guild: &Guild, user: Id) -> Vec<Id> {
    let member = guild.member(user);
    member.map_or_else(Vec::new, |member| member.roles.clone())
}

/// To whom it is done. Those who are to join and are not there yet are made, if nothing forbids it.
fn users(state: &mut Discord, act: &Act, id: Id) -> Result<Vec<Id>, ControlError> {
    let joins = matches!(act.action, Kind::Join);
    let named: Vec<&String> = act.user.iter().chain(&act.users).collect();
    let count = if joins { act.count } else { 0 };
    if named.is_empty() && count == 0 {
        return Err(ControlError::Missing("user"));
    }
    let mut users = Vec::new();
    let mut new = BTreeSet::new();
    for name in named {
        match user_id(state, name) {
            Ok(user) => users.push(user),
            Err(_) if joins => {
                new.insert(name);
            }
            Err(unknown) => return Err(unknown),
        }
    }
    let known = guild(state, id)?;
    let gets_role = |user: &Id| seed::permissions(*user) != 0 && !known.has(*user);
    if joins && users.iter().any(gets_role) && known.roles.len() >= MOST_ROLES {
        return Err(RolesFull.into());
    }
    if !matches!(act.action, Kind::Join | Kind::Ban | Kind::Unban)
        && let Some(stranger) = users.iter().find(|user| !known.has(**user))
    {
        return Err(ControlError::NoMember(*stranger));
    }
    may_make(state, new.len().saturating_add(count))?;
    for name in new {
        users.push(new_person(state, name)?);
    }
    users.extend(people(state, count)?);
    Ok(users)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Of {
    guild: Option<String>,
}

/// The audit log of a guild, oldest first.
pub async fn audit_log(State(app): State<App>, Query(of): Query<Of>) -> Answer {
    let state = app.state();
    let id = guild_id(&state, of.guild.map(Value::from).as_ref())?;
    let entries = guild(&state, id)?.audit_log.iter();
    Ok(Json(entries.map(|entry| entry.json()).collect()))
}
