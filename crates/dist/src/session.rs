use crate::inbox::Inbox;
use crate::seat::Place;
use tokio::io::DuplexStream;
use tokio::sync::{oneshot, watch};

/// A process of a BEAM that has attached: bytes both ways.
pub struct Session {
    /// While this is kept nobody attaches over another connection.
    pub place: Place,
    /// The name of its node.
    pub peer: String,
    /// From it.
    pub input: Inbox,
    /// To it.
    pub output: DuplexStream,
    /// Turns true, or has nobody who would say so, when it is over.
    pub closed: watch::Receiver<bool>,
    /// To be told, when all of `output` was written and that was dropped, why it has ended.
    pub farewell: oneshot::Sender<String>,
}
