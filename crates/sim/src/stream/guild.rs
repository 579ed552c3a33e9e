//! The guilds of a stream, and who is in them.

use serde_json::{Value, json};

use super::{
    Maker,
    presence::{self, Shown},
    words::{NAMES, WORDS},
};
use crate::{
    id::{Id, iso8601},
    state::{Channel, ChannelKind, Guild, Member, Role, User},
};

const TEXT_CHANNELS: u32 = 30;
const VOICE_CHANNELS: u32 = 5;
const ROLES: u32 = 20;
const EMOJIS: u32 = 30;
/// Of a hundred members, how many are online when the bot comes.
const ONLINE: u32 = 30;
/// What a role may: anything that bits can say.
const PERMISSIONS: u64 = 104_324_673;

/// A guild of the stream.
pub struct Place {
    pub guild: Guild,
    pub users: Vec<User>,
    /// In the order of `users`.
    pub members: Vec<Member>,
    /// What each member shows, in the order of `users`.
    pub shown: Vec<Option<Shown>>,
}

impl Place {
    pub fn new(maker: &mut Maker, [fewest, most]: [u32; 2]) -> Self {
        let (low, high) = (f64::from(fewest).ln(), f64::from(most).ln());
        let size = (low + maker.rng.f64() * (high - low)).exp().round() as u32;
        let users: Vec<User> = (0..size).map(|_| user(maker)).collect();
        let id = maker.id();
        let mut roles = vec![role(id, "@everyone", 0)];
        roles.extend((1..=ROLES).map(|at| role(maker.id(), maker.one(WORDS), at)));
        let members = users.iter().map(|user| {
            let given = (0..maker.rng.u32(..4))
                .map(|_| roles[maker.rng.usize(1..roles.len())].id)
                .collect();
            Member::new(user.id, given)
        });
        let members: Vec<Member> = members.collect();
        let kinds = [
            (ChannelKind::Text, TEXT_CHANNELS),
            (ChannelKind::Voice, VOICE_CHANNELS),
        ];
        let channels = kinds
            .into_iter()
            .flat_map(|(kind, count)| (0..count).map(move |_| kind));
        let channels = channels.map(|kind| Channel {
            id: maker.id(),
            guild: Some(id),
            name: format!("{}-{}", maker.one(WORDS), maker.one(WORDS)),
            kind,
            overwrites: Vec::new(),
            user_limit: 0,
            recipient: None,
        });
        let channels = channels.collect();
        let name = format!("{} of {}", maker.one(WORDS), maker.one(NAMES));
        Self {
            guild: Guild::new(id, name, users[0].id, roles, channels),
            members,
            shown: users.iter().map(|_| None).collect(),
            users,
        }
    }

    pub fn people(&self) -> usize {
        self.users.len()
    }

    /// One of the channels that people write in.
    pub fn channel(&self, maker: &mut Maker) -> Id {
        self.guild.channels[maker.rng.usize(..TEXT_CHANNELS as usize)].id
    }

    /// GUILD_CREATE, with all members and the presences of those who are online.
    pub fn create(&mut self, maker: &mut Maker) -> Value {
        let people = self.people();
        let mut presences = Vec::new();
        for person in 0..people {
            if maker.percent(ONLINE) {
                let mut presence = presence::update(maker, self, person);
                if let Some(presence) = presence.as_object_mut() {
                    presence.remove("guild_id");
                }
                presences.push(presence);
            }
        }
        let mut guild = self.guild.json();
        let members = self.members.iter().zip(&self.users);
        guild["members"] = members
            .map(|(member, user)| {
                let mut member = member.json_with(user);
                member["user"] = user_json(user);
                member
            })
            .collect();
        let channels = self.guild.channels.iter().enumerate();
        guild["channels"] = channels
            .map(|(at, channel)| channel.json(at, None))
            .collect();
        guild["emojis"] = (0..EMOJIS).map(|_| emoji(maker)).collect();
        guild["presences"] = presences.into();
        guild["icon"] = json!(maker.hash());
        guild["joined_at"] = json!(iso8601(self.guild.id.created_ms()));
        guild["large"] = json!(people > 250);
        guild["member_count"] = json!(people);
        for key in [
            "voice_states",
            "threads",
            "stage_instances",
            "guild_scheduled_events",
            "soundboard_sounds",
        ] {
            guild[key] = json!([]);
        }
        guild
    }
}

fn user(maker: &mut Maker) -> User {
    let name = maker.one(NAMES);
    let id = maker.id();
    let account = format!("{}{}", name.to_lowercase(), maker.rng.u32(..10_000));
    User::person(id, account, name.to_owned())
}

/// A user as people are: with a picture.
pub fn user_json(user: &User) -> Value {
    let mut json = user.json();
    json["avatar"] = json!(format!(
        "{:032x}",
        u128::from(user.id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    ));
    json
}

fn role(id: Id, name: &str, position: u32) -> Role {
    Role {
        color: position * 0x0b_1f3d,
        ..Role::new(id, name, position, PERMISSIONS)
    }
}

fn emoji(maker: &mut Maker) -> Value {
    json!({
        "id": maker.id(),
        "name": maker.one(WORDS),
        "roles": [],
        "require_colons": true,
        "managed": false,
        "animated": false,
        "available": true,
    })
}
