//! A room by itself, without sockets: what it adds to a packet's way, what it costs, how late it is, how it sounds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uro_discord_opus::{Application, Decoder, Encoder};
use uro_discord_portal::{Listens, Output, Participant, PeerId, Room, Source};

use crate::sim::{self, From, Input, Network, OPUS, PCM};
use crate::voice::{Ear, Mouth, Signal, encode};
use crate::{Error, FRAME, SAMPLES, delays, lateness};

/// Frames of a second.
const SECOND: usize = 50;

/// What the jitter buffer holds of a stream now.
fn held(room: &Room, now: Instant, participant: Participant) -> Duration {
    let status = room.status(now);
    let of = |health: &&uro_discord_portal::Health| health.participant == participant;
    let health = status.participants.iter().find(of);
    Duration::from_millis(health.map_or(0, |health| health.delay_ms.into()))
}

fn world(peer: u32) -> Participant {
    let peer = PeerId(peer);
    Participant::World(Source { peer, sender: 0 })
}

fn hum(hum: f32) -> Signal {
    Signal { hum, bursts: false }
}

/// From a packet in to the packet out, beyond what the jitter buffer holds.
pub fn delay() -> Result<(), Error> {
    let start = Instant::now();
    let speech = Signal {
        hum: 300.0,
        bursts: true,
    };
    let frames = Mouth::new(speech)?.frames(20 * SECOND)?;
    let mut passed = Vec::new();
    let mut room = sim::room(start, &[Listens::Nothing], 0)?;
    let inputs = sim::stream(From::World(0), &frames, Duration::ZERO, None);
    let mut sent = frames.iter().enumerate();
    sim::run(&mut room, start, inputs, |now, room, output| {
        // When nothing comes any more, frames are made up.
        if let Output::ToDiscord(frame) = output
            && let Some((number, _)) = sent.find(|(_, sent)| **sent == frame)
        {
            let since = now.saturating_sub(FRAME * number as u32);
            passed.push(since.saturating_sub(held(room, start + now, world(0))));
        }
        Ok(())
    })?;
    if passed.len() < frames.len() {
        return Err(format!("{} of {} passed through", passed.len(), frames.len()).into());
    }
    println!("passthrough {}", delays(&mut passed));

    // Another hums, by a clock that has a phase of its own.
    let begin = Duration::from_millis(7);
    let mut near = Ear::new()?;
    let mut began = Vec::new();
    for (number, frame) in (0..).zip(&frames) {
        began.extend(
            near.hear(frame)?
                .map(|place| FRAME * number + begin + place),
        );
    }
    let mut inputs = sim::stream(From::World(0), &frames, begin, None);
    let hum = Mouth::new(hum(450.0))?.frames(20 * SECOND)?;
    inputs.extend(sim::stream(From::World(1), &hum, Duration::ZERO, None));
    let mut room = sim::room(start, &[Listens::Nothing; 2], 0)?;
    let (mut far, mut mixed) = (Ear::new()?, Vec::new());
    sim::run(&mut room, start, inputs, |now, room, output| {
        if let Output::ToDiscord(frame) = output
            && let Some(place) = far.hear(&frame)?
            && let Some(since) = began.iter().rev().find(|at| **at <= now + place)
        {
            let held = held(room, start + now, world(0));
            mixed.push((now + place - *since).saturating_sub(held));
        }
        Ok(())
    })?;
    println!("mixed {}", delays(&mut mixed));
    Ok(())
}

/// Who is in a room, and what they say.
struct Scene {
    peers: Vec<Listens>,
    people: u64,
    inputs: Vec<Input>,
}

impl Scene {
    /// `pass`: one voice each way. The others have eight who all talk on either side: `each` has a world that hears each of them, `mix` one
    /// more that hears all, and in `mixes` four and four talk, and everybody in the world hears the others.
    fn new(kind: &str, seconds: usize) -> Result<Self, Error> {
        let quiet = |count, listens| {
            let mut peers = vec![Listens::Nothing; count];
            peers.push(listens);
            peers
        };
        let (peers, talking, people) = match kind {
            "pass" => (vec![Listens::Mix(OPUS)], 1, 1),
            "each" => (quiet(8, Listens::Each(OPUS)), 8, 8),
            "mix" => (quiet(8, Listens::Mix(OPUS)), 8, 8),
            "mixes" => (vec![Listens::Mix(OPUS); 4], 4, 4),
            _ => return Err("pass, each, mix or mixes".into()),
        };
        let mut inputs = Vec::new();
        for number in 0..talking + people {
            let voice = Mouth::new(hum(200.0 + 50.0 * number as f32))?.frames(2 * SECOND)?;
            let voice: Vec<Bytes> = voice.into_iter().cycle().take(seconds * SECOND).collect();
            let begin = Duration::from_micros(1_300) * number;
            let from = match number.checked_sub(talking) {
                None => From::World(number),
                Some(user) => From::Discord(user.into()),
            };
            inputs.extend(sim::stream(from, &voice, begin, None));
        }
        inputs.sort_by_key(|(due, from, _)| (*due, *from));
        Ok(Self {
            peers,
            people: people.into(),
            inputs,
        })
    }

    fn room(&self, now: Instant) -> Result<Room, Error> {
        sim::room(now, &self.peers, self.people)
    }
}

/// What this thread has used of the processor.
fn cpu() -> Result<Duration, Error> {
    // It is counted when the thread rests.
    std::thread::sleep(Duration::from_millis(1));
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split(' ').next().ok_or("no schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

/// The CPU of one room.
pub fn cost(kind: &str, seconds: usize) -> Result<(), Error> {
    let scene = Scene::new(kind, seconds)?;
    let start = Instant::now();
    let mut room = scene.room(start)?;
    let (mut call, mut world) = (0, 0);
    let before = cpu()?;
    sim::run(&mut room, start, scene.inputs, |_, _, output| {
        match output {
            Output::ToDiscord(_) => call += 1,
            Output::ToPeer { .. } => world += 1,
            Output::Event(_) => {}
        }
        Ok(())
    })?;
    let used = (cpu()? - before).as_secs_f64() * 1e6 / seconds as f64;
    let [call, world] = [call, world].map(|count| f64::from(count) / seconds as f64);
    println!("cost us={used:.1} call={call:.1} world={world:.1}");
    Ok(())
}

/// One voice each way, whose packets pass through, for others to count what that takes: says `made` when it has settled, waits for a line,
/// says `done` after so many seconds, and ends with another line.
pub fn pass(seconds: u32) -> Result<(), Error> {
    const SETTLED: Duration = Duration::from_secs(10);
    let scene = Scene::new("pass", SETTLED.as_secs() as usize + seconds as usize)?;
    let (begin, end) = (SETTLED, SETTLED + Duration::from_secs(seconds.into()));
    let start = Instant::now();
    let mut room = scene.room(start)?;
    let (mut made, mut done) = (false, false);
    sim::run(&mut room, start, scene.inputs, |now, _, _| {
        if now >= begin && !made {
            made = true;
            println!("made");
            std::io::stdin().read_line(&mut String::new())?;
        }
        if now >= end && !done {
            done = true;
            println!("done");
            std::io::stdin().read_line(&mut String::new())?;
        }
        Ok(())
    })
}

/// What a room holds while its people talk.
pub fn memory(kind: &str, count: usize) -> Result<(), Error> {
    let held = || {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.ok_or("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok::<f64, Error>(kib.parse()?)
    };
    let scene = Scene::new(kind, 2)?;
    let (start, before) = (Instant::now(), held()?);
    let mut rooms = Vec::new();
    for _ in 0..count {
        let mut room = scene.room(start)?;
        sim::run(&mut room, start, scene.inputs.clone(), |_, _, _| Ok(()))?;
        rooms.push(room);
    }
    println!("memory kib={:.1}", (held()? - before) / rooms.len() as f64);
    Ok(())
}

/// Rooms in real time on one thread: how late they are served.
pub fn late(kind: &str, count: usize, seconds: usize) -> Result<(), Error> {
    let scene = Scene::new(kind, seconds)?;
    let start = Instant::now() + Duration::from_millis(100);
    let bare = std::thread::spawn(move || {
        let due = (1..=seconds * SECOND).map(|tick| start + FRAME * tick as u32);
        let late = due.map(|due| {
            sleep_until(due);
            due.elapsed()
        });
        late.collect::<Vec<_>>()
    });
    // Each begins at another part of a frame.
    let begin = |room: usize| start + FRAME.mul_f64(room as f64 / count as f64);
    let (mut rooms, mut due) = (Vec::new(), BinaryHeap::new());
    for number in 0..count {
        rooms.push((scene.room(begin(number))?, 0));
        due.push(Reverse((begin(number), number)));
    }
    let end = start + Duration::from_secs(seconds as u64);
    let (mut lates, before) = (Vec::new(), cpu()?);
    while let Some(Reverse((at, number))) = due.pop().filter(|Reverse((at, _))| *at < end) {
        sleep_until(at);
        let (room, next) = &mut rooms[number];
        while let Some((after, from, packet)) = scene.inputs.get(*next)
            && begin(number) + *after <= at
        {
            sim::give(room, at, *from, packet.clone());
            *next += 1;
        }
        if room.deadline().is_some_and(|deadline| deadline <= at) {
            room.timeout(at);
        }
        let mut served = false;
        while let Some(output) = room.poll() {
            served |= !matches!(output, Output::Event(_));
        }
        if served {
            lates.push(at.elapsed());
        }
        let input = scene.inputs.get(*next);
        let input = input.map(|(after, ..)| begin(number) + *after);
        let next = [input, room.deadline()].into_iter().flatten().min();
        due.extend(next.map(|next| Reverse((next.max(at), number))));
    }
    let share = (cpu()? - before).as_secs_f64() / seconds as f64;
    println!("late {} core={:.1}", lateness(&mut lates), share * 100.0);
    let mut bare = bare.join().map_err(|_| "the timer's thread panicked")?;
    println!("timer {}", lateness(&mut bare));
    Ok(())
}

fn sleep_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// What is heard of speech (mono s16le, 48 kHz) that comes over a network. Writes OUT-{clean,bad}-{call,world}.s16.
pub fn quality(input: &str, output: &str) -> Result<(), Error> {
    let mut encoder = Encoder::new(1, Application::Voip, 32_000, 9)?;
    encoder.protect(5)?;
    let bytes = std::fs::read(input)?;
    let frames = bytes.chunks_exact(2 * SAMPLES as usize);
    let sample = |pair: &[u8]| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0;
    let frames = frames.map(|frame| frame.chunks_exact(2).map(sample).collect::<Vec<f32>>());
    let voice: Vec<Bytes> = frames
        .map(|frame| encode(&mut encoder, &frame))
        .collect::<Result<_, _>>()?;
    for name in ["clean", "bad"] {
        let network = || (name == "bad").then(Network::new);
        let held = to_call(&voice, network(), &format!("{output}-{name}-call.s16"))?;
        println!("{name}-call delay_ms={held:.1}");
        let held = to_world(&voice, network(), &format!("{output}-{name}-world.s16"))?;
        println!("{name}-world delay_ms={held:.1}");
    }
    Ok(())
}

fn mean(held: &[Duration]) -> f64 {
    held.iter().sum::<Duration>().as_secs_f64() * 1e3 / held.len().max(1) as f64
}

/// As Discord's clients hear it: a frame every 20 ms, and what their decoder makes up where there is none.
fn to_call(voice: &[Bytes], network: Option<Network>, path: &str) -> Result<f64, Error> {
    let start = Instant::now();
    let mut room = sim::room(start, &[Listens::Nothing], 0)?;
    let inputs = sim::stream(From::World(0), voice, Duration::ZERO, network);
    let (mut decoder, mut expected) = (Decoder::new(1)?, None);
    let (mut samples, mut holds) = (Vec::new(), Vec::new());
    sim::run(&mut room, start, inputs, |now, room, output| {
        if let Output::ToDiscord(frame) = output {
            let mut pcm = [0.0; SAMPLES as usize];
            let expected = expected.replace(now + FRAME).unwrap_or(now);
            let gap = now.saturating_sub(expected).as_secs_f64() / FRAME.as_secs_f64();
            for _ in 0..gap.round() as u32 {
                decoder.conceal(&mut pcm)?;
                samples.extend(pcm);
            }
            decoder.decode(&frame, &mut pcm)?;
            samples.extend(pcm);
            holds.push(held(room, start + now, world(0)));
        }
        Ok(())
    })?;
    let bytes = samples
        .iter()
        .flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes());
    std::fs::write(path, bytes.collect::<Vec<u8>>())?;
    Ok(mean(&holds))
}

/// As a world hears it that asks for samples.
fn to_world(voice: &[Bytes], network: Option<Network>, path: &str) -> Result<f64, Error> {
    let start = Instant::now();
    let mut room = sim::room(start, &[Listens::Mix(PCM)], 1)?;
    let inputs = sim::stream(From::Discord(0), voice, Duration::ZERO, network);
    let (mut heard, mut holds) = (Vec::new(), Vec::new());
    sim::run(&mut room, start, inputs, |now, room, output| {
        if let Output::ToPeer { payload, .. } = output {
            heard.extend(payload);
            holds.push(held(room, start + now, Participant::Discord(0)));
        }
        Ok(())
    })?;
    std::fs::write(path, heard)?;
    Ok(mean(&holds))
}
