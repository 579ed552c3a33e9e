//! What the fuzz targets call. Whatever the bytes, nothing panics.
#![allow(clippy::unwrap_used, missing_docs, reason = "it is for fuzzing")]

use std::cell::RefCell;
use std::time::Instant;

use crate::dave::hall::{Answer, Hall, Message, deliver};
use crate::dave::{Dave, Step};
use crate::gateway::message::{Binary, Text};
use crate::media::rtp::Header;
use crate::media::{Kind, discovery, rtcp};

pub fn rtp(data: &[u8]) {
    let _ = Kind::of(data);
    if let Ok(header) = Header::parse(data) {
        let payload = header.payload(&data[header.clear..]);
        assert!(payload.is_err() || header.clear + header.extension <= data.len());
    }
}

pub fn rtcp(data: &[u8]) {
    if let Ok(reports) = rtcp::reports(data) {
        assert!(reports.len() * 24 <= data.len());
    }
}

pub fn discovery(data: &[u8]) {
    let ssrc = data.get(4..8).and_then(|bytes| bytes.try_into().ok());
    let _ = discovery::parse(data, u32::from_be_bytes(ssrc.unwrap_or_default()));
}

pub fn text(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Text::parse(text);
    }
}

/// A binary message, to somebody in a group.
pub fn binary(data: &[u8]) {
    let _ = Binary::parse(data);
    with_member(|member, now| member.receive(data, now, &mut Vec::new()));
}

/// A frame, from somebody in the group and from somebody who is not.
pub fn dave_decrypt(data: &[u8]) {
    with_member(|member, now| {
        let mut out = vec![0; data.len()];
        for user in [OTHER, 9] {
            if let Ok(length) = member.decrypt(user, data, &mut out, now, &mut Vec::new()) {
                assert!(length <= data.len());
            }
        }
    });
}

const MEMBER: u64 = 1;
const OTHER: u64 = 2;

fn with_member(what: impl FnOnce(&mut Dave, Instant)) {
    thread_local! {
        static MEMBER: RefCell<Option<Dave>> = const { RefCell::new(None) };
    }
    MEMBER.with_borrow_mut(|member| {
        // One who has lost his key has left the group, and another is made.
        let member = match member {
            Some(member) if member.can_send() => member,
            other => other.insert(self::member()),
        };
        what(member, Instant::now());
    });
}

/// One of two in a group.
fn member() -> Dave {
    let now = Instant::now();
    let mut hall = Hall::new(3);
    let mut members = [MEMBER, OTHER].map(|user| (user, Dave::new(user, 3)));
    for (user, _) in &members {
        hall.join(*user);
    }
    while !hall.out.is_empty() {
        let out: Vec<(u64, Message)> = std::mem::take(&mut hall.out);
        for (user, message) in out {
            let (_, dave) = members.iter_mut().find(|(id, _)| *id == user).unwrap();
            let mut steps = Vec::new();
            deliver(dave, message, now, &mut steps);
            for step in steps {
                match step {
                    Step::Text(text) => hall.receive(user, Answer::text(&text).unwrap()),
                    Step::Binary(binary) => hall.receive(user, Answer::binary(&binary)),
                    _ => {}
                }
            }
        }
    }
    let [(_, member), _] = members;
    assert!(member.can_send());
    member
}
