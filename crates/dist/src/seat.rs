use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The one place that there is for processes of BEAMs, of whichever connection: one is served at a time.
#[derive(Clone, Debug, Default)]
pub struct Seat(Arc<Mutex<Holder>>);

#[derive(Debug, Default)]
struct Holder {
    /// The connection that has it, the name of its node, and how many sessions of it there are.
    connection: u64,
    name: String,
    sessions: usize,
    /// Of connections.
    next: u64,
}

/// The right to sit there, which ends with this.
#[derive(Debug)]
pub struct Place(Seat);

impl Seat {
    /// A number for a connection.
    pub(crate) fn connection(&self) -> u64 {
        let mut holder = self.holder();
        holder.next += 1;
        holder.next
    }

    /// Sits down; or says who sits there.
    pub(crate) fn take(&self, connection: u64, name: &str) -> Result<Place, String> {
        let mut holder = self.holder();
        if holder.sessions > 0 && holder.connection != connection {
            return Err(holder.name.clone());
        }
        holder.connection = connection;
        name.clone_into(&mut holder.name);
        holder.sessions += 1;
        Ok(Place(self.clone()))
    }

    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut holder = self.0.holder();
        holder.sessions = holder.sessions.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_has_it_until_its_last_session_has_ended() {
        let seat = Seat::default();
        let (one, other) = (seat.connection(), seat.connection());
        let first = seat.take(one, "uro@a").unwrap();
        // Whoever attaches over the same connection follows the one before.
        let second = seat.take(one, "uro@a").unwrap();
        drop(first);
        assert_eq!(seat.take(other, "uro@b").unwrap_err(), "uro@a");
        drop(second);
        let _third = seat.take(other, "uro@b").unwrap();
        assert_eq!(seat.take(one, "uro@a").unwrap_err(), "uro@b");
    }
}
