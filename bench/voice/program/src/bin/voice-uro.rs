//! Sessions of ours, all in one thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bench_voice::{Args, Error, FRAME, JOINING, Order, held, opus, orders};
use bytes::Bytes;
use tokio::sync::mpsc;
use uro_discord_voice::{
    Config, Event, Events, Frames, JoinInfo, Scheme, SecretString, SendError, Session, Tls,
};

/// A session is given frames every 200 ms, at which time it has 300 ms of them left.
const ROUND: Duration = Duration::from_millis(200);
/// Not all are given them at once, and turns are not in step with frames: sessions that begin to speak together are too.
const MAX_TURNS: usize = 37;

static FRAMES: AtomicU64 = AtomicU64::new(0);

enum Told {
    /// It can send.
    Ready,
    Ended,
}

struct Program {
    args: Args,
    config: Config,
    sessions: Vec<Session>,
    wanted: usize,
    ready: usize,
    /// Tasks that watch a session.
    watched: usize,
    speaking: bool,
    told: mpsc::UnboundedSender<Told>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let args = Args::parse()?;
    let config = Config {
        step_timeout: Duration::from_secs(60),
        scheme: if args.ca_file.is_some() {
            Scheme::Wss
        } else {
            Scheme::Ws
        },
        ..Config::with_tls(Tls::new(args.ca_file.as_deref())?)
    };
    let (told, mut news) = mpsc::unbounded_channel();
    let mut program = Program {
        args,
        config,
        sessions: Vec::new(),
        wanted: 0,
        ready: 0,
        watched: 0,
        speaking: false,
        told,
    };
    let frames = opus(50).into_iter().map(Bytes::from_owner);
    let mut frames = frames.collect::<Vec<_>>().into_iter().cycle();
    let mut turn = 0;
    let feeding = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(feeding);
    let mut orders = orders();
    println!("ready");
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Sessions(count)) => {
                    program.wanted = count;
                    program.shrink().await;
                    program.grow()?;
                }
                Some(Order::Speak) => program.speaking = true,
                Some(Order::Frames) => println!("frames {}", FRAMES.load(Relaxed)),
                Some(Order::Alive) => {
                    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
                    let (threads, files) = held()?;
                    println!("alive {tasks} {threads} {files}");
                }
                Some(Order::Window(_) | Order::End) | None => break,
            },
            Some(news) = news.recv() => match news {
                Told::Ready => {
                    program.ready += 1;
                    program.grow()?;
                }
                Told::Ended => {
                    program.watched -= 1;
                    program.settled();
                }
            },
            () = &mut feeding, if program.speaking => {
                let turns = program.sessions.len().clamp(1, MAX_TURNS);
                let next = feeding.deadline() + ROUND / turns as u32;
                feeding.as_mut().reset(next);
                turn = (turn + 1) % turns;
                for session in program.sessions.iter().skip(turn).step_by(turns) {
                    feed(session, &mut frames)?;
                }
            }
        }
    }
    program.wanted = 0;
    program.shrink().await;
    Ok(())
}

impl Program {
    /// Joins until there are as many as are wanted, some at a time.
    fn grow(&mut self) -> Result<(), Error> {
        while self.sessions.len() < self.wanted && self.sessions.len() - self.ready < JOINING {
            let user_id = self.args.first_user + self.sessions.len() as u64;
            let info = JoinInfo {
                endpoint: self.args.endpoint.clone(),
                guild_id: self.args.guild(user_id),
                channel_id: self.args.channel(user_id),
                user_id,
                session_id: SecretString::from("session"),
                token: self.args.token().into(),
            };
            let (session, connection, events, frames) = Session::join(info, self.config.clone())?;
            tokio::spawn(connection);
            self.sessions.push(session);
            self.watched += 1;
            tokio::spawn(watch(events, frames, self.args.dave, self.told.clone()));
        }
        self.settled();
        Ok(())
    }

    async fn shrink(&mut self) {
        while self.sessions.len() > self.wanted {
            if let Some(session) = self.sessions.pop() {
                session.leave().await;
                self.ready -= 1;
            }
        }
    }

    fn settled(&self) {
        let counts = [self.sessions.len(), self.ready, self.watched];
        if counts == [self.wanted; 3] {
            println!("sessions {}", self.wanted);
        }
    }
}

fn feed(session: &Session, frames: &mut impl Iterator<Item = Bytes>) -> Result<(), Error> {
    loop {
        match session.try_send_opus(frames.next().unwrap_or_default()) {
            Ok(()) => {}
            Err(SendError::Full { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes what a session gives, to its end.
async fn watch(
    mut events: Events,
    mut frames: Frames,
    dave: bool,
    told: mpsc::UnboundedSender<Told>,
) {
    let mut ready = false;
    loop {
        tokio::select! {
            event = events.next() => {
                let now_ready = match event {
                    Some(Event::Joined { .. }) => !dave,
                    Some(Event::Encryption(status)) => status.can_send,
                    Some(Event::Ended(end)) => {
                        eprintln!("{end}");
                        break;
                    }
                    Some(_) => false,
                    None => break,
                };
                if now_ready && !std::mem::replace(&mut ready, true) {
                    let _ = told.send(Told::Ready);
                }
            }
            Some(received) = frames.next() => {
                if received.frame.len() == FRAME {
                    FRAMES.fetch_add(1, Relaxed);
                }
            }
        }
    }
    let _ = told.send(Told::Ended);
}
