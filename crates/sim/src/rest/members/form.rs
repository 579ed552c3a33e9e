//! A member's nickname and roles, as a form gives them.

use serde_json::json;

use crate::{
    id::Id,
    rest::{
        ApiError,
        validate::{Check, Object},
    },
    state::{Guild, MOST_ROLES, MemberChange},
};

/// The longest nickname, in characters.
const MAX_NICK: usize = 32;

/// What is to change, if nothing that was checked is wrong. The roles must be there; `@everyone` among them counts for nothing.
pub fn member_change(
    mut check: Check,
    guild: &Guild,
    form: &Object,
) -> Result<MemberChange, ApiError> {
    check.none_simulated(form, &["communication_disabled_until", "flags"]);
    for key in ["mute", "deaf"] {
        if form.get(key) != Some(&json!(false)) {
            check.none_simulated(form, &[key]);
        }
    }
    // `null` throws the member out of voice.
    if form.contains_key("channel_id") {
        check.not_simulated("channel_id");
    }
    let nick = nick(&mut check, form);
    let list = check.list(form, "roles", MOST_ROLES);
    let roles = list.map(|list| {
        let roles = check.at("roles", |check| {
            let roles = list.iter().enumerate();
            let roles = roles.filter_map(|(index, role)| {
                check.at(&index.to_string(), |check| check.snowflake(role))
            });
            roles.collect::<Vec<Id>>()
        });
        let roles = roles.into_iter().filter(|role| *role != guild.id);
        roles.collect::<Vec<Id>>()
    });
    check.errors.into_result()?;
    if roles.iter().flatten().any(|id| guild.role(*id).is_none()) {
        return Err(ApiError::unknown_role());
    }
    Ok(MemberChange { nick, roles })
}

/// A nickname; `null` and an empty text take it away.
pub fn nick(check: &mut Check, form: &Object) -> Option<Option<String>> {
    form.get("nick")?;
    let nick = check.text(form, "nick", MAX_NICK);
    Some(
        nick.map(|nick| clean(&nick))
            .filter(|nick| !nick.is_empty()),
    )
}

/// A name without what Discord takes out: characters without width, and white space at the ends and in runs
/// (`developers/resources/user`, "Usernames and Nicknames").
fn clean(name: &str) -> String {
    let visible: String = name
        .chars()
        .filter(|c| {
            !matches!(
                c,
                '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{180e}' | '\u{ad}'
            )
        })
        .collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned() {
        for (given, kept) in [
            ("  Ada  ", "Ada"),
            ("Ada \t  Lovelace", "Ada Lovelace"),
            ("\u{200b}\u{feff}", ""),
            ("a\u{200b}b", "ab"),
            ("👩\u{200d}🚀", "👩\u{200d}🚀"),
        ] {
            assert_eq!(clean(given), kept, "{given:?}");
        }
    }
}
