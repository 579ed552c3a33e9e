//! The voice gateway: its messages, and when to speak, resume or give up.

mod close;
pub(crate) mod link;
pub(crate) mod message;

pub(crate) use close::Close;
