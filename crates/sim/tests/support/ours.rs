//! Our own voice session, as one more participant of a call.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::task::JoinHandle;
use uro_discord_voice::{Config, Event, Events, Frames, JoinInfo, Session, Tls};

use super::{
    Discord,
    gateway::{ALL_INTENTS, Gateway, identify_freely},
    soon,
    voice::{join, voice_state},
};

/// What was heard of one user: how many frames, and the last of them, in base64.
pub type Voice = (u64, VecDeque<String>);

/// Frames of each voice that are kept.
const KEPT: usize = 25;

pub struct Ours {
    main: Gateway,
    config: Config,
    call: Option<InCall>,
}

struct InCall {
    session: Session,
    task: JoinHandle<()>,
    heard: Arc<Mutex<BTreeMap<String, Voice>>>,
}

impl Ours {
    pub async fn log_in(discord: &Discord, user: &str) -> Self {
        identify_freely(discord).await;
        let tls = Tls::new(discord.info().ca_file.as_deref()).unwrap();
        Self {
            main: Gateway::identified(discord, user, ALL_INTENTS).await.0,
            config: Config::with_tls(tls),
            call: None,
        }
    }

    /// Joins a channel; answers the encryption's name.
    pub async fn join(&mut self, discord: &Discord, channel: &str) -> String {
        let ticket = join(discord, &mut self.main, channel).await;
        let info = JoinInfo {
            endpoint: ticket.endpoint,
            guild_id: discord.info().guild_id.parse().unwrap(),
            channel_id: discord.channel(channel).parse().unwrap(),
            user_id: ticket.user.parse().unwrap(),
            session_id: ticket.session.into(),
            token: ticket.token.into(),
        };
        let (session, connection, mut events, frames) =
            Session::join(info, self.config.clone()).unwrap();
        tokio::spawn(connection);
        let mode = loop {
            match soon(events.next()).await.expect("an event") {
                Event::Joined { mode } => break mode,
                Event::Ended(end) => panic!("{end}"),
                _ => {}
            }
        };
        let heard = Arc::default();
        let task = tokio::spawn(listen(events, frames, Arc::clone(&heard)));
        self.call = Some(InCall {
            session,
            task,
            heard,
        });
        mode.name().to_owned()
    }

    pub async fn leave(&mut self, discord: &Discord) {
        let call = self.call.take().expect("in a call");
        call.session.leave().await;
        call.task.await.unwrap();
        self.main.send(voice_state(discord, None)).await;
        self.main.events().await;
    }

    /// Speaks frames, which come in base64, one every 20 ms.
    pub async fn speak(&self, frames: &[String]) {
        let session = &self.session().session;
        let before = session.status().await.unwrap().sent;
        for frame in frames {
            session
                .send_opus(STANDARD.decode(frame).unwrap().into())
                .await
                .unwrap();
        }
        // Those that wait are spoken too.
        loop {
            let now = session.status().await.unwrap().sent;
            assert_eq!((now.no_key, now.socket), (before.no_key, before.socket));
            if now.sent - before.sent >= frames.len() as u64 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn code(&self) -> Option<String> {
        let status = self.session().session.status().await.unwrap();
        status.dave.privacy_code
    }

    /// What was heard since the last time, by user.
    pub fn heard(&self) -> BTreeMap<String, Voice> {
        std::mem::take(&mut self.session().heard.lock().unwrap())
    }

    fn session(&self) -> &InCall {
        self.call.as_ref().expect("in a call")
    }
}

async fn listen(
    mut events: Events,
    mut frames: Frames,
    heard: Arc<Mutex<BTreeMap<String, Voice>>>,
) {
    loop {
        tokio::select! {
            event = events.next() => match event {
                None | Some(Event::Ended(_)) => return,
                Some(_) => {}
            },
            Some(received) = frames.next() => {
                if received.frame.as_ref() == [0xf8, 0xff, 0xfe] {
                    continue;
                }
                let mut heard = heard.lock().unwrap();
                let (count, last) = heard.entry(received.user_id.to_string()).or_default();
                *count += 1;
                last.push_back(STANDARD.encode(&received.frame));
                if last.len() > KEPT {
                    last.pop_front();
                }
            }
        }
    }
}
