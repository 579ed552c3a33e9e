//! How unevenly packets come, and how long to hold them so that most are there in time.
//!
//! Times are samples at 48 kHz. A packet's transit is when it came minus when it was spoken, by two clocks that do not know each other:
//! only what changes means something. The least one is the path itself; what is above it is jitter.

/// Width of a class of delays: 5 ms.
const CLASS: i64 = 240;

/// Delays up to 300 ms are told apart.
const CLASSES: usize = 60;

/// How much a packet counts; those before it are forgotten at this rate, half of them in some 5 s.
const WEIGHT: f32 = 0.003;

/// The share of packets that shall be there in time.
const IN_TIME: f32 = 0.98;

/// On top of it: half a frame, since the clock that takes them out has a phase of its own.
const MARGIN: i64 = 480;

/// What is assumed before anything is known, and how much that counts: it is forgotten within seconds.
const FIRST: (usize, f32) = (4, 0.01);

/// The least transit is forgotten by so much of the time that passes: above any clock's drift.
const CREEP: f64 = 0.001;

/// A transit that far from the least one is a clock that was set: 1 s.
const JUMP: f64 = 48_000.0;

/// How long drift is measured at a time: 10 s.
const WINDOW: i64 = 480_000;

#[derive(Clone, Debug)]
pub(crate) struct Delay {
    base: Option<f64>,
    classes: [f32; CLASSES],
    target: i64,
    last: f64,
    jitter: f64,
    drift: Drift,
}

#[derive(Clone, Debug, Default)]
struct Drift {
    since: i64,
    least: Option<f64>,
    before: Option<(i64, f64)>,
    ppm: f64,
}

impl Default for Delay {
    fn default() -> Self {
        let mut classes = [0.0; CLASSES];
        classes[FIRST.0] = FIRST.1;
        Self {
            base: None,
            classes,
            target: (FIRST.0 as i64 + 1) * CLASS + MARGIN,
            last: 0.0,
            jitter: 0.0,
            drift: Drift::default(),
        }
    }
}

impl Delay {
    /// A packet of `samples`, spoken at `media`, came at `clock`.
    pub(crate) fn arrive(&mut self, clock: i64, media: i64, samples: usize) {
        let transit = (clock - media) as f64;
        let base = match self.base {
            Some(base) if (transit - base).abs() < JUMP => {
                self.jitter += ((transit - self.last).abs() - self.jitter) / 16.0;
                (base + CREEP * samples as f64).min(transit)
            }
            _ => {
                self.drift = Drift {
                    ppm: self.drift.ppm,
                    ..Drift::default()
                };
                transit
            }
        };
        self.base = Some(base);
        self.last = transit;
        self.drift.measure(clock, transit);
        let class = ((transit - base) as usize / CLASS as usize).min(CLASSES - 1);
        for weight in &mut self.classes {
            *weight *= 1.0 - WEIGHT;
        }
        if let Some(weight) = self.classes.get_mut(class) {
            *weight += WEIGHT;
        }
        let enough = self.classes.iter().sum::<f32>() * IN_TIME;
        let mut sum = 0.0;
        let covered = self.classes.iter().position(|weight| {
            sum += weight;
            sum >= enough
        });
        let classes = covered.map_or(CLASSES, |class| class + 1) as i64;
        self.target = classes * CLASS + MARGIN;
    }

    /// The next packet tells anew how long the path is.
    pub(crate) fn restart(&mut self) {
        self.base = None;
    }

    /// How long what was spoken at `media` has been there, had it come as fast as any.
    pub(crate) fn age(&self, clock: i64, media: i64) -> i64 {
        clock - media - self.base.unwrap_or(0.0) as i64
    }

    /// How long a packet is held.
    pub(crate) fn target(&self) -> i64 {
        self.target
    }

    pub(crate) fn jitter_ms(&self) -> u32 {
        (self.jitter / 48.0) as u32
    }

    /// How much faster than ours the sender's clock is.
    pub(crate) fn drift_ppm(&self) -> i32 {
        self.drift.ppm as i32
    }
}

impl Drift {
    fn measure(&mut self, clock: i64, transit: f64) {
        let Some(least) = self.least else {
            (self.since, self.least) = (clock, Some(transit));
            return;
        };
        let least = least.min(transit);
        self.least = Some(least);
        if clock - self.since < WINDOW {
            return;
        }
        if let Some((then, before)) = self.before {
            let ppm = (before - least) / (clock - then) as f64 * 1e6;
            self.ppm += (ppm - self.ppm) * 0.3;
        }
        self.before = Some((clock, least));
        (self.since, self.least) = (clock, Some(transit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(packets: i64, mut delay_ms: impl FnMut(i64) -> f64) -> Delay {
        let mut delay = Delay::default();
        for n in 0..packets {
            let clock = n * 960 + (delay_ms(n) * 48.0) as i64;
            delay.arrive(clock, 7_000 + n * 960, 960);
        }
        delay
    }

    #[test]
    fn the_target_follows_the_jitter() {
        let mut random = fastrand::Rng::with_seed(1);
        assert_eq!(run(500, |_| 30.0).target(), CLASS + MARGIN);
        let even = run(500, |_| random.f64() * 50.0).target();
        assert!((2_400..3_400).contains(&even), "{even}");
        let rare = run(2_000, |n| if n % 200 == 0 { 250.0 } else { 0.0 }).target();
        assert_eq!(rare, CLASS + MARGIN, "one in two hundred is not worth it");
    }

    #[test]
    fn drift_is_seen() {
        for ppm in [-200.0, 200.0] {
            // A sender whose clock is fast sends earlier and earlier.
            let delay = run(6_000, |n| 1_000.0 - n as f64 * 20.0 * ppm / 1e6);
            assert!(
                (f64::from(delay.drift_ppm()) - ppm).abs() < 20.0,
                "{delay:?}"
            );
            assert_eq!(delay.target(), CLASS + MARGIN);
        }
    }
}
