//! How loud somebody is, and whether he speaks.

/// dBFS of the mean square. What is louder is speech.
const LOUD: f32 = -50.0;

/// What is softer is a pause.
pub(crate) const QUIET: f32 = -45.0;

/// Silence, for one who wants a number.
const FLOOR: f32 = -100.0;

/// Frames of 20 ms without a loud one after which speech has ended. The longest pauses within a sentence are about so long; what
/// comes after one is the next sentence.
const HANGOVER: u8 = 20;

/// dBFS of some samples.
pub(crate) fn level(pcm: &[f32]) -> f32 {
    let square: f32 = pcm.iter().map(|sample| sample * sample).sum();
    let mean = square / (pcm.len().max(1)) as f32;
    (10.0 * mean.log10()).max(FLOOR)
}

/// Whether somebody speaks: at once when he begins, some time after he ended, so that a pause is not an end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    left: u8,
    level: Option<f32>,
}

impl Activity {
    /// A frame that was decoded.
    pub(crate) fn heard(&mut self, level: f32) {
        self.level = Some(level);
        if level > LOUD {
            self.left = HANGOVER;
        } else {
            self.left = self.left.saturating_sub(1);
        }
    }

    /// A frame that was decoded after all.
    pub(crate) fn observed(&mut self, level: f32) {
        self.level = Some(level);
    }

    /// A frame that was not, but holds something.
    pub(crate) fn assumed(&mut self) {
        self.left = HANGOVER;
    }

    /// A frame of silence, or none.
    pub(crate) fn nothing(&mut self) {
        self.left = self.left.saturating_sub(1);
        self.level = self.level.map(|_| FLOOR);
    }

    /// Nothing is decoded any more.
    pub(crate) fn unknown(&mut self) {
        self.level = None;
    }

    pub(crate) fn speaking(&self) -> bool {
        self.left > 0
    }

    pub(crate) fn level(&self) -> Option<f32> {
        self.level
    }

    pub(crate) fn loud(&self) -> bool {
        self.level.is_some_and(|level| level > LOUD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        assert_eq!(level(&[0.0; 960]), FLOOR);
        assert_eq!(level(&[]), FLOOR);
        assert!((level(&[1.0, -1.0]) - 0.0).abs() < 0.01);
        assert!((level(&[0.1; 960]) + 20.0).abs() < 0.01);
    }

    /// discord.py's and mumble's bridges flap (mumble-discord-bridge #20), until Discord closes with 4008.
    #[test]
    fn a_pause_is_not_an_end() {
        let mut activity = Activity::default();
        let mut changes = 0;
        let mut before = false;
        // Four seconds of syllables: 80 ms of them, and 30 to 300 ms of pause.
        for frame in 0..200 {
            let pause = [2, 5, 10, 15][frame / 50];
            activity.heard(if frame % (4 + pause) < 4 {
                -20.0
            } else {
                -70.0
            });
            changes += usize::from(activity.speaking() != before);
            before = activity.speaking();
        }
        assert_eq!((changes, before), (1, true));
        for _ in 0..HANGOVER {
            activity.nothing();
        }
        assert!(!activity.speaking());
    }
}
