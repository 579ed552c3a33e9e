use std::fmt;

use crate::{Error, RATE};

/// Makes samples of packets, which may be mono or stereo whatever comes out.
pub struct Decoder {
    state: opus_pure::OpusDecoder,
    channels: usize,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder({} channels)", self.channels)
    }
}

impl Decoder {
    /// One for 1 or 2 channels.
    ///
    /// # Errors
    ///
    /// For another number of channels.
    pub fn new(channels: usize) -> Result<Self, Error> {
        let state = opus_pure::OpusDecoder::new(RATE, channels)?;
        Ok(Self { state, channels })
    }

    /// Decodes one packet into interleaved samples, and says how many of each channel there are.
    ///
    /// # Errors
    ///
    /// When it is no packet, or lasts longer than there is room.
    pub fn decode(&mut self, packet: &[u8], pcm: &mut [f32]) -> Result<usize, Error> {
        if packet.is_empty() {
            return Err(Error::NoPacket);
        }
        let room = pcm.len() / self.channels;
        Ok(self.state.decode(packet, room, pcm)?)
    }

    /// Fills `pcm` with what may have been in a packet that is lost.
    ///
    /// # Errors
    ///
    /// Unless it is for a multiple of 2.5 ms.
    pub fn conceal(&mut self, pcm: &mut [f32]) -> Result<(), Error> {
        let room = pcm.len() / self.channels;
        self.state.decode(&[], room, pcm)?;
        Ok(())
    }

    /// As [`conceal`](Self::conceal), but with what the packet after the lost one says of it, if it does.
    ///
    /// # Errors
    ///
    /// Unless it is for a multiple of 2.5 ms, and when `next` is no packet.
    pub fn recover(&mut self, next: &[u8], pcm: &mut [f32]) -> Result<(), Error> {
        let room = pcm.len() / self.channels;
        self.state.decode_fec(next, room, pcm)?;
        Ok(())
    }
}
