//! How a peer is reached.

use crate::peer::{Peer, RtcPeer};
use crate::tv::Tv;

pub(in crate::server) enum Connection {
    Rtc(Box<dyn RtcPeer>),
    /// By the WebSocket of a page.
    Page(Box<Tv>),
}

impl Connection {
    /// What it has as all have it.
    pub(in crate::server) fn any(&mut self) -> &mut dyn Peer {
        match self {
            Self::Rtc(peer) => &mut **peer,
            Self::Page(page) => &mut **page,
        }
    }

    pub(in crate::server) fn rtc(&mut self) -> Option<&mut dyn RtcPeer> {
        match self {
            Self::Rtc(peer) => Some(&mut **peer),
            Self::Page(_) => None,
        }
    }

    pub(in crate::server) fn page(&mut self) -> Option<&mut Tv> {
        match self {
            Self::Rtc(_) => None,
            Self::Page(page) => Some(page),
        }
    }

    /// As [`RtcPeer::credentials`].
    pub(in crate::server) fn credentials(&self) -> Option<(&str, &str)> {
        match self {
            Self::Rtc(peer) => Some(peer.credentials()),
            Self::Page(_) => None,
        }
    }
}
