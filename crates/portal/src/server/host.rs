//! A room and those who are in it, as its loop keeps them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use uro_discord_media::VideoCodec;

use super::handle::{Happened, Input, PortalEvent, RoomLink};
use super::queue::Worth;
use super::session::{TRACK, VoicePacket};
use super::stopped::Stopped;
use crate::channel::control::{self, Speaker};
use crate::clip::{Cut, NoClip, Recorder};
use crate::room::{Event, Listens, Member, Output, Participant, PeerId, Room, Status};
use crate::tv::people::People;
use crate::video::{
    CALL, Feedback, Jpeg, Picture, Screen, Stage, VideoFormat, VideoOutput, VideoPacket,
};

/// Between two times that pages are told who is there.
const PEOPLE: Duration = Duration::from_millis(250);

pub(super) struct Host {
    pub(super) link: Arc<RoomLink>,
    room: Room,
    /// While somebody shows or sees a picture.
    stage: Option<Box<Stage>>,
    /// While the call sees the picture.
    screen: Option<Box<Screen>>,
    /// Whose camera is wanted on air.
    camera: Option<String>,
    /// Whose publishing is ended, and whether those who are there have been looked at.
    pub(super) stopped: (Stopped, bool),
    /// While clips are wanted: who sees and hears for them.
    recorder: Option<(PeerId, Box<Recorder>)>,
    /// Its peers' places in the loop, joined or not.
    pub(super) peers: HashMap<PeerId, usize>,
    next: u32,
    pub(super) roster: Vec<Speaker>,
    /// When pages are to be told who is there, and when they were.
    people: (Option<Instant>, Option<Instant>),
    pub(super) due: Option<Instant>,
    pub(super) dirty: bool,
}

/// The room panicked; it is not to be asked again.
pub(super) struct Broken;

/// What is to be done outside of a room.
pub(super) enum Outward {
    /// Voice for one peer.
    Voice(PeerId, VoicePacket),
    /// Somebody began to speak, or ended.
    Speaking(Participant, bool),
    /// The roster is another one.
    Roster,
    /// Something for all who understand it.
    Say(String),
    /// A packet of the picture for one peer, and whether it was sent before.
    Video(PeerId, VideoPacket, bool),
    /// A whole picture for one peer.
    Jpeg(PeerId, Jpeg),
    /// A peer is to send a keyframe of this stream.
    Keyframe(PeerId, u32),
    /// The picture that is on air is of another kind: pages are told.
    Kind(Option<&'static str>),
}

impl Host {
    pub(super) fn new(link: Arc<RoomLink>, now: Instant) -> Self {
        Self {
            room: Room::new(link.options, now),
            link,
            stage: None,
            screen: None,
            camera: None,
            stopped: (Stopped::default(), true),
            recorder: None,
            peers: HashMap::new(),
            next: 0,
            roster: Vec::new(),
            people: (None, None),
            due: None,
            dirty: false,
        }
    }

    /// A number for a peer that nobody had before.
    pub(super) fn number(&mut self) -> PeerId {
        self.next = self.next.saturating_add(1);
        PeerId(self.next)
    }

    /// Works with the room. A panic costs the room, and nothing else.
    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Room) -> T) -> Result<T, Broken> {
        let room = &mut self.room;
        catch_unwind(AssertUnwindSafe(|| work(room))).map_err(|_| Broken)
    }

    /// Works with the stage, which is made for that. A panic costs the room, as above.
    pub(super) fn with_stage<T>(
        &mut self,
        now: Instant,
        work: impl FnOnce(&mut Stage) -> T,
    ) -> Result<T, Broken> {
        let stage = self.stage.get_or_insert_with(|| {
            let mut stage = Stage::new();
            stage.want(now, self.camera.clone());
            Box::new(stage)
        });
        catch_unwind(AssertUnwindSafe(|| work(stage))).map_err(|_| Broken)
    }

    /// A peer that has joined shows a picture, or sees one, or both.
    pub(super) fn picture(
        &mut self,
        now: Instant,
        peer: PeerId,
        shows: Option<String>,
        (sees, placeholder): (Vec<VideoFormat>, bool),
    ) -> Result<(), Broken> {
        if let Some(subject) = shows {
            self.with_stage(now, |stage| stage.publish(now, peer, subject))?;
        }
        if !sees.is_empty() {
            self.with_stage(now, |stage| stage.watch(now, peer, sees, placeholder))?;
        }
        Ok(())
    }

    /// A peer is a camera, by whole pictures or by a track, or is none; and it sees whole pictures, or does not.
    pub(super) fn pictures(
        &mut self,
        now: Instant,
        peer: PeerId,
        camera: Option<String>,
        sees: bool,
    ) -> Result<(), Broken> {
        if self.stage.is_none() && camera.is_none() && !sees {
            return Ok(());
        }
        self.with_stage(now, |stage| {
            match camera {
                Some(subject) => stage.publish(now, peer, subject),
                None => stage.withdraw(now, peer),
            }
            stage.look(now, peer, sees);
        })
    }

    /// Clips of so much may be wanted from now on, or none.
    fn clips(&mut self, now: Instant, longest: Option<Duration>) -> Result<(), Broken> {
        if let Some((id, _)) = self.recorder.take() {
            self.leave(now, id)?;
        }
        let Some(longest) = longest else {
            return Ok(());
        };
        let id = self.number();
        let member = Member {
            name: String::new(),
            listens: Listens::Mix(TRACK),
            speaks: None,
        };
        if let Err(error) = self.with(|room| room.join(now, id, member))? {
            tracing::warn!(portal = self.link.id, %error, "clips have no sound");
        }
        self.recorder = Some((id, Box::new(Recorder::new(now, longest))));
        self.picture(now, id, None, (Recorder::formats(), false))
    }

    fn recorder(&self) -> Option<PeerId> {
        self.recorder.as_ref().map(|(id, _)| *id)
    }

    /// Works with the recorder. A panic costs the room, as above.
    fn record(&mut self, now: Instant, work: impl FnOnce(&mut Recorder)) -> Result<(), Broken> {
        let Some((id, recorder)) = &mut self.recorder else {
            return Ok(());
        };
        let id = *id;
        let asks = catch_unwind(AssertUnwindSafe(|| {
            work(recorder);
            recorder.asks()
        }));
        if asks.map_err(|_| Broken)? {
            self.with_stage(now, |stage| stage.feedback(now, id, Feedback::Keyframe))?;
        }
        Ok(())
    }

    /// What was on air lately.
    pub(super) fn clip(
        &self,
        now: Instant,
        length: Duration,
    ) -> Result<Result<Cut, NoClip>, Broken> {
        let Some((_, recorder)) = &self.recorder else {
            return Ok(Err(NoClip::Off));
        };
        let cut = catch_unwind(AssertUnwindSafe(|| recorder.take(now, length)));
        Ok(cut.map_err(|_| Broken)?.ok_or(match self.still(now) {
            Some(_) => NoClip::Jpeg,
            None => NoClip::Nothing,
        }))
    }

    /// The newest whole picture of the camera that is on air.
    pub(super) fn still(&self, now: Instant) -> Option<Bytes> {
        let jpeg = self.stage.as_ref()?.still(now)?;
        Some(jpeg.bytes.clone())
    }

    /// Of what kind the picture is that is on air.
    pub(super) fn picture_kind(&self) -> Option<&'static str> {
        self.stage.as_ref()?.kind()
    }

    /// Whose camera is on air.
    pub(super) fn on_air(&self) -> Option<PeerId> {
        self.stage.as_ref()?.on_air()
    }

    /// A peer goes.
    pub(super) fn leave(&mut self, now: Instant, peer: PeerId) -> Result<(), Broken> {
        if self.stage.is_some() {
            self.with_stage(now, |stage| stage.leave(now, peer))?;
        }
        self.with(|room| room.leave(now, peer))
    }

    /// Time has passed.
    pub(super) fn timeout(&mut self, now: Instant) -> Result<(), Broken> {
        self.record(now, |recorder| recorder.timeout(now))?;
        if self.stage.is_some() {
            self.with_stage(now, |stage| stage.timeout(now))?;
        }
        self.with_screen(now, |screen| screen.timeout(now))?;
        self.with(|room| room.timeout(now))
    }

    /// Takes what came in by the handle.
    pub(super) fn take_inputs(&mut self, now: Instant) -> Result<(), Broken> {
        while let Some(input) = self.link.inbox.pop() {
            if let Input::Stopped(stopped) = input {
                // Of whoever was stopped nothing is to be seen any more, in a clip either.
                if stopped.adds_to(&self.stopped.0) {
                    self.record(now, |recorder| recorder.clear(now))?;
                }
                self.stopped = (stopped, false);
                continue;
            }
            if let Input::Camera(wanted) = input {
                self.camera.clone_from(&wanted);
                if self.stage.is_some() {
                    self.with_stage(now, |stage| stage.want(now, wanted))?;
                }
                continue;
            }
            match input {
                Input::CallSees(sees) => {
                    self.call_sees(now, sees)?;
                    continue;
                }
                Input::CallNeedsKeyframe => {
                    self.with_screen(now, |_| true)?;
                    continue;
                }
                Input::Clips(longest) => {
                    self.clips(now, longest)?;
                    continue;
                }
                _ => {}
            }
            self.with(|room| match input {
                Input::Voice(user, packet) => room.from_discord(now, user, packet),
                Input::Joined(user, who) => room.discord_joined(now, user, who),
                Input::Left(user) => room.discord_left(now, user),
                Input::Set(participant, setting) => room.set(participant, setting),
                Input::Options(options) => room.options(options),
                Input::CallHears(hears) => room.call_hears(hears),
                Input::Camera(_)
                | Input::Stopped(_)
                | Input::CallSees(_)
                | Input::CallNeedsKeyframe
                | Input::Clips(_) => {}
            })?;
        }
        Ok(())
    }

    fn call_sees(
        &mut self,
        now: Instant,
        sees: Option<(VideoCodec, mpsc::Sender<Picture>)>,
    ) -> Result<(), Broken> {
        let Some((codec, pictures)) = sees else {
            self.screen = None;
            return match self.stage {
                Some(_) => self.with_stage(now, |stage| stage.leave(now, CALL)),
                None => Ok(()),
            };
        };
        self.screen = Some(Box::new(Screen::new(pictures)));
        // Whatever the profile: packets go as they are.
        let format = VideoFormat { codec, profile: 0 };
        self.with_stage(now, |stage| stage.watch(now, CALL, vec![format], false))
    }

    /// Works with the call's screen, if it has one, and has the stage ask for the keyframe that this needs. A panic costs the room, as above.
    fn with_screen(
        &mut self,
        now: Instant,
        work: impl FnOnce(&mut Screen) -> bool,
    ) -> Result<(), Broken> {
        let Some(screen) = &mut self.screen else {
            return Ok(());
        };
        if catch_unwind(AssertUnwindSafe(|| work(screen))).map_err(|_| Broken)? {
            self.with_stage(now, |stage| stage.feedback(now, CALL, Feedback::Keyframe))?;
        }
        Ok(())
    }

    /// The next of what the room gives.
    pub(super) fn output(&mut self, now: Instant) -> Result<Option<Outward>, Broken> {
        loop {
            let room = &mut self.room;
            let output = catch_unwind(AssertUnwindSafe(|| room.poll())).map_err(|_| Broken)?;
            match output {
                None => return self.video_output(now),
                Some(Output::ToDiscord(frame)) => {
                    self.link.outbox.push(Worth::Frame, Happened::Frame(frame));
                }
                Some(Output::ToPeer {
                    peer,
                    time,
                    payload,
                    ..
                }) if self.recorder() == Some(peer) => {
                    self.record(now, |recorder| recorder.voice(now, time, payload))?;
                }
                Some(Output::ToPeer {
                    peer,
                    speaker,
                    sequence,
                    time,
                    samples,
                    payload,
                }) => {
                    let spoken = VoicePacket {
                        speaker,
                        sequence,
                        time,
                        samples,
                        payload,
                    };
                    return Ok(Some(Outward::Voice(peer, spoken)));
                }
                Some(Output::Event(event)) => {
                    if let Some(outward) = self.event(event) {
                        return Ok(Some(outward));
                    }
                }
            }
        }
    }

    fn video_output(&mut self, now: Instant) -> Result<Option<Outward>, Broken> {
        let recorder = self.recorder();
        while let Some(stage) = &mut self.stage {
            let output = catch_unwind(AssertUnwindSafe(|| stage.poll())).map_err(|_| Broken)?;
            match output {
                Some(VideoOutput::Packet { viewer, packet, .. }) if recorder == Some(viewer) => {
                    self.record(now, |recorder| recorder.video(now, packet))?;
                }
                Some(VideoOutput::Packet {
                    viewer: CALL,
                    packet,
                    ..
                }) => self.with_screen(now, |screen| screen.packet(now, packet))?,
                Some(VideoOutput::Packet {
                    viewer,
                    packet,
                    again,
                }) => return Ok(Some(Outward::Video(viewer, packet, again))),
                Some(VideoOutput::Keyframe { camera, ssrc }) => {
                    return Ok(Some(Outward::Keyframe(camera, ssrc)));
                }
                Some(VideoOutput::Jpeg { viewer, jpeg }) => {
                    return Ok(Some(Outward::Jpeg(viewer, jpeg)));
                }
                Some(VideoOutput::OnAir(peer)) => {
                    self.tell(PortalEvent::OnAir { peer });
                    let text = control::on_air(peer.map(|peer| peer.0));
                    return Ok(Some(Outward::Say(text)));
                }
                Some(VideoOutput::Kind(kind)) => return Ok(Some(Outward::Kind(kind))),
                None if stage.is_empty() => self.stage = None,
                None => break,
            }
        }
        Ok(None)
    }

    fn event(&mut self, event: Event) -> Option<Outward> {
        match event {
            Event::Speaking {
                participant,
                speaking,
            } => {
                self.tell(PortalEvent::Speaking {
                    participant,
                    speaking,
                });
                Some(Outward::Speaking(participant, speaking))
            }
            Event::Speaker { id, user, name } => {
                self.roster.retain(|speaker| speaker.id != id);
                self.roster.push(Speaker {
                    id,
                    user,
                    name: name.clone(),
                });
                self.tell(PortalEvent::Speaker { id, user, name });
                Some(Outward::Roster)
            }
            Event::SpeakerGone { id } => {
                self.roster.retain(|speaker| speaker.id != id);
                self.tell(PortalEvent::SpeakerGone { id });
                Some(Outward::Roster)
            }
        }
    }

    /// What peers are told of who began to speak, or ended: they know those of the roster.
    pub(super) fn said_to_peers(&self, who: Participant, speaking: bool) -> Option<String> {
        let speaker = self
            .roster
            .iter()
            .find(|speaker| Participant::Discord(speaker.user) == who)?;
        Some(control::speaking(speaker.id, speaking))
    }

    /// Everybody who is there.
    pub(super) fn people(&mut self) -> Result<People, Broken> {
        let all = self.with(|room| room.people())?;
        Ok(People::new(all))
    }

    /// Others are there, or they are called otherwise. Pages are told a few times a second at most.
    pub(super) fn people_change(&mut self, now: Instant) {
        let (due, told) = &mut self.people;
        let next = told.and_then(|told| told.checked_add(PEOPLE));
        due.get_or_insert(next.map_or(now, |next| next.max(now)));
    }

    /// Everybody who is there, when pages are to be told.
    pub(super) fn changed_people(&mut self, now: Instant) -> Result<Option<People>, Broken> {
        if self.people.0.is_none_or(|due| now < due) {
            return Ok(None);
        }
        self.people = (None, Some(now));
        self.people().map(Some)
    }

    /// The ids of those of the roster who speak now.
    pub(super) fn heard(&self) -> Vec<u32> {
        let speaks = |speaker: &&Speaker| self.room.speaks(Participant::Discord(speaker.user));
        let heard = self.roster.iter().filter(speaks);
        heard.map(|speaker| speaker.id).collect()
    }

    pub(super) fn tell(&self, event: PortalEvent) {
        self.link.outbox.push(Worth::Fact, Happened::Event(event));
    }

    pub(super) fn deadline(&mut self) -> Result<Option<Instant>, Broken> {
        let room = &self.room;
        let next = catch_unwind(AssertUnwindSafe(|| room.deadline())).map_err(|_| Broken)?;
        let stage = self.stage.as_ref().and_then(|stage| stage.deadline());
        let screen = self.screen.as_ref().and_then(|screen| screen.deadline());
        let people = self.people.0;
        let recorder = self.recorder.as_ref();
        let recorder = recorder.and_then(|(_, recorder)| recorder.deadline());
        Ok([next, stage, screen, people, recorder]
            .into_iter()
            .flatten()
            .min())
    }

    /// Whether viewers see this peer's picture, and how many.
    pub(super) fn air(&mut self, now: Instant, peer: PeerId) -> Result<(bool, usize), Broken> {
        if self.stage.is_none() {
            return Ok((false, 0));
        }
        let recorder = self.recorder();
        self.with_stage(now, |stage| stage.air(peer, recorder))
    }

    pub(super) fn status(&mut self, now: Instant) -> Result<Status, Broken> {
        let mut status = self.with(|room| room.status(now))?;
        if self.stage.is_some() {
            (status.cameras, status.viewers) = self.with_stage(now, |stage| stage.health(now))?;
            let call = status.viewers.iter().position(|viewer| viewer.peer == CALL);
            status.call = call.map(|place| status.viewers.remove(place));
            let recorder = self.recorder();
            status
                .viewers
                .retain(|viewer| Some(viewer.peer) != recorder);
        }
        // What never came so far.
        let before = self
            .link
            .inbox
            .dropped()
            .saturating_add(self.link.outbox.dropped());
        status.dropped = status.dropped.saturating_add(before);
        Ok(status)
    }
}
