//! A guild and its roles, as its owner changes them.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Answer, Body, ControlError,
    members::{guild, guild_id, role},
    user_id,
};
use crate::{
    app::App,
    id::{Id, from_json},
    state::{Actor, Guild, MOST_ROLES, Manager, Role, RolesFull, State as Discord},
};

/// What changes of a guild and its roles.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    guild: Option<Value>,
    owner: Option<String>,
    mfa: Option<bool>,
    #[serde(default)]
    roles: Vec<RoleChange>,
}

/// A role, which is made if there is none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleChange {
    /// Name or id.
    role: String,
    name: Option<String>,
    permissions: Option<Value>,
    position: Option<u32>,
    /// Whether Discord gives it, to those who boost the guild.
    managed: Option<bool>,
    #[serde(default)]
    delete: bool,
}

impl RoleChange {
    fn permissions(&self) -> Result<Option<u64>, ControlError> {
        let bits = self.permissions.as_ref().map(from_json);
        match bits {
            Some(None) => Err(ControlError::Permissions),
            bits => Ok(bits.flatten().map(|bits| bits.0)),
        }
    }
}

/// The owner changes the guild; answers it.
pub async fn change(State(app): State<App>, Body(change): Body<Change>) -> Answer {
    let mut state = app.state();
    let state = &mut *state;
    let id = guild_id(state, change.guild.as_ref())?;
    let owner = change.owner.map(|user| user_id(state, &user)).transpose()?;
    if let Some(stranger) = owner.filter(|owner| !guild(state, id).is_ok_and(|g| g.has(*owner))) {
        return Err(ControlError::NoMember(stranger));
    }
    let by = Actor {
        user: guild(state, id)?.owner,
        reason: None,
    };
    check_roles(guild(state, id)?, &change.roles)?;
    for role in change.roles {
        change_role(state, id, role, &by)?;
    }
    state.change_guild(id, owner, change.mfa, by);
    Ok(Json(guild(state, id)?.json()))
}

/// Whether the roles can be changed so, one after the other: a request that is refused changes nothing.
fn check_roles(guild: &Guild, changes: &[RoleChange]) -> Result<(), ControlError> {
    let roles = guild.roles.iter();
    // Those that are made have no ids yet.
    let mut there: Vec<(Option<Id>, &str)> = roles
        .map(|role| (Some(role.id), role.name.as_str()))
        .collect();
    for change in changes {
        change.permissions()?;
        let wanted = change.role.as_str();
        let id: Option<Id> = wanted.parse().ok();
        let named = there.iter().position(|(_, name)| *name == wanted);
        let by_id = || there.iter().position(|(own, _)| id.is_some() && *own == id);
        match (named.or_else(by_id), change.delete) {
            (Some(at), true) => {
                there.remove(at);
            }
            (None, true) => return Err(ControlError::UnknownRole(wanted.to_owned())),
            (Some(at), false) => {
                if let (Some(name), Some((_, own))) = (&change.name, there.get_mut(at)) {
                    *own = name;
                }
            }
            (None, false) if there.len() >= MOST_ROLES => {
                return Err(RolesFull.into());
            }
            (None, false) => there.push((None, change.name.as_deref().unwrap_or(wanted))),
        }
    }
    Ok(())
}

fn change_role(
    state: &mut Discord,
    id: Id,
    change: RoleChange,
    by: &Actor,
) -> Result<(), ControlError> {
    let found = role(guild(state, id)?, &change.role).cloned();
    if change.delete {
        state.delete_role(id, found?.id, by.clone());
        return Ok(());
    }
    let permissions = change.permissions()?;
    let new = found.is_err();
    let mut role = match found {
        Ok(role) => role,
        Err(_) => Role::new(state.ids.next(), &change.role, 1, 0),
    };
    role.name = change.name.unwrap_or(role.name);
    role.permissions = permissions.unwrap_or(role.permissions);
    role.manager = match change.managed {
        Some(true) => Some(Manager::Boosts),
        Some(false) => None,
        None => role.manager,
    };
    let role_id = role.id;
    if new {
        state.create_role(id, role, by.clone());
    } else {
        state.change_role(id, role, by.clone());
    }
    if let Some(position) = change.position {
        let places = BTreeMap::from([(role_id, position)]);
        for role in guild(state, id)?.arranged(&places) {
            state.change_role(id, role, by.clone());
        }
    }
    Ok(())
}
