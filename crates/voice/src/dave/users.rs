//! Who is in the channel, by Clients Connect (11) and Client Disconnect (13).

use std::time::{Duration, Instant};

/// A welcome was made before it reaches us: it may have somebody in it who has just gone.
const RECOGNISED: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Users {
    own: u64,
    /// Everybody in the channel, and we.
    connected: Vec<u64>,
    gone: Vec<(u64, Instant)>,
}

impl Users {
    pub(crate) fn new(own: u64) -> Self {
        Self {
            own,
            connected: vec![own],
            gone: Vec::new(),
        }
    }

    pub(crate) fn others(&self) -> impl Iterator<Item = u64> {
        let own = self.own;
        self.connected
            .iter()
            .copied()
            .filter(move |user| *user != own)
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.connected.len() + self.gone.len()
    }

    /// `false` if he was there.
    pub(crate) fn connect(&mut self, user: u64) -> bool {
        self.gone.retain(|(gone, _)| *gone != user);
        if self.connected.contains(&user) {
            return false;
        }
        self.connected.push(user);
        true
    }

    /// `false` if he was not there.
    pub(crate) fn disconnect(&mut self, user: u64, now: Instant) -> bool {
        if user == self.own || !self.connected.contains(&user) {
            return false;
        }
        self.connected.retain(|connected| *connected != user);
        self.gone.retain(|(_, at)| now < *at + RECOGNISED);
        self.gone.push((user, now));
        true
    }

    /// Whom a proposal may add.
    pub(crate) fn connected(&self) -> Vec<u64> {
        self.connected.clone()
    }

    /// Who may be in a group that welcomes us. davey refuses a welcome without our own id in this list.
    pub(crate) fn recognised(&self, now: Instant) -> Vec<u64> {
        let gone = self.gone.iter().filter(|(_, at)| now < *at + RECOGNISED);
        let gone = gone.map(|(user, _)| *user);
        self.connected.iter().copied().chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_just_gone_is_recognised_for_a_while() {
        let now = Instant::now();
        let mut users = Users::new(1);
        assert!(users.connect(2) && users.connect(3) && !users.connect(2));
        assert!(users.disconnect(2, now) && !users.disconnect(2, now));
        assert!(!users.disconnect(1, now));
        assert_eq!(users.connected(), [1, 3]);
        assert_eq!(users.recognised(now), [1, 3, 2]);
        assert_eq!(users.recognised(now + RECOGNISED), [1, 3]);
        assert!(users.connect(2));
        assert_eq!(users.recognised(now), [1, 3, 2]);
        assert_eq!(users.others().collect::<Vec<_>>(), [3, 2]);
    }
}
