//! Message components, of both kinds (`developers/components/reference`).

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Check, Object};

const MAX_ROWS: usize = 5;
/// With IS_COMPONENTS_V2: components of a message with those inside others, and characters of all their texts.
const MAX_COMPONENTS: usize = 40;
const MAX_TEXT: usize = 4_000;

const ROW: u64 = 1;
const BUTTON: u64 = 2;
const STRING_SELECT: u64 = 3;
const SELECTS: [u64; 5] = [STRING_SELECT, 5, 6, 7, 8];
const SECTION: u64 = 9;
const TEXT: u64 = 10;
const THUMBNAIL: u64 = 11;
const GALLERY: u64 = 12;
const FILE: u64 = 13;
const SEPARATOR: u64 = 14;
const CONTAINER: u64 = 17;

const LINK: u64 = 5;
const PREMIUM: u64 = 6;

/// The components of a message as they are shown, each with an `id`.
pub fn components(check: &mut Check, message: &Object, v2: bool) -> Option<Vec<Value>> {
    let mut walk = Walk::default();
    let given = check.list(
        message,
        "components",
        if v2 { MAX_COMPONENTS } else { MAX_ROWS },
    )?;
    let allowed: &[u64] = if v2 {
        &[ROW, SECTION, TEXT, GALLERY, FILE, SEPARATOR, CONTAINER]
    } else {
        &[ROW]
    };
    let shown = check.at("components", |check| {
        let shown = check.each(given, |check, component| {
            walk.component(check, component, allowed)
        });
        if walk.count > MAX_COMPONENTS {
            let message = format!("Must have {MAX_COMPONENTS} or fewer components in total.");
            check.fail_here("COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", message);
        }
        if walk.text > MAX_TEXT {
            let message =
                format!("The total text of all components must be {MAX_TEXT} or fewer in length.");
            check.fail_here("COMPONENT_MAX_TOTAL_TEXT_EXCEEDED", message);
        }
        shown
    });
    Some(shown)
}

/// What counts over all components of a message, or of a modal.
#[derive(Default)]
pub struct Walk {
    custom_ids: HashSet<String>,
    count: usize,
    text: usize,
    last_id: u64,
}

impl Walk {
    fn component(&mut self, check: &mut Check, given: &Object, allowed: &[u64]) -> Option<Value> {
        let Some(kind) = given
            .get("type")
            .and_then(Value::as_u64)
            .filter(|kind| allowed.contains(kind))
        else {
            let kinds: Vec<String> = allowed.iter().map(u64::to_string).collect();
            let message = format!(
                "Value of field \"type\" must be one of ({}).",
                kinds.join(", ")
            );
            check.fail("type", "UNION_TYPE_CHOICES", message);
            return None;
        };
        self.count += 1;
        let mut shown = self.shown(check, given);
        match kind {
            ROW => self.row(check, given, &mut shown),
            BUTTON => self.button(check, given),
            STRING_SELECT | 5..=8 => self.select(check, given, kind),
            SECTION => {
                shown["components"] = self.children(check, given, &[TEXT], 1, 3);
                let accessory = check.object(given, "accessory");
                match accessory {
                    Some(accessory) => {
                        let accessory = check.at("accessory", |check| {
                            self.component(check, accessory, &[BUTTON, THUMBNAIL])
                        });
                        shown["accessory"] = accessory.unwrap_or_default();
                    }
                    None => check.missing("accessory"),
                }
            }
            TEXT => {
                let text = check.required_text(given, "content", MAX_TEXT);
                self.text += text.map_or(0, |text| text.chars().count());
            }
            THUMBNAIL => media(check, given, "media"),
            GALLERY => {
                let items = check.filled_list(given, "items", 1, 10);
                check.at("items", |check| {
                    check.each(items, |check, item| {
                        media(check, item, "media");
                        Some(())
                    })
                });
            }
            FILE => media(check, given, "file"),
            CONTAINER => {
                let inside = [ROW, SECTION, TEXT, GALLERY, FILE, SEPARATOR];
                shown["components"] = self.children(check, given, &inside, 1, MAX_COMPONENTS);
                check.integer(given, "accent_color", 0xff_ffff);
            }
            _ => {
                check.boolean(given, "divider");
                check.integer(given, "spacing", 2);
            }
        }
        Some(shown)
    }

    /// A component with an `id`, its own or the next one.
    pub fn shown(&mut self, check: &mut Check, given: &Object) -> Value {
        let id = check
            .integer(given, "id", u64::from(u32::MAX))
            .filter(|id| *id > 0);
        self.last_id += 1;
        let mut shown = Value::Object(given.clone());
        shown["id"] = json!(id.unwrap_or(self.last_id));
        shown
    }

    fn children(
        &mut self,
        check: &mut Check,
        given: &Object,
        allowed: &[u64],
        min: usize,
        max: usize,
    ) -> Value {
        let list = check.filled_list(given, "components", min, max);
        check
            .at("components", |check| {
                check.each(list, |check, child| self.component(check, child, allowed))
            })
            .into()
    }

    /// Up to five buttons, or one select.
    fn row(&mut self, check: &mut Check, given: &Object, shown: &mut Value) {
        let mut allowed = vec![BUTTON];
        allowed.extend(SELECTS);
        shown["components"] = self.children(check, given, &allowed, 1, 5);
        let kinds = shown["components"].as_array().into_iter().flatten();
        let selects = kinds.filter(|child| child["type"] != json!(BUTTON)).count();
        if selects > 0 && shown["components"].as_array().map_or(0, Vec::len) > 1 {
            check.fail(
                "components",
                "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
                "The specified components exceed the maximum width",
            );
        }
    }

    fn button(&mut self, check: &mut Check, given: &Object) {
        let style = check.integer(given, "style", PREMIUM);
        check.text(given, "label", 80);
        check.boolean(given, "disabled");
        match style {
            None => check.missing("style"),
            Some(LINK) => {
                if check.url(given, "url", false).is_none() {
                    check.missing("url");
                }
                if given.contains_key("custom_id") {
                    let message = "A custom id and url cannot both be specified";
                    check.fail(
                        "custom_id",
                        "BUTTON_COMPONENT_CUSTOM_ID_AND_URL_MUTUALLY_EXCLUSIVE",
                        message,
                    );
                }
            }
            Some(PREMIUM) => {
                if !given.contains_key("sku_id") {
                    check.missing("sku_id");
                }
            }
            Some(_) => self.custom_id(check, given),
        }
        let shows = ["label", "emoji", "sku_id"];
        if !shows
            .iter()
            .any(|key| given.get(*key).is_some_and(|value| !value.is_null()))
        {
            check.fail(
                "label",
                "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED",
                "A label or emoji is required",
            );
        }
    }

    pub fn select(&mut self, check: &mut Check, given: &Object, kind: u64) {
        self.custom_id(check, given);
        check.text(given, "placeholder", 150);
        check.integer(given, "min_values", 25);
        check.integer(given, "max_values", 25);
        if kind == STRING_SELECT {
            options(check, given, 1, 25);
        }
    }

    pub fn custom_id(&mut self, check: &mut Check, given: &Object) {
        match check.text_between(given, "custom_id", 1, 100) {
            None => check.missing("custom_id"),
            Some(id) => {
                if !self.custom_ids.insert(id) {
                    let message = "Component custom id cannot be duplicated";
                    check.fail("custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", message);
                }
            }
        }
    }
}

/// What can be chosen, between so many and so many.
pub fn options(check: &mut Check, given: &Object, least: usize, most: usize) {
    let options = check.filled_list(given, "options", least, most);
    check.at("options", |check| {
        check.each(options, |check, option| {
            check.required_text(option, "label", 100);
            check.required_text(option, "value", 100);
            check.text(option, "description", 100);
            Some(())
        })
    });
}

fn media(check: &mut Check, given: &Object, key: &str) {
    match check.object(given, key) {
        None => check.missing(key),
        Some(media) => check.at(key, |check| {
            if check.url(media, "url", true).is_none() {
                check.missing("url");
            }
        }),
    }
}
