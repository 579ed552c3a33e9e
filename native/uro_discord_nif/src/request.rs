//! A request as Elixir describes it.

use bytes::Bytes;
use rustler::{Atom, Binary, Encoder, Env, Term};
use uro_discord_rest::{Auth, Body, Error, File, Priority, Request, Retry, SecretString};

use crate::options::{milliseconds, optional, required, short_string};
use crate::{atoms, route};

/// Discord takes ten attachments with a message.
const MAX_FILES: usize = 10;

/// All of a request but the data to send: that may be large, and is copied elsewhere.
pub(crate) struct Outline {
    request: Request,
    content_type: Option<String>,
    /// Name and type of each file.
    files: Vec<(String, Option<String>)>,
}

impl Outline {
    /// Reads the map, in a time that does not depend on how much is to be sent. Returns beside the outline the data: a
    /// pair of the body (or `nil`) and the list of the files' binaries.
    pub(crate) fn read<'a>(env: Env<'a>, map: Term<'a>) -> Result<(Self, Term<'a>), String> {
        let given = required(map, atoms::route(), "a route")?;
        let mut request = Request::new(route::target(given)?);
        request.reason = short_string(map, atoms::reason())?;
        request.auth = auth(map)?;
        request.priority = priority(map)?;
        request.retry = retry(map)?;
        if let Some(deadline) = milliseconds(map, atoms::deadline_ms())? {
            request.deadline = deadline;
        }
        let content_type = short_string(map, atoms::content_type())?;
        let body: Option<Binary<'a>> = optional(map, atoms::body(), "a binary")?;
        let given: Option<Vec<Term<'a>>> = optional(map, atoms::files(), "a list of maps")?;
        let given = given.unwrap_or_default();
        if given.len() > MAX_FILES {
            return Err(format!(":files must be at most {MAX_FILES}"));
        }
        let mut files = Vec::new();
        let mut data = Vec::new();
        for file in given {
            let name = short_string(file, atoms::name())?.ok_or("a file's :name is missing")?;
            files.push((name, short_string(file, atoms::content_type())?));
            data.push(required::<Binary<'a>>(file, atoms::data(), "a binary")?);
        }
        let outline = Self {
            request,
            content_type,
            files,
        };
        Ok((outline, (body, data).encode(env)))
    }

    /// The whole request; `payload` is what `read` gave. Copies the data.
    pub(crate) fn with_payload(mut self, payload: Term<'_>) -> Result<Request, Error> {
        let unreadable = |_| Error::InvalidRequest("body: not a binary".into());
        let (body, data): (Option<Binary<'_>>, Vec<Binary<'_>>) =
            payload.decode().map_err(unreadable)?;
        let json = body.map(|body| Bytes::copy_from_slice(&body));
        let with_data = |((name, content_type), data): (_, Binary<'_>)| File {
            name,
            content_type,
            data: Bytes::copy_from_slice(&data),
        };
        let files: Vec<File> = self.files.into_iter().zip(data).map(with_data).collect();
        self.request.body = match (json, self.content_type) {
            (json, _) if !files.is_empty() => Body::Multipart { json, files },
            (Some(bytes), Some(content_type)) => Body::Raw {
                content_type,
                bytes,
            },
            (Some(json), None) => Body::Json(json),
            (None, _) => Body::Empty,
        };
        Ok(self.request)
    }
}

fn priority(map: Term<'_>) -> Result<Priority, String> {
    let priority: Option<Atom> = optional(map, atoms::priority(), "an atom")?;
    let priorities = [
        (atoms::high(), Priority::High),
        (atoms::normal(), Priority::Normal),
        (atoms::low(), Priority::Low),
    ];
    choose(priority.unwrap_or(atoms::normal()), priorities)
        .ok_or_else(|| ":priority must be :high, :normal or :low".into())
}

fn retry(map: Term<'_>) -> Result<Retry, String> {
    let retry: Atom = required(map, atoms::retry(), "an atom")?;
    choose(
        retry,
        [(atoms::safe(), Retry::Safe), (atoms::never(), Retry::Never)],
    )
    .ok_or_else(|| ":retry must be :safe or :never".into())
}

fn auth(map: Term<'_>) -> Result<Auth, String> {
    let auth: Option<Term<'_>> = optional(map, atoms::auth(), "a term")?;
    let Some(auth) = auth else {
        return Ok(Auth::Bot);
    };
    if let Ok((kind, token)) = auth.decode::<(Atom, String)>()
        && kind == atoms::bearer()
    {
        return Ok(Auth::Bearer(SecretString::from(token)));
    }
    let named = auth.decode::<Atom>().ok().and_then(|name| {
        choose(
            name,
            [(atoms::bot(), Auth::Bot), (atoms::none(), Auth::None)],
        )
    });
    named.ok_or_else(|| ":auth must be :bot, :none or {:bearer, token}".into())
}

pub(crate) fn choose<T, const N: usize>(given: Atom, choices: [(Atom, T); N]) -> Option<T> {
    choices
        .into_iter()
        .find(|(name, _)| *name == given)
        .map(|(_, value)| value)
}
