//! Keeps a sum within full scale: it sees a peak 5 ms before it comes.

/// Samples of a channel for which one peak is taken: 1 ms.
const BLOCK: usize = 48;

/// Blocks that the sound is held back.
const AHEAD: usize = 5;

/// The loudest that comes out: -1 dBFS.
const CEILING: f32 = 0.89;

/// How much of the way back to 1 the gain goes in a block: most of it in 100 ms.
const RELEASE: f32 = 0.02;

#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    held: [f32; 2 * BLOCK * AHEAD],
    place: usize,
    /// The peaks of what is held and of the block that just came.
    peaks: [f32; AHEAD + 1],
    next: usize,
    /// The gains for the last peaks.
    wanted: [f32; AHEAD],
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            held: [0.0; 2 * BLOCK * AHEAD],
            place: 0,
            peaks: [0.0; AHEAD + 1],
            next: 0,
            wanted: [1.0; AHEAD],
            gain: 1.0,
        }
    }
}

impl Limiter {
    /// Limits interleaved stereo in place, a whole number of milliseconds of it. It comes out 5 ms later.
    pub(crate) fn run(&mut self, pcm: &mut [f32]) {
        for block in pcm.chunks_exact_mut(2 * BLOCK) {
            self.peaks[self.next] = block.iter().fold(0.0, |peak, v| v.abs().max(peak));
            self.next = (self.next + 1) % self.peaks.len();
            let peak = self.peaks.iter().copied().fold(0.0, f32::max);
            self.wanted[self.place / (2 * BLOCK)] =
                if peak > CEILING { CEILING / peak } else { 1.0 };
            // While a peak is held, every one of these is low enough for it. So their mean is, when it comes out.
            let mean = self.wanted.iter().sum::<f32>() / AHEAD as f32;
            let target = mean.min(self.gain + (1.0 - self.gain) * RELEASE);
            let step = (target - self.gain) / BLOCK as f32;
            let held = &mut self.held[self.place..self.place + 2 * BLOCK];
            let mut gain = self.gain;
            for (now, then) in block.chunks_exact_mut(2).zip(held.chunks_exact_mut(2)) {
                gain += step;
                for (now, then) in now.iter_mut().zip(then) {
                    let out = *then * gain;
                    *then = std::mem::replace(now, out);
                }
            }
            self.gain = target;
            self.place = (self.place + 2 * BLOCK) % self.held.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frames: usize, loud: f32) -> Vec<f32> {
        (0..frames * 960)
            .flat_map(|n| [(n as f32 / 960.0 * 11.0 * std::f32::consts::TAU).sin() * loud; 2])
            .collect()
    }

    #[test]
    fn what_fits_is_only_later() {
        let before = tone(10, 0.5);
        let mut after = before.clone();
        Limiter::default().run(&mut after);
        let delay = 2 * BLOCK * AHEAD;
        assert_eq!(after[..delay], vec![0.0; delay]);
        assert_eq!(after[delay..], before[..before.len() - delay]);
    }

    #[test]
    fn what_does_not_fit_is_softer_without_a_step() {
        let mut pcm = tone(5, 0.5);
        pcm.extend(tone(20, 3.0));
        pcm.extend(tone(100, 0.5));
        let mut limiter = Limiter::default();
        limiter.run(&mut pcm);
        let peak = pcm.iter().fold(0.0_f32, |peak, v| peak.max(v.abs()));
        assert!((0.85..0.95).contains(&peak), "{peak}");
        let step = pcm
            .windows(3)
            .fold(0.0_f32, |step, w| step.max((w[2] - w[0]).abs()));
        assert!(step < 0.25, "{step}");
        let end = &pcm[pcm.len() - 9_600..];
        let end = end.iter().fold(0.0_f32, |peak, v| peak.max(v.abs()));
        assert!((0.48..0.501).contains(&end), "{end}");
    }
}
