use serde::Deserialize;
use serde_json::value::RawValue;

/// A payload from the gateway. Its data stays text, as Elixir wants it in another form than ours.
#[derive(Deserialize)]
pub struct Payload<'a> {
    pub op: u8,
    #[serde(rename = "s")]
    pub sequence: Option<u64>,
    #[serde(rename = "t")]
    pub kind: Option<String>,
    #[serde(borrow, rename = "d")]
    data: Option<&'a RawValue>,
}

/// What READY says that twilight does not keep.
#[derive(Deserialize)]
pub struct Ready {
    pub user: User,
}

#[derive(Deserialize)]
pub struct User {
    pub id: String,
}

impl<'a> Payload<'a> {
    pub fn data(&self) -> &'a str {
        self.data.map_or("null", RawValue::get)
    }
}
