//! A peer of ours in a portal, that speaks in a tone and hears.

use std::time::Duration;

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use uro_portal_peer::{
    Happened, Peer,
    control::{Codec, FromPortal, Voice},
    signal::Signal,
    source::Source,
};

use super::heard::{Heard, until};

/// It leaves when it is told to, or ends with its task.
pub struct Guest {
    heard: watch::Receiver<Heard<FromPortal>>,
    leave: Option<oneshot::Sender<()>>,
    task: JoinHandle<Peer>,
}

impl Guest {
    /// Speaks in a tone, or keeps silent.
    pub fn new(peer: Peer, voice: Voice, hertz: Option<f64>) -> Self {
        let (tell, heard) = watch::channel(Heard::default());
        let (leave, left) = oneshot::channel();
        let task = tokio::spawn(run(peer, voice, hertz, tell, left));
        Self {
            heard,
            leave: Some(leave),
            task,
        }
    }

    /// Waits until a speaker is heard with this tone above all; 0 is the mix.
    pub async fn hears(&self, speaker: u32, hertz: f64, least: f64) {
        let what = format!("a tone of {hertz} Hz by {speaker}");
        until(&self.heard, &what, |heard| {
            heard.share(speaker, hertz) > least
        })
        .await;
    }

    /// Waits until the portal has said this, and returns what is made of it.
    pub async fn told<T>(&self, what: &str, made: impl Fn(&FromPortal) -> Option<T>) -> T {
        let mut found = None;
        until(&self.heard, what, |heard| {
            found = heard.told.iter().rev().find_map(&made);
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Waits until the connection has ended by the portal's doing.
    pub async fn ended(&self) {
        until(&self.heard, "the end", |heard| heard.over).await;
    }

    pub async fn leave(mut self) {
        // A peer whose connection has ended has nobody to tell it.
        let _ = self.leave.take().unwrap().send(());
        self.task.await.unwrap().leave().await.unwrap();
    }
}

async fn run(
    mut peer: Peer,
    voice: Voice,
    hertz: Option<f64>,
    tell: watch::Sender<Heard<FromPortal>>,
    mut leave: oneshot::Receiver<()>,
) -> Peer {
    let mut source = hertz.map(|hertz| Source::signal(Signal::tone(hertz), voice).unwrap());
    let mut pace = interval(Duration::from_millis(voice.frame_ms.into()));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        tokio::select! {
            _ = pace.tick() => if let Some(speaking) = &mut source {
                let (samples, payload) = speaking.frame().unwrap().unwrap();
                if peer.speak(samples, payload).await.is_err() {
                    // The portal has ended it, as `next` says in a moment.
                    source = None;
                }
            },
            happened = peer.next() => tell.send_modify(|heard| match happened {
                Some(Happened::Packet(packet)) if packet.payload.is_empty() => {}
                Some(Happened::Packet(packet)) => {
                    heard.packet(packet.speaker, &packet.payload, voice.codec == Codec::Pcm);
                }
                Some(Happened::Said(said)) => heard.told.push(said),
                Some(Happened::Ended(_)) | None => heard.over = true,
            }),
            _ = &mut leave => return peer,
        }
        if tell.borrow().over {
            // Nothing comes any more.
            let _ = leave.await;
            return peer;
        }
    }
}
