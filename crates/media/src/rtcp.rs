//! RTCP (RFC 3550): what the server reports about our stream.
//!
//! In the `rtpsize` modes the first eight bytes of a compound packet, its header and the sender, are in clear; the rest is
//! ciphertext.

use crate::Malformed;

/// The bytes in clear.
pub const CLEAR: usize = 8;

/// A packet's type: Sender Report.
pub const SENDER_REPORT: u8 = 200;
/// A packet's type: Receiver Report.
pub const RECEIVER_REPORT: u8 = 201;

/// What a receiver says about one of our streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The stream.
    pub ssrc: u32,
    /// Packets lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; duplicates make it negative.
    pub lost: i32,
    /// How much their arrival varies, in units of the stream's clock.
    pub jitter: u32,
}

/// Reads the reports of a compound packet that has been decrypted.
///
/// # Errors
///
/// When it is shorter than it says, or not RTCP version 2.
pub fn reports(compound: &[u8]) -> Result<Vec<Report>, Malformed> {
    let mut reports = Vec::new();
    let mut rest = compound;
    while !rest.is_empty() {
        let (packet, next) = split(rest)?;
        let [first, kind, ..] = *packet else { break };
        let blocks = match kind {
            SENDER_REPORT => packet.get(28..),
            RECEIVER_REPORT => packet.get(8..),
            _ => None,
        };
        let blocks = blocks.unwrap_or_default().as_chunks::<24>().0;
        reports.extend(blocks.iter().take(usize::from(first & 0x1f)).map(report));
        rest = next;
    }
    Ok(reports)
}

/// The first packet of a compound, and what follows it.
///
/// # Errors
///
/// When it is shorter than it says, or not RTCP version 2.
pub fn split(compound: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let [first, _, high, low, ..] = *compound else {
        return Err(Malformed("RTCP packet: it ends within its header"));
    };
    if first >> 6 != 2 {
        return Err(Malformed("RTCP packet: its version is not 2"));
    }
    let words = usize::from(u16::from_be_bytes([high, low])).saturating_add(1);
    let length = words.saturating_mul(4);
    compound
        .split_at_checked(length)
        .ok_or(Malformed("RTCP packet: it is shorter than it says"))
}

fn report(block: &[u8; 24]) -> Report {
    let [
        s0,
        s1,
        s2,
        s3,
        fraction_lost,
        l0,
        l1,
        l2,
        _,
        _,
        _,
        _,
        j0,
        j1,
        j2,
        j3,
        ..,
    ] = *block;
    Report {
        ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
        fraction_lost,
        // 24 bits with a sign.
        lost: i32::from_be_bytes([l0, l1, l2, 0]) >> 8,
        jitter: u32::from_be_bytes([j0, j1, j2, j3]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compound() -> Vec<u8> {
        let mut sender = vec![0x81, 200, 0, 12, 0, 0, 0, 9];
        sender.extend([0; 20]);
        sender.extend([
            0, 0, 0, 7, 64, 0xff, 0xff, 0xfe, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
        let mut receiver = vec![0x81, 201, 0, 7, 0, 0, 0, 9];
        receiver.extend([
            0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
        sender.extend(receiver);
        sender
    }

    #[test]
    fn reports_of_a_compound_packet() {
        let report = |ssrc, fraction_lost, lost, jitter| Report {
            ssrc,
            fraction_lost,
            lost,
            jitter,
        };
        assert_eq!(
            reports(&compound()),
            Ok(vec![report(7, 64, -2, 256), report(8, 0, 5, 2)])
        );
    }

    #[test]
    fn what_ends_early_is_refused() {
        let compound = compound();
        for length in 1..compound.len() {
            let whole = length == 52;
            assert_eq!(reports(&compound[..length]).is_ok(), whole, "{length}");
        }
    }

    #[test]
    fn random_bytes_do_no_harm() {
        let mut random = fastrand::Rng::with_seed(2);
        for _ in 0..20_000 {
            let mut packet = vec![0; random.usize(..120)];
            random.fill(&mut packet);
            if let [first, kind, high, ..] = &mut packet[..] {
                (*first, *kind, *high) = (*first & 0x3f | 0x80, 200 + (*kind & 1), 0);
            }
            let _ = reports(&packet);
        }
    }
}
