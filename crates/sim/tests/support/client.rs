//! Clients that we did not write, each in a process of its own that says what it sees in lines of JSON.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::Discord;

/// One step of a client takes at most so long, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of their programs.
pub fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/clients")
}

/// A variable of the environment that bin/test sets.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; see test/clients/install"))
}

/// A client's process. It is killed when it is dropped.
pub struct Client {
    process: Child,
    told: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
    /// What it said and was not waited for yet.
    said: Vec<Value>,
}

impl Client {
    /// Starts a client that logs in as a user.
    pub fn start(discord: &Discord, user: &str, mut command: Command) -> Self {
        let info = discord.info();
        if let Some(ca_file) = &info.ca_file {
            command
                .env("SSL_CERT_FILE", ca_file)
                .env("NODE_EXTRA_CA_CERTS", ca_file);
        }
        let mut process = command
            .env("DISCORD_API", &info.api)
            .env("DISCORD_GATEWAY", &info.gateway)
            .env("DISCORD_TOKEN", &info.users[user].token)
            .env("DISCORD_GUILD_ID", &info.guild_id)
            .env("DISCORD_CHANNEL_ID", discord.channel("general"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the interpreter starts");
        Self {
            told: process.stdin.take().unwrap(),
            says: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
            said: Vec::new(),
        }
    }

    /// Tells it something, as a line of JSON.
    pub async fn tell(&mut self, line: Value) {
        let line = format!("{line}\n");
        self.told.write_all(line.as_bytes()).await.unwrap();
    }

    pub async fn wait_for(&mut self, event: &str) -> Value {
        self.wait(|said| said["event"] == event).await
    }

    pub async fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(at) = self.said.iter().position(&wanted) {
                return self.said.remove(at);
            }
            let line = timeout(PATIENCE, self.says.next_line())
                .await
                .unwrap_or_else(|_| panic!("the client hangs; it had said {:?}", self.said))
                .unwrap();
            let line =
                line.unwrap_or_else(|| panic!("the client ended; it had said {:?}", self.said));
            let said: Value = serde_json::from_str(&line).expect("a line of JSON");
            assert_ne!(said["event"], "failed", "{said}");
            self.said.push(said);
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
