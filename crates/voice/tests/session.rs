//! Sessions in discord-sim's voice channels.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Discord, MainGateway, frame, soon, talk};
use uro_discord_voice::{
    Config, End, Event, Mode, Next, NotInChannel, Phase, SendError, Session, Step,
};

fn ended(event: &Event) -> bool {
    matches!(event, Event::Ended(_))
}

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
        talk(&mut [&mut uro, &mut peer]).await;
        let status = soon(uro.session.status()).await.unwrap();
        let mode = if aes {
            Mode::Aes256Gcm
        } else {
            Mode::XChaCha20Poly1305
        };
        assert_eq!((status.phase, status.mode), (Phase::Joined, Some(mode)));
        assert_eq!(status.users, [peer.user_id]);
        // Speech ends by itself.
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
        let user_id = peer.user_id;
        assert_eq!(left, Event::UserLeft { user_id });
    }
}

/// What nobody listens to is not opened, and whoever begins to listen hears from then on.
#[tokio::test]
async fn others_are_heard_while_they_are_wanted() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    let mut peer = discord.bot("peer", "world").await;
    talk(&mut [&mut uro, &mut peer]).await;
    let before = soon(uro.session.status()).await.unwrap().received;
    uro.session.want_audio(false).await;
    for number in 0..20 {
        peer.session.try_send_opus(frame(b'x', number)).unwrap();
    }
    let unheard = soon(async {
        loop {
            let received = uro.session.status().await.unwrap().received;
            if received.unread >= before.unread + 20 {
                return received;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let unheard = unheard.await;
    assert_eq!(unheard.delivered, before.delivered);
    assert_eq!(unheard.lost, before.lost);
    uro.session.want_audio(true).await;
    talk(&mut [&mut uro, &mut peer]).await;
    let after = soon(uro.session.status()).await.unwrap().received;
    assert_eq!(after.lost, before.lost);
    discord.no_violations().await;
}

/// The voice gateway goes away and comes back; nobody hears of it.
#[tokio::test]
async fn a_broken_connection_is_resumed_while_audio_flows() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    let mut peer = discord.bot("peer", "world").await;
    talk(&mut [&mut uro, &mut peer]).await;
    let breaks = [
        json!({"action": "drop", "user": "uro"}),
        json!({"action": "close", "code": 4015, "user": "uro"}),
        json!({"action": "close", "code": 1001, "user": "uro"}),
    ];
    for action in breaks {
        uro.session.try_send_opus(frame(b'x', 0)).unwrap();
        discord.post("voice", action).await;
        for number in 1..20 {
            uro.session.try_send_opus(frame(b'x', number)).unwrap();
        }
        peer.hear_all(uro.user_id, b'x', 20).await;
        uro.event(|event| *event == Event::Resuming).await;
        uro.event(|event| *event == Event::Resumed).await;
        talk(&mut [&mut uro, &mut peer]).await;
    }
    // Who came in the meantime is not missed.
    discord
        .post("faults", json!([{"voice_opcode": 7, "delay_ms": 1000}]))
        .await;
    discord
        .post("voice", json!({"action": "drop", "user": "uro"}))
        .await;
    let mut third = discord.bot("bot-1", "world").await;
    uro.event(|event| *event == Event::Resumed).await;
    talk(&mut [&mut uro, &mut peer, &mut third]).await;
    let voice = discord.get("voice").await;
    assert_eq!(
        (&voice["resumes"], &voice["resumes_refused"]),
        (&json!(4), &json!(0))
    );
    discord.no_violations().await;
}

/// A heartbeat that nobody answers is the end of a connection, not of a session.
#[tokio::test]
async fn a_connection_that_is_silent_is_resumed() {
    let discord = Discord::start(false).await;
    discord
        .post("settings", json!({"voice_heartbeat_interval_ms": 300}))
        .await;
    let mut uro = discord.bot("uro", "world").await;
    discord
        .post("faults", json!([{"voice_opcode": 3, "ignore": true}]))
        .await;
    uro.event(|event| *event == Event::Resuming).await;
    uro.event(|event| *event == Event::Resumed).await;
    let mut status = soon(uro.session.status()).await.unwrap();
    while status.gateway_round_trip.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        status = soon(uro.session.status()).await.unwrap();
    }
}

/// Each close code leads to what the table says.
#[tokio::test]
async fn close_codes() {
    let discord = Discord::start(false).await;
    let codes = [
        (4004, End::TokenRejected, Next::Rejoin),
        (4006, End::SessionInvalid, Next::Rejoin),
        (4009, End::SessionTimeout, Next::Rejoin),
        (4017, End::EncryptionRequired, Next::Stop),
        (4021, End::RateLimited, Next::RejoinLater),
        (4016, End::Refused { code: 4016 }, Next::RejoinOnce),
    ];
    for ((code, expected, next), user) in codes.into_iter().zip(["uro", "peer"].iter().cycle()) {
        let mut bot = discord.bot(user, "world").await;
        discord
            .post(
                "voice",
                json!({"action": "close", "code": code, "user": user}),
            )
            .await;
        let end = bot.event(ended).await;
        assert_eq!(end, Event::Ended(expected.clone()));
        assert_eq!(expected.next(), next);
        assert_eq!(bot.events.next().await, None);
        assert_eq!(bot.frames.next().await, None);
        assert!(bot.session.status().await.is_none());
        assert!(bot.session.try_send_opus(frame(0, 0)).is_err());
        bot.gateway.voice_state(&discord, None).await;
    }
}

/// Somebody moves the bot to another channel.
#[tokio::test]
async fn a_move_is_followed() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    let mut peer = discord.bot("peer", "lobby").await;
    discord
        .post(
            "voice",
            json!({"action": "move", "user": "uro", "channel": "lobby"}),
        )
        .await;
    uro.follow().await;
    uro.event(|event| matches!(event, Event::Joined { .. }))
        .await;
    assert_eq!(
        uro.handshake.channel_id().to_string(),
        discord.info().channels["lobby"]
    );
    talk(&mut [&mut uro, &mut peer]).await;
    discord.no_violations().await;
}

/// The voice server goes away, and another one is named.
#[tokio::test]
async fn a_change_of_servers_is_followed() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    let mut peer = discord.bot("peer", "world").await;
    talk(&mut [&mut uro, &mut peer]).await;
    discord
        .post("voice", json!({"action": "server_change"}))
        .await;
    for bot in [&mut uro, &mut peer] {
        bot.follow().await;
        bot.event(|event| *event == Event::Waiting).await;
        bot.event(|event| matches!(event, Event::Joined { .. }))
            .await;
    }
    talk(&mut [&mut uro, &mut peer]).await;
    discord.no_violations().await;
}

/// Somebody disconnects the bot.
#[tokio::test]
async fn being_thrown_out_is_told() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    discord
        .post("voice", json!({"action": "disconnect", "user": "uro"}))
        .await;
    let step = uro.gateway.step(&mut uro.handshake).await;
    assert!(matches!(step, Step::Left(NotInChannel::Disconnected)));
    // 4014 alone does not say which it is.
    uro.event(|event| *event == Event::Waiting).await;
    uro.session.leave().await;
    assert_eq!(uro.events.next().await, Some(Event::Ended(End::Left)));
}

/// 4014, and nobody names a server.
#[tokio::test]
async fn no_server_in_time_is_the_end() {
    let discord = Discord::start(false).await;
    let waited = Duration::from_millis(300);
    let config = Config {
        move_timeout: waited,
        ..discord.config.clone()
    };
    let mut uro = discord.bot_with("uro", "world", config).await;
    discord
        .post("voice", json!({"action": "disconnect", "user": "uro"}))
        .await;
    let end = uro.event(ended).await;
    assert_eq!(end, Event::Ended(End::Disconnected { waited }));
    // An outage of Discord's; that somebody decided it is the main gateway's to say.
    assert_eq!(End::Disconnected { waited }.next(), Next::Rejoin);
}

/// Discord does not answer whoever may not join.
#[tokio::test]
async fn a_full_or_forbidden_channel_ends_in_a_clear_error() {
    let discord = Discord::start(false).await;
    discord
        .post(
            "voice",
            json!({"action": "user_limit", "channel": "lobby", "limit": 1}),
        )
        .await;
    let _peer = discord.bot("peer", "lobby").await;
    for channel in ["office", "lobby"] {
        let mut gateway = MainGateway::open(&discord, "uro").await;
        let mut handshake = gateway.ask(&discord, channel).await;
        let quiet = Duration::from_millis(500);
        let answer = tokio::time::timeout(quiet, gateway.step(&mut handshake)).await;
        assert!(answer.is_err(), "{answer:?}");
        // Time is an argument, so that nobody need wait for it.
        let step = handshake.timeout(Instant::now() + Duration::from_secs(15));
        let Some(Step::Left(reason)) = step else {
            panic!("{step:?}");
        };
        assert!(
            reason.to_string().contains("the channel is full"),
            "{reason}"
        );
        gateway.close().await;
    }
}

/// Every frame is accounted for, on a bad network.
#[tokio::test]
async fn a_bad_network_loses_what_it_says() {
    const FRAMES: u64 = 250;
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    let mut peer = discord.bot("peer", "world").await;
    talk(&mut [&mut uro, &mut peer]).await;
    let before = soon(peer.session.status()).await.unwrap().received;
    let down =
        json!({"loss": 0.1, "duplicate": 0.1, "reorder": 0.05, "delay_ms": 20, "jitter_ms": 15});
    discord
        .post("voice/network", json!({"seed": 7, "down": down}))
        .await;
    let mut lost_before = 0;
    let listen = async {
        let mut heard = Vec::new();
        while heard.last() != Some(&FRAMES) {
            let received = peer.hear().await;
            lost_before += u64::from(received.lost_before);
            let number = u64::from(received.frame[1]) << 8 | u64::from(received.frame[2]);
            assert!(!heard.contains(&number), "{number} came twice");
            heard.push(number);
        }
        heard
    };
    let speak = async {
        for number in 1..=FRAMES + 50 {
            let [.., high, low] = number.min(FRAMES).to_be_bytes();
            // The last one is repeated until one of them is heard.
            uro.session
                .send_opus(vec![b'n', high, low, 0x55].into())
                .await
                .unwrap();
        }
    };
    let (heard, ()) = tokio::join!(listen, speak);
    let after = soon(peer.session.status()).await.unwrap().received;
    let (delivered, lost) = (after.delivered - before.delivered, after.lost - before.lost);
    assert!(heard.len() < 245 && lost > 5, "{after:?}");
    assert!(after.duplicates > 5, "{after:?}");
    assert_eq!(
        after.received,
        after.delivered + after.undecryptable + after.held_too_long
    );
    // What was said to be lost and came late is in `lost_before` and not in `lost`.
    assert!(lost_before >= lost, "{lost_before} {after:?}");
    assert!(delivered >= heard.len() as u64, "{after:?}");
}

/// A voice server that cannot be reached is told as such, after as many attempts as were allowed.
#[tokio::test]
async fn a_server_that_is_not_there() {
    let discord = Discord::start(false).await;
    let mut gateway = MainGateway::open(&discord, "uro").await;
    let mut handshake = gateway.ask(&discord, "world").await;
    let Step::Join(mut info) = gateway.step(&mut handshake).await else {
        panic!("no server");
    };
    // A port that was free a moment ago.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    info.endpoint = listener.local_addr().unwrap().to_string();
    drop(listener);
    let config = Config {
        attempts: 1,
        ..discord.config.clone()
    };
    let (_session, connection, mut events, _frames) = Session::join(info, config).unwrap();
    tokio::spawn(connection);
    let Some(Event::Ended(end @ End::Unreachable { attempts: 2, .. })) = soon(events.next()).await
    else {
        panic!("no end");
    };
    assert!(end.to_string().contains("refused"), "{end}");
    assert_eq!(end.next(), Next::Rejoin);
}

/// A certificate that nobody vouches for.
#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let discord = Discord::start(true).await;
    let mut gateway = MainGateway::open(&discord, "uro").await;
    let mut handshake = gateway.ask(&discord, "world").await;
    let Step::Join(info) = gateway.step(&mut handshake).await else {
        panic!("no server");
    };
    let config = Config {
        attempts: 0,
        ..Config::new().unwrap()
    };
    let (_session, connection, mut events, _frames) = Session::join(info, config).unwrap();
    tokio::spawn(connection);
    let Some(Event::Ended(End::Unreachable { last, .. })) = soon(events.next()).await else {
        panic!("no end");
    };
    assert!(last.to_string().contains("TLS"), "{last}");
    // Down to what rustls says of the certificate.
    let mut cause: &dyn std::error::Error = &last;
    while let Some(source) = cause.source() {
        cause = source;
    }
    assert!(cause.to_string().contains("UnknownIssuer"), "{cause:?}");
}

/// On a stage there is no end-to-end encryption.
#[tokio::test]
async fn a_stage() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "stage").await;
    let mut peer = discord.bot("peer", "stage").await;
    talk(&mut [&mut uro, &mut peer]).await;
    let status = soon(uro.session.status()).await.unwrap();
    assert_eq!((status.dave.version, status.dave.can_send), (0, true));
    assert_eq!(status.dave.privacy_code, None);
    discord.no_violations().await;
}

/// Whoever has it spawned elsewhere hears when it is no more.
#[tokio::test]
async fn a_connection_that_is_dropped_is_told() {
    let discord = Discord::start(false).await;
    let mut gateway = MainGateway::open(&discord, "uro").await;
    let mut handshake = gateway.ask(&discord, "world").await;
    let Step::Join(info) = gateway.step(&mut handshake).await else {
        panic!("no server");
    };
    let (session, connection, mut events, mut frames) =
        Session::join(info, discord.config.clone()).unwrap();
    drop(connection);
    let end = Event::Ended(End::Dropped);
    assert_eq!(soon(events.next()).await, Some(end));
    assert_eq!(soon(frames.next()).await, None);
    assert_eq!(soon(session.status()).await, None);
    let frame = bytes::Bytes::from_static(&[0xfc]);
    assert_eq!(soon(session.send_opus(frame)).await, Err(SendError::Ended));
}
