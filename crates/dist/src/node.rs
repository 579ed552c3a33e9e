//! The node's side of a connection, without sockets and clock: what the BEAM says becomes what is to be done, and what it is told.
//!
//! One process of the BEAM attaches to us by a message to the name `uro_discord_bridge`, `{attach, Pid, Number}`. It is answered by a pid that
//! stands for this session: a binary that is sent there is bytes for us, and ours go to it as `{Pid, Binary}`. What a BEAM says beside it to
//! every node (links, monitors, `net_kernel`'s questions) is answered as a node would.

use crate::name::NodeName;
use std::collections::HashMap;
use uro_discord_wire::etf::{Error, Reader, Writer};

/// How many bytes of the protocol one message has at most, in both directions: what is large goes in pieces, between which others have their turn.
pub const CHUNK: usize = 256 * 1024;

/// How many links and monitors the BEAM may have here, together. A sound one has two.
const WATCHERS: usize = 1024;

/// How much may wait to be written of what we answer.
const ANSWERS: usize = 1024 * 1024;

/// The kind of frames that neither atom cache nor fragments touch.
const PASS_THROUGH: u8 = 112;

/// The longest term that is kept of what a BEAM says: a pid with the longest name.
const KEPT: usize = 1100;

/// How much is told of why a session has ended.
const REASON: usize = 1024;

/// Why a BEAM is not heard any longer.
#[derive(Debug, thiserror::Error)]
pub enum BadFrame {
    /// A frame that begins with another byte: fragments and atom caches were not offered.
    #[error("a frame of the kind {0:?}, which we did not offer")]
    Kind(Option<u8>),
    /// It is not Erlang's external term format, or not all of it.
    #[error("a frame that is no message: {0}")]
    Term(#[from] Error),
    /// A control message that was not offered, or is unknown.
    #[error("a control message {0} of {1} elements, which we did not offer")]
    Control(u8, usize),
    /// More links and monitors than any BEAM needs.
    #[error("over {WATCHERS} links and monitors")]
    Watchers,
    /// It asks for more than it takes.
    #[error("over {ANSWERS} bytes of answers wait, and are not read")]
    Unread,
    /// A pid or a reference that is longer than any.
    #[error("a name of {0} bytes")]
    TooLong(usize),
}

/// What is to be done about a frame.
#[derive(Debug, Eq, PartialEq)]
pub enum Heard<'a> {
    /// Nothing, or an answer, which waits in [`Node::answers`].
    Nothing,
    /// A process wants to attach: [`Node::attach`] or [`Node::hold`] is the answer.
    Wants(Wish),
    /// Bytes for the session.
    Bytes(&'a [u8]),
    /// The process has ended, or does not want the session any more.
    Detached,
}

/// That a process wants to attach.
#[derive(Debug, Eq, PartialEq)]
pub struct Wish {
    owner: Vec<u8>,
    number: u64,
}

/// One side of a connection.
#[derive(Debug)]
pub struct Node {
    /// Our name, as an atom.
    name: Vec<u8>,
    creation: u32,
    /// Of pids and references.
    serial: u32,
    session: Option<Attached>,
    /// Who is linked, with whom of us; a monitor's reference, with who has it and of whom.
    links: HashMap<Vec<u8>, Vec<u8>>,
    monitors: HashMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
    answers: Vec<u8>,
}

#[derive(Debug)]
struct Attached {
    serial: u32,
    /// The other's pid, and the reference of our monitor, as terms.
    owner: Vec<u8>,
    monitor: Vec<u8>,
}

impl Node {
    /// Nobody has said anything yet.
    #[must_use]
    pub fn new(name: &NodeName, creation: u32) -> Self {
        Self {
            name: atom(name.as_str()),
            creation,
            serial: 0,
            session: None,
            links: HashMap::new(),
            monitors: HashMap::new(),
            answers: Vec::new(),
        }
    }

    /// Takes what is to be written: whole frames.
    pub fn answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    /// Whether a process is attached.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.session.is_some()
    }

    /// Hears a frame that is not a tick.
    ///
    /// # Errors
    ///
    /// When it is none, or none that we offered: the connection is to be given up.
    pub fn hear<'a>(&mut self, frame: &'a [u8]) -> Result<Heard<'a>, BadFrame> {
        let Some((&PASS_THROUGH, terms)) = frame.split_first() else {
            return Err(BadFrame::Kind(frame.first().copied()));
        };
        let control = Reader::new(terms)?.raw()?;
        let message = terms.get(1 + control.len()..).unwrap_or_default();
        let mut reader = Reader::new(terms)?;
        let arity = reader.tuple()?;
        let kind: u8 = reader.value()?;
        let mut arguments: [&[u8]; 6] = [&[]; 6];
        for argument in arguments.iter_mut().take(arity.saturating_sub(1)) {
            *argument = reader.raw()?;
        }
        let [a, b, c, ..] = arguments;
        let heard = match (kind, arity) {
            // SEND and SEND_SENDER; the latter two with a trace token.
            (2 | 22, 3) | (12 | 23, 4) => self.said_to_pid(b, message)?,
            // REG_SEND.
            (6, 4) | (16, 5) => self.said_to_name(c, message)?,
            // LINK
            (1, 3) => self.link(a, b)?,
            // UNLINK_ID
            (35, 4) => {
                self.links.remove(b);
                self.control(&[&[97, 36], a, c, b], &[]);
                Heard::Nothing
            }
            // EXIT and EXIT2, with and without payload and token.
            (3 | 8, 4) | (13 | 18, 5) | (24 | 26, 3) | (25 | 27, 4) => {
                self.links.remove(a);
                self.detach_if(self.is_session(b))
            }
            // MONITOR_P
            (19, 4) => self.monitor(a, b, c)?,
            // DEMONITOR_P
            (20, 4) => {
                self.monitors.remove(c);
                Heard::Nothing
            }
            // MONITOR_P_EXIT: of the process that attached; we have no other monitor.
            (21, 5) | (28, 4) => {
                let ours = self.session.as_ref().map(|session| &session.monitor[..]);
                self.detach_if(ours.is_some_and(|ours| same_reference(ours, c)))
            }
            // NODE_LINK, GROUP_LEADER, UNLINK_ID_ACK, and a message to an alias, of which we have none.
            (5, 1) | (7, 3) | (36, 4) | (33, 3) | (34, 4) => Heard::Nothing,
            _ => return Err(BadFrame::Control(kind, arity)),
        };
        if self.answers.len() > ANSWERS {
            return Err(BadFrame::Unread);
        }
        Ok(heard)
    }

    /// Lets a process attach: this is the session's number. The session before is over.
    pub fn attach(&mut self, wish: Wish) -> u32 {
        self.end_current("another process attached");
        let Wish { owner, number } = wish;
        let serial = self.next();
        let pid = self.pid(serial);
        let mut monitor = [&[90, 0, 3][..], &self.name].concat();
        for word in [self.creation, serial, 1, 0] {
            monitor.extend_from_slice(&word.to_be_bytes());
        }
        let message = [&[104, 3][..], &pid, &atom("attached"), &encoded(number)];
        self.control(&[&[97, 2], &atom(""), &owner], &message);
        self.control(&[&[97, 19], &pid, &owner, &monitor], &[]);
        self.session = Some(Attached {
            serial,
            owner,
            monitor,
        });
        serial
    }

    /// Does not let a process attach, since a node of this name is served.
    pub fn hold(&mut self, wish: &Wish, by: &str) {
        // A name is short.
        let length = (by.len() as u32).to_be_bytes();
        let message = [
            &[104, 3][..],
            &atom("held"),
            &encoded(wish.number),
            &[109],
            &length,
            by.as_bytes(),
        ];
        self.control(&[&[97, 2], &atom(""), &wish.owner], &message);
    }

    /// Appends bytes of this session for the process that is attached, as a whole frame; nothing where the session is over.
    pub fn append(&self, out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
        if let Some(session) = self.session.as_ref().filter(|is| is.serial == number) {
            let pid = self.pid(number);
            // No more than CHUNK.
            let length = (bytes.len() as u32).to_be_bytes();
            let message = [&[104, 2][..], &pid, &[109], &length, bytes];
            append(out, &[&[97, 2], &atom(""), &session.owner], &message);
        }
    }

    /// This session has ended here, for a reason in words.
    pub fn end(&mut self, number: u32, reason: &str) {
        let Some(session) = self.session.take_if(|session| session.serial == number) else {
            return;
        };
        let pid = self.pid(number);
        self.control(&[&[97, 20], &pid, &session.owner, &session.monitor], &[]);
        let reason = &reason[..reason.floor_char_boundary(REASON)];
        let length = (reason.len() as u32).to_be_bytes();
        let reason = [&[109][..], &length, reason.as_bytes()];
        let of_it = |pid: &[u8]| serial(pid) == Some(number);
        let watched: Vec<_> = self.monitors.extract_if(|_, (_, of)| of_it(of)).collect();
        for (reference, (by, of)) in watched {
            self.control(&[&[97, 28], &of, &by, &reference], &reason);
        }
        let linked: Vec<_> = self.links.extract_if(|_, with| of_it(with)).collect();
        for (who, with) in linked {
            self.control(&[&[97, 24], &with, &who], &reason);
        }
    }

    fn end_current(&mut self, reason: &str) {
        if let Some(session) = &self.session {
            self.end(session.serial, reason);
        }
    }

    fn detach_if(&mut self, ends: bool) -> Heard<'static> {
        if !ends {
            return Heard::Nothing;
        }
        self.end_current("it was detached");
        Heard::Detached
    }

    fn said_to_pid<'a>(&mut self, to: &[u8], message: &'a [u8]) -> Result<Heard<'a>, BadFrame> {
        // Who sends to a session of the past has yet to hear of its end.
        let Some(session) = self.session.as_ref().filter(|_| self.is_session(to)) else {
            return Ok(Heard::Nothing);
        };
        let (serial, owner) = (session.serial, session.owner.clone());
        let mut reader = Reader::new(message)?;
        match reader.binary() {
            Ok(bytes) => return Ok(Heard::Bytes(bytes)),
            Err(Error::Tag(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let mut reader = Reader::new(message)?;
        if let (Ok(2), Ok("ping"), Ok(number)) =
            (reader.tuple(), reader.atom(), reader.value::<u64>())
        {
            let message = [
                &[104, 3][..],
                &self.pid(serial),
                &atom("pong"),
                &encoded(number),
            ];
            self.control(&[&[97, 2], &atom(""), &owner], &message);
        }
        Ok(Heard::Nothing)
    }

    fn said_to_name<'a>(&mut self, name: &[u8], message: &'a [u8]) -> Result<Heard<'a>, BadFrame> {
        match text(name) {
            Some("uro_discord_bridge") => wish(message),
            Some("net_kernel") => self.is_auth(message),
            // Others ask every node for this and that.
            _ => Ok(Heard::Nothing),
        }
    }

    /// `Node.ping/1` asks `{is_auth, Node}` as a `GenServer.call`, and cuts the connection where it is not told `yes`.
    fn is_auth(&mut self, message: &[u8]) -> Result<Heard<'static>, BadFrame> {
        let mut reader = Reader::new(message)?;
        let (Ok(3), Ok("$gen_call"), Ok(2)) = (reader.tuple(), reader.atom(), reader.tuple())
        else {
            return Ok(Heard::Nothing);
        };
        let (who, tag) = (kept(reader.raw()?)?, kept(reader.raw()?)?);
        let message = [&[104, 2][..], &tag, &atom("yes")];
        self.control(&[&[97, 2], &atom(""), &who], &message);
        Ok(Heard::Nothing)
    }

    fn link(&mut self, who: &[u8], with: &[u8]) -> Result<Heard<'static>, BadFrame> {
        if self.is_session(with) {
            self.has_room()?;
            self.links.insert(kept(who)?, kept(with)?);
        } else {
            self.control(&[&[97, 24], with, who], &[&atom("noproc")]);
        }
        Ok(Heard::Nothing)
    }

    fn monitor(
        &mut self,
        by: &[u8],
        of: &[u8],
        reference: &[u8],
    ) -> Result<Heard<'static>, BadFrame> {
        if self.is_session(of) {
            self.has_room()?;
            self.monitors
                .insert(kept(reference)?, (kept(by)?, kept(of)?));
        } else if !matches!(text(of), Some("uro_discord_bridge" | "net_kernel")) {
            self.control(&[&[97, 28], of, by, reference], &[&atom("noproc")]);
        }
        Ok(Heard::Nothing)
    }

    fn has_room(&self) -> Result<(), BadFrame> {
        if self.links.len() + self.monitors.len() < WATCHERS {
            Ok(())
        } else {
            Err(BadFrame::Watchers)
        }
    }

    fn is_session(&self, pid: &[u8]) -> bool {
        let ours = self.session.as_ref().map(|session| session.serial);
        ours.is_some() && ours == serial(pid) && pid.ends_with(&self.creation.to_be_bytes())
    }

    fn next(&mut self) -> u32 {
        // Erlang reads 28 bits of it where the other is old.
        self.serial = (self.serial + 1) & 0x0FFF_FFFF;
        self.serial
    }

    /// One of our pids, as a term.
    fn pid(&self, serial: u32) -> Vec<u8> {
        let mut pid = [&[88], &self.name[..]].concat();
        for word in [serial, 0, self.creation] {
            pid.extend_from_slice(&word.to_be_bytes());
        }
        pid
    }

    fn control(&mut self, control: &[&[u8]], message: &[&[u8]]) {
        append(&mut self.answers, control, message);
    }
}

/// `{attach, Pid, Number}`. Anything else is for nobody.
fn wish(message: &[u8]) -> Result<Heard<'static>, BadFrame> {
    let mut reader = Reader::new(message)?;
    let (Ok(3), Ok("attach")) = (reader.tuple(), reader.atom()) else {
        return Ok(Heard::Nothing);
    };
    let owner = kept(reader.raw()?)?;
    let Ok(number) = reader.value::<u64>() else {
        return Ok(Heard::Nothing);
    };
    if owner.first() != Some(&88) {
        return Ok(Heard::Nothing);
    }
    Ok(Heard::Wants(Wish { owner, number }))
}

/// Appends a frame: a tuple of terms, and the parts of a message, if there are any.
fn append(out: &mut Vec<u8>, control: &[&[u8]], message: &[&[u8]]) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, PASS_THROUGH]);
    let mut writer = Writer::new(out);
    // No control message has more than a handful of elements.
    writer.tuple(control.len() as u8);
    for term in control {
        writer.raw(term);
    }
    if !message.is_empty() {
        let mut writer = Writer::new(out);
        for part in message {
            writer.raw(part);
        }
    }
    // Terms that are kept are short, and bytes come in pieces.
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// An atom as a term; ours are short.
fn atom(name: &str) -> Vec<u8> {
    [&[119, name.len() as u8], name.as_bytes()].concat()
}

fn encoded(number: u64) -> Vec<u8> {
    let mut term = Vec::new();
    Writer::new(&mut term)
        .value(&number)
        .map(|()| term.split_off(1))
        .unwrap_or_default()
}

/// The name of an atom as OTP writes it, of whatever age.
fn text(atom: &[u8]) -> Option<&str> {
    match atom {
        [119, _, text @ ..] | [100 | 118, _, _, text @ ..] => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// The number of a pid: that of the process, without node and creation.
fn serial(pid: &[u8]) -> Option<u32> {
    let (88, words) = (*pid.first()?, pid.last_chunk::<12>()?) else {
        return None;
    };
    match *words {
        [a, b, c, d, 0, 0, 0, 0, ..] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

/// References of ours come back with the atom of our name written as the other side writes atoms.
fn same_reference(ours: &[u8], said: &[u8]) -> bool {
    said.first() == Some(&90) && ours.last_chunk::<16>() == said.last_chunk::<16>()
}

fn kept(term: &[u8]) -> Result<Vec<u8>, BadFrame> {
    if term.len() > KEPT {
        return Err(BadFrame::TooLong(term.len()));
    }
    Ok(term.to_vec())
}
