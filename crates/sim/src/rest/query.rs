//! Values in a query, with Discord's errors.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{ApiError, FormErrors};
use crate::id::Id;

/// A query's values by name.
pub type Query = axum::extract::Query<BTreeMap<String, String>>;

/// An integer within a range.
pub fn integer(
    query: &Query,
    key: &str,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, ApiError> {
    let Some(text) = query.get(key) else {
        return Ok(None);
    };
    let fail = |code, message| {
        Err(ApiError::invalid_form(FormErrors::one(
            &[key],
            code,
            message,
        )))
    };
    let Ok(number) = text.parse::<u64>() else {
        return fail(
            "NUMBER_TYPE_COERCE",
            format!("Value \"{text}\" is not int."),
        );
    };
    let (least, most) = (range.start(), range.end());
    if number < *least {
        let message = format!("int value should be greater than or equal to {least}.");
        return fail("NUMBER_TYPE_MIN", message);
    }
    if number > *most {
        let message = format!("int value should be less than or equal to {most}.");
        return fail("NUMBER_TYPE_MAX", message);
    }
    Ok(Some(number))
}

/// How many are wanted, of at most `most`.
pub fn limit(query: &Query, default: usize, most: u64) -> Result<usize, ApiError> {
    let limit = integer(query, "limit", 1..=most)?;
    Ok(limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(default))
}

/// An id.
pub fn snowflake(query: &Query, key: &str) -> Result<Option<Id>, ApiError> {
    query
        .get(key)
        .map(|text| super::reading::path_id(key, text))
        .transpose()
}
