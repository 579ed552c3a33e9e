//! DAVE, Discord's end-to-end encryption, as the voice gateway sees it: it delivers MLS messages, proposes who is in the
//! group, and decides when all change over. It never has a key (<https://daveprotocol.com>, version 1.1.4).

mod commit;
mod group;
mod key_package;
mod roster;
mod sender;
mod state;
#[cfg(test)]
mod tests;
mod transition;
mod wire;

pub use self::{
    group::{Group, Message},
    sender::SenderError,
};

/// The newest version there is.
pub const VERSION: u16 = 1;
