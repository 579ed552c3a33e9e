use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// A connection to Elixir: bytes both ways, whatever carries them.
pub struct Transport {
    /// From Elixir.
    pub input: Box<dyn AsyncRead + Send + Unpin>,
    /// To Elixir.
    pub output: Box<dyn AsyncWrite + Send + Unpin>,
    /// Turns true when Elixir has closed it, though bytes may still be there to read: for whoever cannot read on, and must still
    /// learn that nobody is there any more.
    pub closed: watch::Receiver<bool>,
}
