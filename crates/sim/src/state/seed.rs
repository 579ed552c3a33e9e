//! The Discord that a simulator starts with: one guild, two bots and two people.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    Channel, ChannelKind, Guild, Member, Overwrite, OverwriteKind, Role, User, permissions as p,
};
use crate::{StartError, id::Id};

/// The application of our own bot; its bot user has the same id, as Discord gives to new applications.
pub const APPLICATION: Id = Id(1_300_000_000_000_000_001);
const PEER: Id = Id(1_300_000_000_000_000_002);
const ALICE: Id = Id(1_300_000_000_000_000_003);
const BOB: Id = Id(1_300_000_000_000_000_004);
const GUILD: Id = Id(1_300_000_000_000_000_100);
const BOT_ROLE: Id = Id(1_300_000_000_000_000_101);
const STAFF_ROLE: Id = Id(1_300_000_000_000_000_102);
const FIRST_BOT: u64 = 1_300_000_000_000_010_000;
const FIRST_CHANNEL: u64 = 1_300_000_000_000_000_200;

/// What our bot asks for when it is invited; the bits are CREATE_INSTANT_INVITE, MANAGE_WEBHOOKS, MANAGE_ROLES,
/// MANAGE_NICKNAMES.
const BOT_PERMISSIONS: u64 =
    1 | (1 << 27) | (1 << 28) | (1 << 29) | p::MANAGE_CHANNELS | p::MUTE_MEMBERS;

/// Two bots (`uro`, ours, and `peer`, somebody else's), two people, and so many more bots, with fresh tokens.
pub fn users(more_bots: u16) -> Result<Vec<User>, StartError> {
    let user = |id, name: &str, display: &str, bot| {
        Ok::<_, StartError>(User {
            id,
            name: name.to_owned(),
            display: display.to_owned(),
            bot,
            token: token(id)?,
        })
    };
    let mut users = vec![
        user(APPLICATION, "uro", "Uro", true)?,
        user(PEER, "peer", "Peer", true)?,
        user(ALICE, "alice", "Alice", false)?,
        user(BOB, "bob", "Bob", false)?,
    ];
    for (id, number) in (FIRST_BOT..).zip(1..=more_bots) {
        let name = format!("bot-{number}");
        users.push(user(Id(id), &name, &name, true)?);
    }
    Ok(users)
}

/// The guild. `staff` is hidden from all but staff, `rules` is for reading: they show errors 50001 and 50013. Nobody may
/// connect to `office` but the owner. `more_channels` for text come after its own.
pub fn guild(more_channels: u16, users: &[User]) -> Guild {
    use ChannelKind::{Announcement, Stage, Text, Voice};
    let everyone = |deny| {
        vec![Overwrite {
            id: GUILD,
            kind: OverwriteKind::Role,
            allow: 0,
            deny,
        }]
    };
    let mut staff = everyone(p::VIEW_CHANNEL);
    staff.push(Overwrite {
        id: STAFF_ROLE,
        kind: OverwriteKind::Role,
        allow: p::VIEW_CHANNEL,
        deny: 0,
    });
    let own = [
        ("announcements", Announcement, vec![]),
        ("status", Text, vec![]),
        ("builds", Text, vec![]),
        ("general", Text, vec![]),
        ("rules", Text, everyone(p::SEND_MESSAGES)),
        ("staff", Text, staff),
        ("world", Voice, vec![]),
        ("lobby", Voice, vec![]),
        ("stage", Stage, vec![]),
        ("office", Voice, everyone(p::CONNECT)),
    ];
    let own = own.map(|(name, kind, overwrites)| (name.to_owned(), kind, overwrites));
    let more = (1..=more_channels).map(|number| (format!("channel-{number}"), Text, vec![]));
    Guild {
        id: GUILD,
        name: "V-Sekai".to_owned(),
        owner: ALICE,
        roles: {
            let mut roles = roles(GUILD, BOT_ROLE);
            roles.push(role(
                STAFF_ROLE,
                "Staff",
                1,
                0xf0_b232,
                p::MANAGE_MESSAGES | p::MENTION_EVERYONE,
            ));
            roles
        },
        channels: (FIRST_CHANNEL..)
            .zip(own.into_iter().chain(more))
            .map(|(id, (name, kind, overwrites))| Channel {
                id: Id(id),
                guild: Some(GUILD),
                name,
                kind,
                overwrites,
                user_limit: 0,
                recipient: None,
            })
            .collect(),
        members: users
            .iter()
            .map(|user| Member {
                user: user.id,
                roles: match user.id {
                    APPLICATION => vec![BOT_ROLE],
                    ALICE => vec![STAFF_ROLE],
                    _ => vec![],
                },
            })
            .collect(),
        crowd: 0,
    }
}

/// The roles of any guild: everybody's, and that of our bot.
pub fn roles(guild: Id, bot: Id) -> Vec<Role> {
    vec![
        role(
            guild,
            "@everyone",
            0,
            0,
            p::VIEW_CHANNEL
                | p::SEND_MESSAGES
                | p::EMBED_LINKS
                | p::ATTACH_FILES
                | p::READ_MESSAGE_HISTORY
                | p::ADD_REACTIONS
                | p::CONNECT
                | p::SPEAK
                | p::USE_VAD
                | p::SET_VOICE_CHANNEL_STATUS,
        ),
        Role {
            bot: Some(APPLICATION),
            ..role(bot, "Uro", 2, 0x58_65f2, BOT_PERMISSIONS)
        },
    ]
}

fn role(id: Id, name: &str, position: u32, color: u32, permissions: u64) -> Role {
    Role {
        id,
        name: name.to_owned(),
        position,
        color,
        permissions,
        bot: None,
    }
}

/// A token as Discord makes them: the id in base64, a time stamp and a secret, with dots between.
fn token(id: Id) -> Result<String, StartError> {
    Ok(format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(id.to_string()),
        secret(4)?,
        secret(28)?
    ))
}

/// `bytes` random bytes in URL-safe base64.
pub fn secret(bytes: usize) -> Result<String, StartError> {
    let mut random = vec![0; bytes];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| StartError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
