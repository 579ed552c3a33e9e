#![allow(clippy::unwrap_used)]

use super::*;
use crate::hearing::Hearing;
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::runtime::Handle;
use tokio::time::timeout;
use uro_discord_wire::{Panicked, PortalState};

static OPENED: AtomicU32 = AtomicU32::new(0);

/// Called as a room has been opened: that of one portal panics twice.
pub fn opened(id: &str) {
    if id == "breaks" {
        let before = OPENED.fetch_add(1, Ordering::SeqCst);
        assert!(before >= 2, "on purpose");
    }
}

fn portals() -> serde_json::Value {
    json!({"open": [
        {"id": "breaks", "guild": "100", "channel": "101"},
        {"id": "stands", "guild": "200", "channel": "201"},
    ]})
}

#[tokio::test]
async fn a_panic_ends_one_room_which_is_opened_anew() {
    let sender = FrameSender::default();
    let mut heard = Hearing::new(&sender);
    let (served, serves) = watch::channel(Served::default());
    let mut desired = Desired::default();
    let endpoint = json!({
        "addresses": ["127.0.0.1:0"], "keys": ["a-key-of-thirty-two-bytes-0123456"],
        "limits": {"portal_peers": 1, "token_peers": 1, "address_peers": 1},
    });
    desired.take("media", endpoint).unwrap();
    desired.take("portals", portals()).unwrap();
    let (wants, wanted) = watch::channel(desired);
    let surroundings = Surroundings {
        sender,
        media: Media::new(Handle::current()).unwrap(),
        calls: Calls::default(),
        served,
    };
    let running = tokio::spawn(run(wanted, surroundings));

    let (mut broke, mut stood) = (Vec::new(), 0);
    while broke.len() < 5 {
        let told = heard.until(|message| match message {
            FromBridge::Panic(Panicked::Portal(id)) => Some((id, "panic")),
            FromBridge::Portal {
                id,
                state: PortalState::Open,
            } => Some((id.into_owned(), "open")),
            FromBridge::Portal { id, state } => Some((format!("{id}: {state:?}"), "else")),
            FromBridge::Media(state) => Some((format!("{state:?}"), "media")),
            _ => None,
        });
        match told.await {
            (id, what) if id == "breaks" => broke.push(what),
            (id, "open") => stood += u32::from(id == "stands"),
            (_, "media") => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(broke, ["open", "panic", "open", "panic", "open"]);
    assert_eq!(stood, 1);
    assert!(matches!(*serves.borrow(), Served::Routes(..)));

    drop(wants);
    let ended = timeout(Duration::from_secs(5), running).await.unwrap();
    ended.unwrap().unwrap();
}
