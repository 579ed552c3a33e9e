//! A stream of events as a bot in many guilds gets them, for measuring clients: made from a seed, so that each is given the same.

mod guild;
mod message;
mod play;
mod presence;
mod text;
mod words;

use std::collections::BTreeMap;

use fastrand::Rng;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::oneshot;

use self::guild::Place;
use crate::{id::Id, state::User};

/// The most that a stream may hold: its payloads are all in memory before the first is sent.
const MAX_EVENTS: u32 = 1_000_000;
/// The most members of all guilds together, for the same reason.
const MAX_MEMBERS: u64 = 1_000_000;
/// Of a hundred events after the guilds, how many are messages. The others are presences.
const MESSAGES: u32 = 15;
/// The time of a stream's first id, 2025-06-15, in Unix milliseconds. Each seed has a second of its own, and so its own ids.
const BEGIN_MS: u64 = 1_750_000_000_000;

/// What a stream is made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Who gets it: a name or an id.
    pub user: String,
    /// Which of his sessions, where there are several.
    pub shard: Option<u64>,
    seed: u32,
    /// All events: the guilds, presences and messages, and a message at either end.
    events: u32,
    #[serde(default = "some_guilds")]
    guilds: u32,
    /// The fewest and the most members of a guild; small guilds are as much more frequent as they are smaller.
    #[serde(default = "some_members")]
    members: [u32; 2],
}

fn some_guilds() -> u32 {
    100
}

fn some_members() -> [u32; 2] {
    [10, 5_000]
}

/// A stream that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("`events` is one for each of `guilds`, at least 1, and two more, up to {MAX_EVENTS}")]
    Events,
    #[error(
        "`members` is the fewest and the most of a guild, at least 1; all guilds together may have {MAX_MEMBERS}"
    )]
    Members,
}

impl Plan {
    pub fn check(self) -> Result<Self, PlanError> {
        let [fewest, most] = self.members;
        if self.guilds == 0 || !(self.guilds.saturating_add(2)..=MAX_EVENTS).contains(&self.events)
        {
            Err(PlanError::Events)
        } else if fewest == 0
            || fewest > most
            || u64::from(most) * u64::from(self.guilds) > MAX_MEMBERS
        {
            Err(PlanError::Members)
        } else {
            Ok(self)
        }
    }

    /// Makes the stream. Its first and its last event are messages in `channel` of `guild`, so that whoever gets messages can
    /// tell when it begins and ends.
    pub fn record(self, guild: Id, channel: Id, author: &User) -> Recording {
        let mut maker = Maker {
            rng: Rng::with_seed(self.seed.into()),
            last: Id::at(BEGIN_MS + u64::from(self.seed) * 1_000),
        };
        let mut events = Vec::with_capacity(self.events as usize);
        let mut add = |kind, data: Value| events.push((kind, text::write(&data)));
        let mark = |maker: &mut Maker, what| {
            message::plain(
                maker,
                guild,
                channel,
                author,
                &format!("stream {} {what}", self.seed),
            )
        };
        add("MESSAGE_CREATE", mark(&mut maker, "begins"));
        let mut places: Vec<Place> = (0..self.guilds)
            .map(|_| Place::new(&mut maker, self.members))
            .collect();
        for place in &mut places {
            add("GUILD_CREATE", place.create(&mut maker));
        }
        // Somebody of all who are in a guild, so that large guilds have more to say.
        let people: Vec<(usize, usize)> = places
            .iter()
            .enumerate()
            .flat_map(|(place, in_it)| (0..in_it.people()).map(move |person| (place, person)))
            .collect();
        for _ in self.guilds + 2..self.events {
            let (place, person) = people[maker.rng.usize(..people.len())];
            let place = &mut places[place];
            if maker.rng.u32(..100) < MESSAGES {
                add("MESSAGE_CREATE", message::random(&mut maker, place, person));
            } else {
                add(
                    "PRESENCE_UPDATE",
                    presence::update(&mut maker, place, person),
                );
            }
        }
        add("MESSAGE_CREATE", mark(&mut maker, "ends"));
        Recording {
            events,
            begins: None,
        }
    }
}

/// Chance and ids: all that a stream is made with.
struct Maker {
    rng: Rng,
    last: Id,
}

impl Maker {
    fn id(&mut self) -> Id {
        self.last = Id(self.last.0 + 1);
        self.last
    }

    /// True so many times of a hundred.
    fn percent(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(..of.len())]
    }

    /// What Discord names an image by.
    fn hash(&mut self) -> String {
        format!("{:032x}", self.rng.u128(..))
    }
}

/// The payloads of a stream, without the sequence numbers of a session.
pub struct Recording {
    events: Vec<(&'static str, String)>,
    /// Is told when it begins: how many bytes go over the connection, the frames' headers with them.
    begins: Option<oneshot::Sender<u64>>,
}

impl Recording {
    pub fn len(&self) -> u64 {
        self.events.len() as u64
    }

    /// The JSON text of all data, in bytes.
    pub fn bytes(&self) -> usize {
        self.events.iter().map(|(_, data)| data.len()).sum()
    }

    /// How many there are of each type.
    pub fn types(&self) -> BTreeMap<&'static str, u64> {
        let mut types = BTreeMap::new();
        for (kind, _) in &self.events {
            *types.entry(*kind).or_default() += 1;
        }
        types
    }

    /// Tells when it begins. The sender is dropped if it never does.
    pub fn begins(&mut self) -> oneshot::Receiver<u64> {
        let (sender, receiver) = oneshot::channel();
        self.begins = Some(sender);
        receiver
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::seed;

    fn plan(mut json: Value) -> Result<Plan, PlanError> {
        json["user"] = "uro".into();
        json["seed"] = json.get("seed").cloned().unwrap_or(1.into());
        serde_json::from_value::<Plan>(json).unwrap().check()
    }

    fn record(seed: u32) -> Recording {
        let plan = plan(json!({"seed": seed, "events": 2_000, "guilds": 20, "members": [10, 500]}));
        let users = seed::users(0).unwrap();
        plan.unwrap()
            .record(Id(1), Id(2), users.named("uro").unwrap())
    }

    #[test]
    fn a_seed_makes_a_stream() {
        let recording = record(1);
        assert_eq!(recording.events, record(1).events);
        assert_ne!(recording.events, record(2).events);
        assert_eq!(recording.len(), 2_000);
        let types = recording.types();
        assert_eq!(types["GUILD_CREATE"], 20);
        assert!((200..400).contains(&types["MESSAGE_CREATE"]), "{types:?}");
        let content = |at: usize| {
            let data: Value = serde_json::from_str(&recording.events[at].1).unwrap();
            data["content"].as_str().map(str::to_owned)
        };
        assert_eq!(content(0).unwrap(), "stream 1 begins");
        assert_eq!(content(1_999).unwrap(), "stream 1 ends");
    }

    #[test]
    fn every_presence_is_news() {
        // Of a presence that is shown already discord.js says nothing.
        let mut shown = BTreeMap::new();
        for (kind, data) in record(3).events {
            let data: Value = serde_json::from_str(&data).unwrap();
            let presences = match kind {
                "GUILD_CREATE" => data["presences"].as_array().unwrap().clone(),
                "PRESENCE_UPDATE" => vec![data],
                _ => vec![],
            };
            for presence in presences {
                let activities = presence["activities"].as_array().unwrap().iter();
                let told: Vec<_> = activities
                    .map(|activity| ["name", "state", "details"].map(|key| activity[key].clone()))
                    .collect();
                let now = (presence["status"].clone(), told);
                let user = presence["user"]["id"].to_string();
                assert_ne!(shown.insert(user, now.clone()), Some(now));
            }
        }
        assert!(shown.len() > 500, "{}", shown.len());
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        for (refused, why) in [
            (json!({"events": 101}), "`events`"),
            (json!({"events": 1_000_001}), "`events`"),
            (json!({"events": 9, "guilds": 0}), "`events`"),
            (
                json!({"events": 9, "guilds": 1, "members": [0, 5]}),
                "`members`",
            ),
            (
                json!({"events": 9, "guilds": 1, "members": [6, 5]}),
                "`members`",
            ),
            (json!({"events": 999, "members": [1, 10_001]}), "`members`"),
        ] {
            let error = plan(refused).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
