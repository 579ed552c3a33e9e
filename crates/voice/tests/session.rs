//! Sessions in discord-sim's voice channels.

mod support;

use serde_json::json;
use support::{Discord, soon};
use uro_discord_voice::{Event, Mode, Phase};

/// Two bots hear each other, in both modes, over TLS and without.
#[tokio::test]
async fn frames_go_both_ways() {
    for (tls, aes) in [(false, true), (true, false)] {
        let discord = Discord::start(tls).await;
        discord
            .post("settings", json!({"voice_aes": aes, "voice_padding": 5}))
            .await;
        let mut uro = discord.bot("uro", "world").await;
        let mut peer = discord.bot("peer", "world").await;
        let version = uro.session.status().await.unwrap().dave.version;
        uro.can_send(version).await;
        peer.can_send(version).await;
        let status = soon(uro.session.status()).await.unwrap();
        let mode = if aes {
            Mode::Aes256Gcm
        } else {
            Mode::XChaCha20Poly1305
        };
        assert_eq!((status.phase, status.mode), (Phase::Joined, Some(mode)));
        uro.say(b'u', 20).await.unwrap();
        peer.hear_all(uro.user_id, b'u', 20).await;
        peer.say(b'p', 20).await.unwrap();
        uro.hear_all(peer.user_id, b'p', 20).await;
        // Its speech ended by itself.
        uro.event(|event| {
            matches!(event, Event::Speaking { speaking: false, user_id } if *user_id == peer.user_id)
        })
        .await;
        discord.no_violations().await;
        peer.gateway.voice_state(&discord, None).await;
        soon(peer.session.leave()).await;
        let left = uro
            .event(|event| matches!(event, Event::UserLeft { .. }))
            .await;
        assert_eq!(
            left,
            Event::UserLeft {
                user_id: peer.user_id
            }
        );
    }
}
