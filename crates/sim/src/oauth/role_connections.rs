//! Linked roles: what an application says of a user's account with it (`developers/resources/application-role-connection-metadata`).

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State},
};
use serde_json::{Map, Value, json};

use super::grants::Access;
use crate::{
    app::App,
    id::Id,
    rest::{ApiError, Caller, Check, Form, path_id},
};

type Answer = Result<Json<Value>, ApiError>;

/// An application describes at most so many values.
const MOST: usize = 5;
/// The last of the types of comparison.
const LAST_TYPE: u64 = 8;

/// The application of the path, which must be that of the bot.
fn own(application: &str, caller: Id) -> Result<Id, ApiError> {
    let application = path_id("application_id", application)?;
    if application == caller {
        Ok(application)
    } else {
        Err(ApiError::missing_access())
    }
}

/// `GET /applications/{application_id}/role-connections/metadata`.
pub async fn metadata(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(application): Path<String>,
) -> Answer {
    let application = own(&application, caller)?;
    let state = app.state();
    let records = state.oauth.metadata.get(&application);
    Ok(Json(records.cloned().unwrap_or_default().into()))
}

/// `PUT /applications/{application_id}/role-connections/metadata`.
pub async fn set_metadata(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(application): Path<String>,
    body: Bytes,
) -> Answer {
    let application = own(&application, caller)?;
    let Ok(Value::Array(given)) = serde_json::from_slice(&body) else {
        return Err(ApiError::invalid_json());
    };
    let records = check_metadata(&given)?;
    app.state()
        .oauth
        .metadata
        .insert(application, records.clone());
    Ok(Json(records.into()))
}

fn check_metadata(given: &[Value]) -> Result<Vec<Value>, ApiError> {
    let mut check = Check::default();
    if given.len() > MOST {
        check.fail_here(
            "BASE_TYPE_MAX_LENGTH",
            format!("Must be {MOST} or fewer in length."),
        );
        check.errors.into_result()?;
        return Ok(Vec::new());
    }
    let records = check.each(given, |check, record| {
        let kind = check.integer(record, "type", LAST_TYPE);
        match kind {
            None if !record.contains_key("type") => check.missing("type"),
            Some(0) => check.fail(
                "type",
                "BASE_TYPE_CHOICES",
                "Value must be one of {1, 2, 3, 4, 5, 6, 7, 8}.",
            ),
            _ => {}
        }
        let mut kept = Map::from_iter([("type".to_owned(), json!(kind))]);
        for (name, most) in [("key", 50), ("name", 100), ("description", 200)] {
            let text = check.text_between(record, name, 1, most);
            if text.is_none() && !record.contains_key(name) {
                check.missing(name);
            }
            if name == "key" && text.as_ref().is_some_and(|key| !is_key(key)) {
                check.fail(
                    "key",
                    "STRING_TYPE_REGEX",
                    "String value did not match validation regex.",
                );
            }
            kept.insert(name.to_owned(), json!(text));
        }
        for name in ["name_localizations", "description_localizations"] {
            if let Some(localized) = check.object(record, name) {
                kept.insert(name.to_owned(), Value::Object(localized.clone()));
            }
        }
        Some(Value::Object(kept))
    });
    for (index, record) in records.iter().enumerate() {
        if records
            .iter()
            .take(index)
            .any(|before| before["key"] == record["key"])
        {
            let at = index.to_string();
            check.at(&at, |check| {
                check.fail(
                    "key",
                    "APPLICATION_ROLE_CONNECTION_METADATA_DUPLICATE_KEY",
                    "This key is already used.",
                );
            });
        }
    }
    check.errors.into_result()?;
    Ok(records)
}

fn is_key(key: &str) -> bool {
    key.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The application of the path, which must be that of the token.
fn linked(application: &str, access: &Access) -> Result<(Id, Id), ApiError> {
    let application = path_id("application_id", application)?;
    if application == access.application {
        Ok((access.user, application))
    } else {
        Err(ApiError::missing_access())
    }
}

fn nothing() -> Value {
    json!({"platform_name": null, "platform_username": null, "metadata": {}})
}

/// `GET /users/@me/applications/{application_id}/role-connection`.
pub async fn connection(
    State(app): State<App>,
    access: Option<Extension<Access>>,
    Path(application): Path<String>,
) -> Answer {
    let Extension(access) = access.ok_or_else(ApiError::unauthorized)?;
    let key = linked(&application, &access)?;
    let state = app.state();
    Ok(Json(
        state
            .oauth
            .connections
            .get(&key)
            .cloned()
            .unwrap_or_else(nothing),
    ))
}

/// `PUT /users/@me/applications/{application_id}/role-connection`.
pub async fn set_connection(
    State(app): State<App>,
    access: Option<Extension<Access>>,
    Path(application): Path<String>,
    body: Form,
) -> Answer {
    let Extension(access) = access.ok_or_else(ApiError::unauthorized)?;
    let key = linked(&application, &access)?;
    let mut state = app.state();
    let known = state
        .oauth
        .metadata
        .get(&key.1)
        .cloned()
        .unwrap_or_default();
    let connection = check_connection(&body.json, &known)?;
    state.oauth.connections.insert(key, connection.clone());
    state.log.push(
        "role_connection",
        json!({"user_id": key.0, "application_id": key.1, "connection": connection}),
    );
    Ok(Json(connection))
}

fn check_connection(form: &Map<String, Value>, known: &[Value]) -> Result<Value, ApiError> {
    let mut check = Check::default();
    let mut connection = nothing();
    for (name, most) in [("platform_name", 50), ("platform_username", 100)] {
        connection[name] = json!(check.text(form, name, most));
    }
    if let Some(values) = check.object(form, "metadata") {
        let kept = check.at("metadata", |check| {
            let kept = values.iter().filter_map(|(key, value)| {
                let kind = known.iter().find(|record| record["key"] == *key)?;
                Some((key.clone(), check_value(check, key, &kind["type"], value)?))
            });
            kept.collect::<Map<String, Value>>()
        });
        connection["metadata"] = Value::Object(kept);
    }
    check.errors.into_result()?;
    Ok(connection)
}

/// A value, which Discord keeps as a text of at most 100 characters. What the application has not described is left out.
fn check_value(check: &mut Check, key: &str, kind: &Value, value: &Value) -> Option<Value> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => u8::from(*yes).to_string(),
        _ => {
            check.fail(
                key,
                "STRING_TYPE_CONVERT",
                format!("Could not interpret \"{value}\" as string."),
            );
            return None;
        }
    };
    if text.chars().count() > 100 {
        check.fail(
            key,
            "BASE_TYPE_MAX_LENGTH",
            "Must be 100 or fewer in length.",
        );
        return None;
    }
    let good = match kind.as_u64() {
        Some(1..=4) => text.parse::<i64>().is_ok(),
        Some(5 | 6) => {
            let format = &time::format_description::well_known::Iso8601::PARSING;
            time::OffsetDateTime::parse(&text, format).is_ok()
                || time::Date::parse(&text, format).is_ok()
        }
        _ => ["0", "1"].contains(&text.as_str()),
    };
    if !good {
        check.fail(
            key,
            "APPLICATION_ROLE_CONNECTION_METADATA_VALUE",
            format!("Value \"{text}\" is not of the type of this key."),
        );
        return None;
    }
    Some(Value::String(text))
}
