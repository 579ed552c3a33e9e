//! What a sender's packets must be like, one after the other.

use super::rtp::Header;

/// How far back a nonce is known to be used.
const NONCES: u32 = 4096;
/// The shortest Opus frame, in samples at 48 kHz.
const SHORTEST_FRAME: u32 = 120;
/// A sequence number further ahead than this is behind.
const AHEAD: u16 = 0x8000;

/// The nonces that were used with one key.
pub struct Nonces {
    highest: Option<u32>,
    used: Vec<bool>,
}

impl Default for Nonces {
    fn default() -> Self {
        Self {
            highest: None,
            used: vec![false; NONCES as usize],
        }
    }
}

impl Nonces {
    /// Takes note of a nonce. `false`: it was used before, or is so old that it may have been.
    pub fn add(&mut self, nonce: u32) -> bool {
        let highest = match self.highest {
            None => nonce,
            Some(highest) if nonce > highest => {
                for passed in (highest.max(nonce.saturating_sub(NONCES)) + 1)..nonce {
                    self.set(passed, false);
                }
                nonce
            }
            Some(highest) if highest - nonce >= NONCES => return false,
            Some(_) if self.get(nonce) => return false,
            Some(highest) => highest,
        };
        self.highest = Some(highest);
        self.set(nonce, true);
        true
    }

    fn get(&self, nonce: u32) -> bool {
        self.used.get((nonce % NONCES) as usize) == Some(&true)
    }

    fn set(&mut self, nonce: u32, used: bool) {
        if let Some(slot) = self.used.get_mut((nonce % NONCES) as usize) {
            *slot = used;
        }
    }
}

/// One stream of audio.
#[derive(Default)]
pub struct Stream {
    /// Sequence number and timestamp of the newest packet.
    newest: Option<(u16, u32)>,
}

impl Stream {
    /// The sequence number of the newest packet.
    pub fn highest(&self) -> Option<u16> {
        self.newest.map(|(sequence, _)| sequence)
    }

    /// Takes note of a packet; answers the rule it breaks.
    pub fn add(&mut self, header: &Header) -> Option<&'static str> {
        let Some((sequence, timestamp)) = self.newest else {
            self.newest = Some((header.sequence, header.timestamp));
            return None;
        };
        let steps = header.sequence.wrapping_sub(sequence);
        if steps == 0 {
            return Some("rtp_sequence");
        }
        if steps >= AHEAD {
            // It was overtaken on the way; its time was judged by what came after it.
            return None;
        }
        let passed = header.timestamp.wrapping_sub(timestamp);
        self.newest = Some((header.sequence, header.timestamp));
        let least = u32::from(steps) * SHORTEST_FRAME;
        let sane = (least..1 << 31).contains(&passed) && passed.is_multiple_of(SHORTEST_FRAME);
        (!sane).then_some("rtp_timestamp")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_used_once() {
        let mut nonces = Nonces::default();
        for nonce in [5, 7, 6, 8, 20_000, 20_001, 16_500] {
            assert!(nonces.add(nonce), "{nonce}");
        }
        for nonce in [20_000, 16_500, 8, 5] {
            assert!(!nonces.add(nonce), "{nonce}");
        }
        assert!(nonces.add(19_999));
    }

    #[test]
    fn time_and_numbers_go_forward() {
        let packet = |sequence: u16, timestamp: u32| {
            let mut bytes = [0x80, 0x78, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
            bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
            bytes[4..8].copy_from_slice(&timestamp.to_be_bytes());
            Header::parse(&bytes).unwrap()
        };
        let mut stream = Stream::default();
        let steps = [
            (65_535, u32::MAX - 959, None),
            (0, 0, None),
            (3, 2_880, None),
            (2, 1_920, None),
            (3, 2_880, Some("rtp_sequence")),
            (4, 2_880, Some("rtp_timestamp")),
            (5, 2_890, Some("rtp_timestamp")),
            (6, 48_010, None),
        ];
        for (sequence, timestamp, broken) in steps {
            assert_eq!(
                stream.add(&packet(sequence, timestamp)),
                broken,
                "{sequence}"
            );
        }
    }
}
