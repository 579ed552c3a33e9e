#![allow(clippy::unwrap_used)]

use super::*;
use crate::desired::DesiredVoice;
use crate::hearing::Hearing;
use crate::media::Media;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::timeout;
use uro_discord_voice::{Scheme, Session};
use uro_discord_wire::{Ended, FromBridge, Panicked, VoiceState};

const BREAKS: u64 = 1_300_000_000_000_000_100;
const STANDS: u64 = 1_300_000_000_000_000_200;

fn snowflake(id: u64) -> Snowflake {
    Snowflake::new(id).unwrap()
}

/// Both rooms, wanted for the so manyth time.
fn wanted(attempt: u64) -> Desired {
    let channels = [BREAKS, STANDS].map(|guild| {
        let channel = json!({
            "guild": guild.to_string(), "channel": (guild + 1).to_string(), "attempt": attempt,
            "self_mute": false, "self_deaf": false, "play": null,
        });
        (
            snowflake(guild),
            Arc::new(serde_json::from_value(channel).unwrap()),
        )
    });
    Desired {
        voice: Some(DesiredVoice {
            left: Arc::default(),
            tls: None,
            relay: false,
            user: snowflake(1),
            channels: Arc::new(channels.into()),
        }),
        ..Desired::default()
    }
}

/// Waits until each of these guilds is told to be on its way, in whatever order.
async fn joining<const N: usize>(heard: &mut Hearing, guilds: [u64; N]) {
    let mut missing = BTreeSet::from(guilds);
    while !missing.is_empty() {
        let guild = heard.until(|message| match message {
            FromBridge::Voice {
                guild,
                state: VoiceState::Joining(_),
            } => Some(guild.get()),
            _ => None,
        });
        missing.remove(&guild.await);
    }
}

/// The first number of a guild's call, of which each counts for itself.
fn first(guild: u64) -> u64 {
    if guild == BREAKS { 1 } else { (1 << 20) + 1 }
}

/// What the gateway says of a guild once it has asked: with that a session begins.
async fn let_in(updates: &mpsc::Sender<Addressed>, guild: u64, beginning: u64, server: &str) {
    for update in [
        Update::Asked { beginning },
        Update::State {
            channel: Some(snowflake(guild + 1)),
            session: "s".into(),
            suppressed: false,
        },
        Update::Server {
            endpoint: Some(server.into()),
            token: "t".into(),
        },
    ] {
        let to = Address::Guild(snowflake(guild));
        updates.send(Addressed { to, update }).await.unwrap();
    }
}

/// Sessions of the one room panic: as they are made, then as they run. The third is sound, as is the other room's only one.
fn begin(begun: Arc<[AtomicU32; 2]>) -> Begin {
    let media = Media::new(Handle::current()).unwrap();
    Arc::new(move |info, _, order| {
        let [of_this, of_other] = &*begun;
        let breaks = info.guild_id == BREAKS;
        let number = if breaks { of_this } else { of_other }.fetch_add(1, Ordering::SeqCst);
        assert!(number > 0 || !breaks, "on purpose, as a session is made");
        let config = media.config(Scheme::Ws, false);
        let (session, connection, events, frames) = Session::join(info, config)?;
        let running = tokio::spawn(async move {
            assert!(number != 1, "on purpose, as a session runs");
            connection.await;
        });
        Ok(ActiveSession::new(
            &media,
            session,
            running,
            events,
            frames,
            order.play.as_ref(),
        ))
    })
}

#[tokio::test]
async fn a_panic_ends_its_room_alone_which_is_joined_again() {
    // A voice server that takes connections and says nothing: sessions go on joining.
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let sender = FrameSender::default();
    let mut heard = Hearing::new(&sender);
    let (desired, desires) = watch::channel(wanted(1));
    let (updates, updated) = mpsc::channel(64);
    let begun = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let surroundings = Surroundings {
        sender,
        states: DesiredVoiceStates::default(),
        calls: Calls::default(),
        begin: begin(begun.clone()),
    };
    let rooms = tokio::spawn(run(desires, updated, surroundings));
    joining(&mut heard, [BREAKS, STANDS]).await;
    let_in(&updates, STANDS, first(STANDS), &address).await;

    let mut pauses = Vec::new();
    for beginning in [1, 2] {
        let_in(&updates, BREAKS, beginning, &address).await;
        let what = heard.until(|message| match message {
            FromBridge::Panic(what) => Some(what),
            _ => None,
        });
        assert_eq!(what.await, Panicked::Room(snowflake(BREAKS)));
        let (guild, ended) = heard
            .until(|message| match message {
                FromBridge::Voice {
                    guild,
                    state: VoiceState::Ended(ended),
                } => Some((guild, ended)),
                _ => None,
            })
            .await;
        let Ended { reason, retry_ms } = ended;
        assert_eq!(guild.get(), BREAKS, "{reason}");
        assert!(reason.contains("panicked"), "{reason}");
        pauses.push(retry_ms.unwrap());
        joining(&mut heard, [BREAKS]).await;
    }
    assert!(pauses[0] == 0 && pauses[1] > 0, "{pauses:?}");

    // Each is there to be asked, and neither has begun another session meanwhile.
    let_in(&updates, BREAKS, 3, &address).await;
    let third = async {
        while begun[0].load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), third).await.unwrap();
    desired.send_replace(wanted(2));
    joining(&mut heard, [BREAKS, STANDS]).await;
    assert_eq!(
        begun.each_ref().map(|count| count.load(Ordering::SeqCst)),
        [3, 1]
    );
    drop(desired);
    let ended = timeout(Duration::from_secs(5), rooms).await.unwrap();
    ended.unwrap().unwrap();
}
