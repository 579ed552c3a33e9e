//! Requests that Elixir answers: each has a number, and Elixir says exactly one thing last about each. Until then it counts as
//! under way, whether its client is there or not, so that Elixir never has more to do than it takes.

use super::client::Work;
use super::refusal::Refusal;
use crate::sender::FrameSender;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use uro_discord_wire::{Answer, FromBridge, RequestHead, Verdict};

/// How many requests Elixir has at once.
const AT_ONCE: usize = 256;

/// How many requests wait for that, of clients that have others under way. Who has only one always gets in line.
const WAITING: usize = 1024;

/// How long a request waits for its turn.
const IN_LINE: Duration = Duration::from_secs(10);

/// How long Elixir may take: `?wait=30` and then some.
const ANSWER: Duration = Duration::from_secs(60);

/// A handle to what is under way.
#[derive(Clone)]
pub struct Exchange(Arc<Shared>);

struct Shared {
    sender: FrameSender,
    open: Mutex<HashMap<u64, Open>>,
    next: AtomicU64,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

struct Open {
    words: mpsc::Sender<Word>,
    turn: Option<OwnedSemaphorePermit>,
}

/// What Elixir says about a request.
pub enum Word {
    /// Its body is wanted.
    Read(Verdict),
    /// This is its answer.
    Answer(Reply),
}

/// An answer, for the client.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Exchange {
    pub fn new(sender: FrameSender) -> Self {
        // A bridge that came before counted from an earlier time, and answered less than a request a microsecond.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let first = since.map_or(0, |since| since.as_micros());
        Self(Arc::new(Shared {
            sender,
            open: Mutex::default(),
            next: AtomicU64::new(u64::try_from(first).unwrap_or(0)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// Elixir wants a body.
    pub fn read(&self, id: u64, verdict: Verdict) {
        if let Some(open) = self.open().get_mut(&id) {
            // Its client takes its time now, not Elixir.
            open.turn = None;
            // Nobody is there who could read it, or this was said before.
            let _ = open.words.try_send(Word::Read(verdict));
        }
    }

    /// Elixir answers.
    pub fn answer(&self, id: u64, answer: Answer<'_>) {
        let Some(open) = self.open().remove(&id) else {
            return;
        };
        let reply = Reply {
            status: answer.status,
            headers: answer.headers,
            body: answer.body.to_vec(),
        };
        // The client may have gone.
        let _ = open.words.try_send(Word::Answer(reply));
    }

    /// Who was to answer is gone: clients are told so.
    pub fn reset(&self) {
        self.open().clear();
    }

    /// Asks Elixir, when it has time.
    pub async fn ask(&self, head: RequestHead, work: &Work) -> Result<Ticket, Refusal> {
        let turn = self.turn(work.open()).await?;
        self.0.sender.room().await;
        if !self.0.sender.is_heard() {
            return Err(Refusal::Absent);
        }
        let (sender, words) = mpsc::channel(2);
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let open = Open {
            words: sender,
            turn: Some(turn),
        };
        self.open().insert(id, open);
        if let Err(error) = self.0.sender.send_now(&FromBridge::Request { id, head }) {
            tracing::error!(%error, "a request could not be told");
            self.open().remove(&id);
            return Err(Refusal::Internal);
        }
        // From here on nothing waits: it is answered, or told that it has gone.
        Ok(Ticket {
            exchange: self.clone(),
            id,
            words,
            answered: false,
        })
    }

    async fn turn(&self, of_this_client: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let waiting = Waiting::new(&self.0.waiting);
        if waiting.before >= WAITING && of_this_client > 1 {
            return Err(Refusal::Busy);
        }
        match timeout(IN_LINE, self.0.turns.clone().acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Refusal::Busy),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        // Nothing that runs under it panics half way.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that stands in line.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        let before = count.fetch_add(1, Ordering::Relaxed);
        Self { count, before }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that Elixir knows of. Dropped before its answer, it tells Elixir that nobody waits any more.
pub struct Ticket {
    exchange: Exchange,
    id: u64,
    words: mpsc::Receiver<Word>,
    answered: bool,
}

impl Ticket {
    /// What Elixir says next.
    pub async fn word(&mut self) -> Result<Word, Refusal> {
        match timeout(ANSWER, self.words.recv()).await {
            Ok(Some(word)) => {
                self.answered = matches!(word, Word::Answer(_));
                Ok(word)
            }
            _ => Err(Refusal::NoAnswer),
        }
    }

    /// Hands over the body, when Elixir has time.
    pub async fn body(&mut self, body: &[u8], work: &Work) -> Result<(), Refusal> {
        let turn = self.exchange.turn(work.open()).await?;
        self.exchange.0.sender.room().await;
        match self.exchange.open().get_mut(&self.id) {
            Some(open) => open.turn = Some(turn),
            // It was answered while the body came, as one that crashed is; or whoever comes after
            // who wanted it knows nothing of it. `word` tells.
            None => return Ok(()),
        }
        let message = FromBridge::Body {
            id: self.id,
            body: Cow::Borrowed(body),
        };
        self.exchange.0.sender.send_now(&message).map_err(|error| {
            tracing::error!(%error, "a body could not be handed over");
            Refusal::Internal
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered
            && self.exchange.open().contains_key(&self.id)
            && let Err(error) = self.exchange.0.sender.send_now(&FromBridge::Gone(self.id))
        {
            tracing::error!(%error, "could not tell that a client has gone");
        }
    }
}
