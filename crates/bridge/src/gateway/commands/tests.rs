//! The commands against a Discord that is made up: it answers late, refuses in silence, and loses what is on its way when a connection ends.

use super::*;
use crate::gateway::budget::WINDOW;
use crate::gateway::voice_states::Heard;
use crate::voice::DesiredVoiceState;
use std::collections::{BTreeMap, VecDeque};
use uro_discord_wire::Snowflake;

const BOT: u64 = 7;

fn id(number: u64) -> Snowflake {
    Snowflake::new(number).unwrap()
}

fn desired(channel: u64, beginning: u64) -> DesiredVoiceState {
    DesiredVoiceState {
        user: id(BOT),
        channel: id(channel),
        self_mute: false,
        self_deaf: false,
        beginning,
        joined: false,
    }
}

/// In a new session, and its time.
fn renewed() -> (Commands, Instant) {
    let mut commands = Commands::new(WINDOW);
    commands.connected();
    commands.renewed();
    (commands, Instant::now())
}

/// The channel of the next command about voice.
fn voice(commands: &mut Commands, now: Instant) -> Option<Option<Snowflake>> {
    loop {
        if let Command::Voice(command) = commands.next(now)? {
            return Some(command.channel);
        }
    }
}

#[test]
fn a_join_after_ready_is_one_command() {
    let (mut commands, now) = renewed();
    commands.voice.desire(id(1), Some(desired(10, 1)));
    let Some(Command::Voice(command)) = commands.next(now) else {
        panic!("nothing is asked");
    };
    assert_eq!((command.channel, command.begins), (Some(id(10)), Some(1)));
    assert_eq!(commands.next(now), None);
    assert_eq!(commands.voice.heard(id(1), Some(id(10)), now), Heard::In);
    assert_eq!(commands.due(now), None);
}

#[test]
fn a_guild_that_another_bridge_may_have_left_is_left_before_others_are_joined() {
    let mut commands = Commands::new(WINDOW);
    let now = Instant::now();
    commands.connected();
    commands.voice.desire(id(1), Some(desired(10, 1)));
    commands.voice.desire(id(2), None);
    commands.resumed();
    let command = loop {
        if let Command::Voice(command) = commands.next(now).unwrap() {
            break command;
        }
    };
    assert_eq!((command.guild, command.channel), (id(2), None));
    assert_eq!(commands.voice.user(id(2)), Some(id(BOT)));
    assert_eq!(commands.voice.heard(id(2), None, now), Heard::Past);
    assert_eq!(voice(&mut commands, now), Some(None));
    assert_eq!(voice(&mut commands, now), Some(Some(id(10))));
    assert_eq!(commands.next(now), None);
}

#[test]
fn a_call_that_was_let_in_is_not_interrupted_by_another_gateway_that_resumes() {
    let joined = DesiredVoiceState {
        joined: true,
        ..desired(10, 1)
    };
    let resumed = || {
        let mut commands = Commands::new(WINDOW);
        commands.connected();
        commands.voice.desire(id(1), Some(joined));
        commands.resumed();
        (commands, Instant::now())
    };
    let (mut commands, now) = resumed();
    assert_eq!(voice(&mut commands, now), None);
    // Somebody moves it; and it is told of later wishes as ever.
    assert_eq!(commands.voice.heard(id(1), Some(id(11)), now), Heard::In);
    assert_eq!(voice(&mut commands, now), None);
    commands.voice.desire(id(1), Some(desired(12, 1)));
    assert_eq!(voice(&mut commands, now), Some(Some(id(12))));

    // That it has left may be of an earlier beginning, which the resume tells again.
    let (mut commands, now) = resumed();
    assert_eq!(commands.voice.heard(id(1), None, now), Heard::Past);
    assert_eq!(voice(&mut commands, now), Some(Some(id(10))));
    assert_eq!(commands.voice.heard(id(1), Some(id(10)), now), Heard::In);

    // It is not wanted any more.
    let (mut commands, now) = resumed();
    commands.voice.desire(id(1), None);
    assert_eq!(voice(&mut commands, now), Some(None));

    // In a new session Discord knows nothing of it.
    let (mut commands, now) = resumed();
    commands.renewed();
    assert_eq!(voice(&mut commands, now), Some(Some(id(10))));
    assert_eq!(voice(&mut commands, now), None);
}

#[test]
fn in_a_session_of_its_own_nothing_is_left_that_was_not_joined() {
    let (mut commands, now) = renewed();
    commands.voice.desire(id(2), None);
    assert_eq!(commands.next(now), None);
}

#[test]
fn what_is_not_sent_yet_is_withdrawn() {
    let (mut commands, now) = renewed();
    commands.voice.desire(id(1), Some(desired(10, 1)));
    commands.voice.desire(id(1), Some(desired(11, 2)));
    assert_eq!(voice(&mut commands, now), Some(Some(id(11))));
    assert_eq!(voice(&mut commands, now), None);
    commands.voice.desire(id(2), Some(desired(20, 1)));
    commands.voice.desire(id(2), None);
    assert_eq!(voice(&mut commands, now), None);
}

#[test]
fn another_beginning_leaves_first_and_the_leave_is_nobody_elses() {
    let (mut commands, now) = renewed();
    commands.voice.desire(id(1), Some(desired(10, 1)));
    voice(&mut commands, now);
    commands.voice.heard(id(1), Some(id(10)), now);
    commands.voice.desire(id(1), Some(desired(10, 2)));
    assert_eq!(voice(&mut commands, now), Some(None));
    assert_eq!(voice(&mut commands, now), Some(Some(id(10))));
    assert_eq!(commands.voice.heard(id(1), None, now), Heard::Past);
    assert_eq!(commands.voice.heard(id(1), Some(id(10)), now), Heard::In);
    // This one is a person's, and not undone.
    assert_eq!(commands.voice.heard(id(1), None, now), Heard::Out);
    assert_eq!(commands.due(now), None);
}

#[test]
fn a_word_of_the_same_channel_before_the_answer_to_a_leave_is_no_answer() {
    let mut commands = Commands::new(WINDOW);
    let now = Instant::now();
    commands.connected();
    commands.resumed();
    commands.voice.desire(id(1), Some(desired(10, 1)));
    assert_eq!(voice(&mut commands, now), Some(None));
    assert_eq!(voice(&mut commands, now), Some(Some(id(10))));
    // It is heard again on a stage, which was asked for in the life before.
    commands.voice.heard(id(1), Some(id(10)), now);
    assert_eq!(commands.voice.heard(id(1), None, now), Heard::Past);
    assert_eq!(commands.voice.heard(id(1), Some(id(10)), now), Heard::In);
}

#[test]
fn a_refusal_is_silence_and_does_not_confuse_the_next_answer() {
    let (mut commands, now) = renewed();
    commands.voice.desire(id(1), Some(desired(10, 1)));
    voice(&mut commands, now);
    let later = now + Duration::from_secs(15);
    commands.voice.desire(id(1), None);
    assert_eq!(voice(&mut commands, later), Some(None));
    commands.voice.desire(id(1), Some(desired(10, 2)));
    assert_eq!(voice(&mut commands, later), Some(Some(id(10))));
    assert_eq!(commands.voice.heard(id(1), Some(id(10)), later), Heard::In);
}

#[test]
fn a_session_that_another_process_had_is_left_before_it_is_joined() {
    let mut commands = Commands::new(WINDOW);
    let now = Instant::now();
    commands.connected();
    commands.resumed();
    commands.voice.desire(id(1), Some(desired(10, 1)));
    let mut told = Vec::new();
    while let Some(command) = commands.next(now) {
        if let Command::Voice(command) = command {
            told.push(command.channel);
        }
    }
    assert_eq!(told, [None, Some(id(10))]);
}

#[test]
fn what_a_resume_tells_of_the_life_before_is_past() {
    let mut commands = Commands::new(WINDOW);
    let now = Instant::now();
    commands.connected();
    commands.voice.desire(id(1), Some(desired(10, 1)));
    assert_eq!(commands.voice.heard(id(1), Some(id(10)), now), Heard::Past);
    assert_eq!(commands.voice.heard(id(1), None, now), Heard::Past);
    commands.resumed();
    // It has just been told that the bot is in no channel.
    assert_eq!(voice(&mut commands, now), Some(Some(id(10))));
    assert_eq!(commands.voice.heard(id(1), Some(id(10)), now), Heard::In);
}

#[test]
fn what_a_lost_connection_may_have_swallowed_is_told_anew() {
    let (mut commands, now) = renewed();
    for guild in 1..=3 {
        commands
            .voice
            .desire(id(guild), Some(desired(guild * 10, 1)));
        voice(&mut commands, now);
    }
    commands.voice.desire(id(3), None);
    assert_eq!(voice(&mut commands, now), Some(None));
    // The first was answered; the second's answer comes with the resume; the third, and its leave, never.
    commands.voice.heard(id(1), Some(id(10)), now);
    commands.lost(now);
    commands.connected();
    commands.voice.heard(id(2), Some(id(20)), now);
    commands.resumed();
    assert_eq!(voice(&mut commands, now), Some(None));
    assert_eq!(voice(&mut commands, now), None);
}

#[test]
fn voice_leaves_room_for_presence() {
    let (mut commands, now) = renewed();
    for guild in 1..=1_000 {
        commands.voice.desire(id(guild), Some(desired(guild, 1)));
    }
    let mut sent = 0;
    while voice(&mut commands, now).is_some() {
        sent += 1;
    }
    assert!((60..=110).contains(&sent), "{sent}");
    assert_eq!(commands.due(now), Some(now + WINDOW));
    let activity = serde_json::json!({"name": "Uro", "type": 4, "state": "2 players"});
    let shown = serde_json::json!({"activities": [activity], "status": "online"});
    commands
        .presence
        .want(serde_json::from_value(shown).unwrap());
    assert!(matches!(commands.next(now), Some(Command::Presence(_))));
}

/// A Discord of so many guilds: what is on its way to it and back, and where the bot is.
struct Discord {
    to: VecDeque<(Instant, UpdateVoiceState)>,
    from: VecDeque<(Instant, Snowflake, Option<Snowflake>)>,
    places: BTreeMap<Snowflake, Snowflake>,
    sent: Vec<Instant>,
}

impl Discord {
    fn take(&mut self, now: Instant) {
        while self.to.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, command)) = self.to.pop_front() else {
                return;
            };
            let guild = command.guild;
            match command.channel {
                // Full, or forbidden.
                Some(channel) if channel.get() % 10 == 9 => continue,
                Some(channel) => {
                    self.places.insert(guild, channel);
                }
                None if self.places.remove(&guild).is_none() => continue,
                None => {}
            }
            let back = now + Duration::from_millis(fastrand::u64(1..2_000));
            let back = self.from.back().map_or(back, |(at, ..)| back.max(*at));
            self.from.push_back((back, guild, command.channel));
        }
    }
}

/// Whatever is desired, lost and resumed: in the end the bot is where it is to be, nothing spins, and no window has more commands than
/// Discord takes.
#[test]
fn at_random() {
    for seed in 0..200 {
        fastrand::seed(seed);
        let (mut commands, start) = renewed();
        let mut now = start;
        let mut discord = Discord {
            to: VecDeque::new(),
            from: VecDeque::new(),
            places: BTreeMap::new(),
            sent: Vec::new(),
        };
        let mut wanted: BTreeMap<Snowflake, DesiredVoiceState> = BTreeMap::new();
        let mut connected = true;
        let mut beginning = 0;
        for step in 0..2_000 {
            let settling = step >= 1_000;
            now += Duration::from_millis(fastrand::u64(0..1_000));
            let guild = id(fastrand::u64(1..=200));
            match fastrand::u8(0..100) {
                _ if settling => {}
                0..30 => {
                    beginning += 1;
                    let state = desired(fastrand::u64(1..=1_000) * 10, beginning);
                    wanted.insert(guild, state);
                    commands.voice.desire(guild, Some(state));
                }
                30..45 => {
                    wanted.remove(&guild);
                    commands.voice.desire(guild, None);
                }
                // Muted, or suppressed.
                50..60 => {
                    if let Some(channel) = discord.places.get(&guild) {
                        let at = discord.from.back().map_or(now, |(at, ..)| now.max(*at));
                        discord.from.push_back((at, guild, Some(*channel)));
                    }
                }
                45..47 if connected => {
                    commands.lost(now);
                    connected = false;
                    // Some of it had arrived.
                    discord.to.truncate(fastrand::usize(0..=discord.to.len()));
                    now += Duration::from_millis(10);
                    discord.take(now + WINDOW);
                }
                _ => {}
            }
            if !connected && (settling || fastrand::u8(0..5) == 0) {
                connected = true;
                commands.connected();
                discord.sent.clear();
                if fastrand::bool() {
                    for (_, guild, channel) in std::mem::take(&mut discord.from) {
                        commands.voice.heard(guild, channel, now);
                    }
                    commands.resumed();
                } else {
                    discord.from.clear();
                    discord.places.clear();
                    commands.renewed();
                }
            }
            discord.take(now);
            if connected {
                while discord.from.front().is_some_and(|(at, ..)| *at <= now) {
                    let (_, guild, channel) = discord.from.pop_front().unwrap();
                    assert_ne!(
                        commands.voice.heard(guild, channel, now),
                        Heard::Out,
                        "nobody took the bot out of guild {guild} (seed {seed}, step {step})"
                    );
                }
                while let Some(command) = commands.next(now) {
                    discord.sent.push(now);
                    if let Command::Voice(command) = command {
                        discord
                            .to
                            .push_back((now + Duration::from_millis(50), command));
                    }
                }
                assert!(
                    commands.due(now).is_none_or(|due| due > now),
                    "it would spin"
                );
            }
        }
        let places: BTreeMap<_, _> = wanted
            .iter()
            .map(|(guild, s)| (*guild, s.channel))
            .collect();
        assert_eq!(discord.places, places, "seed {seed}");
        for more in discord.sent.windows(121) {
            assert!(more[120] - more[0] >= WINDOW);
        }
    }
}
