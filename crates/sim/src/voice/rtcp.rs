//! RTCP packets, as far as a relay looks into them (RFC 3550, 4585, 5104).

const SENDER_REPORT: u8 = 200;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const NACK: u8 = 1;
const PLI: u8 = 1;
const FIR: u8 = 4;

/// One packet of a compound.
pub struct Packet<'a> {
    pub bytes: &'a [u8],
}

/// What it is about.
#[derive(Debug, PartialEq, Eq)]
pub enum About {
    /// The sender's stream, and what time it is there, in seconds since 1900.
    SenderReport {
        ssrc: u32,
        seconds: u64,
    },
    /// Something is asked of this stream: a keyframe, or packets.
    Stream {
        ssrc: u32,
        keyframe: bool,
        packets: u64,
    },
    Other,
}

/// The packets of a compound. `None`: it is shorter than it says.
pub fn packets(compound: &[u8]) -> Option<Vec<Packet<'_>>> {
    let mut packets = Vec::new();
    let mut rest = compound;
    while !rest.is_empty() {
        let &[first, _, high, low] = rest.first_chunk()?;
        let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        let (bytes, next) = rest
            .split_at_checked(length)
            .filter(|_| first >> 6 == 2 && length >= 8)?;
        packets.push(Packet { bytes });
        rest = next;
    }
    Some(packets)
}

impl Packet<'_> {
    fn word(&self, place: usize) -> Option<u32> {
        let word = self.bytes.get(place * 4..)?.first_chunk()?;
        Some(u32::from_be_bytes(*word))
    }

    pub fn sender(&self) -> u32 {
        self.word(1).unwrap_or_default()
    }

    pub fn about(&self) -> About {
        let [first, kind, ..] = *self.bytes else {
            return About::Other;
        };
        let about = match (kind, first & 0x1f) {
            (SENDER_REPORT, _) => self.word(2).map(|seconds| About::SenderReport {
                ssrc: self.sender(),
                seconds: seconds.into(),
            }),
            (TRANSPORT_FEEDBACK, NACK) => self.word(2).map(|ssrc| {
                let items = self.bytes.get(12..).unwrap_or_default().as_chunks::<4>().0;
                let count = |[_, _, high, low]: &[u8; 4]| {
                    u64::from(1 + high.count_ones() + low.count_ones())
                };
                About::Stream {
                    ssrc,
                    keyframe: false,
                    packets: items.iter().map(count).sum(),
                }
            }),
            (PAYLOAD_FEEDBACK, PLI) => self.word(2).map(keyframe),
            (PAYLOAD_FEEDBACK, FIR) => self.word(3).map(keyframe),
            _ => None,
        };
        about.unwrap_or(About::Other)
    }
}

fn keyframe(ssrc: u32) -> About {
    About::Stream {
        ssrc,
        keyframe: true,
        packets: 0,
    }
}

/// What a compound begins with whose sender has nothing to report.
pub fn empty_report(sender: u32) -> [u8; 8] {
    let [a, b, c, d] = sender.to_be_bytes();
    [0x80, 201, 0, 1, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compound() {
        let mut compound = empty_report(5).to_vec();
        compound.extend([
            0x81, 205, 0, 4, 0, 0, 0, 5, 0, 0, 0, 9, 0, 1, 0, 3, 0, 40, 0, 0,
        ]);
        compound.extend([0x81, 206, 0, 2, 0, 0, 0, 5, 0, 0, 0, 9]);
        compound.extend([
            0x84, 206, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0,
        ]);
        let stream = |keyframe, packets| About::Stream {
            ssrc: 9,
            keyframe,
            packets,
        };
        let abouts: Vec<About> = packets(&compound)
            .unwrap()
            .iter()
            .map(Packet::about)
            .collect();
        assert_eq!(
            abouts,
            [
                About::Other,
                stream(false, 4),
                stream(true, 0),
                stream(true, 0)
            ]
        );
        assert!(packets(&compound[..compound.len() - 1]).is_none());
    }

    #[test]
    fn random_bytes_do_no_harm() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..50_000 {
            let mut bytes = vec![0; random.usize(..64)];
            random.fill(&mut bytes);
            if let [first, kind, high, ..] = &mut bytes[..] {
                (*first, *kind, *high) = (0x80 | (*first & 0x3f), 200 + *kind % 7, 0);
            }
            for packet in packets(&bytes).unwrap_or_default() {
                packet.about();
            }
        }
    }
}
