//! The two AEAD operations of a frame by themselves, as our session has them from the same crates: `voice-bare send|receive N`.

use std::hint::black_box;
use std::num::NonZeroU16;

use bench_voice::server::KEY;
use bench_voice::{Error, opus};
use davey::{Codec, DaveSession, MediaType, ProposalsOperationType};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use uro_discord_voice::fuzzing::{Answer, DaveServer, Message};

/// RTP's header, which is authenticated.
const CLEAR: [u8; 12] = [0x80, 120, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
const USERS: [u64; 2] = [2, 3];

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [way, count] = &args[..] else {
        return Err("send|receive N".into());
    };
    let count: u32 = count.parse()?;
    let [mut sender, mut receiver] = group()?;
    let key = UnboundKey::new(&AES_256_GCM, &KEY).map_err(|_| "a key")?;
    let key = LessSafeKey::new(key);
    let frames = opus(50);
    let mut sent = Vec::new();
    let mut buffer = [0; 1200];
    let mut packets = Vec::new();
    if way == "receive" {
        for number in 0..count {
            let mut packet = sender
                .encrypt_opus(&frames[number as usize % 50])?
                .into_owned();
            seal(&key, &mut packet, number)?;
            packets.push(packet);
        }
    }
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    if way == "send" {
        for number in 0..count {
            let frame = &frames[number as usize % 50];
            sender.encrypt_into(MediaType::AUDIO, Codec::OPUS, frame, &mut sent)?;
            seal(&key, &mut sent, number)?;
            black_box(&sent);
        }
    }
    for (number, packet) in packets.iter_mut().enumerate() {
        let opened = key.open_in_place(nonce(number as u32), Aad::from(CLEAR), packet);
        let opened = opened.map_err(|_| "it does not open")?;
        receiver.decrypt_into(USERS[0], MediaType::AUDIO, opened, &mut buffer)?;
        black_box(&buffer);
    }
    println!("done");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn seal(key: &LessSafeKey, packet: &mut Vec<u8>, number: u32) -> Result<(), Error> {
    let tag = key.seal_in_place_separate_tag(nonce(number), Aad::from(CLEAR), packet);
    packet.extend_from_slice(tag.map_err(|_| "sealing")?.as_ref());
    Ok(())
}

fn nonce(number: u32) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Two in a group.
fn group() -> Result<[DaveSession; 2], Error> {
    let version = NonZeroU16::MIN;
    let mut server = DaveServer::new(1);
    let mut members = Vec::new();
    for user in USERS {
        members.push(DaveSession::new(version, user, 1, None)?);
        server.join(user);
    }
    while !server.out.is_empty() {
        for (user, message) in std::mem::take(&mut server.out) {
            let member = &mut members[(user != USERS[0]) as usize];
            match message {
                Message::Start(_) => {
                    let package = member.create_key_package()?;
                    server.receive(user, Answer::KeyPackage(package));
                }
                Message::Execute { transition } => {
                    member.execute_transition(transition)?;
                }
                Message::Binary(binary) => {
                    let payload = &binary[3..];
                    match binary[2] {
                        25 => member.set_external_sender(payload)?,
                        27 => {
                            let append = ProposalsOperationType::APPEND;
                            if let Some(answer) =
                                member.process_proposals(append, &payload[1..], Some(&USERS))?
                            {
                                let message = [
                                    &answer.commit[..],
                                    answer.welcome.as_deref().unwrap_or_default(),
                                ]
                                .concat();
                                server.receive(user, Answer::CommitWelcome(message));
                            }
                        }
                        op => {
                            let transition = u16::from_be_bytes([payload[0], payload[1]]);
                            if op == 29 {
                                member.process_commit(&payload[2..])?;
                            } else {
                                member.process_welcome(&payload[2..], Some(&USERS))?;
                            }
                            member.prepare_transition(transition, version.get())?;
                            server.receive(user, Answer::Ready(transition));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    members.try_into().map_err(|_| "two".into())
}
