//! What concerns DAVE in calls, brought to the group of its channel; what the group answers goes to whom it is for.

use std::time::{Duration, Instant};

use super::{Group, Message, SenderError};
use crate::{
    id::Id,
    state::{ChannelKind, State},
    voice::session::Seat,
};

impl State {
    /// Whether calls of a channel are end-to-end encrypted: those of stages are not.
    pub fn may_have_dave(&self, channel: Id) -> bool {
        self.channel(channel)
            .is_some_and(|channel| channel.kind == ChannelKind::Voice)
    }

    /// A user comes into the call of his session's channel; answers the version of DAVE that he is told.
    pub fn dave_join(&mut self, seat: Seat) -> Result<u16, SenderError> {
        let Some((channel, version)) = self.dave_of(seat).filter(|(c, _)| self.may_have_dave(*c))
        else {
            return Ok(0);
        };
        Ok(self.calls.group_of_new(channel)?.join(seat.user, version))
    }

    /// The version that a call has.
    pub fn dave_version(&mut self, channel: Id) -> u16 {
        self.calls.group(channel).map_or(0, |group| group.version())
    }

    /// A user was told who else is there.
    pub fn dave_enter(&mut self, seat: Seat) {
        self.with_group_of(seat, |group, now| group.enter(seat.user, now));
    }

    pub fn dave_leave(&mut self, seat: Seat, channel: Id) {
        self.with_group(channel, |group, now| group.leave(seat.user, now));
        self.calls.end_empty_groups();
    }

    pub fn dave_key_package(&mut self, seat: Seat, bytes: &[u8]) {
        let judged =
            self.with_group_of(seat, |group, now| group.key_package(seat.user, bytes, now));
        if let Some(Err(error)) = judged {
            tracing::warn!(user = %seat.user, "key package refused: {error}");
            self.voice_violation(seat, "dave_key_package");
        }
    }

    pub fn dave_commit(&mut self, seat: Seat, bytes: &[u8]) {
        let judged = self.with_group_of(seat, |group, now| group.commit(seat.user, bytes, now));
        if let Some(Err(refusal)) = judged {
            tracing::debug!(user = %seat.user, "commit refused: {refusal}");
            if !refusal.is_bad_luck() {
                self.voice_violation(seat, "dave_commit");
            }
        }
    }

    pub fn dave_ready(&mut self, seat: Seat, transition: u64) {
        let known = self.with_group_of(seat, |group, now| group.ready(seat.user, transition, now));
        if known != Some(true) {
            self.voice_violation(seat, "dave_transition");
        }
    }

    pub fn dave_invalid(&mut self, seat: Seat, transition: u64) {
        self.with_group_of(seat, |group, now| group.invalid(seat.user, transition, now));
    }

    pub fn dave_tick(&mut self, now: Instant) {
        let timeout = Duration::from_millis(self.settings.dave_transition_timeout_ms);
        let channels: Vec<Id> = self.calls.groups().keys().copied().collect();
        for channel in channels {
            self.with_group(channel, |group, _| group.tick(now, timeout));
        }
    }

    /// `false`: nobody is in a call there.
    pub fn dave_recreate(&mut self, channel: Id, times: u32) -> bool {
        self.with_group(channel, |group, _| group.recreate(times))
            .is_some()
    }

    pub fn dave_damage(&mut self, seat: Seat) {
        self.with_group_of(seat, |group, _| group.damage(seat.user));
    }

    fn dave_of(&mut self, seat: Seat) -> Option<(Id, u16)> {
        let session = self.calls.session(seat)?;
        Some((session.channel, session.dave))
    }

    fn with_group_of<T>(
        &mut self,
        seat: Seat,
        act: impl FnOnce(&mut Group, Instant) -> T,
    ) -> Option<T> {
        let (channel, _) = self.dave_of(seat)?;
        self.with_group(channel, act)
    }

    fn with_group<T>(
        &mut self,
        channel: Id,
        act: impl FnOnce(&mut Group, Instant) -> T,
    ) -> Option<T> {
        let group = self.calls.group(channel)?;
        let answer = act(group, Instant::now());
        let (messages, events) = group.take();
        let guild = self.guilds.of_channel(channel)?.id;
        for (user, message) in messages {
            let session = self.calls.session(Seat { guild, user });
            let Some(session) = session.filter(|session| session.channel == channel) else {
                continue;
            };
            match message {
                Message::Json(op, data) => session.outbox.send(op, &data),
                Message::Binary(op, payload) => session.outbox.send_binary(op, &payload),
            }
        }
        for (kind, mut data) in events {
            data["channel_id"] = serde_json::json!(channel);
            self.log.push(kind, data);
        }
        Some(answer)
    }
}
