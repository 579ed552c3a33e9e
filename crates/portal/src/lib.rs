#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod room;

pub use room::{
    Codec, DiscordMember, Event, Format, Health, JoinError, Listens, MAX_PEERS, MAX_SENDERS, MIX,
    Member, Options, Output, Packet, Participant, Path, PeerId, Room, Sequence, Setting, Side,
    Source, Status,
};
