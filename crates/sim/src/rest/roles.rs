//! Roles (`developers/resources/guild`): made, changed, moved and deleted by those who stand above them.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{
    ApiError, Caller,
    acting::{Reason, moderated_guild, own_guild},
    body::Form,
    reading::{Answer, path_id},
    validate::{Check, Object},
};
use crate::{
    app::App,
    id::Id,
    state::{Guild, MOST_ROLES, Role, permissions as p, set},
};

const MAX_NAME: usize = 100;
const MAX_COLOR: u64 = 0xff_ffff;

pub async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
) -> Answer {
    let state = app.state();
    let guild = own_guild(&state, &guild, caller)?;
    Ok(Json(guild.roles.iter().map(Role::json).collect()))
}

pub async fn get(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((guild, role)): Path<(String, String)>,
) -> Answer {
    let state = app.state();
    let guild = own_guild(&state, &guild, caller)?;
    Ok(Json(known(guild, &role)?.json()))
}

/// How many members have each role but `@everyone`.
pub async fn member_counts(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
) -> Answer {
    let state = app.state();
    let guild = own_guild(&state, &guild, caller)?;
    let roles = guild.roles.iter().filter(|role| role.id != guild.id);
    let mut counts: BTreeMap<Id, u64> = roles.map(|role| (role.id, 0)).collect();
    for role in guild.members.values().flat_map(|member| &member.roles) {
        if let Some(count) = counts.get_mut(role) {
            *count += 1;
        }
    }
    let counts = counts
        .into_iter()
        .map(|(id, count)| (id.to_string(), json!(count)));
    Ok(Json(Value::Object(counts.collect())))
}

fn known<'a>(guild: &'a Guild, role: &str) -> Result<&'a Role, ApiError> {
    let role = path_id("role_id", role)?;
    guild.role(role).ok_or_else(ApiError::unknown_role)
}

/// What a form says of a role.
#[derive(Debug, Default)]
struct RoleForm {
    name: Option<String>,
    permissions: Option<u64>,
    color: Option<u32>,
    hoist: Option<bool>,
    mentionable: Option<bool>,
}

impl RoleForm {
    fn parse(form: &Object) -> Result<Self, ApiError> {
        let mut check = Check::default();
        check.none_simulated(form, &["icon", "unicode_emoji"]);
        let name = check.text_between(form, "name", 1, MAX_NAME);
        let mut color = check.integer(form, "color", MAX_COLOR);
        if let Some(colors) = check.object(form, "colors") {
            check.at("colors", |check| {
                if !colors.contains_key("primary_color") {
                    check.missing("primary_color");
                }
                color = check.integer(colors, "primary_color", MAX_COLOR);
                check.none_simulated(colors, &["secondary_color", "tertiary_color"]);
            });
        }
        let parsed = Self {
            name: name.map(|name| name.trim().to_owned()),
            permissions: permissions(&mut check, form),
            color: color.and_then(|color| u32::try_from(color).ok()),
            hoist: check.boolean(form, "hoist"),
            mentionable: check.boolean(form, "mentionable"),
        };
        check.errors.into_result()?;
        Ok(parsed)
    }

    fn apply(self, role: &mut Role) {
        set(&mut role.name, self.name);
        set(&mut role.permissions, self.permissions);
        set(&mut role.color, self.color);
        set(&mut role.hoist, self.hoist);
        set(&mut role.mentionable, self.mentionable);
    }
}

/// Permission bits, as a decimal string or a number.
fn permissions(check: &mut Check, form: &Object) -> Option<u64> {
    let given = form.get("permissions").filter(|given| !given.is_null())?;
    let bits = match given {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    };
    if bits.is_none() {
        let message = format!("Value {given} is not int.");
        check.fail("permissions", "NUMBER_TYPE_COERCE", message);
    }
    bits
}

/// Nobody gives a role what he may not do himself.
fn may_grant(
    guild: &Guild,
    caller: Id,
    had: u64,
    permissions: Option<u64>,
) -> Result<(), ApiError> {
    let changed = permissions.map_or(0, |permissions| permissions ^ had);
    if changed & !guild.base_permissions(caller) & p::ALL == 0 {
        Ok(())
    } else {
        Err(ApiError::missing_permissions())
    }
}

pub async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
    reason: Reason,
    body: Form,
) -> Answer {
    let mut state = app.state();
    let guild = moderated_guild(&state, &guild, caller, p::MANAGE_ROLES)?;
    let form = RoleForm::parse(&body.json)?;
    may_grant(guild, caller, 0, form.permissions)?;
    if guild.roles.len() >= MOST_ROLES {
        return Err(ApiError::too_many_roles());
    }
    let everyone = guild.role(guild.id).map_or(0, |role| role.permissions);
    let guild = guild.id;
    let mut role = Role::new(state.ids.next(), "new role", 1, everyone);
    form.apply(&mut role);
    state.create_role(guild, role.clone(), reason.of(caller));
    Ok(Json(role.json()))
}

pub async fn modify(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((guild, role)): Path<(String, String)>,
    reason: Reason,
    body: Form,
) -> Answer {
    let mut state = app.state();
    let guild = moderated_guild(&state, &guild, caller, p::MANAGE_ROLES)?;
    let mut role = known(guild, &role)?.clone();
    let form = RoleForm::parse(&body.json)?;
    if !guild.is_above(caller, &role) {
        return Err(ApiError::missing_permissions());
    }
    may_grant(guild, caller, role.permissions, form.permissions)?;
    let guild = guild.id;
    form.apply(&mut role);
    state.change_role(guild, role.clone(), reason.of(caller));
    Ok(Json(role.json()))
}

pub async fn delete(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((guild, role)): Path<(String, String)>,
    reason: Reason,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let guild = moderated_guild(&state, &guild, caller, p::MANAGE_ROLES)?;
    let role = known(guild, &role)?;
    if role.id == guild.id || role.manager.is_some() {
        return Err(ApiError::invalid_role());
    }
    if !guild.is_above(caller, role) {
        return Err(ApiError::missing_permissions());
    }
    let (guild, role) = (guild.id, role.id);
    state.delete_role(guild, role, reason.of(caller));
    Ok(StatusCode::NO_CONTENT)
}

/// Moves roles; answers all.
pub async fn arrange(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
    reason: Reason,
    body: Bytes,
) -> Answer {
    let Ok(Value::Array(places)) = serde_json::from_slice(&body) else {
        return Err(ApiError::invalid_json());
    };
    let mut check = Check::default();
    let places = check.each(&places, |check, place| {
        let id = match place.get("id") {
            Some(id) => check.at("id", |check| check.snowflake(id)),
            None => {
                check.missing("id");
                None
            }
        };
        let position = check.integer(place, "position", MOST_ROLES as u64);
        Some((id?, u32::try_from(position?).ok()?))
    });
    check.errors.into_result()?;
    let mut state = app.state();
    let guild = moderated_guild(&state, &guild, caller, p::MANAGE_ROLES)?;
    let moved = arranged(guild, caller, &places)?;
    let guild = guild.id;
    let by = reason.of(caller);
    for role in moved {
        state.change_role(guild, role, by.clone());
    }
    let roles = state.guilds.get(guild).map(|guild| &guild.roles);
    Ok(Json(roles.into_iter().flatten().map(Role::json).collect()))
}

/// The roles with their new positions. Only those below the caller may move, and only there.
fn arranged(guild: &Guild, caller: Id, places: &[(Id, u32)]) -> Result<Vec<Role>, ApiError> {
    if places.iter().any(|(id, _)| guild.role(*id).is_none()) {
        return Err(ApiError::unknown_role());
    }
    if places.iter().any(|(id, at)| *id == guild.id && *at != 0) {
        return Err(ApiError::invalid_role());
    }
    let before = guild.arranged(&BTreeMap::new());
    let after = guild.arranged(&places.iter().copied().collect());
    // Whatever stands somewhere else than before must be below the caller.
    let moved = before
        .iter()
        .zip(&after)
        .filter(|(one, other)| one.id != other.id);
    let mut moved = moved.flat_map(|(one, other)| [guild.role(one.id), guild.role(other.id)]);
    if moved.all(|role| role.is_some_and(|role| guild.is_above(caller, role))) {
        Ok(after)
    } else {
        Err(ApiError::missing_permissions())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Member;

    const OWNER: Id = Id(1);
    const BOT: Id = Id(2);

    /// `@everyone`, 11, 12, 13 and 14 in their positions; the bot has 13.
    fn guild() -> Guild {
        let roles = [(10, 0), (11, 1), (12, 2), (13, 3), (14, 4)];
        let roles = roles.map(|(id, position)| Role::new(Id(id), "", position, 0));
        let mut guild = Guild::new(Id(10), String::new(), OWNER, roles.into(), Vec::new());
        guild.members.insert(BOT, Member::new(BOT, vec![Id(13)]));
        guild
    }

    fn order(caller: Id, places: &[(u64, u32)]) -> Result<Vec<u64>, ApiError> {
        let places: Vec<_> = places.iter().map(|(id, at)| (Id(*id), *at)).collect();
        let roles = arranged(&guild(), caller, &places)?;
        assert!(roles.iter().map(|role| role.position).eq(0..5));
        Ok(roles.iter().map(|role| role.id.0).collect())
    }

    #[test]
    fn a_role_that_moves_takes_the_place_it_is_given() {
        assert_eq!(order(BOT, &[(11, 2)]).unwrap(), [10, 12, 11, 13, 14]);
        assert_eq!(order(BOT, &[(12, 1)]).unwrap(), [10, 12, 11, 13, 14]);
        assert_eq!(
            order(BOT, &[(11, 2), (12, 1)]).unwrap(),
            [10, 12, 11, 13, 14]
        );
        assert_eq!(order(OWNER, &[(11, 4)]).unwrap(), [10, 12, 13, 14, 11]);
        assert_eq!(order(BOT, &[(12, 2)]).unwrap(), [10, 11, 12, 13, 14]);
    }

    #[test]
    fn nobody_moves_what_is_not_below_him() {
        let refused = Err(ApiError::missing_permissions());
        assert_eq!(order(BOT, &[(14, 1)]), refused);
        assert_eq!(order(BOT, &[(13, 2)]), refused);
        assert_eq!(order(BOT, &[(11, 3)]), refused);
        assert_eq!(order(BOT, &[(10, 2)]), Err(ApiError::invalid_role()));
        assert_eq!(order(BOT, &[(15, 2)]), Err(ApiError::unknown_role()));
    }
}
