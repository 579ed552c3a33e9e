//! Discord's side of a portal: people who speak in tones, and what the call hears.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use uro_discord_portal::{DiscordMember, Happened, Packet, Portal, PortalEvent, Sequence};
use uro_portal_peer::{
    control::{Codec, Voice},
    signal::Signal,
    source::Source,
};

use super::heard::{Heard, until};

/// Of everybody else, the call hears one stream.
const STREAM: u32 = 0;

/// Somebody in the call.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    pub user: u64,
    pub name: &'static str,
    /// His tone, or silence.
    pub hertz: Option<f64>,
}

/// A call that a portal is joined to. Its portal is closed when it is dropped.
pub struct Call {
    heard: watch::Receiver<Heard<PortalEvent>>,
    change: mpsc::Sender<Person>,
    task: JoinHandle<()>,
}

impl Call {
    pub fn new(portal: Portal, people: &[Person]) -> Self {
        let (tell, heard) = watch::channel(Heard::default());
        let (change, changes) = mpsc::channel(16);
        let task = tokio::spawn(run(portal, people.to_vec(), changes, tell));
        Self {
            heard,
            change,
            task,
        }
    }

    /// Somebody comes, or says something else.
    pub async fn change(&self, person: Person) {
        self.change.send(person).await.unwrap();
    }

    /// Waits until the call hears this tone above all.
    pub async fn hears(&self, hertz: f64, least: f64) {
        let what = format!("a tone of {hertz} Hz in the call");
        until(&self.heard, &what, |heard| {
            heard.share(STREAM, hertz) > least
        })
        .await;
    }

    /// Waits until somebody has left the portal.
    pub async fn left(&self) {
        let left = |event: &PortalEvent| matches!(event, PortalEvent::PeerLeft { .. });
        self.told("that somebody has left", left).await;
    }

    /// Waits until the portal has said this.
    pub async fn told(&self, what: &str, so: impl Fn(&PortalEvent) -> bool) {
        until(&self.heard, what, |heard| heard.told.iter().any(&so)).await;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Speaks {
    person: Person,
    source: Option<Source>,
    sequence: u16,
    time: u32,
}

impl Speaks {
    fn new(person: Person) -> Self {
        let voice = Voice::new(Codec::Opus, 20);
        let source = person
            .hertz
            .map(|hertz| Source::signal(Signal::tone(hertz), voice).unwrap());
        Self {
            person,
            source,
            sequence: fastrand::u16(..),
            time: fastrand::u32(..),
        }
    }

    fn speak(&mut self, portal: &Portal) {
        self.time = self.time.wrapping_add(960);
        let Some(source) = &mut self.source else {
            return;
        };
        let (_, payload) = source.frame().unwrap().unwrap();
        self.sequence = self.sequence.wrapping_add(1);
        let packet = Packet {
            sequence: Sequence::Rtp(self.sequence),
            time: Some(self.time),
            payload,
        };
        portal.from_discord(self.person.user, packet);
    }
}

async fn run(
    mut portal: Portal,
    people: Vec<Person>,
    mut changes: mpsc::Receiver<Person>,
    tell: watch::Sender<Heard<PortalEvent>>,
) {
    let mut speaking: Vec<Speaks> = Vec::new();
    for person in people {
        enter(&portal, &mut speaking, person);
    }
    let mut pace = interval(Duration::from_millis(20));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        tokio::select! {
            _ = pace.tick() => {
                for speaks in &mut speaking {
                    speaks.speak(&portal);
                }
            }
            person = changes.recv() => match person {
                Some(person) => enter(&portal, &mut speaking, person),
                None => return,
            },
            happened = portal.next() => match happened {
                Some(Happened::Frame(frame)) => tell.send_modify(|heard| heard.packet(STREAM, &frame, false)),
                Some(Happened::Event(event)) => tell.send_modify(|heard| heard.told.push(event)),
                Some(other) => panic!("{other:?}"),
                None => return,
            },
        }
    }
}

fn enter(portal: &Portal, speaking: &mut Vec<Speaks>, person: Person) {
    let name = person.name.to_owned();
    portal.discord_joined(person.user, DiscordMember { name, bot: false });
    speaking.retain(|speaks| speaks.person.user != person.user);
    speaking.push(Speaks::new(person));
}
