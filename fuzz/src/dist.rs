//! What a BEAM says to a node of ours.

use crate::Target;
use uro_discord_dist::{Heard, Node};
use uro_discord_wire::etf::Reader;

pub(crate) const TARGETS: &[(&str, Target)] = &[("dist-node", node)];

/// Frames, each behind two bytes of its length. What is answered is whole frames of whole terms, and a session that was told ends when it is told to.
fn node(mut bytes: &[u8]) {
    let name = "media1@127.0.0.1".parse().expect("it is a name");
    let mut node = Node::new(&name, 77);
    let mut session = None;
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (frame, rest) = rest.split_at(length);
        bytes = rest;
        match node.hear(frame) {
            // Some are told that another one has the seat.
            Ok(Heard::Wants(wish)) if bytes.len() % 4 == 1 => node.hold(&wish, "uro@127.0.0.1"),
            Ok(Heard::Wants(wish)) => session = Some(node.attach(wish)),
            Ok(Heard::Detached) => session = None,
            Ok(Heard::Nothing | Heard::Bytes(_)) => {}
            Err(_) => break,
        }
        assert_eq!(node.is_attached(), session.is_some());
        whole(&node.answers());
    }
    if let Some(number) = session {
        let mut out = Vec::new();
        node.append(&mut out, number, b"bytes");
        whole(&out);
        assert!(!out.is_empty());
        node.end(number, "it was told to");
        assert!(!node.is_attached());
        whole(&node.answers());
    }
}

fn whole(mut answers: &[u8]) {
    while let Some((length, rest)) = answers.split_first_chunk::<4>() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        answers = rest;
        assert_eq!(frame.first(), Some(&112));
        let terms = &frame[1..];
        let control = Reader::new(terms).and_then(|mut term| term.raw());
        let control = control.expect("it is a term");
        let message = &terms[1 + control.len()..];
        if !message.is_empty() {
            let mut term = Reader::new(message).expect("it is a term");
            term.raw().expect("it is whole");
            term.end().expect("it is all there is");
        }
    }
    assert!(answers.is_empty());
}
