//! How often clients identified: Discord gives a bot a budget for a day, and spaces those of one bucket.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{id::Id, state::Settings};

/// The identifies of all users.
#[derive(Debug, Default)]
pub struct Identifies(HashMap<Id, Spent>);

/// Those of one user, since the budget was last full.
#[derive(Debug)]
struct Spent {
    since: Instant,
    count: u32,
    /// When the last one of each bucket came.
    last: HashMap<u64, Instant>,
}

impl Identifies {
    /// How many a user has left, and the time until all are back.
    pub fn left(&mut self, user: Id, settings: &Settings) -> (u32, Duration) {
        let period = Duration::from_millis(settings.identify_period_ms);
        let (mut count, mut reset) = (settings.identifies_elsewhere, period);
        if let Some(spent) = self.0.get_mut(&user) {
            if spent.since.elapsed() >= period {
                spent.since = Instant::now();
                spent.count = 0;
            }
            count = count.saturating_add(spent.count);
            reset = period.saturating_sub(spent.since.elapsed());
        }
        (settings.identify_budget.saturating_sub(count), reset)
    }

    /// Counts one for this shard. `false`: the last one of its bucket was too short a time ago.
    pub fn count(&mut self, user: Id, shard: u64, settings: &Settings) -> bool {
        let now = Instant::now();
        let spent = self.0.entry(user).or_insert_with(|| Spent {
            since: now,
            count: 0,
            last: HashMap::new(),
        });
        spent.count = spent.count.saturating_add(1);
        let bucket = shard % u64::from(settings.max_concurrency.get());
        let interval = Duration::from_millis(settings.identify_interval_ms);
        spent
            .last
            .insert(bucket, now)
            .is_none_or(|last| now.duration_since(last) >= interval)
    }

    /// All budgets are full again.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
