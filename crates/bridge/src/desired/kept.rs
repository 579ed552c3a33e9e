//! What a Uro before desired, kept while the one that came has yet to say what it desires: it learns of its portals and calls one after the other. What
//! it has spoken of is as it says; the rest is as it was, until it has had the time to speak of it.

use super::{Desired, DesiredPortals, DesiredVoice};
use crate::ledger::Subject;
use std::collections::BTreeSet;
use std::sync::Arc;
use uro_discord_wire::{Gateway, Http, Media, VoiceStates};

#[derive(Clone, Debug, Default)]
pub struct Kept {
    gateway: bool,
    /// What of the parts has yet to be spoken of.
    before: Parts,
    /// The parts as they were said.
    told: Parts,
}

#[derive(Clone, Debug, Default)]
struct Parts {
    voice: Option<DesiredVoice>,
    portals: Option<DesiredPortals>,
    /// Of calls that other bridges have, which may not have come yet either.
    voice_states: Option<Arc<VoiceStates>>,
    http: Option<Arc<Http>>,
    media: Option<Arc<Media>>,
}

impl Kept {
    pub fn new(desired: &Desired) -> Self {
        Self {
            gateway: desired.gateway.is_some(),
            before: Parts {
                voice: desired.voice.clone(),
                portals: desired.portals.clone(),
                voice_states: desired.voice_states.clone(),
                http: desired.http.clone(),
                media: desired.media.clone(),
            },
            told: Parts::default(),
        }
    }

    /// Whether this gateway, or none, is to be desired from now on. A shard that is not wanted forgets where the bot is in voice, and who has just
    /// started wants none before he has the lease.
    pub fn gateway(&mut self, told: &Option<Arc<Gateway>>) -> bool {
        self.gateway &= told.is_none();
        !self.gateway
    }

    pub fn has_gateway(&self) -> bool {
        self.gateway
    }

    /// Adds what is kept. Nobody is told of it: the calls are not here.
    pub fn voice_states(&mut self, told: &mut Option<Arc<VoiceStates>>) {
        self.told.voice_states.clone_from(told);
        let Some(before) = &mut self.before.voice_states else {
            return;
        };
        let before = Arc::make_mut(before);
        if let Some(told) = told {
            let spoken_of = told.states.iter().map(|state| state.guild);
            let spoken_of: BTreeSet<_> = spoken_of.chain(told.left.iter().copied()).collect();
            before
                .states
                .retain(|state| !spoken_of.contains(&state.guild));
        }
        if !before.states.is_empty() {
            let told = Arc::make_mut(told.get_or_insert_default());
            told.states.extend(before.states.iter().cloned());
        }
    }

    /// Adds what is kept.
    pub fn voice(&mut self, voice: &mut Option<DesiredVoice>) -> Vec<Subject> {
        self.told.voice.clone_from(voice);
        let Some(before) = &mut self.before.voice else {
            return Vec::new();
        };
        let mut spoken_of = Vec::new();
        if let (Some(told), Some(elsewhere)) = (&*voice, &mut self.before.voice_states) {
            // It has come here.
            let states = &mut Arc::make_mut(elsewhere).states;
            states.retain(|state| !told.channels.contains_key(&state.guild));
        }
        let channels = Arc::make_mut(&mut before.channels);
        if let Some(told) = voice {
            channels.retain(|guild, _| {
                let wanted = told.channels.contains_key(guild);
                spoken_of.extend(wanted.then_some(Subject::Call(*guild)));
                !wanted && !told.left.contains(guild)
            });
        }
        if !channels.is_empty() {
            let voice = voice.get_or_insert_with(|| DesiredVoice {
                user: before.user,
                channels: Arc::default(),
                left: Arc::default(),
                tls: before.tls,
                relay: before.relay,
            });
            let kept = channels.iter();
            let kept = kept.map(|(guild, channel)| (*guild, channel.clone()));
            Arc::make_mut(&mut voice.channels).extend(kept);
        }
        spoken_of
    }

    /// Adds what is kept.
    pub fn portals(&mut self, portals: &mut Option<DesiredPortals>) -> Vec<Subject> {
        self.told.portals.clone_from(portals);
        let Some(before) = &mut self.before.portals else {
            return Vec::new();
        };
        let mut spoken_of = Vec::new();
        let before = Arc::make_mut(before);
        if let Some(told) = portals {
            let guilds: BTreeSet<_> = told.values().map(|portal| portal.guild).collect();
            before.retain(|id, portal| {
                let wanted = told.contains_key(id);
                spoken_of.extend(wanted.then(|| Subject::Portal(id.clone())));
                // A guild has one at most.
                !wanted && !guilds.contains(&portal.guild)
            });
        }
        if !before.is_empty() {
            let kept = before.iter();
            let kept = kept.map(|(id, portal)| (id.clone(), portal.clone()));
            Arc::make_mut(portals.get_or_insert_default()).extend(kept);
        }
        spoken_of
    }

    /// It is as it was while none is wanted.
    pub fn http(&mut self, http: &mut Option<Arc<Http>>) -> Vec<Subject> {
        self.told.http.clone_from(http);
        part(&mut self.before.http, http, Subject::Http)
    }

    /// The same.
    pub fn media(&mut self, media: &mut Option<Arc<Media>>) -> Vec<Subject> {
        self.told.media.clone_from(media);
        part(&mut self.before.media, media, Subject::Media)
    }

    /// What nobody has spoken of is not desired.
    pub fn give_up(self, desired: &mut Desired) {
        let Parts {
            voice,
            portals,
            voice_states,
            http,
            media,
        } = self.told;
        desired.voice = voice;
        desired.portals = portals;
        desired.voice_states = voice_states;
        desired.http = http;
        desired.media = media;
    }
}

fn part<T>(
    before: &mut Option<Arc<T>>,
    told: &mut Option<Arc<T>>,
    subject: Subject,
) -> Vec<Subject> {
    match told {
        Some(_) if before.take().is_some() => vec![subject],
        Some(_) => Vec::new(),
        None => {
            told.clone_from(before);
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use uro_discord_wire::Snowflake;

    fn voice(guilds: &[u64]) -> Value {
        let channels = guilds
            .iter()
            .map(|guild| json!({"guild": guild.to_string(), "channel": "9", "attempt": 1}));
        json!({"user": "7", "channels": channels.collect::<Vec<_>>()})
    }

    fn portals(open: &[(&str, u64)]) -> Value {
        let open = open.iter().map(
            |(id, guild)| json!({"id": id, "guild": guild.to_string(), "channel": "9", "bots": true}),
        );
        json!({"open": open.collect::<Vec<_>>()})
    }

    fn guild(id: u64) -> Snowflake {
        Snowflake::new(id).unwrap()
    }

    fn guilds(desired: &Desired) -> Vec<u64> {
        let voice = desired.voice.as_ref();
        let channels = voice.map(|voice| voice.channels.keys().map(|guild| guild.get()));
        channels.into_iter().flatten().collect()
    }

    fn ids(desired: &Desired) -> Vec<&str> {
        let portals = desired.portals.iter();
        portals
            .flat_map(|portals| portals.keys().map(String::as_str))
            .collect()
    }

    /// What a Uro has left.
    fn left() -> Desired {
        let mut desired = Desired::default();
        let gateway = json!({"token": "t", "intents": 1, "shards": 1});
        let http = json!({"ip": "127.0.0.1", "port": 1, "connections": 1, "tls": null});
        for (part, value) in [
            ("gateway", gateway),
            ("http", http),
            ("voice", voice(&[1, 2, 3])),
            ("portals", portals(&[("a", 1), ("b", 2), ("c", 3)])),
        ] {
            assert_eq!(desired.take(part, value), Ok(vec![]));
        }
        desired.lease(1_000);
        desired.let_go();
        desired
    }

    #[test]
    fn who_has_just_started_and_wants_nothing_yet_ends_nothing() {
        let mut desired = left();
        assert!(desired.lease.is_none());
        desired.attached();
        for part in ["gateway", "http", "voice", "portals"] {
            assert_eq!(desired.take(part, Value::Null), Ok(vec![]), "{part}");
        }
        assert!(desired.gateway.is_some() && desired.http.is_some());
        assert_eq!((desired.era, guilds(&desired)), (0, vec![1, 2, 3]));
        assert_eq!(ids(&desired), ["a", "b", "c"]);

        // What it speaks of is as it says, from then on.
        assert_eq!(
            desired.take("voice", voice(&[2, 4])),
            Ok(vec![Subject::Call(guild(2))])
        );
        assert_eq!(guilds(&desired), [1, 2, 3, 4]);
        assert_eq!(desired.take("voice", voice(&[])), Ok(vec![]));
        assert_eq!(guilds(&desired), [1, 3]);
        let mut left = voice(&[]);
        left["left"] = json!(["3"]);
        assert_eq!(desired.take("voice", left), Ok(vec![]));
        assert_eq!(guilds(&desired), [1]);
        // There is one portal of a guild, be it called otherwise.
        let told = portals(&[("a", 1), ("other", 2)]);
        let spoken_of = vec![Subject::Portal("a".into())];
        assert_eq!(desired.take("portals", told.clone()), Ok(spoken_of));
        assert_eq!(ids(&desired), ["a", "c", "other"]);
        assert_eq!(desired.take("portals", told), Ok(vec![]));

        // And what it has not spoken of ends after all.
        desired.give_up_kept();
        assert!(desired.gateway.is_none() && desired.http.is_none());
        assert_eq!((desired.era, guilds(&desired)), (1, vec![]));
        assert_eq!(ids(&desired), ["a", "other"]);
    }

    #[test]
    fn calls_on_other_bridges_are_where_they_were_until_these_come() {
        let state = |guild: u64, beginning: u64| json!({"guild": guild.to_string(), "user": "7", "channel": "9", "beginning": beginning});
        let there = |desired: &Desired| -> Vec<(u64, u64)> {
            let states = desired.voice_states.iter().flat_map(|it| &it.states);
            states.map(|it| (it.guild.get(), it.beginning)).collect()
        };
        let mut desired = left();
        let before = json!({"states": [state(11, 1), state(12, 2), state(13, 3), state(14, 4)], "left": ["15"]});
        assert_eq!(desired.take("voice_states", before), Ok(vec![]));
        desired.let_go();
        desired.attached();
        assert_eq!(desired.take("voice_states", Value::Null), Ok(vec![]));
        assert_eq!(there(&desired), [(11, 1), (12, 2), (13, 3), (14, 4)]);
        // One bridge has come with a call that went on and one that began anew; and one call has been left.
        let told = json!({"states": [state(11, 1), state(12, 5)], "left": ["13"]});
        assert_eq!(desired.take("voice_states", told.clone()), Ok(vec![]));
        assert_eq!(there(&desired), [(11, 1), (12, 5), (14, 4)]);
        // What is here now is not elsewhere.
        assert_eq!(desired.take("voice", voice(&[14])), Ok(vec![]));
        assert_eq!(desired.take("voice_states", told), Ok(vec![]));
        assert_eq!(there(&desired), [(11, 1), (12, 5)]);
        assert_eq!(desired.take("voice_states", Value::Null), Ok(vec![]));
        assert_eq!(there(&desired), []);

        let mut desired = left();
        let before = json!({"states": [state(11, 1)]});
        assert_eq!(desired.take("voice_states", before), Ok(vec![]));
        desired.let_go();
        desired.attached();
        assert_eq!(desired.take("voice_states", Value::Null), Ok(vec![]));
        desired.give_up_kept();
        assert_eq!(there(&desired), []);
    }

    #[test]
    fn what_is_said_again_is_told_of_once() {
        let mut desired = left();
        desired.attached();
        let gateway = json!({"token": "t", "intents": 1, "shards": 1});
        let http = json!({"ip": "127.0.0.1", "port": 2, "connections": 1, "tls": null});
        assert_eq!(desired.take("gateway", gateway), Ok(vec![]));
        assert_eq!(desired.take("http", http.clone()), Ok(vec![Subject::Http]));
        assert_eq!(desired.take("http", http), Ok(vec![]));
        // It has had one: now it wants none.
        assert_eq!(desired.take("http", Value::Null), Ok(vec![]));
        assert_eq!(desired.take("gateway", Value::Null), Ok(vec![]));
        assert!(desired.http.is_none() && desired.gateway.is_none());
    }

    #[test]
    fn when_nobody_comes_nothing_is_left() {
        let mut desired = left();
        assert!(desired.is_something());
        desired.nothing();
        assert!(!desired.is_something());
        assert_eq!((desired.era, desired.attachment), (1, 1));
    }
}
