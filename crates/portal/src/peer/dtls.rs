//! How much of a handshake a peer may send before `rtc` sees it. `rtc` keeps every fragment, and at each new one walks through all of them,
//! recursively. What comes encrypted before there are keys it keeps too. Some hundred kilobytes of small fragments would hold up a loop for
//! minutes, before anybody has shown a certificate.

/// Fragments of one peer. A handshake has some ten, and all of them again for each that is lost.
const FRAGMENTS: usize = 256;

/// The largest message of a handshake: a chain of certificates has some kilobytes.
const LARGEST: usize = 16 * 1024;

/// Records that are kept until the handshake is over, mostly encrypted: its last one, and what a peer says right behind it.
const EARLY: usize = 64;

/// Of a record, and of a fragment in it.
const RECORD: usize = 13;
const FRAGMENT: usize = 12;

const HANDSHAKE: u8 = 22;

/// Kept by `rtc`, as what is encrypted is, until there are keys.
const CHANGE_CIPHER_SPEC: u8 = 20;

/// What to do with a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Take,
    Drop,
    /// No handshake needs so much.
    End,
}

/// What one peer has sent.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    fragments: usize,
    early: usize,
}

impl Handshake {
    /// Judges a datagram. `over`: the handshake is.
    pub(super) fn judge(&mut self, mut datagram: &[u8], over: bool) -> Verdict {
        while let Some((header, rest)) = datagram.split_first_chunk::<RECORD>() {
            let [kind, _, _, e0, e1, .., l0, l1] = *header;
            let encrypted = [e0, e1] != [0, 0];
            let Some((record, rest)) = rest.split_at_checked(u16::from_be_bytes([l0, l1]).into())
            else {
                return Verdict::Drop;
            };
            datagram = rest;
            if (encrypted || kind == CHANGE_CIPHER_SPEC) && !over {
                self.early = self.early.saturating_add(1);
                if self.early > EARLY {
                    return Verdict::Drop;
                }
            }
            if kind == HANDSHAKE {
                // What is encrypted may be nothing but the smallest of fragments.
                let fragments = if encrypted {
                    Some(record.len().div_ceil(FRAGMENT))
                } else {
                    fragments(record)
                };
                let Some(fragments) = fragments else {
                    return Verdict::Drop;
                };
                self.fragments = self.fragments.saturating_add(fragments);
                if self.fragments > FRAGMENTS {
                    // Later it may be anybody who forges the peer's address; what is dropped costs nothing.
                    return if over { Verdict::Drop } else { Verdict::End };
                }
            }
        }
        if datagram.is_empty() {
            Verdict::Take
        } else {
            Verdict::Drop
        }
    }
}

/// How many fragments a record has; `None` if one of them is not what it says.
fn fragments(mut record: &[u8]) -> Option<usize> {
    let mut count = 0_usize;
    while !record.is_empty() {
        let (header, rest) = record.split_first_chunk::<FRAGMENT>()?;
        let [_, t0, t1, t2, _, _, o0, o1, o2, l0, l1, l2] = *header;
        let number = |bytes: [u8; 3]| {
            let [a, b, c] = bytes;
            usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()
        };
        let (total, offset, length) = (
            number([t0, t1, t2])?,
            number([o0, o1, o2])?,
            number([l0, l1, l2])?,
        );
        if total > LARGEST || offset.checked_add(length)? > total {
            return None;
        }
        record = rest.get(length..)?;
        count = count.checked_add(1)?;
    }
    Some(count)
}

/// See [`crate::fuzzing`].
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(data: &[u8]) {
    let mut handshake = Handshake::default();
    // However often it comes, and in whatever pieces, no more is taken than may be.
    for piece in data.chunks(1200).cycle().take(600) {
        if handshake.judge(piece, false) == Verdict::Take {
            assert!(handshake.fragments <= FRAGMENTS && handshake.early <= EARLY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(total: u32, offset: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![11];
        bytes.extend_from_slice(&total.to_be_bytes()[1..]);
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&offset.to_be_bytes()[1..]);
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
        bytes.extend_from_slice(body);
        bytes
    }

    fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 1];
        bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn a_handshake_is_let_in() {
        let mut handshake = Handshake::default();
        let flight = [
            record(22, 0, &fragment(3000, 0, &[1; 1100])),
            record(22, 0, &fragment(3000, 1100, &[1; 1900])),
            record(20, 0, &[1]),
            record(22, 1, &[0; 40]),
        ]
        .concat();
        for _ in 0..20 {
            assert_eq!(handshake.judge(&flight, false), Verdict::Take);
        }
        for _ in 0..10_000 {
            assert_eq!(
                handshake.judge(&record(23, 1, &[0; 1000]), true),
                Verdict::Take
            );
        }
    }

    #[test]
    fn endless_fragments_are_the_end() {
        let mut handshake = Handshake::default();
        let small = fragment(LARGEST.try_into().unwrap(), 0, &[1]);
        let datagram = record(22, 0, &small.repeat(FRAGMENTS / 2));
        assert_eq!(handshake.judge(&datagram, false), Verdict::Take);
        assert_eq!(handshake.judge(&datagram, false), Verdict::Take);
        assert_eq!(handshake.judge(&record(22, 0, &small), false), Verdict::End);
        for (over, verdict) in [(false, Verdict::End), (true, Verdict::Drop)] {
            let mut handshake = Handshake::default();
            let datagram = record(22, 1, &[0; 1200]);
            assert_eq!(handshake.judge(&datagram, over), Verdict::Take);
            assert_eq!(handshake.judge(&datagram, over), Verdict::Take);
            assert_eq!(handshake.judge(&datagram, over), verdict);
        }
    }

    #[test]
    fn what_is_not_what_it_says_goes() {
        let judge = |datagram: &[u8]| Handshake::default().judge(datagram, false);
        assert_eq!(
            judge(&record(22, 0, &fragment(0x00ff_ffff, 0, &[1]))),
            Verdict::Drop
        );
        assert_eq!(
            judge(&record(22, 0, &fragment(10, 9, &[1; 2]))),
            Verdict::Drop
        );
        let whole = record(22, 0, &fragment(2, 0, &[1; 2]));
        for length in 1..whole.len() {
            assert_eq!(judge(&whole[..length]), Verdict::Drop, "{length}");
        }
        let mut long = fragment(2, 0, &[1; 2]);
        long[11] = 3;
        long[3] = 3;
        assert_eq!(judge(&record(22, 0, &long)), Verdict::Drop);
        for early in [record(23, 1, &[0; 1000]), record(20, 0, &[1])] {
            let mut handshake = Handshake::default();
            let taken = (0..100).filter(|_| handshake.judge(&early, false) == Verdict::Take);
            assert_eq!(taken.count(), EARLY);
        }
    }
}
