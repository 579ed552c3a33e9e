//! The streams of RTP and RTCP that a peer may have. `rtc` keeps a replay window for every SSRC that it is given, before it knows whether
//! the packet is the peer's, and keeps it for the life of the connection; so it is given few.

use crate::peer::Datagram;

/// Of each. One is of use; a page that begins its microphone anew has another one.
const MOST: usize = 32;

#[derive(Default)]
pub(super) struct Ssrcs {
    rtp: Vec<u32>,
    rtcp: Vec<u32>,
}

impl Ssrcs {
    /// Whether a datagram is of a stream that is known or has room, or of none.
    pub(super) fn admit(&mut self, datagram: Datagram) -> bool {
        let (known, ssrc) = match datagram {
            Datagram::Rtp(ssrc) => (&mut self.rtp, ssrc),
            Datagram::Rtcp(ssrc) => (&mut self.rtcp, ssrc),
            Datagram::Stun | Datagram::Dtls(_) | Datagram::Other => return true,
        };
        if known.contains(&ssrc) {
            return true;
        }
        if known.len() >= MOST {
            return false;
        }
        known.push(ssrc);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_streams_and_those_that_are_known_go_on() {
        let mut ssrcs = Ssrcs::default();
        let most = u32::try_from(MOST).unwrap();
        for kind in [Datagram::Rtp as fn(u32) -> Datagram, Datagram::Rtcp] {
            let admitted = (0..most + 10).filter(|ssrc| ssrcs.admit(kind(*ssrc)));
            assert_eq!(admitted.count(), MOST);
            assert!(ssrcs.admit(kind(0)));
        }
        assert!(ssrcs.admit(Datagram::Dtls(22)));
    }
}
