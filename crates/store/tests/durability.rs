//! What was answered survives a SIGKILL of the process.

#![allow(clippy::unwrap_used)]

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use uro_discord_store::{Mode, Options, Session, Store, ValueRef};

/// Names the database, in the child.
const CHILD: &str = "URO_DISCORD_STORE_TEST_CHILD";

/// Not a test by itself: what the parent below starts, and kills.
#[test]
fn child() {
    let Ok(path) = env::var(CHILD) else { return };
    let store = Store::open(path.as_ref(), Options::default()).unwrap();
    let create = |session: &Session<'_>| session.execute("CREATE TABLE t (id BIGINT)", &[]);
    store.run(Mode::Write, create).unwrap();
    let out = Arc::new(Mutex::new(std::io::stdout()));
    thread::scope(|scope| {
        for writer in 0..8_i64 {
            let (store, out) = (&store, &out);
            scope.spawn(move || {
                for number in 0.. {
                    let id = writer * 1_000_000 + number;
                    let insert = move |session: &Session<'_>| {
                        session.execute("INSERT INTO t VALUES ($1)", &[ValueRef::Integer(id)])
                    };
                    store.run(Mode::Write, insert).unwrap();
                    let mut out = out.lock().unwrap();
                    // The parent may be gone.
                    if writeln!(out, "stored {id}")
                        .and_then(|()| out.flush())
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
}

#[test]
fn what_was_answered_survives_sigkill() {
    for round in 1..=5 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uro.db");
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut answered = Vec::new();
        for line in lines {
            let line = line.unwrap();
            if let Some((_, id)) = line.split_once("stored ") {
                // The last line may be cut off; a number that was cut would not be found.
                answered.extend(id.parse::<i64>());
            }
            if answered.len() == round * 150 {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(answered.len() >= round * 150, "the child ended early");

        let store = Store::open(&path, Options::default()).unwrap();
        let answer = store
            .run(Mode::Read, |session| {
                session.execute("SELECT id FROM t", &[])
            })
            .unwrap();
        for id in &answered {
            let row = [(*id).into()];
            assert!(
                answer.rows.iter().any(|stored| *stored == row),
                "{id} was answered, and is lost"
            );
        }
        let checked = store
            .run(Mode::Read, |session| {
                session.execute("PRAGMA integrity_check", &[])
            })
            .unwrap();
        assert_eq!(checked.rows, [["ok".to_string().into()]]);
    }
}
