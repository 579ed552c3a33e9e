#![doc = include_str!("README.md")]

mod clock;
mod inputs;
mod people;
mod sink;
mod speaker;
mod status;
mod stream;
mod tick;
mod types;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use clock::Clock;
use sink::Sink;
use speaker::Speaker;
use stream::Stream;

pub use types::{
    Codec, DiscordMember, Event, Format, Health, JoinError, Listens, MAX_GAIN, MAX_PEERS,
    MAX_SENDERS, MAX_SETTINGS, MAX_SPEAKERS, MAX_STREAMS, MIX, Member, Options, Output, Packet,
    Participant, Path, PeerId, Sequence, Setting, Side, Source, Status,
};

/// What waits for [`Room::poll`]. Who polls after every call never has so much.
const MAX_OUTPUT: usize = 65_536;

/// What a room sends to Discord.
const DISCORD: Format = Format {
    codec: Codec::Opus,
    frame_ms: 20,
    channels: 2,
};

/// One Discord call and the peers of a world.
pub struct Room {
    clock: Clock,
    options: Options,
    peers: BTreeMap<PeerId, Peer>,
    speakers: BTreeMap<u64, Speaker>,
    /// Everybody who was heard.
    streams: BTreeMap<Participant, Stream>,
    /// Those that are not the usual ones.
    settings: BTreeMap<Participant, Setting>,
    /// Those whose speaking was told.
    talking: BTreeSet<Participant>,
    /// Whether anybody there hears it.
    call_hears: bool,
    to_discord: Sink,
    /// The mix of everybody, in each format that somebody hears.
    mixes: BTreeMap<Format, Sink>,
    /// Who hears each, by format.
    each: BTreeMap<Format, Vec<PeerId>>,
    /// When the next frame is made, while somebody speaks.
    next: Option<i64>,
    /// When to look for what is not used any more.
    sweep: Option<i64>,
    output: VecDeque<Output>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    to_discord: u64,
    from_discord: u64,
    dropped: u64,
}

struct Peer {
    member: Member,
    /// Of those whom it forwards.
    names: BTreeMap<u32, String>,
    /// The next packet's of its mix.
    sequence: u32,
    /// Its mix while it speaks: the others.
    own: Option<Sink>,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("peers", &self.peers.len())
            .field("speakers", &self.speakers.len())
            .field("streams", &self.streams.len())
            .finish_non_exhaustive()
    }
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new(options: Options, now: Instant) -> Self {
        Self {
            clock: Clock::new(now),
            options,
            peers: BTreeMap::new(),
            speakers: BTreeMap::new(),
            streams: BTreeMap::new(),
            settings: BTreeMap::new(),
            talking: BTreeSet::new(),
            call_hears: true,
            to_discord: Sink::new(DISCORD),
            mixes: BTreeMap::new(),
            each: BTreeMap::new(),
            next: None,
            sweep: None,
            output: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// What comes out. To be called until there is nothing, after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    fn put(&mut self, output: Output) {
        if self.output.len() >= MAX_OUTPUT {
            self.output.pop_front();
            self.counts.dropped += 1;
        }
        self.output.push_back(output);
    }

    /// Whether the other side hears him at all.
    fn heard(&self, member: &DiscordMember) -> bool {
        !member.bot || self.options.listen_to_bots
    }

    /// Somebody does not speak any more, since he is not there.
    fn silence(&mut self, participant: Participant) {
        self.streams.remove(&participant);
        if self.talking.remove(&participant) {
            self.put(Output::Event(Event::Speaking {
                participant,
                speaking: false,
            }));
        }
    }
}
