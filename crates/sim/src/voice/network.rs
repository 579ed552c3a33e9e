//! A bad network on demand, the same for the same seed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a packet is held back that others are to overtake.
const OVERTAKEN_BY: Duration = Duration::from_millis(50);

/// What happens to datagrams in one direction. Shares are of 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Path {
    /// The share that is lost.
    loss: f64,
    /// The share that comes twice.
    duplicate: f64,
    /// The share that others overtake.
    reorder: f64,
    /// How long each takes, and how much longer at most, in milliseconds.
    delay_ms: u32,
    jitter_ms: u32,
}

/// The network between clients and the voice server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// The same seed and the same packets make the same faults.
    seed: u64,
    /// From clients.
    up: Path,
    /// To clients.
    down: Path,
}

/// A condition that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("`loss`, `duplicate` and `reorder` are shares, from 0 to 1")]
pub struct ShareError;

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

/// What was done to datagrams.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Done {
    pub passed: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub overtaken: u64,
}

/// The network.
pub struct Network {
    conditions: Conditions,
    random: fastrand::Rng,
    up: Done,
    down: Done,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            conditions: Conditions::default(),
            random: fastrand::Rng::with_seed(0),
            up: Done::default(),
            down: Done::default(),
        }
    }
}

impl Network {
    /// Sets the conditions, and begins the seed's faults anew.
    pub fn set(&mut self, conditions: Conditions) -> Result<(), ShareError> {
        let shares = [conditions.up, conditions.down]
            .into_iter()
            .flat_map(|path| [path.loss, path.duplicate, path.reorder]);
        if !shares.into_iter().all(|share| (0.0..=1.0).contains(&share)) {
            return Err(ShareError);
        }
        self.conditions = conditions;
        self.random = fastrand::Rng::with_seed(conditions.seed);
        self.up = Done::default();
        self.down = Done::default();
        Ok(())
    }

    pub fn conditions(&self) -> Conditions {
        self.conditions
    }

    /// What was done since the conditions were set.
    pub fn done(&self, way: Way) -> Done {
        match way {
            Way::Up => self.up,
            Way::Down => self.down,
        }
    }

    /// How long each copy of a datagram takes: no copy, one or two.
    pub fn pass(&mut self, way: Way) -> [Option<Duration>; 2] {
        let (path, done) = match way {
            Way::Up => (&self.conditions.up, &mut self.up),
            Way::Down => (&self.conditions.down, &mut self.down),
        };
        let mut happens = |share: f64| share > 0.0 && self.random.f64() < share;
        let (lost, again, overtaken) = (
            happens(path.loss),
            happens(path.duplicate),
            happens(path.reorder),
        );
        if lost {
            done.lost += 1;
            return [None, None];
        }
        done.passed += 1;
        done.duplicated += u64::from(again);
        done.overtaken += u64::from(overtaken);
        let mut delay = || {
            let jitter = self.random.u32(..=path.jitter_ms);
            Duration::from_millis(u64::from(path.delay_ms) + u64::from(jitter))
        };
        let first = if overtaken {
            delay() + OVERTAKEN_BY
        } else {
            delay()
        };
        [Some(first), again.then(delay)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_faults() {
        let conditions: Conditions = serde_json::from_value(serde_json::json!({
            "seed": 7,
            "down": {"loss": 0.1, "duplicate": 0.05, "reorder": 0.02, "delay_ms": 20, "jitter_ms": 40},
        }))
        .unwrap();
        let mut network = Network::default();
        let mut run = || {
            network.set(conditions).unwrap();
            (0..10_000)
                .map(|_| network.pass(Way::Down))
                .collect::<Vec<_>>()
        };
        let first = run();
        assert_eq!(first, run());
        let done = network.done(Way::Down);
        assert_eq!(done.lost + done.passed, 10_000);
        assert!((900..1_100).contains(&done.lost), "{done:?}");
        assert!((350..550).contains(&done.duplicated), "{done:?}");
        assert!((100..260).contains(&done.overtaken), "{done:?}");
        let times = first.iter().flatten().flatten().map(Duration::as_millis);
        assert!(times.clone().all(|ms| (20..=110).contains(&ms)));
        assert!(times.max() > Some(60));
    }

    #[test]
    fn without_conditions_everything_passes_at_once() {
        let mut network = Network::default();
        for way in [Way::Up, Way::Down] {
            assert_eq!(network.pass(way), [Some(Duration::ZERO), None]);
        }
    }
}
