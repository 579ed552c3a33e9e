//! Signals that need no file, and what is in a signal.

use std::f64::consts::TAU;

/// Samples a second.
pub const RATE: u32 = 48_000;
const RATE_F64: f64 = 48_000.0;

/// An endless signal of one channel.
#[derive(Clone, Debug)]
pub struct Signal {
    kind: Kind,
    at: u64,
}

#[derive(Clone, Debug)]
enum Kind {
    Tone(f64),
    Speech(Box<Speech>),
}

impl Signal {
    /// A sine.
    #[must_use]
    pub fn tone(hertz: f64) -> Self {
        Self {
            kind: Kind::Tone(hertz),
            at: 0,
        }
    }

    /// Something with a voice's pitch, vowels, syllables and pauses, the same for the same seed.
    #[must_use]
    pub fn speech(seed: u64) -> Self {
        Self {
            kind: Kind::Speech(Box::new(Speech::new(seed))),
            at: 0,
        }
    }

    /// The next samples, between -1 and 1.
    pub fn fill(&mut self, samples: &mut [f32]) {
        for sample in samples {
            *sample = match &mut self.kind {
                Kind::Tone(hertz) => {
                    let turn = *hertz * self.at as f64 / RATE_F64;
                    (0.4 * (TAU * turn.fract()).sin()) as f32
                }
                Kind::Speech(speech) => speech.sample(self.at) as f32,
            };
            self.at += 1;
        }
    }
}

/// Formants of five vowels, in Hz.
const VOWELS: [[f64; 3]; 5] = [
    [730.0, 1_090.0, 2_440.0],
    [530.0, 1_840.0, 2_480.0],
    [270.0, 2_290.0, 3_010.0],
    [570.0, 840.0, 2_410.0],
    [300.0, 870.0, 2_240.0],
];
const BANDWIDTHS: [f64; 3] = [80.0, 100.0, 140.0];
/// A syllable is so long.
const SYLLABLE: u64 = 48_000 / 5;
/// So many make a phrase, of which the last ones are silent.
const PHRASE: u64 = 10;
const SPOKEN: u64 = 7;

/// A source of pulses through resonators.
#[derive(Clone, Debug)]
struct Speech {
    random: fastrand::Rng,
    pitch: f64,
    turn: f64,
    vowel: [f64; 3],
    loudness: f64,
    hiss: bool,
    resonators: [Resonator; 3],
}

impl Speech {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            pitch: 100.0 + 110.0 * random.f64(),
            random,
            turn: 0.0,
            vowel: VOWELS[0],
            loudness: 0.0,
            hiss: false,
            resonators: [Resonator::default(); 3],
        }
    }

    fn sample(&mut self, at: u64) -> f64 {
        let within = at % SYLLABLE;
        let syllable = at / SYLLABLE % PHRASE;
        if within == 0 {
            self.vowel = VOWELS[self.random.usize(..VOWELS.len())];
            self.loudness = if syllable < SPOKEN {
                0.5 + 0.5 * self.random.f64()
            } else {
                0.0
            };
            self.hiss = self.random.u8(..3) == 0;
        }
        // It falls along the phrase and trembles.
        let place = (at % (SYLLABLE * PHRASE)) as f64 / RATE_F64;
        let pitch = self.pitch * (1.1 - 0.1 * place + 0.02 * (TAU * 5.0 * place).sin());
        self.turn += pitch / RATE_F64;
        let pulse = if self.turn >= 1.0 {
            self.turn -= 1.0;
            1.0
        } else {
            0.0
        };
        let noise = self.random.f64() - 0.5;
        let part = within as f64 / SYLLABLE as f64;
        // A consonant, then the vowel.
        let (source, breath) = if part < 0.2 && self.hiss {
            (0.0, 0.15 * noise)
        } else {
            (pulse + 0.01 * noise, 0.0)
        };
        let envelope = self.loudness * (std::f64::consts::PI * part).sin().max(0.0).sqrt();
        let mut voiced = 0.0;
        for ((resonator, hertz), bandwidth) in
            self.resonators.iter_mut().zip(self.vowel).zip(BANDWIDTHS)
        {
            voiced += resonator.pass(source, hertz, bandwidth);
        }
        (envelope * (0.35 * voiced + breath)).clamp(-0.95, 0.95)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Resonator {
    last: f64,
    before: f64,
}

impl Resonator {
    fn pass(&mut self, input: f64, hertz: f64, bandwidth: f64) -> f64 {
        let radius = (-std::f64::consts::PI * bandwidth / RATE_F64).exp();
        let output = input + 2.0 * radius * (TAU * hertz / RATE_F64).cos() * self.last
            - radius * radius * self.before;
        (self.before, self.last) = (self.last, output);
        output * (TAU * hertz / RATE_F64).sin()
    }
}

/// The share of the samples' energy that is in a tone (Goertzel).
#[must_use]
pub fn share(samples: &[f32], hertz: f64) -> f64 {
    let coefficient = 2.0 * (TAU * hertz / RATE_F64).cos();
    let (last, before) = samples.iter().fold((0.0, 0.0), |(last, before), sample| {
        (f64::from(*sample) + coefficient * last - before, last)
    });
    let power = last * last + before * before - coefficient * last * before;
    let energy: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    if energy == 0.0 {
        return 0.0;
    }
    2.0 * power / (samples.len() as f64 * energy)
}

/// How loud samples are, in decibels below the loudest sine there is; silence is -127.
#[must_use]
pub fn level(samples: &[f32]) -> f64 {
    let energy: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    let mean = 2.0 * energy / samples.len().max(1) as f64;
    (10.0 * mean.log10()).clamp(-127.0, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(mut signal: Signal) -> Vec<f32> {
        let mut samples = vec![0.0; RATE as usize];
        signal.fill(&mut samples);
        samples
    }

    #[test]
    fn a_tone_is_all_of_its_energy() {
        let samples = second(Signal::tone(440.0));
        assert!(share(&samples, 440.0) > 0.999);
        assert!(share(&samples, 550.0) < 0.001);
        assert!((level(&samples) + 7.96).abs() < 0.1, "{}", level(&samples));
    }

    #[test]
    fn silence_has_neither_tone_nor_level() {
        assert_eq!(share(&[0.0; 960], 440.0), 0.0);
        assert_eq!(level(&[0.0; 960]), -127.0);
        assert_eq!(level(&[]), -127.0);
    }

    #[test]
    fn speech_is_loud_pauses_and_is_the_same_again() {
        let samples = second(Signal::speech(7));
        assert_eq!(samples, second(Signal::speech(7)));
        assert_ne!(samples, second(Signal::speech(8)));
        let level = level(&samples);
        assert!((-30.0..-6.0).contains(&level), "{level}");
        let mut signal = Signal::speech(7);
        let mut phrase = vec![0.0; (SYLLABLE * PHRASE) as usize];
        signal.fill(&mut phrase);
        let pause = &phrase[(SYLLABLE * (SPOKEN + 1)) as usize..];
        assert!(pause.iter().all(|sample| *sample == 0.0));
    }
}
