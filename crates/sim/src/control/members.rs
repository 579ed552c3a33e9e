//! Members, roles and accounts, as those who run the guild, and the users themselves, change them.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Body, ControlError, user_id};
use crate::{
    app::App,
    id::{Id, from_json},
    state::{
        Actor, Guild, MOST_ROLES, Member, MemberChange, Role, RolesFull, State as Discord, User,
        seed, set,
    },
};

/// How many people can be made.
pub const MOST_PEOPLE: usize = 500_000;

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
    let id = guild_id(state, act.guild.as_ref())?;
    let by = match &act.by {
        Some(user) => user_id(state, user)?,
        None => guild(state, id)?.owner,
    };
    let by = Actor {
        user: by,
        reason: act.reason.clone(),
    };
    // All is looked up before anything is done: a request that is refused changes nothing.
    let known = guild(state, id)?;
    let all = act.roles.as_deref().map(|roles| role_ids(known, roles));
    let all = all.transpose()?;
    let (add, remove) = (role_ids(known, &act.add)?, role_ids(known, &act.remove)?);
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
    let gets_role = |user: &Id| seed::permissions(*user) != 0 && !known.has(*user);
    if joins && users.iter().any(gets_role) && known.roles.len() >= MOST_ROLES {
        return Err(RolesFull.into());
    }
    may_make(state, new.len().saturating_add(count))?;
    if !matches!(act.action, Kind::Join | Kind::Ban | Kind::Unban)
        && let Some(stranger) = users.iter().find(|user| !known.has(**user))
    {
        return Err(ControlError::NoMember(*stranger));
    }
    for name in new {
        users.push(new_person(state, name)?);
    }
    users.extend(people(state, count)?);
    for &user in &users {
        match act.action {
            Kind::Join if guild(state, id)?.has(user) => {}
            // As if he who does it invited it.
            Kind::Join if state.user(user).is_some_and(|user| user.bot) => {
                state.add_bot(id, user, seed::permissions(user), by.clone())?;
                let own = guild(state, id)?.member(user);
                let own = own.map(|member| member.roles.clone());
                let change = MemberChange {
                    nick: act.nick.clone().map(Some),
                    roles: all.clone().map(|all| {
                        let own = own.into_iter().flatten();
                        own.chain(all).collect()
                    }),
                };
                state.change_member(id, user, change, by.clone());
            }
            Kind::Join => {
                let roles = all.clone().unwrap_or_default();
                state.join(id, user, act.nick.clone(), roles);
            }
            Kind::Leave => {
                state.leave(id, user);
            }
            Kind::Kick => {
                state.kick(id, user, by.clone());
            }
            Kind::Ban => {
                state.ban(id, user, by.clone());
            }
            Kind::Unban => {
                state.unban(id, user, by.clone());
            }
            Kind::Rename => {
                let change = MemberChange {
                    nick: Some(act.nick.clone()),
                    roles: None,
                };
                state.change_member(id, user, change, by.clone());
            }
            Kind::Roles => {
                let had = guild(state, id)?.member(user);
                let had = had.map(|member| member.roles.clone());
                let had = all.clone().or(had).unwrap_or_default();
                let roles = had.into_iter().chain(add.iter().copied());
                let change = MemberChange {
                    nick: None,
                    roles: Some(roles.filter(|role| !remove.contains(role)).collect()),
                };
                state.change_member(id, user, change, by.clone());
            }
        }
    }
    let known = guild(state, id)?;
    let members = users
        .iter()
        .filter_map(|user| state.member_json(known, *user));
    Ok(Json(members.collect()))
}

/// Whether so many people more can be made.
pub fn may_make(state: &Discord, count: usize) -> Result<(), ControlError> {
    if count > MOST_PEOPLE.saturating_sub(state.users.len()) {
        Err(ControlError::TooManyPeople(MOST_PEOPLE))
    } else {
        Ok(())
    }
}

/// A person with an account of his own, who can log in.
fn new_person(state: &mut Discord, name: &str) -> Result<Id, ControlError> {
    let id = state.ids.next();
    let token = seed::token(id)?;
    state.users.add(User {
        token,
        ..User::person(id, name.to_owned(), name.to_owned())
    });
    Ok(id)
}

/// So many people, `person-1` and on, who cannot log in.
pub fn people(state: &mut Discord, count: usize) -> Result<Vec<Id>, ControlError> {
    may_make(state, count)?;
    let mut made = Vec::with_capacity(count);
    while made.len() < count {
        let number = state.users.next_number();
        let name = format!("person-{number}");
        if state.users.named(&name).is_none() {
            let id = state.ids.next();
            let display = format!("Person {number}");
            state.users.add(User::person(id, name, display));
            made.push(id);
        }
    }
    Ok(made)
}

/// Makes people members of a guild that nobody was told of yet.
pub fn settle(
    state: &mut Discord,
    guild: Id,
    people: Vec<Id>,
    roles: u16,
) -> Result<(), ControlError> {
    let ids: Vec<Id> = (0..roles).map(|_| state.ids.next()).collect();
    let known = state
        .guilds
        .get_mut(guild)
        .ok_or(ControlError::UnknownGuild(guild))?;
    if known.roles.len() + ids.len() > MOST_ROLES {
        return Err(RolesFull.into());
    }
    for role in known.roles.iter_mut().filter(|role| role.id != guild) {
        role.position += u32::from(roles);
    }
    let numbered = ids.into_iter().zip((1..=u32::from(roles)).rev());
    let made = (1..)
        .zip(numbered)
        .map(|(number, (id, position))| Role::new(id, &format!("role-{number}"), position, 0));
    known.roles.extend(made);
    let members = people
        .into_iter()
        .map(|id| (id, Member::new(id, Vec::new())));
    known.members.extend(members);
    Ok(())
}

/// What changes of an account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    user: String,
    name: Option<String>,
    display: Option<String>,
    discriminator: Option<u16>,
    mfa: Option<bool>,
    guilds_full: Option<bool>,
}

/// A user changes his account; he and his guilds are told what they see of it.
pub async fn account(State(app): State<App>, Body(account): Body<Account>) -> Answer {
    let mut state = app.state();
    let id = user_id(&state, &account.user)?;
    let before = state.user(id).cloned();
    let changed = state.users.change(id, |user| {
        set(&mut user.name, account.name.clone());
        set(&mut user.display, account.display);
        set(&mut user.discriminator, account.discriminator);
        set(&mut user.mfa, account.mfa);
        set(&mut user.guilds_full, account.guilds_full);
    });
    if !changed {
        return Err(ControlError::NameTaken(account.name.unwrap_or_default()));
    }
    if let Some(before) = before {
        state.user_changed(&before);
    }
    Ok(Json(json!(state.user(id).map(|user| state.own_json(user)))))
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
