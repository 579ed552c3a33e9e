//! Plays a frame a little faster or slower, so that two clocks agree.

/// Makes frames some samples shorter or longer, as one who reads a tape. The tone changes by a thousandth; there is no seam, neither
/// within a frame nor between two.
///
/// Cubic interpolation within the frame: two tones of 1 and 7 kHz come out 40 dB above what is added, and more. `rubato` would do the same, with seven
/// crates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warp {
    /// The last stereo sample of the frame before.
    last: [f32; 2],
}

impl Warp {
    /// Writes the stereo frame `from` as `count` samples of each channel to the end of `to`.
    pub(crate) fn run(&mut self, from: &[f32], count: usize, to: &mut Vec<f32>) {
        let (frames, _) = from.as_chunks::<2>();
        let Some(end) = frames.last().copied() else {
            return;
        };
        if count == frames.len() {
            to.extend_from_slice(from);
            self.last = end;
            return;
        }
        let at = |place: isize| match usize::try_from(place) {
            Ok(place) => frames.get(place).copied().unwrap_or_else(|| {
                // Beyond the end it goes on as it went.
                let before = frames.len().checked_sub(2).map_or(end, |n| frames[n]);
                [2.0 * end[0] - before[0], 2.0 * end[1] - before[1]]
            }),
            Err(_) => self.last,
        };
        let step = frames.len() as f64 / count as f64;
        for n in 0..count {
            let place = n as f64 * step;
            let whole = place as isize;
            let part = (place - place.floor()) as f32;
            let near = [at(whole - 1), at(whole), at(whole + 1), at(whole + 2)];
            for channel in 0..2 {
                let [a, b, c, d] = near.map(|both| both[channel]);
                let one = (c - a) * 0.5;
                let two = a - 2.5 * b + 2.0 * c - 0.5 * d;
                let three = (d - a) * 0.5 + 1.5 * (b - c);
                to.push(((three * part + two) * part + one) * part + b);
            }
        }
        self.last = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of two tones when they are taken away, in dB below them.
    #[test]
    fn tones_stay_clean() {
        for count in [956, 959, 961, 964] {
            let mut warp = Warp::default();
            let mut out = Vec::new();
            for frame in 0..100 {
                let pcm: Vec<f32> = (0..960)
                    .flat_map(|n| {
                        let t = f64::from(frame * 960 + n) / 48_000.0 * std::f64::consts::TAU;
                        [(0.4 * (t * 1_000.0).sin() + 0.2 * (t * 7_000.0).sin()) as f32; 2]
                    })
                    .collect();
                warp.run(&pcm, count, &mut out);
            }
            assert_eq!(out.len(), 2 * 100 * count);
            let mut rest: Vec<f64> = out.iter().step_by(2).map(|v| f64::from(*v)).collect();
            let power = |of: &[f64]| of.iter().map(|v| v * v).sum::<f64>();
            let before = power(&rest);
            for hertz in [1_000.0, 7_000.0] {
                let w = std::f64::consts::TAU * hertz / 48_000.0 * 960.0 / count as f64;
                let (mut a, mut b) = (0.0, 0.0);
                for (n, v) in rest.iter().enumerate() {
                    a += v * (w * n as f64).sin();
                    b += v * (w * n as f64).cos();
                }
                let half = rest.len() as f64 / 2.0;
                for (n, v) in rest.iter_mut().enumerate() {
                    *v -= (a * (w * n as f64).sin() + b * (w * n as f64).cos()) / half;
                }
            }
            let clean = 10.0 * (before / power(&rest)).log10();
            assert!(clean > 40.0, "{count}: {clean:.1} dB");
        }
    }
}
