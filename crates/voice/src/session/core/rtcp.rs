//! RTCP: what others want of our streams, and what we report of them.

use std::time::{Duration, Instant};

use super::{Action, Core, Stage};
use crate::error::End;
use crate::event::Event;
use crate::media::crypto::NonceExhausted;
use uro_discord_media::feedback::{self, Feedback};
use uro_discord_media::rtcp;

/// How often Sender Reports tell receivers which time a stream's timestamps are.
pub(super) const REPORTS: Duration = Duration::from_secs(5);

impl Core {
    /// What others want of our streams.
    pub(super) fn video_feedback(&mut self, compound: &[u8], now: Instant) {
        let Some(video) = &mut self.video else { return };
        let Some(sender) = &mut video.sender else {
            return;
        };
        for wanted in feedback::feedback(compound).unwrap_or_default() {
            match wanted {
                Feedback::Nack { ssrc, sequences } if ssrc == sender.ssrc() => {
                    sender.missed(&sequences, now, &mut video.stats);
                }
                Feedback::Keyframe { ssrc }
                    if ssrc == sender.ssrc() && sender.want_keyframe(now) =>
                {
                    self.actions.push_back(Action::Event(Event::KeyframeWanted));
                }
                _ => {}
            }
        }
    }

    /// Sender Reports of our streams, when they are due.
    pub(super) fn reports(&mut self, now: Instant) {
        let Stage::Live { live, .. } = &mut self.stage else {
            return;
        };
        if now < live.reports {
            return;
        }
        live.reports = now + REPORTS;
        let audio = live.sender.report(now);
        let video = self.video.as_mut().and_then(|video| video.sender.as_mut());
        let video = video.and_then(|sender| sender.report(now));
        let ntp = self.clock.ntp(now);
        for sent in audio.into_iter().chain(video) {
            let mut packet = Vec::new();
            feedback::sender_report(sent, ntp, &mut packet);
            self.rtcp(&mut packet);
        }
    }

    pub(super) fn rtcp(&mut self, packet: &mut Vec<u8>) {
        let Stage::Live { live, .. } = &mut self.stage else {
            return;
        };
        match live.transport.seal(packet, rtcp::CLEAR) {
            Ok(()) => {
                let packet = std::mem::take(packet);
                self.actions.push_back(Action::Datagram(packet));
            }
            Err(NonceExhausted) => self.end(End::KeyExhausted),
        }
    }
}
