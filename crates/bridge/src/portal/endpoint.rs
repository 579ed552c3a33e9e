//! An endpoint that is bound, with its loops and its rooms.

use super::Surroundings;
use super::joint::{Joint, Order};
use crate::desired::DesiredPortals;
use crate::panics;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use uro_discord_portal::{BindError, Endpoint, Limits, Portals};
use uro_discord_wire::Media;

/// How long the loops may take to tell their peers that it is over.
const GOODBYE: Duration = Duration::from_millis(250);

pub struct Bound {
    pub portals: Portals,
    loops: JoinSet<()>,
    orders: BTreeMap<String, watch::Sender<Order>>,
    joints: JoinSet<String>,
}

/// What has ended.
pub enum End {
    /// A portal that was closed.
    Room,
    /// A loop, before its time.
    Loop,
}

impl Bound {
    /// Takes the sockets, and runs their loops.
    pub fn new(media: &Media, surroundings: &Surroundings) -> Result<Self, BindError> {
        let peers = |limit: std::num::NonZeroU32| limit.get().try_into().unwrap_or(usize::MAX);
        let limits = Limits {
            portal_peers: peers(media.limits.portal_peers),
            subject_peers: peers(media.limits.subject_peers),
            token_peers: peers(media.limits.token_peers),
            address_peers: peers(media.limits.address_peers),
            packets: media.limits.packets.get(),
            bits: media.limits.bits.get(),
            ..Limits::default()
        };
        let keys = media.keys.iter();
        let endpoint = Endpoint {
            addresses: media.addresses.clone(),
            public: media.public.clone(),
            keys: keys.map(|key| SecretString::from(key.reveal())).collect(),
            origins: media.origins.clone(),
            limits,
        };
        let workers = surroundings.media.enter();
        let (portals, run) = Portals::bind(endpoint)?;
        drop(workers);
        let mut loops = JoinSet::new();
        for one in run {
            surroundings.media.spawn_in(&mut loops, one);
        }
        Ok(Self {
            portals,
            loops,
            orders: BTreeMap::new(),
            joints: JoinSet::new(),
        })
    }

    /// Gives every portal its order, and opens those that are not there.
    pub fn order(&mut self, wanted: Option<&DesiredPortals>, surroundings: &Surroundings) {
        for (id, orders) in &self.orders {
            if wanted.is_none_or(|wanted| !wanted.contains_key(id)) {
                orders.send_replace(None);
            }
        }
        for (id, portal) in wanted.into_iter().flat_map(|wanted| wanted.iter()) {
            if let Some(orders) = self.orders.get(id) {
                orders.send_if_modified(|order| {
                    let other = order.as_ref() != Some(portal);
                    if other {
                        *order = Some(portal.clone());
                    }
                    other
                });
                continue;
            }
            let (orders, ordered) = watch::channel(Some(portal.clone()));
            let joint = Joint {
                id: id.clone(),
                portals: self.portals.clone(),
                orders: ordered,
                calls: surroundings.calls.clone(),
                sender: surroundings.sender.clone(),
            };
            surroundings.media.spawn_in(&mut self.joints, joint.run());
            self.orders.insert(id.clone(), orders);
        }
    }

    /// The next to end.
    pub async fn ended(&mut self) -> End {
        tokio::select! {
            Some(joint) = self.joints.join_next() => {
                // It may have been wanted again in its last moment, and is then ordered anew.
                if let Some(id) = panics::passed_on(joint) {
                    self.orders.remove(&id);
                }
                End::Room
            }
            _ = self.loops.join_next() => End::Loop,
        }
    }

    /// Closes the rooms, and gives back the sockets.
    pub async fn close(self) {
        let Self {
            portals,
            mut loops,
            orders,
            mut joints,
        } = self;
        for order in orders.values() {
            order.send_replace(None);
        }
        while let Some(joint) = joints.join_next().await {
            panics::passed_on(joint);
        }
        drop(portals);
        let told = async { while loops.join_next().await.is_some() {} };
        if timeout(GOODBYE, told).await.is_err() {
            tracing::debug!("not all peers could be told that it is over");
        }
        loops.shutdown().await;
    }
}
