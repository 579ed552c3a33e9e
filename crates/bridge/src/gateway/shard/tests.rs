//! The machine in a time that the tests make, against what a Discord would say.

use super::*;
use crate::presence::Presence;
use serde_json::{Value, json};

const LEASE: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);

/// A shard with what is desired of it, and its time.
struct Played {
    shard: Shard,
    desired: Desired,
    now: Instant,
}

fn gateway(sessions: &Value) -> Arc<Gateway> {
    let gateway = json!({"token": "t", "intents": 1, "shards": 2, "sessions": sessions, "events": ["WANTED"]});
    Arc::new(serde_json::from_value(gateway).unwrap())
}

impl Played {
    /// A shard that has a lease.
    fn leased(sessions: &Value) -> Self {
        let mut played = Self::unleased(sessions);
        played.lease(LEASE);
        played
    }

    fn unleased(sessions: &Value) -> Self {
        let gateway = gateway(sessions);
        let desired = Desired {
            gateway: Some(gateway.clone()),
            ..Desired::default()
        };
        let window = Duration::from_secs(62);
        let mut played = Self {
            shard: Shard::new(0, gateway, &desired, window),
            desired,
            now: Instant::now(),
        };
        played.look();
        played
    }

    /// One with a session that runs.
    fn active() -> Self {
        let mut played = Self::leased(&json!([]));
        played.permit();
        played.greet();
        played.ready("wss://resume.example");
        played.outputs();
        played
    }

    fn look(&mut self) {
        self.shard.desired(&self.desired, self.now);
    }

    fn lease(&mut self, time: Duration) {
        self.desired.lease = Some(self.now + time);
        self.look();
    }

    fn permit(&mut self) {
        self.desired.identify(0);
        self.look();
    }

    fn hear(&mut self, payload: Value) -> bool {
        let text = payload.to_string();
        let payload = Payload::read(&text).unwrap();
        self.shard.payload(&payload, self.now)
    }

    fn greet(&mut self) {
        self.hear(json!({"op": 10, "d": {"heartbeat_interval": 41_250}}));
    }

    fn ready(&mut self, url: &str) {
        let ready = json!({"session_id": "s", "resume_gateway_url": url, "user": {"id": "7"}});
        self.hear(json!({"op": 0, "s": 1, "t": "READY", "d": ready}));
    }

    /// Lets the time pass, as the driver does.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.shard.deadline(self.now).filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.shard.advance(self.now);
            assert!(
                self.shard
                    .deadline(self.now)
                    .is_none_or(|next| next > self.now),
                "it would spin"
            );
        }
        self.now = end;
    }

    /// What there was to do, in short.
    fn outputs(&mut self) -> Vec<String> {
        let outputs = std::iter::from_fn(|| self.shard.output());
        outputs
            .map(|output| match output {
                Output::Report(GatewayState::Disconnected(closed)) => closed.reason,
                Output::Report(GatewayState::Fatal(closed)) => format!("fatal {:?}", closed.code),
                Output::Report(GatewayState::Active(active)) => {
                    format!("Active {} {}", active.session_id, active.resumed)
                }
                Output::Report(state) => format!("{state:?}"),
                Output::Sequence { session, sequence } => format!("{session} {sequence}"),
                Output::Voice(_) => "voice".into(),
                output => format!("{output:?}"),
            })
            .collect()
    }
}

#[test]
fn a_day_of_refused_identifies_stays_under_discords_thousand() {
    let mut identifies = 0;
    let mut passed = Duration::ZERO;
    while passed < Duration::from_secs(24 * 60 * 60) {
        identifies += 1;
        // Chance may be against us each time: half of what is asked for.
        passed += PAUSES.longest / 2;
    }
    assert!(identifies + 10 < 1000, "{identifies}");
    let longest = PAUSES.after(u32::MAX);
    assert!(longest >= PAUSES.longest / 2, "{longest:?}");
}

#[test]
fn without_a_lease_and_the_permission_nothing_is_opened() {
    let mut played = Played::unleased(&json!([]));
    played.permit();
    played.wait(LEASE);
    assert!(played.outputs().is_empty());
    assert_eq!(played.shard.deadline(played.now), None);

    played.lease(LEASE);
    // What was allowed before was for then.
    assert_eq!(played.outputs(), ["Waiting"]);
    played.wait(LEASE / 2);
    assert!(played.outputs().is_empty());
    played.permit();
    assert_eq!(played.outputs(), ["Connecting", "Connect"]);
    played.greet();
    played.ready("wss://resume.example");
    assert_eq!(played.outputs(), ["Identifying", "voice", "Active s false"]);
}

#[test]
fn a_permission_while_the_session_runs_is_not_kept_for_the_next() {
    let mut played = Played::active();
    played.permit();
    played.hear(json!({"op": 9, "d": false}));
    played.shard.closed(1000, "", played.now);
    let lost = ["Disconnect", "Discord found the session invalid", "Waiting"];
    assert_eq!(played.outputs(), lost);
    played.wait(60 * SECOND);
    assert!(played.outputs().is_empty());
    played.permit();
    assert_eq!(played.outputs(), ["Connecting", "Connect"]);
}

#[test]
fn a_session_is_resumed_with_what_was_heard_last_and_without_permission() {
    let mut played = Played::active();
    assert!(played.hear(json!({"op": 0, "s": 5, "t": "WANTED", "d": {}})));
    assert!(!played.hear(json!({"op": 0, "s": 6, "t": "OTHER", "d": {}})));
    played.wait(Duration::ZERO);
    assert_eq!(played.outputs(), ["s 6"]);
    played.hear(json!({"op": 9, "d": true}));
    played
        .shard
        .disconnected("the connection was lost", played.now);
    let lost = [
        "Disconnect",
        "Discord found the session invalid",
        "Connecting",
        "Connect",
    ];
    assert_eq!(played.outputs(), lost);
    let session = Resumable {
        id: "s".into(),
        sequence: 6,
        url: Some("wss://resume.example".into()),
        elsewhere: false,
    };
    assert_eq!(played.shard.session(), Some(&session));
    played.greet();
    played.hear(json!({"op": 0, "s": 7, "t": "RESUMED", "d": {}}));
    assert_eq!(played.outputs()[..2], ["Resuming", "Active s true"]);
}

#[test]
fn who_does_not_say_hello_is_left_and_the_pauses_grow() {
    let session =
        json!([{"shard": 0, "id": "s", "sequence": 1, "resume_url": "wss://resume.example"}]);
    let mut played = Played::leased(&session);
    assert_eq!(played.outputs(), ["Connecting", "Connect"]);
    let elsewhere = |played: &Played| played.shard.session().unwrap().elsewhere;
    assert!(!elsewhere(&played));
    played.wait(HELLO - SECOND);
    assert!(played.outputs().is_empty());
    played.wait(SECOND);
    let lost = ["Disconnect", "Discord did not say hello"];
    assert_eq!(played.outputs()[..2], lost);
    // Now where sessions begin, then where this one has been again.
    assert!(elsewhere(&played));
    played.wait(HELLO);
    assert!(!elsewhere(&played));
    // It never stands, so each pause is twice as long, half of it chance: 1 to 64 s, and seven attempts.
    let start = played.now;
    for _ in 0..7 {
        played.outputs();
        while played.outputs().iter().all(|done| done != lost[1]) {
            played.wait(SECOND);
        }
    }
    let took = played.now - start;
    let (least, most) = (
        127 * SECOND / 2 + 7 * HELLO,
        127 * SECOND + 7 * (HELLO + SECOND),
    );
    assert!((least..=most).contains(&took), "{took:?}");
}

#[test]
fn what_stood_for_half_a_minute_is_opened_again_at_once() {
    let mut played = Played::active();
    for _ in 0..20 {
        played.wait(30 * SECOND);
        played.shard.closed(4000, "bye", played.now);
        assert_eq!(
            played.outputs(),
            ["Disconnect", "bye", "Connecting", "Connect"]
        );
        played.greet();
        played.hear(json!({"op": 0, "s": 2, "t": "RESUMED", "d": {}}));
        played.outputs();
    }
}

#[test]
fn a_connection_that_discord_wants_ended_lingers_for_two_seconds() {
    let mut played = Played::active();
    played.hear(json!({"op": 7, "d": null}));
    played.wait(LINGERING - Duration::from_millis(1));
    assert!(played.outputs().is_empty());
    played.wait(Duration::from_millis(1));
    let lost = [
        "Disconnect",
        "Discord asked to reconnect",
        "Connecting",
        "Connect",
    ];
    assert_eq!(played.outputs(), lost);
}

#[test]
fn a_connection_that_twilight_opened_by_itself_is_not_used() {
    let mut played = Played::active();
    played.hear(json!({"op": 7, "d": null}));
    played.greet();
    assert_eq!(
        played.outputs()[..2],
        ["Disconnect", "Discord asked to reconnect"]
    );
}

#[test]
fn a_place_that_discord_does_not_know_is_not_resumed_from_again() {
    let mut played = Played::active();
    played.outputs();
    played.shard.closed(4007, "Invalid seq", played.now);
    assert!(played.shard.session().is_none());
    played.wait(Duration::ZERO);
    assert_eq!(played.outputs(), ["Disconnect", "Invalid seq", "Waiting"]);
    played.permit();
    assert_eq!(played.outputs(), ["Connecting", "Connect"]);
}

#[test]
fn a_lapsed_lease_closes_and_the_next_one_resumes() {
    let mut played = Played::active();
    played.lease(SECOND);
    played.wait(SECOND);
    assert_eq!(played.outputs(), ["Close(Resumable)"]);
    // What comes until it is answered comes again.
    assert!(!played.hear(json!({"op": 0, "s": 9, "t": "WANTED", "d": {}})));
    assert_eq!(played.shard.session().unwrap().sequence, 1);
    played.shard.closed(4000, "", played.now);
    assert_eq!(played.outputs(), ["Disconnect", "the lease lapsed"]);
    played.wait(LEASE);
    assert!(played.outputs().is_empty());
    played.lease(LEASE);
    assert_eq!(played.outputs(), ["Connecting", "Connect"]);

    // Nobody answers the next close.
    played.lease(Duration::ZERO);
    played.wait(CLOSING - Duration::from_millis(1));
    assert_eq!(played.outputs(), ["Close(Resumable)"]);
    played.wait(Duration::from_millis(1));
    assert_eq!(played.outputs(), ["Disconnect", "the lease lapsed"]);
    // Nor is the permission waited for without one.
    played.shard.session = None;
    played.lease(SECOND);
    assert_eq!(played.outputs(), ["Waiting"]);
    played.wait(SECOND);
    assert_eq!(played.outputs(), ["the lease lapsed"]);
}

#[test]
fn a_lease_lapses_although_nothing_is_read_and_nothing_else_happens_meanwhile() {
    let mut played = Played::active();
    played.shard.reads(false, played.now);
    played.hear(json!({"op": 7, "d": null}));
    played.desired.presence = Some(Presence::plain());
    played.lease(LEASE);
    assert_eq!(played.shard.deadline(played.now), Some(played.now + LEASE));
    played.wait(LEASE);
    assert_eq!(played.outputs(), ["Close(Resumable)"]);
}

#[test]
fn what_discord_refuses_waits_for_another_gateway_be_it_the_same() {
    let mut played = Played::active();
    played.shard.closed(4014, "Disallowed intents", played.now);
    assert_eq!(played.outputs(), ["Disconnect", "fatal Some(4014)"]);
    played.permit();
    played.lease(SECOND);
    played.wait(LEASE);
    played.lease(LEASE);
    assert!(played.outputs().is_empty());
    played.desired.gateway = Some(gateway(&json!([])));
    played.look();
    assert_eq!(played.outputs(), ["Waiting"]);
}

#[test]
fn who_is_not_wanted_leaves_and_who_is_replaced_says_goodbye() {
    let another = |intents: u64| {
        let mut gateway = (*gateway(&json!([]))).clone();
        gateway.intents = intents;
        Some(Arc::new(gateway))
    };
    for (next, close) in [
        (None, "Close(Resumable)"),
        // The same connections.
        (another(1), ""),
        (another(2), "Close(Final)"),
    ] {
        let mut played = Played::active();
        played.desired.gateway = next;
        played.look();
        assert_eq!(played.outputs().concat(), close);
        played.wait(CLOSING);
        assert_eq!(played.shard.is_over(), !close.is_empty());
    }
    // No gateway and the same again is another one.
    let mut played = Played::active();
    played.desired.era += 1;
    played.look();
    assert_eq!(played.outputs(), ["Close(Resumable)"]);
    let mut played = Played::leased(&json!([]));
    played.shard.abandoned(played.now);
    assert!(played.shard.is_over());
}

#[test]
fn a_shard_that_another_bridge_has_is_left_for_it_and_that_is_said() {
    let held = |shards: &[u32]| {
        let mut gateway = (*gateway(&json!([]))).clone();
        gateway.held = Some(shards.iter().copied().collect());
        Some(Arc::new(gateway))
    };
    let mut played = Played::active();
    played.desired.gateway = held(&[0]);
    played.look();
    assert!(played.outputs().is_empty());
    played.desired.gateway = held(&[1]);
    played.look();
    assert_eq!(played.outputs(), ["Close(Resumable)"]);
    // It is not said before the connection is gone, be it that Discord answers or that it does not.
    played.wait(CLOSING);
    assert_eq!(played.outputs(), ["Disconnect", "Released"]);
    assert!(played.shard.is_over());
    // One that has no connection has nothing to wait for.
    let mut played = Played::unleased(&json!([]));
    played.desired.gateway = held(&[]);
    played.look();
    assert_eq!(played.outputs(), ["Released"]);
}

#[test]
fn an_address_that_is_none_is_not_connected_to() {
    let mut played = Played::leased(&json!([]));
    played.permit();
    played.greet();
    played.outputs();
    played.ready("https://discord.com");
    let expected = [
        "voice",
        "Active s false",
        "Disconnect",
        "Discord named an address that is none",
        "Connecting",
        "Connect",
    ];
    assert_eq!(played.outputs(), expected);
    assert_eq!(played.shard.session().unwrap().url, None);
}

/// The bot in a channel of a guild, as Discord has confirmed.
fn in_a_channel(played: &mut Played) -> Snowflake {
    let guild = Snowflake::new(8).unwrap();
    let desired = DesiredVoiceState {
        user: Snowflake::new(7).unwrap(),
        channel: Snowflake::new(9).unwrap(),
        self_mute: false,
        self_deaf: false,
        beginning: 1,
        joined: false,
    };
    played.shard.voice(guild, Some(desired));
    played.wait(SECOND);
    played.hear(voice_state(2));
    played.hear(voice_server(3));
    played.outputs();
    guild
}

fn voice_state(sequence: u64) -> Value {
    let state = json!({"guild_id": "8", "channel_id": "9", "user_id": "7", "session_id": "v"});
    json!({"op": 0, "s": sequence, "t": "VOICE_STATE_UPDATE", "d": state})
}

fn voice_server(sequence: u64) -> Value {
    let server = json!({"guild_id": "8", "endpoint": "e", "token": "t"});
    json!({"op": 0, "s": sequence, "t": "VOICE_SERVER_UPDATE", "d": server})
}

/// Whoever desired it goes, and another one comes, who knows the session up to there.
fn another_comes(played: &mut Played, sequence: u64) {
    played.desired.let_go();
    played.look();
    assert_eq!(played.outputs(), ["Close(Resumable)"]);
    played.shard.closed(4000, "", played.now);
    assert_eq!(played.outputs(), ["Disconnect", "Uro has gone"]);
    // His lease is not for the gateway that the one before told of.
    played.lease(LEASE);
    assert!(played.outputs().is_empty());
    played.desired.gateway = Some(gateway(
        &json!([{"shard": 0, "id": "s", "sequence": sequence, "resume_url": "wss://resume.example"}]),
    ));
    played.look();
    assert_eq!(played.outputs(), ["Connecting", "Connect"]);
}

#[test]
fn who_comes_next_has_the_session_from_where_he_says_and_voice_is_not_touched() {
    let mut played = Played::active();
    in_a_channel(&mut played);
    assert!(played.hear(json!({"op": 0, "s": 4, "t": "WANTED", "d": {}})));
    another_comes(&mut played, 1);
    assert_eq!(played.shard.session().unwrap().sequence, 1);
    played.greet();
    // All is heard again but for what the calls know; what is new of voice they hear.
    played.hear(voice_state(2));
    played.hear(voice_server(3));
    assert!(played.hear(json!({"op": 0, "s": 4, "t": "WANTED", "d": {}})));
    assert_eq!(played.outputs(), ["Resuming"]);
    played.hear(voice_server(5));
    assert_eq!(played.outputs(), ["voice"]);
    played.hear(json!({"op": 0, "s": 6, "t": "RESUMED", "d": {}}));
    played.wait(60 * SECOND);
    let outputs = played.outputs();
    assert_eq!(outputs[0], "Active s true");
    assert!(
        !outputs.iter().any(|output| output.contains("Voice(")),
        "{outputs:?}"
    );
}

#[test]
fn a_session_that_went_on_elsewhere_tells_discord_anew_where_the_bot_is() {
    let mut played = Played::active();
    in_a_channel(&mut played);
    another_comes(&mut played, 40);
    assert_eq!(played.shard.session().unwrap().sequence, 40);
    played.greet();
    played.hear(json!({"op": 0, "s": 41, "t": "RESUMED", "d": {}}));
    played.wait(SECOND);
    let outputs = played.outputs();
    let told = outputs
        .iter()
        .filter(|output| output.contains("Send(Voice("));
    assert_eq!(told.count(), 2, "{outputs:?}");
}

#[test]
fn who_comes_before_it_was_seen_that_another_went_has_another_connection() {
    let mut played = Played::active();
    played.desired.let_go();
    played.desired.lease = Some(played.now + LEASE);
    played.desired.gateway = Some(gateway(&json!([{"shard": 0, "id": "s", "sequence": 1}])));
    played.look();
    assert_eq!(played.outputs(), ["Close(Resumable)"]);
    played.shard.closed(4000, "", played.now);
    let again = ["Disconnect", "Uro has gone", "Connecting", "Connect"];
    assert_eq!(played.outputs(), again);
}
