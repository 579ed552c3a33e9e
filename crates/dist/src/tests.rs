//! A BEAM that is none: what it says goes wrong at one place or another, which ends the connection with one clear error, and takes no memory.
//! Time is not the machine's, so that those who wait are quick.

use crate::connection::Ended;
use crate::dial::{Connection, DialError, Dialer};
use crate::name::Pattern;
use crate::seat::Seat;
use crate::session::Session;
use erl_dist::DistributionFlags as Flags;
use erl_dist::handshake::{HandshakeStatus, ServerSideHandshake};
use erl_dist::node::{Creation, LocalNode};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio_util::compat::TokioAsyncReadCompatExt as _;
use uro_discord_wire::Secret;

const PEER: &str = "uro@127.0.0.1";
const COOKIE: &str = "c00kie";

fn dialer() -> Dialer {
    let name = "media1@127.0.0.1".parse().unwrap();
    Dialer::new(name, Secret::new(COOKIE), Pattern::new("uro@*"))
}

/// What comes of a handshake with this.
async fn met<F: Future<Output = ()> + Send + 'static>(
    other: impl FnOnce(DuplexStream) -> F,
) -> Result<Connection, DialError> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let other = tokio::spawn(other(theirs));
    let met = dialer().introduce(ours, false).await;
    other.abort();
    met
}

async fn refused<F: Future<Output = ()> + Send + 'static>(
    other: impl FnOnce(DuplexStream) -> F,
) -> String {
    met(other).await.err().unwrap().to_string()
}

/// Shakes hands as a BEAM of this name, with this cookie.
async fn shake(stream: DuplexStream, name: &str, cookie: &str, flags: Flags) -> DuplexStream {
    let mut node = LocalNode::new(name.parse().unwrap(), Creation::new(77));
    node.flags = flags;
    let mut shaking = ServerSideHandshake::new(stream.compat(), node, cookie);
    shaking.execute_recv_name().await.unwrap();
    // The other side may not like it.
    match shaking.execute_rest(HandshakeStatus::Ok).await {
        Ok((stream, _)) => stream.into_inner(),
        Err(_) => std::future::pending().await,
    }
}

/// Says these bytes when it was said the name.
async fn says(mut stream: DuplexStream, bytes: &'static [u8]) {
    let length = stream.read_u16().await.unwrap();
    stream
        .read_exact(&mut vec![0; length.into()])
        .await
        .unwrap();
    stream.write_all(bytes).await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn no_cookie_goes_over_networks_of_others_in_the_clear() {
    let address = "uro.example:4370".parse().unwrap();
    let at = "203.0.113.5:4370".parse().unwrap();
    let error = dialer().dial(&address, at).await.err().unwrap();
    assert!(matches!(error, DialError::Public(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_goes_wrong_says_where() {
    for (bytes, said) in [
        (&b""[..], "the handshake took longer than 20s"),
        (b"\xFF\xFFsssssss", "65535 bytes, which no handshake has"),
        (b"\0\0", "0 bytes, which no handshake has"),
        (b"\0\x05sbla!", "bla!"),
        (b"\0\x04snok", "two bridges have one name"),
        (b"\0\x0csnot_allowed", "does not allow media1@127.0.0.1"),
        (b"\0\x06salive", "two bridges have one name"),
        (b"\0\x08snamed:\0\x05", "the handshake failed"),
        (b"\0\x03sok\0\x01x", "the handshake failed"),
        (b"\0\x03sok\0\x03N\0\0", "the other side closed"),
        (
            b"\0\x03sok\0\x13N\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02",
            "the other side closed",
        ),
        (
            b"\0\x03sok\0\x15N\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\xFF\xFE",
            "UTF-8",
        ),
    ] {
        let error = refused(|stream| says(stream, bytes)).await;
        assert!(error.contains(said), "{bytes:?}: {error}");
    }
    let flags = Flags::mandatory();
    let error = refused(async move |stream| drop(shake(stream, "evil@h", COOKIE, flags).await));
    assert!(
        error
            .await
            .contains("\"evil@h\" answers, and only uro@* may")
    );
    // A BEAM closes then; this one answers with a digest of its own cookie.
    let error = refused(async move |mut stream| {
        let length = stream.read_u16().await.unwrap();
        stream
            .read_exact(&mut vec![0; length.into()])
            .await
            .unwrap();
        let mut said = b"\0\x03sok\0\x20N".to_vec();
        said.extend_from_slice(&flags.bits().to_be_bytes());
        said.extend_from_slice(b"\0\0\0\x01\0\0\0\x4D\0\x0Duro@127.0.0.1");
        stream.write_all(&said).await.unwrap();
        stream.write_all(b"\0\x11a0123456789abcdef").await.unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(error.await, "the other side has another cookie");
    let error = refused(async move |stream| drop(shake(stream, PEER, "other", flags).await));
    assert!(
        error
            .await
            .contains("as a BEAM does that has another cookie")
    );
    let old = Flags::EXTENDED_REFERENCES | Flags::HANDSHAKE_23;
    let error = refused(async move |stream| drop(shake(stream, PEER, COOKIE, old).await));
    assert!(error.await.contains("lacks what OTP 25"));
}

/// A connection and its other end.
async fn connected() -> (Connection, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let other = tokio::spawn(shake(theirs, PEER, COOKIE, Flags::mandatory()));
    let connection = dialer().introduce(ours, false).await.unwrap();
    assert_eq!(connection.peer(), PEER);
    (connection, other.await.unwrap())
}

/// What a connection ends with over which this is said. Nobody reads its sessions.
async fn ended<F: Future<Output = ()> + Send + 'static>(
    says: impl FnOnce(DuplexStream) -> F,
) -> Ended {
    let (connection, theirs) = connected().await;
    let (sessions, mut opened) = mpsc::channel(4);
    let other = tokio::spawn(says(theirs));
    let ended = connection.run(sessions, &Seat::default()).await;
    other.abort();
    while let Some(session) = opened.recv().await {
        assert!(*session.closed.borrow());
    }
    ended
}

fn frame(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32).to_be_bytes()[..], content].concat()
}

fn pid(name: &[u8], id: u32, creation: u32) -> Vec<u8> {
    let words = [id, 0, creation].map(u32::to_be_bytes).concat();
    [&[88, 119, name.len() as u8], name, &words].concat()
}

fn owner() -> Vec<u8> {
    pid(PEER.as_bytes(), 9, 77)
}

/// A message to a registered process.
fn to_name(name: &str, message: &[u8]) -> Vec<u8> {
    let name = [&[119, name.len() as u8], name.as_bytes()].concat();
    frame(
        &[
            b"\x70\x83\x68\x04\x61\x06",
            &owner()[..],
            b"\x77\0",
            &name,
            b"\x83",
            message,
        ]
        .concat(),
    )
}

fn attach() -> Vec<u8> {
    to_name(
        "uro_discord_bridge",
        &[b"\x68\x03\x77\x06attach", &owner()[..], b"\x61\x07"].concat(),
    )
}

/// Attaches, and returns the pid of the session.
async fn attached(stream: &mut DuplexStream) -> Vec<u8> {
    stream.write_all(&attach()).await.unwrap();
    loop {
        let said = heard(stream).await;
        // {Pid, attached, 7}, behind the control message.
        let at = said
            .windows(4)
            .position(|bytes| bytes == b"\x68\x03\x58\x77");
        if let Some(at) = at.map(|at| at + 2).filter(|at| *at > 8) {
            return said[at..at + 3 + usize::from(said[at + 2]) + 12].to_vec();
        }
    }
}

fn to_pid(pid: &[u8], message: &[u8]) -> Vec<u8> {
    frame(&[b"\x70\x83\x68\x03\x61\x02\x77\0", pid, b"\x83", message].concat())
}

fn binary(bytes: &[u8]) -> Vec<u8> {
    [&[109], &(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

#[tokio::test(start_paused = true)]
async fn what_is_no_frame_ends_the_connection_with_one_error() {
    let deep = [&b"\x70\x83"[..], &b"\x68\x01".repeat(500_000)].concat();
    let wide = [&b"\x70\x83\x69\0\x0F\0\0"[..], &[106; 0xF_0000]].concat();
    let bytes: Vec<(Vec<u8>, &str)> = vec![
        (
            b"\xFF\xFF\xFF\xFF".to_vec(),
            "a frame of 4294967295 bytes is over the limit",
        ),
        (
            b"\0\x10\0\x01".to_vec(),
            "a frame of 1048577 bytes is over the limit",
        ),
        (
            [&b"\0\x10\0\0"[..], &[0; 60_000]].concat(),
            "60004 bytes of it are there",
        ),
        (attach()[..20].to_vec(), "20 bytes of it are there"),
        (Vec::new(), "nothing was heard for 80s"),
        (
            frame(&[&b"\x83\x45"[..], &[0; 20]].concat()),
            "of the kind Some(131)",
        ),
        (
            frame(&[&b"\x83\x44"[..], &[0; 20]].concat()),
            "of the kind Some(131)",
        ),
        (frame(b"\x71abc"), "of the kind Some(113)"),
        (frame(b"\x70"), "cut short"),
        (frame(b"\x70\x83\x61\x01"), "tag 97"),
        (frame(b"\x70\x83\x68\0"), "cut short"),
        (frame(b"\x70\x83\x69\xFF\xFF\xFF\xFF"), "cut short"),
        (frame(&deep), "cut short"),
        (frame(&wide), "expected u8"),
        (
            frame(b"\x70\x83\x68\x02\x61\x63\x6A"),
            "a control message 99 of 2 elements",
        ),
        (
            frame(b"\x70\x83\x68\x02\x62\xFF\xFF\xFF\xFF\x6A"),
            "expected u8",
        ),
        (frame(b"\x70\x83\x50\xFF\xFF\xFF\xFF"), "tag 80"),
        (
            to_name("uro_discord_bridge", b"\x50\xFF\xFF\xFF\xFF\0\0"),
            "nothing was heard",
        ),
        (
            frame(
                &[
                    b"\x70\x83\x68\x04\x61\x06",
                    &owner()[..],
                    b"\x77\0\x77\x12uro_discord_bridge",
                ]
                .concat(),
            ),
            "cut short",
        ),
        (
            to_name("uro_discord_bridge", &b"\x6c\0\0\0\x01".repeat(100_000)),
            "nothing was heard",
        ),
        (to_name("nobody", b"\x77\x02no"), "nothing was heard"),
        (to_name("net_kernel", b"\x77\x02no"), "nothing was heard"),
    ];
    for (bytes, said) in bytes {
        let shown = bytes[..bytes.len().min(40)].to_vec();
        let error = ended(async move |mut stream| {
            stream.write_all(&bytes).await.unwrap();
            std::future::pending::<()>().await;
        });
        let error = error.await.to_string();
        assert!(error.contains(said), "{shown:?}: {error}");
    }
    // One byte each half a second is not silence.
    let error = ended(async move |mut stream| {
        stream.write_all(b"\0\x0F\0\0\x70").await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stream.write_all(b"\x83").await.unwrap();
        }
    });
    assert!(error.await.to_string().contains("did not come within 10s"));
    let closed = ended(async move |stream| drop(stream)).await;
    assert!(matches!(closed, Ended::Closed), "{closed}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_more_than_it_takes_is_left() {
    // Links and monitors of made-up pids, which we would have to remember.
    for control in [1, 19] {
        let error = ended(async move |mut stream| {
            let session = attached(&mut stream).await;
            for id in 0..3_000 {
                let who = pid(PEER.as_bytes(), id, 77);
                let reference = [
                    &b"\x5A\0\x03\x77\x01u\0\0\0\x4D"[..],
                    &id.to_be_bytes(),
                    &[0; 8],
                ]
                .concat();
                let reference = if control == 19 { &reference[..] } else { &[] };
                let arity = if control == 19 { 4 } else { 3 };
                let said = [
                    &[0x70, 0x83, 0x68, arity, 0x61, control],
                    &who[..],
                    &session,
                    reference,
                ];
                stream.write_all(&frame(&said.concat())).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let error = error.await.to_string();
        assert_eq!(error, "over 1024 links and monitors", "{control}");
    }
    // Questions without end, and nobody reads the answers.
    for ask in [
        to_name(
            "net_kernel",
            &[
                b"\x68\x03\x77\x09$gen_call\x68\x02",
                &owner()[..],
                b"\x6A\x6A",
            ]
            .concat(),
        ),
        attach(),
        frame(
            &[
                b"\x70\x83\x68\x04\x61\x23\x61\x01",
                &owner()[..],
                &owner()[..],
            ]
            .concat(),
        ),
    ] {
        let error = ended(async move |mut stream| {
            loop {
                stream.write_all(&ask).await.unwrap();
            }
        });
        let error = error.await.to_string();
        assert!(
            error.contains("are not read") || error.contains("did not read"),
            "{error}"
        );
    }
    // Bytes that the session does not read.
    let error = ended(async move |mut stream| {
        let session = attached(&mut stream).await;
        let said = to_pid(&session, &binary(&vec![0; 500_000]));
        for _ in 0..70 {
            stream.write_all(&said).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    assert!(
        error
            .await
            .to_string()
            .contains("were said and not read yet")
    );
}

/// The next frame that is no tick.
async fn heard(stream: &mut DuplexStream) -> Vec<u8> {
    loop {
        let length = stream.read_u32().await.unwrap();
        let mut said = vec![0; length as usize];
        stream.read_exact(&mut said).await.unwrap();
        if !said.is_empty() {
            return said;
        }
    }
}

async fn session(opened: &mut mpsc::Receiver<Session>) -> Session {
    opened.recv().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn bytes_go_both_ways_and_who_attaches_next_has_nothing_of_what_was() {
    let (connection, mut beam) = connected().await;
    let (sessions, mut opened) = mpsc::channel(4);
    let running = tokio::spawn(async move { connection.run(sessions, &Seat::default()).await });
    let first = attached(&mut beam).await;
    let mut one = session(&mut opened).await;
    assert_eq!(one.peer, PEER);
    // Our monitor of who attached.
    assert_eq!(heard(&mut beam).await[2..6], [0x68, 4, 0x61, 19]);
    for piece in [&b"he"[..], b"llo"] {
        beam.write_all(&to_pid(&first, &binary(piece)))
            .await
            .unwrap();
    }
    let mut said = [0; 5];
    one.input.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"hello");
    one.output.write_all(b"hi").await.unwrap();
    assert!(heard(&mut beam).await.ends_with(&binary(b"hi")));
    beam.write_all(&to_pid(&first, b"\x68\x02\x77\x04ping\x61\x05"))
        .await
        .unwrap();
    assert!(heard(&mut beam).await.ends_with(b"\x77\x04pong\x61\x05"));

    let second = attached(&mut beam).await;
    assert_ne!(first, second);
    let mut two = session(&mut opened).await;
    assert!(*one.closed.borrow());
    assert_eq!(one.input.read(&mut said).await.unwrap(), 0);
    beam.write_all(&to_pid(&first, &binary(b"late")))
        .await
        .unwrap();
    beam.write_all(&to_pid(&second, &binary(b"new")))
        .await
        .unwrap();
    assert_eq!(two.input.read(&mut said).await.unwrap(), 3);
    // It may have no reader any more.
    let _ = one.output.write_all(b"late").await;
    two.output.write_all(b"new").await.unwrap();
    loop {
        let frame = heard(&mut beam).await;
        assert!(!frame.ends_with(b"late"));
        if frame.ends_with(&binary(b"new")) {
            break;
        }
    }
    // Who monitors it hears why it ended, after all that it said.
    let monitor = b"\x5A\0\x03\x77\x01u\0\0\0\x4D\0\0\0\x01\0\0\0\0\0\0\0\0";
    let said = [b"\x70\x83\x68\x04\x61\x13", &owner()[..], &second, monitor].concat();
    beam.write_all(&frame(&said)).await.unwrap();
    beam.write_all(&to_pid(&second, b"\x68\x02\x77\x04ping\x61\x06"))
        .await
        .unwrap();
    assert!(heard(&mut beam).await.ends_with(b"\x61\x06"));
    two.output.write_all(b"last").await.unwrap();
    let Session {
        output, farewell, ..
    } = two;
    drop(output);
    farewell.send("it was told to stop".into()).unwrap();
    assert!(heard(&mut beam).await.ends_with(&binary(b"last")));
    let demonitor = heard(&mut beam).await;
    assert_eq!(demonitor[2..6], [0x68, 4, 0x61, 20]);
    let down = heard(&mut beam).await;
    assert_eq!(down[2..6], [0x68, 4, 0x61, 28]);
    assert!(down.ends_with(&binary(b"it was told to stop")));
    drop(beam);
    assert!(matches!(running.await.unwrap(), Ended::Closed));
}

#[tokio::test(start_paused = true)]
async fn who_attached_and_is_silent_is_left_within_seconds() {
    let before = tokio::time::Instant::now();
    let error = ended(async move |mut stream| {
        attached(&mut stream).await;
        std::future::pending::<()>().await;
    });
    assert!(error.await.to_string().contains("nothing was heard for 5s"));
    assert!(before.elapsed() < Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn who_comes_over_another_connection_waits_for_the_seat() {
    let seat = Seat::default();
    let (sessions, mut opened) = mpsc::channel(4);
    let mut beams = Vec::new();
    for _ in 0..2 {
        let (connection, beam) = connected().await;
        let (sessions, seat) = (sessions.clone(), seat.clone());
        tokio::spawn(async move { connection.run(sessions, &seat).await });
        beams.push(beam);
    }
    let mut second = beams.pop().unwrap();
    let mut first = beams.pop().unwrap();
    attached(&mut first).await;
    let one = session(&mut opened).await;
    let attach = attach();
    second.write_all(&attach).await.unwrap();
    let told = heard(&mut second).await;
    let held = [
        &b"\x68\x03\x77\x04held\x61\x07\x6d\0\0\0\x0d"[..],
        PEER.as_bytes(),
    ]
    .concat();
    assert!(told.ends_with(&held), "{told:?}");
    // It is not the end of the connection that frees it, but that of what was done over it.
    drop(first);
    second.write_all(&attach).await.unwrap();
    assert!(heard(&mut second).await.ends_with(&held));
    drop(one);
    attached(&mut second).await;
    session(&mut opened).await;
}
