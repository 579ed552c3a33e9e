//! Embeds (`developers/resources/message`, "Embed Limits").

use serde_json::{Value, json};

use super::{Check, Object};

const MAX_EMBEDS: usize = 10;
/// Characters over all embeds of a message.
const MAX_TOTAL: usize = 6_000;

/// The embeds of a message as they are shown, or what is wrong with them.
pub fn embeds(check: &mut Check, message: &Object) -> Option<Vec<Value>> {
    let given = check.list(message, "embeds", MAX_EMBEDS)?;
    let embeds = check.at("embeds", |check| {
        let embeds = check.each(given, embed);
        if embeds.iter().map(|(_, length)| length).sum::<usize>() > MAX_TOTAL {
            let message = format!("Embed size exceeds maximum size of {MAX_TOTAL}");
            check.fail_here("MAX_EMBED_SIZE_EXCEEDED", message);
        }
        embeds
    });
    Some(embeds.into_iter().map(|(embed, _)| embed).collect())
}

/// An embed and its number of characters, as they count towards the total.
fn embed(check: &mut Check, given: &Object) -> Option<(Value, usize)> {
    let mut embed = json!({"type": "rich"});
    let mut length = 0;
    let mut text =
        |text: &Option<String>| length += text.as_ref().map_or(0, |text| text.chars().count());

    let title = check.text(given, "title", 256);
    let description = check.text(given, "description", 4_096);
    text(&title);
    text(&description);
    set(&mut embed, "title", title);
    set(&mut embed, "description", description);
    set(&mut embed, "url", check.url(given, "url", false));
    set(
        &mut embed,
        "color",
        check.integer(given, "color", 0xff_ffff),
    );
    set(&mut embed, "timestamp", timestamp(check, given));

    if let Some(footer) = check.object(given, "footer") {
        check.at("footer", |check| {
            let shown = check.required_text(footer, "text", 2_048);
            text(&shown);
            embed["footer"] = json!({"text": shown});
            set(
                &mut embed["footer"],
                "icon_url",
                check.url(footer, "icon_url", true),
            );
        });
    }
    if let Some(author) = check.object(given, "author") {
        check.at("author", |check| {
            let name = check.required_text(author, "name", 256);
            text(&name);
            embed["author"] = json!({"name": name});
            set(&mut embed["author"], "url", check.url(author, "url", false));
            set(
                &mut embed["author"],
                "icon_url",
                check.url(author, "icon_url", true),
            );
        });
    }
    for key in ["image", "thumbnail"] {
        if let Some(media) = check.object(given, key) {
            check.at(key, |check| match check.url(media, "url", true) {
                Some(url) => embed[key] = json!({"url": url}),
                None => check.missing("url"),
            });
        }
    }
    if let Some(fields) = check.list(given, "fields", 25) {
        let fields = check.at("fields", |check| {
            check.each(fields, |check, field| {
                let name = check.required_text(field, "name", 256);
                let value = check.required_text(field, "value", 1_024);
                let inline = check.boolean(field, "inline").unwrap_or(false);
                text(&name);
                text(&value);
                Some(json!({"name": name, "value": value, "inline": inline}))
            })
        });
        set(
            &mut embed,
            "fields",
            Some(fields).filter(|fields| !fields.is_empty()),
        );
    }
    let shows = [
        "title",
        "description",
        "author",
        "footer",
        "image",
        "thumbnail",
        "fields",
    ];
    if !shows
        .iter()
        .any(|key| given.get(*key).is_some_and(|value| !value.is_null()))
    {
        // This is how Discord says that there is nothing to show.
        check.missing("description");
    }
    Some((embed, length))
}

fn set(object: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object[key] = value.into();
    }
}

fn timestamp(check: &mut Check, given: &Object) -> Option<String> {
    use time::{OffsetDateTime, PrimitiveDateTime, format_description::well_known::Iso8601};
    let text = check.text(given, "timestamp", usize::MAX)?;
    // Without an offset it is UTC.
    let known = OffsetDateTime::parse(&text, &Iso8601::DEFAULT).is_ok()
        || PrimitiveDateTime::parse(&text, &Iso8601::DEFAULT).is_ok();
    if !known {
        let message = format!("Could not parse {text}. Should be ISO8601.");
        check.fail("timestamp", "DATE_TIME_TYPE_PARSE", message);
    }
    Some(text)
}
