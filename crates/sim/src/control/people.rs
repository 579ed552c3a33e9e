//! Accounts: how they are made, and how the users themselves change them.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Body, ControlError, user_id};
use crate::{
    app::App,
    id::Id,
    state::{MOST_ROLES, Member, Role, RolesFull, State as Discord, User, seed, set},
};

/// How many people can be made.
const MOST: usize = 500_000;

/// Whether so many people more can be made.
pub fn may_make(state: &Discord, count: usize) -> Result<(), ControlError> {
    if count > MOST.saturating_sub(state.users.len()) {
        Err(ControlError::TooManyPeople(MOST))
    } else {
        Ok(())
    }
}

/// A person with an account of his own, who can log in.
pub fn new_person(state: &mut Discord, name: &str) -> Result<Id, ControlError> {
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
