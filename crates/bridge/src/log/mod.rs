//! Logs: one JSON object a line on stderr, which the Elixir side hands to its Logger.
//!
//! `{"level":"info","target":"…","message":"…","fields":{…}}`. What is logged is chosen by `URO_DISCORD_LOG`, such as `debug` or
//! `info,twilight_gateway=debug`; it is `info` unless said.

mod stderr;

pub use stderr::Stderr;

use serde_json::{Map, Value, json};
use std::fmt;
use std::io;
use tracing::field::{Field, Visit};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sends what the process logs, and its panics, to stderr.
pub fn install() -> io::Result<Stderr> {
    let stderr = Stderr::start(|lost| {
        line(
            "warn",
            module_path!(),
            &format!("{lost} log lines were lost"),
            &Map::new(),
        )
    })?;
    let (filter, mistake) =
        match std::env::var("URO_DISCORD_LOG").map(|text| text.parse::<Targets>()) {
            Ok(Ok(filter)) => (filter, None),
            Ok(Err(error)) => (default_filter(), Some(error)),
            Err(_) => (default_filter(), None),
        };
    tracing_subscriber::registry()
        .with(Lines(stderr.clone()).with_filter(filter))
        .init();
    if let Some(error) = mistake {
        tracing::warn!("URO_DISCORD_LOG is not understood, logging from info up: {error}");
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked: {}", panic.payload_as_str().unwrap_or("?"));
    }));
    Ok(stderr)
}

fn default_filter() -> Targets {
    Targets::new().with_default(LevelFilter::INFO)
}

fn line(level: &str, target: &str, message: &str, fields: &Map<String, Value>) -> String {
    json!({"level": level, "target": target, "message": message, "fields": fields}).to_string()
}

/// Makes a line of each event.
struct Lines(Stderr);

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let level = metadata.level().as_str().to_ascii_lowercase();
        self.0.line(line(
            &level,
            metadata.target(),
            &fields.message,
            &fields.others,
        ));
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.put(field, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            _ => self.put(field, value),
        }
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
