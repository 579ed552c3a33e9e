//! Request bodies: JSON, or multipart with `payload_json` and files.

use axum::{
    RequestExt,
    body::Bytes,
    extract::{FromRequest, Multipart, Request, multipart::MultipartError},
    http::{StatusCode, header},
};
use serde_json::{Map, Value};

use super::{ApiError, FormErrors};

/// A file may have so many bytes (without boosts).
const MAX_FILE: usize = 10 << 20;
/// Files of one message.
const MAX_FILES: usize = 10;

/// A file of a multipart body.
#[derive(Debug)]
pub struct File {
    /// The `n` of its field's name `files[n]`.
    pub number: u64,
    pub name: String,
    pub content_type: Option<String>,
    pub content: Bytes,
}

/// A body: its JSON object, and files.
#[derive(Debug, Default)]
pub struct Form {
    pub json: Map<String, Value>,
    pub files: Vec<File>,
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind.map(|kind| {
            kind.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        });
        match kind.as_deref() {
            Some("application/json") => {
                let bytes = bytes(request).await?;
                Ok(Self {
                    json: object(&bytes)?,
                    files: Vec::new(),
                })
            }
            Some("multipart/form-data") => multipart(request).await,
            _ if bytes(request).await?.is_empty() => Ok(Self::default()),
            _ => Err(ApiError::invalid_form(FormErrors::one(
                &[],
                "CONTENT_TYPE_INVALID",
                "Expected \"Content-Type\" header to be one of {'application/json', 'multipart/form-data'}.",
            ))),
        }
    }
}

async fn bytes(request: Request) -> Result<Bytes, ApiError> {
    use axum::extract::rejection::{BytesRejection, FailedToBufferBody::LengthLimitError};
    request
        .extract::<Bytes, _>()
        .await
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(LengthLimitError(_)) => ApiError::too_large(),
            _ => ApiError::bad_request(),
        })
}

/// A JSON object. Discord answers any other JSON as it does a bad one.
fn object(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(ApiError::invalid_json()),
    }
}

async fn multipart(request: Request) -> Result<Form, ApiError> {
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|_| ApiError::bad_request())?;
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.map_err(part_error)? {
        let field = part.name().unwrap_or_default().to_owned();
        let name = part.file_name().map(str::to_owned);
        let content_type = part.content_type().map(str::to_owned);
        let content = part.bytes().await.map_err(part_error)?;
        match (field.as_str(), name) {
            ("payload_json", _) => form.json = object(&content)?,
            (field, Some(name)) => {
                let number = file_number(field).unwrap_or(form.files.len() as u64);
                if content.len() > MAX_FILE {
                    return Err(ApiError::too_large());
                }
                form.files.push(File {
                    number,
                    name,
                    content_type,
                    content,
                });
            }
            // Fields beside the JSON, such as `content`.
            (field, None) => {
                let text =
                    String::from_utf8(content.to_vec()).map_err(|_| ApiError::bad_request())?;
                form.json.insert(field.to_owned(), Value::String(text));
            }
        }
    }
    if form.files.len() > MAX_FILES {
        let message = format!("Must be {MAX_FILES} or fewer in length.");
        return Err(ApiError::invalid_form(FormErrors::one(
            &["attachments"],
            "BASE_TYPE_MAX_LENGTH",
            message,
        )));
    }
    Ok(form)
}

/// The `n` of `files[n]`.
fn file_number(field: &str) -> Option<u64> {
    field
        .strip_prefix("files[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

fn part_error(error: MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::too_large()
    } else {
        ApiError::bad_request()
    }
}
