//! Who is in the world and in the call, as pages show it.

use serde::Serialize;

use crate::room::Participant;

/// More than these are only counted.
const SHOWN: usize = 200;

/// Everybody who is there.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct People {
    world: Vec<Person>,
    call: Vec<Person>,
    /// How many more there are.
    more: usize,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Person {
    id: String,
    name: String,
    speaking: bool,
}

impl People {
    /// Of a room's people.
    pub(crate) fn new(all: Vec<(Participant, String, bool)>) -> Self {
        let mut people = Self {
            more: all.len().saturating_sub(SHOWN),
            ..Self::default()
        };
        for (who, name, speaking) in all.into_iter().take(SHOWN) {
            let side = match who {
                Participant::World(_) => &mut people.world,
                Participant::Discord(_) => &mut people.call,
            };
            side.push(Person {
                id: id(who),
                name,
                speaking,
            });
        }
        people
    }
}

/// What pages call somebody. Another page has the same.
pub(crate) fn id(who: Participant) -> String {
    match who {
        Participant::World(source) => format!("world:{}:{}", source.peer.0, source.sender),
        Participant::Discord(user) => format!("discord:{user}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{PeerId, Source};
    use crate::tv::message::Said;

    #[test]
    fn people_are_by_side_and_not_too_many() {
        let player = |sender| {
            let peer = PeerId(7);
            Participant::World(Source { peer, sender })
        };
        let all = vec![
            (player(2), "Ann".into(), true),
            (Participant::Discord(9), "Bob".into(), false),
        ];
        let text = Said::People(&People::new(all)).text();
        let wanted = r#"{"op":"people","world":[{"id":"world:7:2","name":"Ann","speaking":true}],"call":[{"id":"discord:9","name":"Bob","speaking":false}],"more":0}"#;
        assert_eq!(text, wanted);
        let many = (0..205).map(|it| (player(it), String::new(), false));
        let many = People::new(many.collect());
        assert_eq!((many.world.len(), many.more), (SHOWN, 5));
    }
}
