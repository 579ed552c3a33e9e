//! Logs: what the process logs becomes messages to Elixir, which hands them to its Logger.
//!
//! `URO_DISCORD_LOG` chooses what is logged, such as `debug` or `info,twilight_gateway=debug`; it is `info` unless said.

mod lane;
mod stderr;

pub use lane::Lane;
pub use stderr::Stderr;

use crate::sender::FrameSender;
use serde_json::{Map, Value};
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::field::{Field, Visit};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use uro_discord_wire::{FromBridge, Level};

/// How many bytes of a text are logged: others decide how long some are.
const TEXT: usize = 4_096;

/// Who is told what the process logs.
#[derive(Clone, Default)]
pub struct Listeners(Arc<Mutex<Vec<FrameSender>>>);

impl Listeners {
    /// From now on this one too, for as long as what is returned is kept.
    #[must_use]
    pub fn add(&self, sender: FrameSender) -> Listening {
        self.all().push(sender.clone());
        Listening {
            listeners: self.clone(),
            sender,
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<FrameSender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That somebody is told.
pub struct Listening {
    listeners: Listeners,
    sender: FrameSender,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.listeners.all().retain(|other| !other.is(&self.sender));
    }
}

/// Tells what the process logs, and that it panicked, to these; the panic itself is on stderr too, for the case that nobody hears. With
/// a `stderr` all of it is there.
///
/// # Errors
///
/// When the process has a log already.
pub fn install(
    listeners: Listeners,
    stderr: Option<Stderr>,
) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let (filter, mistake) =
        match std::env::var("URO_DISCORD_LOG").map(|text| text.parse::<Targets>()) {
            Ok(Ok(filter)) => (filter, None),
            Ok(Err(error)) => (default_filter(), Some(error)),
            Err(_) => (default_filter(), None),
        };
    let lines = Lines { listeners, stderr };
    let lines = lines.with_filter(filter);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines))?;
    if let Some(error) = mistake {
        tracing::warn!("URO_DISCORD_LOG is not understood, logging from info up: {error}");
    }
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked: {}", panic.payload_as_str().unwrap_or("?"));
    }));
    Ok(())
}

fn default_filter() -> Targets {
    Targets::new().with_default(LevelFilter::INFO)
}

/// Makes a message of each event.
struct Lines {
    listeners: Listeners,
    stderr: Option<Stderr>,
}

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        if let Some(stderr) = &self.stderr {
            stderr.line(format!("{} {}", metadata.level(), fields.line()));
        }
        let line = FromBridge::Log {
            level: level(*metadata.level()),
            target: metadata.target().into(),
            message: fields.message.into(),
            fields: fields.others,
        };
        for listener in self.listeners.all().iter() {
            listener.log(&line);
        }
    }
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    /// As one line: what others say has no end of line in it.
    fn line(&self) -> String {
        let mut text = self.message.escape_debug().to_string();
        for (name, value) in &self.others {
            // A JSON value is one line.
            let _ = fmt::Write::write_fmt(&mut text, format_args!(" {name}={value}"));
        }
        text
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }

    fn text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut text = Text::default();
        // An error is the end of the room, or a value that does not show itself: what there is by then is logged.
        let _ = text.write_fmt(value);
        match field.name() {
            "message" => self.message = text.0,
            _ => self.put(field, text.0),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

/// A text that takes no more than [`TEXT`] bytes and an ellipsis.
#[derive(Default)]
struct Text(String);

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = TEXT.saturating_sub(self.0.len());
        if more.len() <= room {
            self.0.push_str(more);
            return Ok(());
        }
        self.0.push_str(&more[..more.floor_char_boundary(room)]);
        self.0.push('…');
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut text = Text::default();
        assert!(write!(text, "{}日本", "x".repeat(TEXT - 1)).is_err());
        assert_eq!(text.0, format!("{}…", "x".repeat(TEXT - 1)));
    }

    #[test]
    fn a_text_that_fits_is_whole() {
        let mut text = Text::default();
        write!(text, "{}", "日".repeat(TEXT / 3)).unwrap();
        assert_eq!(text.0.len(), TEXT / 3 * 3);
    }
}
