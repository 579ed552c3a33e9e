//! When a stream that nobody decodes is listened to, so that its speaker's silence is noticed.

/// Packets of a moment: a decoder that begins in the middle is right after two, and tells of the third.
const MOMENT: u32 = 3;

/// Packets from one moment to the next: at first, and at most, after it has doubled: half a second and 2 s.
const APART: (u32, u32) = (25, 100);

/// So many packets in a row that are less than half as long as usual are a pause, and no syllable's end: an encoder of variable rate,
/// which is what WebRTC has, says so by their length.
const SHORT: u32 = 2;

/// The usual length is that of about so many packets.
const USUAL: f32 = 32.0;

/// Counts a stream's packets while it is loud.
#[derive(Debug)]
pub(crate) struct Moments {
    /// Packets of this moment that are to come.
    left: u32,
    /// Packets since the last moment began.
    since: u32,
    apart: u32,
    /// Bytes of a packet.
    usual: f32,
    short: u32,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            left: 0,
            since: 0,
            apart: APART.0,
            usual: 0.0,
            short: 0,
        }
    }
}

impl Moments {
    /// A packet of so many bytes comes. Says whether it is of a moment.
    pub(crate) fn packet(&mut self, bytes: usize) -> bool {
        let bytes = bytes as f32;
        self.short = if bytes * 2.0 < self.usual {
            self.short + 1
        } else {
            0
        };
        self.usual += (bytes - self.usual) / USUAL;
        self.since = self.since.saturating_add(1);
        if self.left > 0 {
            self.left -= 1;
            return true;
        }
        // A voice that pauses often costs no more than one that begins.
        let pause = self.short >= SHORT && self.since >= APART.0;
        if !pause && self.since < self.apart {
            return false;
        }
        self.apart = (2 * self.apart).min(APART.1);
        self.since = 0;
        self.left = MOMENT - 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first packets of the moments among these.
    fn begun(packets: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut moments = Moments::default();
        let is = packets.into_iter().map(|bytes| moments.packet(bytes));
        let is: Vec<bool> = is.collect();
        let begins = |n: &usize| is[*n] && (*n == 0 || !is[n - 1]);
        let begun: Vec<usize> = (0..is.len()).filter(begins).collect();
        let listened = is.iter().filter(|is| **is).count();
        assert_eq!(listened, begun.len() * MOMENT as usize);
        begun
    }

    #[test]
    fn who_goes_on_is_listened_to_ever_less_often() {
        assert_eq!(begun([80; 400]), [24, 74, 174, 274, 374]);
    }

    #[test]
    fn a_pause_is_seen_by_its_packets() {
        let packets = |count, bytes| std::iter::repeat_n(bytes, count);
        let speech = packets(140, 80).chain(packets(20, 12));
        assert_eq!(begun(speech), [24, 74, 141]);
    }

    #[test]
    fn the_end_of_a_syllable_is_no_pause() {
        let syllables = (0..150).map(|n| if n % 7 == 6 { 12 } else { 80 });
        assert_eq!(begun(syllables), [24, 74]);
    }

    #[test]
    fn many_pauses_cost_no_more_than_before() {
        let words = (0..1_000).map(|n| if n % 10 < 7 { 80 } else { 12 });
        let begun = begun(words);
        assert!(begun.windows(2).all(|two| two[1] - two[0] >= 25));
    }
}
