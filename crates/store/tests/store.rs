//! What a store promises, against real files.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use uro_discord_store::{Error, Mode, Options, Session, Store, Value, ValueRef};

fn open(path: &Path) -> Store {
    Store::open(path, Options::default()).unwrap()
}

fn fresh(sql: &'static str) -> (TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/uro.db");
    let store = open(&path);
    write(&store, sql, &[]).unwrap();
    (folder, path, store)
}

fn write(store: &Store, sql: &'static str, parameters: &[i64]) -> Result<u64, Error> {
    let parameters: Vec<ValueRef> = parameters.iter().map(|&n| ValueRef::Integer(n)).collect();
    store
        .run(Mode::Write, move |session| {
            session.execute(sql, &parameters)
        })
        .map(|answer| answer.num_rows)
}

fn numbers(store: &Store, sql: &'static str) -> Vec<i64> {
    let answer = store
        .run(Mode::Read, move |session| session.execute(sql, &[]))
        .unwrap();
    let number = |row: &Vec<Value>| match row[..] {
        [Value::Integer(number)] => number,
        _ => panic!("not one number: {row:?}"),
    };
    answer.rows.iter().map(number).collect()
}

/// Keeps the thread of `mode` busy until the sender is dropped.
fn block(store: &Store, mode: Mode) -> std::sync::mpsc::Sender<()> {
    let (release, released) = channel::<()>();
    let (started, has_started) = sync_channel(1);
    let work = move |_: &Session<'_>| {
        started.send(()).unwrap();
        let _ = released.recv();
        Ok(())
    };
    store.submit(mode, work, |_| ()).unwrap();
    has_started.recv().unwrap();
    release
}

#[test]
fn values_come_back_as_they_went_in() {
    let (_folder, _path, store) = fresh("CREATE TABLE t (id BIGINT, v)");
    let values = [
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Real(0.1),
        Value::Text("héllo 👋 — \u{1F469}\u{200D}\u{1F680}".into()),
        Value::Text(String::new()),
        Value::Blob(vec![0, 255, 0]),
        Value::Blob(vec![7; 9 * 1024 * 1024]),
    ];
    for value in values {
        let sent = value.clone();
        let answer = store.run(Mode::Write, move |session| {
            session.execute(
                "INSERT INTO t VALUES (1, $1) RETURNING v",
                &[(&sent).into()],
            )
        });
        assert_eq!(answer.unwrap().rows, [[value]]);
    }
}

#[test]
fn parameters_go_by_their_number() {
    let (_folder, _path, store) = fresh("CREATE TABLE t (a BIGINT, b BIGINT)");
    write(&store, "INSERT INTO t (b, a) VALUES ($2, $1)", &[1, 2]).unwrap();
    assert_eq!(numbers(&store, "SELECT a FROM t"), [1]);
    write(&store, "UPDATE t SET a = $1 + $2 + $1", &[10, 5]).unwrap();
    assert_eq!(numbers(&store, "SELECT a FROM t"), [25]);
    for (sql, given) in [
        ("UPDATE t SET a = $1", &[][..]),
        ("UPDATE t SET a = $1", &[1, 2]),
        ("UPDATE t SET a = $2", &[1]),
        ("UPDATE t SET a = ?", &[1]),
    ] {
        let refused = write(&store, sql, given).unwrap_err();
        assert!(matches!(refused, Error::Statement(_)), "{sql}: {refused}");
    }
}

#[test]
fn counts_what_a_statement_changed() {
    let (_folder, _path, store) = fresh("CREATE TABLE t (a BIGINT)");
    assert_eq!(
        write(&store, "INSERT INTO t VALUES (1), (2), (3)", &[]).unwrap(),
        3
    );
    assert_eq!(
        write(&store, "CREATE INDEX i ON t (a)", &[]).unwrap(),
        0,
        "not the three before"
    );
    assert_eq!(
        write(&store, "DELETE FROM t WHERE a > $1", &[1]).unwrap(),
        2
    );
    assert_eq!(
        write(&store, "DELETE FROM t WHERE a > $1", &[1]).unwrap(),
        0
    );
}

#[test]
fn jobs_of_one_transaction_fail_alone() {
    let (_folder, _path, store) = fresh("CREATE TABLE t (id BIGINT PRIMARY KEY)");
    // All of these wait, and then share a transaction.
    let release = block(&store, Mode::Write);
    let (sender, receiver) = channel();
    for id in 0..50 {
        let sender = sender.clone();
        let work = move |session: &Session<'_>| {
            session.execute("INSERT INTO t VALUES ($1)", &[ValueRef::Integer(id)])?;
            match id % 5 {
                0 => session.execute("INSERT INTO t VALUES (-1)", &[]),
                1 => session.execute("INSERT INTO nowhere VALUES (1)", &[]),
                2 => panic!("as asked"),
                _ => session.execute("SELECT 1", &[]),
            }
        };
        let answer = move |result: Result<_, Error>| sender.send((id, result)).unwrap();
        store.submit(Mode::Write, work, answer).unwrap();
    }
    drop((release, sender));
    let mut kept = Vec::new();
    for (id, result) in receiver {
        match (id % 5, result) {
            // The first to insert -1 keeps it, and itself.
            (0, Ok(_)) if id == 0 => kept.extend([-1, 0]),
            (0, Err(Error::Unique(_)))
            | (1, Err(Error::Statement(_)))
            | (2, Err(Error::Panicked)) => (),
            (3 | 4, Ok(_)) => kept.push(id),
            (_, other) => panic!("job {id}: {other:?}"),
        }
    }
    kept.sort_unstable();
    assert_eq!(kept.len(), 22);
    assert_eq!(numbers(&store, "SELECT id FROM t ORDER BY id"), kept);
}

#[test]
fn a_job_cannot_end_the_transaction_it_shares() {
    let (_folder, _path, store) = fresh("CREATE TABLE t (id BIGINT)");
    for sql in [
        "COMMIT",
        "ROLLBACK",
        "END",
        "BEGIN",
        "BEGIN IMMEDIATE",
        "SAVEPOINT x",
        "RELEASE job",
        "ROLLBACK TO job",
        "ATTACH 'elsewhere' AS x",
        "VACUUM",
        "",
        "-- nothing",
        "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)",
        "SELEC",
    ] {
        let refused = write(&store, sql, &[]).unwrap_err();
        assert!(matches!(refused, Error::Statement(_)), "{sql}: {refused}");
    }
    assert_eq!(numbers(&store, "SELECT count(*) FROM t"), [0]);
}

#[test]
fn reads_do_not_wait_for_writes_and_cannot_write() {
    let (_folder, _path, store) = fresh("CREATE TABLE t (id BIGINT)");
    write(&store, "INSERT INTO t VALUES (1)", &[]).unwrap();
    let release = block(&store, Mode::Write);
    assert_eq!(numbers(&store, "SELECT id FROM t"), [1]);
    drop(release);
    let refused = store.run(Mode::Read, |session| session.execute("DELETE FROM t", &[]));
    assert!(
        matches!(refused, Err(Error::Statement(_))),
        "{:?}",
        refused.err()
    );
    assert_eq!(numbers(&store, "SELECT id FROM t"), [1]);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        queue: 2,
        ..Options::default()
    };
    let store = Store::open(&folder.path().join("uro.db"), options).unwrap();
    let release = block(&store, Mode::Write);
    let submit = || store.submit(Mode::Write, |_| Ok(()), |_| ());
    submit().unwrap();
    submit().unwrap();
    assert!(matches!(submit(), Err(Error::QueueFull(2))));
    drop(release);
    store.close();
}

#[test]
fn closing_finishes_what_waits() {
    let (_folder, path, store) = fresh("CREATE TABLE t (id BIGINT)");
    let release = block(&store, Mode::Write);
    let (sender, receiver) = channel();
    for id in 0..2000 {
        let sender = sender.clone();
        let work = move |session: &Session<'_>| {
            session.execute("INSERT INTO t VALUES ($1)", &[ValueRef::Integer(id)])
        };
        let answer = move |result: Result<_, Error>| sender.send(result.is_ok()).unwrap();
        store.submit(Mode::Write, work, answer).unwrap();
    }
    drop((release, sender));
    store.close();
    assert_eq!(
        receiver.iter().filter(|stored| *stored).count(),
        2000,
        "answered before closed"
    );
    let beside: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(beside.len(), 1, "the journal is gone: {beside:?}");
    assert_eq!(numbers(&open(&path), "SELECT count(*) FROM t"), [2000]);
}

#[test]
fn only_its_owner_can_read_it() {
    let (_folder, path, store) = fresh("CREATE TABLE t (id BIGINT)");
    write(&store, "INSERT INTO t VALUES (1)", &[]).unwrap();
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{entry:?}");
    }
    let folder = fs::metadata(path.parent().unwrap()).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_new_file_can_be_opened_by_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..50 {
        let path = folder.path().join(format!("{number}.db"));
        let together = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
                    open(&path);
                });
            }
        });
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| Store::open(path, Options::default()).err().unwrap();

    let garbage = folder.path().join("garbage.db");
    fs::write(
        &garbage,
        "This is no database, however one looks at it. ".repeat(100),
    )
    .unwrap();
    let refused = error(&garbage);
    assert!(matches!(refused, Error::Corrupt(_)), "{refused}");
    assert!(refused.to_string().contains("garbage.db"), "{refused}");

    for path in [
        folder.path().to_owned(),
        garbage.join("uro.db"),
        "/proc/uro/uro.db".into(),
    ] {
        let refused = error(&path);
        assert!(matches!(refused, Error::Open { .. }), "{refused}");
        assert!(
            refused.to_string().starts_with(path.to_str().unwrap()),
            "{refused}"
        );
    }
}

#[test]
fn two_stores_on_one_file_take_turns() {
    let (_folder, path, store) = fresh("CREATE TABLE t (id BIGINT)");
    let other = open(&path);
    thread::scope(|scope| {
        for store in [&store, &other] {
            scope.spawn(move || {
                for id in 0..200 {
                    write(store, "INSERT INTO t VALUES ($1)", &[id]).unwrap();
                }
            });
        }
    });
    assert_eq!(numbers(&other, "SELECT count(*) FROM t"), [400]);

    let options = Options {
        busy_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let impatient = Store::open(&path, options).unwrap();
    // Holds the write lock: it has begun its transaction.
    let release = block(&store, Mode::Write);
    let refused = write(&impatient, "INSERT INTO t VALUES (1)", &[]).unwrap_err();
    assert!(matches!(refused, Error::Busy(_)), "{refused}");
    drop(release);
    write(&other, "INSERT INTO t VALUES (1)", &[]).unwrap();
}

#[test]
fn group_commit_figures() {
    for writers in [1, 16, 256] {
        let (_folder, _path, store) = fresh("CREATE TABLE t (id BIGINT, body TEXT)");
        let body = "x".repeat(500);
        let (each, started) = (2000 / writers, Instant::now());
        thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    for id in 0..each as i64 {
                        let body = body.clone();
                        let work = move |session: &Session<'_>| {
                            let values = [ValueRef::Integer(id), body.as_str().into()];
                            session.execute("INSERT INTO t VALUES ($1, $2)", &values)
                        };
                        store.run(Mode::Write, work).unwrap();
                    }
                });
            }
        });
        let rate = (each * writers) as f64 / started.elapsed().as_secs_f64();
        println!("{writers} writers: {rate:.0} durable jobs a second");
        let stored = numbers(&store, "SELECT count(*) FROM t");
        assert_eq!(stored, [(each * writers) as i64]);
    }
}
