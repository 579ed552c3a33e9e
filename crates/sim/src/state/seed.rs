//! The Discord that a simulator starts with: one guild, two bots and two people.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    Channel, ChannelKind, Guild, Manager, Member, Overwrite, OverwriteKind, Role, User, Users,
    permissions as p,
};
use crate::{StartError, id::Id};

/// The application of our own bot; its bot user has the same id, as Discord gives to new applications.
pub const APPLICATION: Id = Id(1_300_000_000_000_000_001);
const PEER: Id = Id(1_300_000_000_000_000_002);
const ALICE: Id = Id(1_300_000_000_000_000_003);
const BOB: Id = Id(1_300_000_000_000_000_004);
/// Who owns the applications.
pub const DEVELOPER: Id = ALICE;
const GUILD: Id = Id(1_300_000_000_000_000_100);
const BOT_ROLE: Id = Id(1_300_000_000_000_000_101);
const STAFF_ROLE: Id = Id(1_300_000_000_000_000_102);
const FIRST_BOT: u64 = 1_300_000_000_000_010_000;
const FIRST_CHANNEL: u64 = 1_300_000_000_000_000_200;

/// What our bot has asked for when it was invited.
const BOT_PERMISSIONS: u64 = p::CREATE_INSTANT_INVITE
    | p::MANAGE_NICKNAMES
    | p::MANAGE_ROLES
    | p::MANAGE_WEBHOOKS
    | p::MANAGE_CHANNELS
    | p::MUTE_MEMBERS;

/// Two bots (`uro`, ours, and `peer`, somebody else's), two people, and so many more bots, with fresh tokens.
pub fn users(more_bots: u16) -> Result<Users, StartError> {
    let user = |id, name: &str, display: &str, bot| {
        Ok::<_, StartError>(User {
            bot,
            token: token(id)?,
            ..User::person(id, name.to_owned(), display.to_owned())
        })
    };
    let mut users: Users = [
        user(APPLICATION, "uro", "Uro", true)?,
        user(PEER, "peer", "Peer", true)?,
        user(ALICE, "alice", "Alice", false)?,
        user(BOB, "bob", "Bob", false)?,
    ]
    .into_iter()
    .collect();
    for (id, number) in (FIRST_BOT..).zip(1..=more_bots) {
        let name = format!("bot-{number}");
        users.add(user(Id(id), &name, &name, true)?);
    }
    Ok(users)
}

/// The guild. `staff` is hidden from all but staff, `rules` is for reading: they show errors 50001 and 50013. Nobody may
/// connect to `office` but the owner. `more_channels` for text come after its own.
pub fn guild(more_channels: u16, users: &Users) -> Guild {
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
    let channels = (FIRST_CHANNEL..)
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
        .collect();
    let mut guild = Guild::new(GUILD, "V-Sekai".to_owned(), ALICE, Vec::new(), channels);
    furnish(&mut guild, users);
    guild
}

/// Those users who were there from the beginning.
pub fn first(users: &Users) -> impl Iterator<Item = Id> {
    let ids = users.iter().map(|user| user.id);
    ids.take_while(|id| id.0 <= FIRST_BOT + u64::from(u16::MAX))
}

/// Gives the guild its first owner, roles and members.
pub fn furnish(guild: &mut Guild, users: &Users) {
    guild.owner = ALICE;
    guild.roles = roles(GUILD, BOT_ROLE);
    guild.roles.push(Role {
        color: 0xf0_b232,
        ..Role::new(
            STAFF_ROLE,
            "Staff",
            1,
            p::MANAGE_MESSAGES | p::MENTION_EVERYONE,
        )
    });
    let members = first(users).map(|user| {
        let roles = match user {
            APPLICATION => vec![BOT_ROLE],
            ALICE => vec![STAFF_ROLE],
            _ => vec![],
        };
        (user, Member::new(user, roles))
    });
    guild.members = members.collect();
}

/// The roles of any guild: everybody's, and that of our bot.
pub fn roles(guild: Id, bot: Id) -> Vec<Role> {
    vec![
        Role::new(
            guild,
            "@everyone",
            0,
            p::CHANGE_NICKNAME
                | p::VIEW_CHANNEL
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
            color: 0x58_65f2,
            manager: Some(Manager::Bot(APPLICATION)),
            ..Role::new(bot, "Uro", 2, BOT_PERMISSIONS)
        },
    ]
}

/// The permissions that a bot had at the beginning, besides everybody's.
pub fn permissions(bot: Id) -> u64 {
    if bot == APPLICATION {
        BOT_PERMISSIONS
    } else {
        0
    }
}

/// A token as Discord makes them: the id in base64, a time stamp and a secret, with dots between.
pub fn token(id: Id) -> Result<String, StartError> {
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
