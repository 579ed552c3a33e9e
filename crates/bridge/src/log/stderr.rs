//! Lines for stderr, written by a thread of their own: whoever does not read them holds up nobody. So many may wait; those beyond that are counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// Lines that may wait.
const WAITING: usize = 1_024;

/// How long the last ones may take.
const END: Duration = Duration::from_millis(200);

enum Word {
    Line(String),
    /// All before it is written when this is dropped.
    End(#[expect(dead_code, reason = "its drop tells")] Sender<()>),
}

/// A handle to write by.
#[derive(Clone)]
pub struct Stderr {
    words: SyncSender<Word>,
    lost: Arc<AtomicU64>,
}

impl Stderr {
    /// Starts the thread, which ends with the last handle.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub fn start() -> io::Result<Self> {
        Self::over(io::stderr())
    }

    fn over(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (words, written) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let stderr = Self {
            words,
            lost: lost.clone(),
        };
        let write = move || write(out, &written, &lost);
        thread::Builder::new().name("stderr".into()).spawn(write)?;
        Ok(stderr)
    }

    /// Has a line written, if there is room for it.
    pub fn line(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.words.try_send(Word::Line(line)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all is written, if somebody reads.
    pub fn flush(&self) {
        let (word, written) = channel();
        if self.words.try_send(Word::End(word)).is_ok() {
            // Either way there is nothing left to do.
            let _ = written.recv_timeout(END);
        }
    }
}

fn write(mut out: impl Write, words: &Receiver<Word>, lost: &AtomicU64) {
    for word in words {
        let Word::Line(mut text) = word else { continue };
        text.push('\n');
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            text += &format!("WARN {lost} lines of the log were lost: nobody read stderr\n");
        }
        // Where stderr is closed there is nobody to tell.
        let _ = out.write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader who can be slow.
    struct Reader {
        goes_on: Receiver<()>,
        lines: Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The other end is the test's, which is over then.
            let _ = self.goes_on.recv();
            let _ = self
                .lines
                .send(String::from_utf8_lossy(bytes).trim().to_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_does_not_read_holds_up_nobody_and_learns_how_much_was_lost() {
        let (goes_on, reads) = channel();
        let (lines, read) = channel();
        let reader = Reader {
            goes_on: reads,
            lines,
        };
        let stderr = Stderr::over(reader).unwrap();
        for number in 0..2 * WAITING {
            stderr.line(number.to_string());
        }
        drop(goes_on);
        stderr.flush();
        drop(stderr);
        let text = read.iter().collect::<Vec<_>>().join("\n");
        assert!(text.starts_with("0\n"), "{text}");
        let lost = text.lines().filter_map(|line| line.strip_prefix("WARN "));
        let lost = lost.map(|lost| lost.split(' ').next().unwrap().parse::<usize>().unwrap());
        let lines = text.lines().filter(|line| line.parse::<usize>().is_ok());
        assert_eq!(lines.count() + lost.sum::<usize>(), 2 * WAITING);
    }
}
