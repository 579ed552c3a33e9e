//! How loud each participant is, of what Elixir says of users and subjects.

use std::collections::BTreeMap;
use uro_discord_portal::{Participant, PeerId, Setting, Source};
use uro_discord_wire::{PortalParticipant, PortalSetting};

/// The settings of those whom there can be. A peer's own is for all whom it forwards, but for those with one of their own.
pub fn settings<'a>(
    wanted: &[PortalSetting],
    peers: impl Iterator<Item = (PeerId, &'a str)> + Clone,
) -> BTreeMap<Participant, Setting> {
    let mut settings = BTreeMap::new();
    for PortalSetting {
        participant,
        gain,
        muted,
    } in wanted
    {
        let setting = Setting {
            gain: *gain,
            muted: *muted,
        };
        match participant {
            PortalParticipant::Discord(user) => {
                settings.insert(Participant::Discord(user.get()), setting);
            }
            PortalParticipant::World(who) => {
                for (peer, subject) in peers.clone() {
                    if let Some(sender) = sender(who, subject) {
                        settings.insert(Participant::World(Source { peer, sender }), setting);
                    }
                }
            }
        }
    }
    settings
}

/// Which sender of a peer with this subject is meant, if any: none is said, or its number behind a `/`.
fn sender(who: &str, subject: &str) -> Option<u32> {
    match who.strip_prefix(subject)? {
        "" => Some(0),
        rest => rest.strip_prefix('/')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_subject_is_all_its_peers_and_a_number_behind_it_one_sender() {
        let wanted: Vec<PortalSetting> = serde_json::from_value(json!([
            {"participant": "discord:3", "gain": 0.5, "muted": false},
            {"participant": "world:shard", "gain": 2.0, "muted": false},
            {"participant": "world:shard/7", "gain": 1.0, "muted": true},
            {"participant": "world:shard-2", "gain": 3.0, "muted": false},
            {"participant": "world:gone", "gain": 4.0, "muted": false},
        ]))
        .unwrap();
        let peers = [(PeerId(1), "shard"), (PeerId(2), "shard"), (PeerId(3), "a")];
        let set: Vec<_> = settings(&wanted, peers.into_iter()).into_iter().collect();
        let world = |peer, sender| {
            Participant::World(Source {
                peer: PeerId(peer),
                sender,
            })
        };
        let setting = |gain, muted| Setting { gain, muted };
        assert_eq!(
            set,
            [
                (world(1, 0), setting(2.0, false)),
                (world(1, 7), setting(1.0, true)),
                (world(2, 0), setting(2.0, false)),
                (world(2, 7), setting(1.0, true)),
                (Participant::Discord(3), setting(0.5, false)),
            ]
        );
    }
}
