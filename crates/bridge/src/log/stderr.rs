//! Stderr, written by a thread of its own: whoever is slow to read the logs, or stops, holds nothing up. Lines that find
//! no room are counted, and the count is logged.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// How many lines may wait.
const ROOM: usize = 1024;

/// How long the last lines may take at the end.
const FLUSH: Duration = Duration::from_millis(100);

/// A handle to write lines by.
#[derive(Clone)]
pub struct Stderr {
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

enum Line {
    Text(String),
    /// Say so when all before this is written.
    Flush(SyncSender<()>),
}

impl Stderr {
    /// Starts the thread. `lost` words the line that says how many were lost.
    pub fn start(lost: fn(u64) -> String) -> std::io::Result<Self> {
        let (sender, lines) = sync_channel(ROOM);
        let stderr = Self {
            lines: sender,
            lost: Arc::default(),
        };
        let count = Arc::clone(&stderr.lost);
        std::thread::Builder::new()
            .name("stderr".into())
            .spawn(move || write(&lines, &count, lost))?;
        Ok(stderr)
    }

    /// Writes a line, if there is room for it.
    pub fn line(&self, text: String) {
        if self.lines.try_send(Line::Text(text)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was written so far has been taken, though not for long.
    pub fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if self.lines.try_send(Line::Flush(done)).is_ok() {
            // Late or not, this is the end.
            let _ = is_done.recv_timeout(FLUSH);
        }
    }
}

fn write(lines: &Receiver<Line>, lost: &AtomicU64, wording: fn(u64) -> String) {
    // Stderr may be gone, and there is nobody else to tell.
    let put = |line: String| drop(std::io::stderr().write_all(format!("{line}\n").as_bytes()));
    for line in lines {
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            count => put(wording(count)),
        }
        match line {
            Line::Text(text) => put(text),
            Line::Flush(done) => drop(done.try_send(())),
        }
    }
}
