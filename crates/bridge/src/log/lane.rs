//! The lines that wait to be written: so many bytes, and so many a second, since what reads them is a person. Lines for
//! which there is no room are counted, and the count is a line.

use serde_json::Map;
use std::time::{Duration, Instant};
use uro_discord_wire::{FromBridge, Level, frame};

/// From how many waiting bytes on a line is lost. The last one in may pass it.
const ROOM: usize = 256 * 1024;

/// How many lines there may be within [`WINDOW`].
const LINES: u32 = 500;

const WINDOW: Duration = Duration::from_secs(1);

/// The lines that wait, as frames.
#[derive(Debug, Default)]
pub struct Lane {
    frames: Vec<u8>,
    /// When the current window began, and the lines since then.
    began: Option<Instant>,
    lines: u32,
    lost: u64,
}

impl Lane {
    /// Adds a line, if there is room for it.
    pub fn put(&mut self, line: &FromBridge<'_>, now: Instant) {
        self.advance(now);
        if self.lines >= LINES || self.frames.len() >= ROOM || !self.append(line) {
            self.lost += 1;
        }
    }

    /// Moves what waits to the end of `batch`.
    pub fn take(&mut self, batch: &mut Vec<u8>, now: Instant) {
        self.advance(now);
        batch.append(&mut self.frames);
    }

    /// The same at the end, when no other line will say how many were lost.
    pub fn take_last(&mut self, batch: &mut Vec<u8>) {
        self.tell_lost();
        batch.append(&mut self.frames);
    }

    fn advance(&mut self, now: Instant) {
        if self.began.is_none_or(|began| now >= began + WINDOW) {
            self.began = Some(now);
            self.lines = 0;
            // Once in a window: a count for each lost line would be as many lines.
            self.tell_lost();
        }
    }

    fn tell_lost(&mut self) {
        if self.lost == 0 || self.frames.len() >= ROOM {
            return;
        }
        let line = FromBridge::Log {
            level: Level::Warning,
            target: module_path!().into(),
            message: format!("{} lines of the log were lost", self.lost).into(),
            fields: Map::from_iter([("lost".into(), self.lost.into())]),
        };
        if self.append(&line) {
            self.lost = 0;
        }
    }

    fn append(&mut self, line: &FromBridge<'_>) -> bool {
        let appended = frame::append(&mut self.frames, |out| line.encode(out));
        self.lines += u32::from(appended.is_ok());
        appended.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> FromBridge<'_> {
        FromBridge::Log {
            level: Level::Info,
            target: "test".into(),
            message: text.into(),
            fields: Map::new(),
        }
    }

    /// The messages of a batch.
    fn messages(mut batch: &[u8]) -> Vec<String> {
        let mut messages = Vec::new();
        while let Some(content) = frame::first(batch).unwrap() {
            match FromBridge::decode(content).unwrap() {
                FromBridge::Log { message, .. } => messages.push(message.into_owned()),
                other => panic!("{other:?}"),
            }
            batch = &batch[frame::PREFIX + content.len()..];
        }
        messages
    }

    fn taken(lane: &mut Lane, now: Instant) -> Vec<String> {
        let mut batch = Vec::new();
        lane.take(&mut batch, now);
        messages(&batch)
    }

    #[test]
    fn lines_over_the_rate_are_counted_and_the_count_is_told_once() {
        let mut lane = Lane::default();
        let start = Instant::now();
        for _ in 0..LINES + 30 {
            lane.put(&line("a"), start);
        }
        assert_eq!(taken(&mut lane, start).len(), LINES as usize);
        lane.put(&line("b"), start + WINDOW / 2);
        assert!(taken(&mut lane, start + WINDOW / 2).is_empty());
        lane.put(&line("c"), start + WINDOW);
        assert_eq!(
            taken(&mut lane, start + WINDOW),
            ["31 lines of the log were lost", "c"]
        );
        assert!(taken(&mut lane, start + 2 * WINDOW).is_empty());
    }

    #[test]
    fn a_reader_who_does_not_read_costs_no_more_than_the_room() {
        let mut lane = Lane::default();
        let mut now = Instant::now();
        let text = "x".repeat(4_000);
        for _ in 0..1_000 {
            lane.put(&line(&text), now);
            now += WINDOW;
        }
        assert!(lane.frames.len() < ROOM + 8_192, "{}", lane.frames.len());
        let mut batch = Vec::new();
        lane.take(&mut batch, now);
        let kept = messages(&batch).len();
        batch.clear();
        lane.take_last(&mut batch);
        assert_eq!(
            messages(&batch),
            [format!("{} lines of the log were lost", 1_000 - kept)]
        );
    }
}
