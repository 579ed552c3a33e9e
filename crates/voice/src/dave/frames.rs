//! Frames: encrypting ours, decrypting others', or saying why not.
//!
//! Of a frame of video DAVE leaves in clear what packets are made by: the headers of its parts.
#![warn(clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that panics has failed"
    )
)]

use std::time::Instant;

use davey::errors::{DecryptError, DecryptorDecryptError};
use davey::{Codec, MediaType};

use super::{Dave, MAX_FAILURES, NoKey, Refusal, Step};
use crate::media::OPUS_SILENCE;
use uro_discord_media::VideoCodec;

impl Dave {
    /// Encrypts one Opus packet into `out`.
    pub(crate) fn encrypt(
        &mut self,
        frame: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), NoKey> {
        self.encrypt_as(Codec::OPUS, frame, now, out)
    }

    /// Encrypts a frame of video into `out`. It must have been [checked](VideoCodec::check).
    pub(crate) fn encrypt_video(
        &mut self,
        codec: VideoCodec,
        frame: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), NoKey> {
        let codec = match codec {
            VideoCodec::H264 => Codec::H264,
            VideoCodec::Vp8 => Codec::VP8,
        };
        self.encrypt_as(codec, frame, now, out)
    }

    fn encrypt_as(
        &mut self,
        codec: Codec,
        frame: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), NoKey> {
        if self.version == Some(0) {
            out.clear();
            out.extend_from_slice(frame);
            return Ok(());
        }
        let Some(session) = self.session.as_mut().filter(|s| s.can_encrypt()) else {
            // With somebody to talk to there should be a key by now.
            let overdue = self.version.is_some() && !self.is_changing(now);
            if overdue && self.recovery.is_none() && self.users().next().is_some() {
                self.recovery = Some((self.next_recovery(now), self.last_transition));
            }
            return Err(NoKey);
        };
        if let Some(result) = session.encrypt(codec, frame, out) {
            result.map_err(|_| NoKey)
        } else {
            self.session = None;
            self.recovery = Some((self.next_recovery(now), self.last_transition));
            Err(NoKey)
        }
    }

    /// Decrypts a user's Opus packet into `out`, which must be as long as it. Gives the length of what is in there.
    pub(crate) fn decrypt(
        &mut self,
        user: u64,
        frame: &[u8],
        out: &mut [u8],
        now: Instant,
        steps: &mut Vec<Step>,
    ) -> Result<usize, Refusal> {
        self.decrypt_as(MediaType::AUDIO, user, frame, out, now, steps)
    }

    /// Decrypts a user's frame of video into `out`, which must be as long as it. Gives the length of what is in there.
    pub(crate) fn decrypt_video(
        &mut self,
        user: u64,
        frame: &[u8],
        out: &mut [u8],
        now: Instant,
        steps: &mut Vec<Step>,
    ) -> Result<usize, Refusal> {
        self.decrypt_as(MediaType::VIDEO, user, frame, out, now, steps)
    }

    fn decrypt_as(
        &mut self,
        media: MediaType,
        user: u64,
        frame: &[u8],
        out: &mut [u8],
        now: Instant,
        steps: &mut Vec<Step>,
    ) -> Result<usize, Refusal> {
        let Some(session) = &mut self.session else {
            return match (self.version, out.get_mut(..frame.len())) {
                (Some(0), Some(out)) => {
                    out.copy_from_slice(frame);
                    Ok(frame.len())
                }
                _ => Err(self.refusal(now)),
            };
        };
        // davey knows silence by the decryptor of its sender, who may have none in a channel without encryption.
        if frame == OPUS_SILENCE || self.version == Some(0) && !is_encrypted(frame) {
            let out = out.get_mut(..frame.len()).ok_or(Refusal::Undecryptable)?;
            out.copy_from_slice(frame);
            return Ok(frame.len());
        }
        match session.decrypt(user, media, frame, out) {
            Some(Ok(length)) => {
                self.failures = 0;
                Ok(length)
            }
            Some(Err(error)) => {
                let refusal = self.refusal(now);
                let encrypted = !matches!(
                    error,
                    DecryptError::DecryptionFailed(
                        DecryptorDecryptError::UnencryptedWhenPassthroughDisabled
                    )
                );
                if refusal == Refusal::Undecryptable && encrypted {
                    self.failures = self.failures.saturating_add(1);
                    if self.failures >= MAX_FAILURES {
                        self.failures = 0;
                        tracing::warn!("no frame can be decrypted: joining the group anew");
                        self.recover(self.last_transition, now, steps);
                    }
                }
                Err(refusal)
            }
            None => {
                self.panicked(now, steps);
                Err(Refusal::Undecryptable)
            }
        }
    }

    pub(super) fn refusal(&self, now: Instant) -> Refusal {
        if self.is_changing(now) {
            Refusal::Early
        } else {
            Refusal::Undecryptable
        }
    }

    pub(super) fn is_changing(&self, now: Instant) -> bool {
        let changing = self.joining || self.proposed || !self.pending.is_empty();
        self.version.is_none() || changing && self.settled.is_some_and(|until| now < until)
    }
}

/// What [the protocol frame check](https://daveprotocol.com/#protocol-frame-check) looks at first.
fn is_encrypted(frame: &[u8]) -> bool {
    frame.ends_with(&[0xfa, 0xfa])
}
