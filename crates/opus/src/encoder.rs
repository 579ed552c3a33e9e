use std::fmt;
use std::ptr::{self, NonNull};

use unsafe_libopus::{
    OPUS_APPLICATION_AUDIO, OPUS_APPLICATION_VOIP, OPUS_AUTO, OPUS_BAD_ARG,
    OPUS_SET_BITRATE_REQUEST, OPUS_SET_COMPLEXITY_REQUEST, OPUS_SET_FORCE_CHANNELS_REQUEST,
    OPUS_SET_INBAND_FEC_REQUEST, OPUS_SET_PACKET_LOSS_PERC_REQUEST, OpusEncoder, opus_encode_float,
    opus_encoder_create, opus_encoder_ctl, opus_encoder_destroy, opus_encoder_get_size,
    opus_private::{MODE_CELT_ONLY, MODE_HYBRID, MODE_SILK_ONLY, OPUS_SET_FORCE_MODE_REQUEST},
};

use crate::{Error, RATE};

/// A length as libopus counts.
fn count(length: usize) -> Result<i32, Error> {
    i32::try_from(length).map_err(|_| Error::Encode(OPUS_BAD_ARG))
}

/// What a call answered: a count, or an error.
fn check(answer: i32) -> Result<usize, Error> {
    usize::try_from(answer).map_err(|_| Error::Encode(answer))
}

/// What an encoder favours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Application {
    /// Intelligible speech at low bit rates.
    Voip,
    /// Whatever it is, as it is.
    Audio,
}

/// How the samples of a packet are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Speech.
    Silk,
    /// Low frequencies as speech, high ones as music.
    Hybrid,
    /// Music.
    Celt,
}

impl Mode {
    /// The mode of a packet.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<Self> {
        Some(match packet.first()? >> 3 {
            0..=11 => Self::Silk,
            12..=15 => Self::Hybrid,
            _ => Self::Celt,
        })
    }
}

/// Makes packets of samples.
pub struct Encoder {
    state: NonNull<OpusEncoder>,
    channels: usize,
    application: i32,
}

// SAFETY: the state is a piece of memory of its own; nothing in it belongs to a thread.
unsafe impl Send for Encoder {}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({} channels)", self.channels)
    }
}

impl Encoder {
    /// One for 1 or 2 channels, with a bit rate and a complexity from 0 to 10.
    ///
    /// # Errors
    ///
    /// For other numbers.
    pub fn new(
        channels: usize,
        application: Application,
        bit_rate: i32,
        complexity: i32,
    ) -> Result<Self, Error> {
        let mut encoder = Self::create(
            channels,
            match application {
                Application::Voip => OPUS_APPLICATION_VOIP,
                Application::Audio => OPUS_APPLICATION_AUDIO,
            },
        )?;
        encoder.set(OPUS_SET_BITRATE_REQUEST, bit_rate)?;
        encoder.set(OPUS_SET_COMPLEXITY_REQUEST, complexity)?;
        Ok(encoder)
    }

    fn create(channels: usize, application: i32) -> Result<Self, Error> {
        let mut error = 0;
        // SAFETY: `error` outlives the call.
        let state =
            unsafe { opus_encoder_create(RATE, count(channels)?, application, &raw mut error) };
        match NonNull::new(state) {
            Some(state) => Ok(Self {
                state,
                channels,
                application,
            }),
            None => Err(Error::Encode(error)),
        }
    }

    /// Writes 10 or 20 ms (or another length that Opus has) of interleaved samples into `packet`, and says how long it is.
    ///
    /// # Errors
    ///
    /// For other lengths, and when there is no room.
    pub fn encode(&mut self, pcm: &[f32], packet: &mut [u8]) -> Result<usize, Error> {
        let frame = count(pcm.len() / self.channels)?;
        let room = count(packet.len())?;
        // SAFETY: the state is this encoder's alone; samples and packet are as long as is said.
        let answer = unsafe {
            opus_encode_float(
                self.state.as_ptr(),
                pcm.as_ptr(),
                frame,
                packet.as_mut_ptr(),
                room,
            )
        };
        check(answer)
    }

    /// Which mode the next packets are in; `None` leaves it to libopus.
    ///
    /// # Errors
    ///
    /// When libopus does not do so.
    pub fn force_mode(&mut self, mode: Option<Mode>) -> Result<(), Error> {
        self.set(
            OPUS_SET_FORCE_MODE_REQUEST,
            match mode {
                None => OPUS_AUTO,
                Some(Mode::Silk) => MODE_SILK_ONLY,
                Some(Mode::Hybrid) => MODE_HYBRID,
                Some(Mode::Celt) => MODE_CELT_ONLY,
            },
        )
    }

    /// How many channels the next packets have, be it fewer than come in.
    ///
    /// # Errors
    ///
    /// When there are not so many.
    pub fn force_channels(&mut self, channels: i32) -> Result<(), Error> {
        self.set(OPUS_SET_FORCE_CHANNELS_REQUEST, channels)
    }

    /// Writes a copy of each packet's speech into the one after it, for a network that loses so many in 100.
    ///
    /// # Errors
    ///
    /// For more than 100.
    pub fn protect(&mut self, loss: i32) -> Result<(), Error> {
        self.set(OPUS_SET_INBAND_FEC_REQUEST, i32::from(loss > 0))?;
        self.set(OPUS_SET_PACKET_LOSS_PERC_REQUEST, loss)
    }

    /// Bits of a second.
    ///
    /// # Errors
    ///
    /// For a number that cannot be.
    pub fn bit_rate(&mut self, bit_rate: i32) -> Result<(), Error> {
        self.set(OPUS_SET_BITRATE_REQUEST, bit_rate)
    }

    fn set(&mut self, request: i32, value: i32) -> Result<(), Error> {
        // SAFETY: the state is this encoder's alone, and each of these requests takes one i32.
        let answer = unsafe { opus_encoder_ctl!(self.state.as_ptr(), request, value) };
        check(answer).map(drop)
    }
}

impl Clone for Encoder {
    fn clone(&self) -> Self {
        let copy = match Self::create(self.channels, self.application) {
            Ok(copy) => copy,
            Err(error) => unreachable!("an encoder was made so before: {error}"),
        };
        // SAFETY: both states are of this size, and libopus documents that a state may be copied so: what it points to is static.
        unsafe {
            let size = opus_encoder_get_size(self.channels as i32);
            ptr::copy_nonoverlapping(
                self.state.as_ptr().cast::<u8>(),
                copy.state.as_ptr().cast::<u8>(),
                size as usize,
            );
        }
        copy
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: it was made by `opus_encoder_create`, and nobody has it any more.
        unsafe { opus_encoder_destroy(self.state.as_ptr()) }
    }
}
