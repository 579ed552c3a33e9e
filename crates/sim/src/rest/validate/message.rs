//! A message to create, or a change of one.

use serde_json::Value;

use super::{Check, Object, component, embed};
use crate::{
    id::Id,
    rest::ApiError,
    state::{Mentions, flags},
};

const MAX_CONTENT: usize = 2_000;
const MAX_NONCE: usize = 25;
const MAX_DESCRIPTION: usize = 1_024;

/// The fields of a message. `None`: the field is not there; `null` stands for an empty value.
#[derive(Debug, Default)]
pub struct MessageForm {
    pub content: Option<String>,
    pub embeds: Option<Vec<Value>>,
    pub components: Option<Vec<Value>>,
    pub attachments: Option<Vec<AttachmentForm>>,
    pub flags: Option<u64>,
    pub allowed_mentions: Option<AllowedMentions>,
    pub nonce: Option<Value>,
    pub enforce_nonce: bool,
    pub tts: bool,
    /// The message to answer, and whether it must exist.
    pub reply_to: Option<(Id, bool)>,
}

/// What a form says about an attachment: one that is sent along (`id` is the number of its file) or one to keep.
#[derive(Debug)]
pub struct AttachmentForm {
    pub id: u64,
    pub filename: Option<String>,
    pub description: Option<String>,
}

impl MessageForm {
    /// Whether only the user of an interaction is to see the message.
    pub fn is_ephemeral(&self) -> bool {
        self.flags.unwrap_or(0) & flags::EPHEMERAL != 0
    }

    /// Checks a form. `v2`: the message is already made of components only.
    pub fn parse(form: &Object, v2: bool) -> Result<Self, ApiError> {
        let mut check = Check::default();
        let flags = check.integer(form, "flags", u64::from(u32::MAX));
        let v2 = v2 || flags.is_some_and(|flags| flags & flags::IS_COMPONENTS_V2 != 0);
        let parsed = Self {
            content: cleared(form, "content").or_else(|| check.text(form, "content", MAX_CONTENT)),
            embeds: cleared(form, "embeds").or_else(|| embed::embeds(&mut check, form)),
            components: cleared(form, "components")
                .or_else(|| component::components(&mut check, form, v2)),
            attachments: cleared(form, "attachments").or_else(|| attachments(&mut check, form)),
            flags,
            allowed_mentions: allowed_mentions(&mut check, form),
            nonce: nonce(&mut check, form),
            enforce_nonce: check.boolean(form, "enforce_nonce").unwrap_or(false),
            tts: check.boolean(form, "tts").unwrap_or(false),
            reply_to: reply_to(&mut check, form),
        };
        if v2 {
            let empty = |key: &str| {
                form.get(key).is_none_or(|value| {
                    value.is_null() || value.as_str() == Some("") || value == &Value::Array(vec![])
                })
            };
            for key in ["content", "embeds", "poll", "sticker_ids"] {
                if !empty(key) {
                    let message = format!(
                        "The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
                    );
                    check.fail(
                        key,
                        "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                        message,
                    );
                }
            }
        }
        check.none_simulated(form, &["poll", "shared_client_theme"]);
        if form.get("sticker_ids") != Some(&Value::Array(Vec::new())) {
            check.none_simulated(form, &["sticker_ids"]);
        }
        check.errors.into_result()?;
        Ok(parsed)
    }
}

/// The empty value, for a field that is `null`.
fn cleared<T: Default>(form: &Object, key: &str) -> Option<T> {
    form.get(key)
        .filter(|value| value.is_null())
        .map(|_| T::default())
}

fn nonce(check: &mut Check, form: &Object) -> Option<Value> {
    let nonce = form.get("nonce").filter(|nonce| !nonce.is_null())?;
    let length = match nonce {
        Value::String(text) => text.chars().count(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string().len(),
        _ => {
            check.fail(
                "nonce",
                "STRING_TYPE_CONVERT",
                format!("Could not interpret \"{nonce}\" as string."),
            );
            return None;
        }
    };
    if length > MAX_NONCE {
        check.fail(
            "nonce",
            "BASE_TYPE_MAX_LENGTH",
            format!("Must be {MAX_NONCE} or fewer in length."),
        );
    }
    Some(nonce.clone())
}

fn attachments(check: &mut Check, form: &Object) -> Option<Vec<AttachmentForm>> {
    let given = check.list(form, "attachments", 10)?;
    Some(check.at("attachments", |check| {
        check.each(given, |check, attachment| {
            let id = match attachment.get("id") {
                Some(id) => check.at("id", |check| check.snowflake(id)),
                None => {
                    check.missing("id");
                    None
                }
            };
            Some(AttachmentForm {
                id: id?.0,
                filename: check.text_between(attachment, "filename", 1, 1_024),
                description: check.text(attachment, "description", MAX_DESCRIPTION),
            })
        })
    }))
}

fn reply_to(check: &mut Check, form: &Object) -> Option<(Id, bool)> {
    let reference = check.object(form, "message_reference")?;
    check.at("message_reference", |check| {
        let id = match reference.get("message_id") {
            Some(id) => check.at("message_id", |check| check.snowflake(id)),
            None => {
                check.missing("message_id");
                None
            }
        };
        if check.integer(reference, "type", 1) == Some(1) {
            check.fail(
                "type",
                "NOT_SIMULATED",
                "discord-sim does not forward messages.",
            );
        }
        let must_exist = check
            .boolean(reference, "fail_if_not_exists")
            .unwrap_or(true);
        Some((id?, must_exist))
    })
}

/// Which mentions in a message's content notify.
#[derive(Debug, Clone, Default)]
pub struct AllowedMentions {
    parse: Vec<String>,
    users: Vec<Id>,
    roles: Vec<Id>,
}

fn allowed_mentions(check: &mut Check, form: &Object) -> Option<AllowedMentions> {
    let given = check.object(form, "allowed_mentions")?;
    Some(check.at("allowed_mentions", |check| {
        let mut allowed = AllowedMentions::default();
        for (index, kind) in check
            .list(given, "parse", 3)
            .into_iter()
            .flatten()
            .enumerate()
        {
            match kind.as_str() {
                Some(kind @ ("users" | "roles" | "everyone")) => {
                    allowed.parse.push(kind.to_owned())
                }
                _ => check.at("parse", |check| {
                    let message = "Value must be one of {'everyone', 'roles', 'users'}.";
                    check.fail(&index.to_string(), "BASE_TYPE_CHOICES", message);
                }),
            }
        }
        for key in ["users", "roles"] {
            let ids = check.list(given, key, 100).unwrap_or_default();
            let ids: Vec<Id> = check.at(key, |check| {
                let ids = ids.iter().enumerate();
                ids.filter_map(|(index, id)| {
                    check.at(&index.to_string(), |check| check.snowflake(id))
                })
                .collect()
            });
            if !ids.is_empty() && allowed.parse.iter().any(|kind| kind == key) {
                let message =
                    format!("parse:[\"{key}\"] and {key}: [ids...] are mutually exclusive.");
                check.fail_here("MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message);
            }
            if key == "users" {
                allowed.users = ids
            } else {
                allowed.roles = ids
            }
        }
        allowed
    }))
}

impl AllowedMentions {
    /// Whom a message's content notifies. Without `allowed_mentions` every mention counts.
    pub fn mentions(allowed: Option<&Self>, content: &str, may_mention_all: bool) -> Mentions {
        let parses = |kind: &str| {
            allowed.is_none_or(|allowed| allowed.parse.iter().any(|parse| parse == kind))
        };
        let mut mentions = Mentions {
            everyone: may_mention_all
                && parses("everyone")
                && (content.contains("@everyone") || content.contains("@here")),
            ..Mentions::default()
        };
        for tag in content
            .split("<@")
            .skip(1)
            .filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag))
        {
            let (is_role, digits) = match tag.strip_prefix('&') {
                Some(digits) => (true, digits),
                None => (false, tag.strip_prefix('!').unwrap_or(tag)),
            };
            let Ok(id) = digits.parse::<Id>() else {
                continue;
            };
            let (kind, named, list) = if is_role {
                (
                    "roles",
                    allowed.map(|allowed| &allowed.roles),
                    &mut mentions.roles,
                )
            } else {
                (
                    "users",
                    allowed.map(|allowed| &allowed.users),
                    &mut mentions.users,
                )
            };
            let notifies = parses(kind) || named.is_some_and(|named| named.contains(&id));
            if notifies && !list.contains(&id) {
                list.push(id);
            }
        }
        mentions
    }
}
