//! The voice gateway's side of DAVE, for tests and fuzzing: it proposes, orders commits, and announces transitions
//! ([whitepaper](https://daveprotocol.com/#delivery-service)). It has a real MLS external sender and no network.

#![allow(
    clippy::indexing_slicing,
    clippy::pedantic,
    clippy::unwrap_used,
    unreachable_pub,
    missing_docs,
    reason = "it is for tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use openmls::prelude::tls_codec::{Deserialize, DeserializeBytes, Serialize, VLBytes};
use openmls::prelude::{
    BasicCredential, Ciphersuite, ExternalProposal, ExternalSender, GroupEpoch, GroupId,
    KeyPackageIn, LeafNodeIndex, MlsMessageIn, OpenMlsProvider, ProtocolVersion,
    SenderExtensionIndex,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

use super::{Dave, Step};

/// What a member is sent.
#[derive(Clone, Debug)]
pub enum Message {
    Start(u16),
    Connected(Vec<u64>),
    Disconnected(u64),
    Prepare {
        transition: u16,
        version: u16,
    },
    Execute {
        transition: u16,
    },
    Epoch {
        epoch: u64,
        version: u16,
    },
    /// With a sequence number of 0.
    Binary(Vec<u8>),
}

/// What a member sends.
#[derive(Clone, Debug)]
pub enum Answer {
    KeyPackage(Vec<u8>),
    CommitWelcome(Vec<u8>),
    Ready(u16),
    Invalid(u16),
}

impl Answer {
    pub fn binary(message: &[u8]) -> Self {
        match message {
            [26, package @ ..] => Self::KeyPackage(package.into()),
            [28, commit @ ..] => Self::CommitWelcome(commit.into()),
            other => panic!("{other:?}"),
        }
    }

    /// `None` if it is not about DAVE.
    pub fn text(message: &str) -> Option<Self> {
        let message: serde_json::Value = serde_json::from_str(message).unwrap();
        let transition = message["d"]["transition_id"].as_u64().map(|id| id as u16);
        match message["op"].as_u64().unwrap() {
            23 => Some(Self::Ready(transition.unwrap())),
            31 => Some(Self::Invalid(transition.unwrap())),
            _ => None,
        }
    }
}

/// Gives a member what he is sent.
pub(crate) fn deliver(dave: &mut Dave, message: Message, now: Instant, steps: &mut Vec<Step>) {
    match message {
        Message::Start(version) => dave.start(version, now, steps),
        Message::Connected(users) => {
            for user in users {
                dave.connected(user);
            }
        }
        Message::Disconnected(user) => {
            dave.disconnected(user, now);
        }
        Message::Prepare {
            transition,
            version,
        } => dave.prepare(transition, version, now, steps),
        Message::Execute { transition } => dave.execute(transition, steps),
        Message::Epoch { epoch, version } => dave.prepare_epoch(epoch, version, now, steps),
        Message::Binary(binary) => dave.receive(&binary, now, steps),
    }
}

pub struct DaveServer {
    provider: OpenMlsRustCrypto,
    group: GroupId,
    signer: SignatureKeyPair,
    sender: ExternalSender,
    version: u16,
    epoch: u64,
    /// Whose each leaf of the group is.
    leaves: Vec<Option<u64>>,
    connected: BTreeSet<u64>,
    /// Key packages of those who are not in the group.
    waiting: BTreeMap<u64, Vec<u8>>,
    /// What was proposed for the next epoch: additions, and leaves to remove.
    proposed: Option<(Vec<u64>, Vec<usize>)>,
    to_remove: BTreeSet<usize>,
    transition: u16,
    awaited: BTreeMap<u16, BTreeSet<u64>>,
    pub(crate) transitions: u32,
    /// Commits are swallowed.
    pub(crate) withhold_commits: bool,
    pub out: Vec<(u64, Message)>,
}

impl DaveServer {
    pub fn new(channel: u64) -> Self {
        let suite = Ciphersuite::MLS_128_DHKEMP256_AES128GCM_SHA256_P256;
        let signer = SignatureKeyPair::new(suite.signature_algorithm()).unwrap();
        let credential = BasicCredential::new(vec![0, 1, 1, 0]).into();
        Self {
            provider: OpenMlsRustCrypto::default(),
            group: GroupId::from_slice(&channel.to_be_bytes()),
            sender: ExternalSender::new(signer.public().into(), credential),
            signer,
            version: 1,
            epoch: 0,
            leaves: Vec::new(),
            connected: BTreeSet::new(),
            waiting: BTreeMap::new(),
            proposed: None,
            to_remove: BTreeSet::new(),
            transition: 0,
            awaited: BTreeMap::new(),
            transitions: 0,
            withhold_commits: false,
            out: Vec::new(),
        }
    }

    pub(crate) fn connected(&self) -> impl Iterator<Item = u64> {
        self.connected.iter().copied()
    }

    /// Nothing is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.proposed.is_none() && self.waiting.is_empty() && self.awaited.is_empty()
    }

    pub(crate) fn version(&self) -> u16 {
        self.version
    }

    pub(crate) fn in_group(&self, user: u64) -> bool {
        self.leaves.contains(&Some(user))
    }

    fn send(&mut self, user: u64, message: Message) {
        self.out.push((user, message));
    }

    fn binary(&mut self, user: u64, op: u8, payload: &[u8]) {
        self.send(user, Message::Binary([&[0, 0, op], payload].concat()));
    }

    fn broadcast(&mut self, message: &Message) {
        for user in self.connected.clone() {
            self.send(user, message.clone());
        }
    }

    pub fn join(&mut self, user: u64) {
        let others: Vec<u64> = self.connected().collect();
        self.broadcast(&Message::Connected(vec![user]));
        self.connected.insert(user);
        self.send(user, Message::Connected(others));
        self.send(user, Message::Start(self.version));
        self.external_sender(user);
    }

    pub(crate) fn external_sender(&mut self, user: u64) {
        let package = self.sender.tls_serialize_detached().unwrap();
        self.binary(user, 25, &package);
    }

    pub fn leave(&mut self, user: u64) {
        self.connected.remove(&user);
        self.waiting.remove(&user);
        for awaited in self.awaited.values_mut() {
            awaited.remove(&user);
        }
        self.broadcast(&Message::Disconnected(user));
        if let Some(leaf) = self.leaves.iter().position(|leaf| *leaf == Some(user)) {
            self.to_remove.insert(leaf);
        }
        if self.connected.len() == 1 && !self.leaves.is_empty() {
            self.reset();
            self.broadcast(&Message::Prepare {
                transition: 0,
                version: self.version,
            });
        } else {
            self.propose();
        }
        self.settle();
    }

    /// A new group for everybody (24, epoch 1).
    pub(crate) fn reset(&mut self) {
        self.epoch = 0;
        self.leaves.clear();
        self.to_remove.clear();
        self.proposed = None;
        self.waiting.clear();
        self.broadcast(&Message::Epoch {
            epoch: 1,
            version: 1,
        });
    }

    /// To transport encryption only.
    pub(crate) fn downgrade(&mut self) {
        self.version = 0;
        self.epoch = 0;
        self.leaves.clear();
        self.to_remove.clear();
        self.proposed = None;
        self.waiting.clear();
        self.announce(0);
    }

    pub(crate) fn upgrade(&mut self) {
        self.version = 1;
        self.reset();
    }

    fn announce(&mut self, version: u16) {
        let transition = self.next_transition();
        self.broadcast(&Message::Prepare {
            transition,
            version,
        });
    }

    fn next_transition(&mut self) -> u16 {
        self.transition += 1;
        self.awaited.insert(self.transition, self.connected.clone());
        self.transition
    }

    /// Those who are not ready are not waited for any more.
    pub(crate) fn time_out(&mut self) {
        for awaited in self.awaited.values_mut() {
            awaited.clear();
        }
        self.settle();
    }

    pub fn receive(&mut self, user: u64, answer: Answer) {
        match answer {
            Answer::KeyPackage(package) => {
                self.waiting.insert(user, package);
                self.propose();
            }
            Answer::CommitWelcome(message) => self.commit(user, &message),
            Answer::Ready(transition) => {
                if let Some(awaited) = self.awaited.get_mut(&transition) {
                    awaited.remove(&user);
                }
            }
            Answer::Invalid(_) => {
                if let Some(leaf) = self.leaves.iter().position(|leaf| *leaf == Some(user)) {
                    self.to_remove.insert(leaf);
                }
            }
        }
        self.settle();
    }

    /// Executes the transitions that everybody is ready for.
    fn settle(&mut self) {
        let ready: Vec<u16> = self
            .awaited
            .iter()
            .filter(|(_, awaited)| awaited.is_empty())
            .map(|(transition, _)| *transition)
            .collect();
        for transition in ready {
            self.awaited.remove(&transition);
            self.transitions += 1;
            self.broadcast(&Message::Execute { transition });
        }
    }

    /// Proposes what there is to propose, if nothing is under way.
    fn propose(&mut self) {
        if self.proposed.is_some() || self.version == 0 {
            return;
        }
        if self.epoch == 0 {
            // The first one begins the group.
            let Some(first) = self.waiting.keys().next().copied() else {
                return;
            };
            if self.waiting.len() < 2 {
                return;
            }
            self.waiting.remove(&first);
            self.leaves = vec![Some(first)];
        }
        // Whoever is in the group and has another key package leaves it with the old one.
        for (leaf, user) in self.leaves.iter().enumerate() {
            if user.is_some_and(|user| self.waiting.contains_key(&user)) {
                self.to_remove.insert(leaf);
            }
        }
        if self.waiting.is_empty() && self.to_remove.is_empty() {
            return;
        }
        let epoch = GroupEpoch::from(self.epoch);
        let index = SenderExtensionIndex::new(0);
        let mut messages = Vec::new();
        let removed: Vec<usize> = std::mem::take(&mut self.to_remove).into_iter().collect();
        for leaf in &removed {
            let leaf = LeafNodeIndex::new(*leaf as u32);
            let proposal = ExternalProposal::new_remove::<OpenMlsRustCrypto>(
                leaf,
                self.group.clone(),
                epoch,
                &self.signer,
                index,
            );
            messages.extend(proposal.unwrap().tls_serialize_detached().unwrap());
        }
        let added: Vec<u64> = self.waiting.keys().copied().collect();
        for package in std::mem::take(&mut self.waiting).into_values() {
            let package = KeyPackageIn::tls_deserialize_exact_bytes(&package)
                .unwrap()
                .validate(self.provider.crypto(), ProtocolVersion::Mls10)
                .unwrap();
            let proposal = ExternalProposal::new_add::<OpenMlsRustCrypto>(
                package,
                self.group.clone(),
                epoch,
                &self.signer,
                index,
            );
            messages.extend(proposal.unwrap().tls_serialize_detached().unwrap());
        }
        let vector = VLBytes::new(messages).tls_serialize_detached().unwrap();
        let payload = [&[0], &vector[..]].concat();
        for user in self.members() {
            self.binary(user, 27, &payload);
        }
        self.proposed = Some((added, removed));
    }

    /// Those in the group who are still connected.
    fn members(&self) -> Vec<u64> {
        let members = self.leaves.iter().flatten().copied();
        members
            .filter(|user| self.connected.contains(user))
            .collect()
    }

    fn commit(&mut self, user: u64, message: &[u8]) {
        let mut rest = message;
        let parsed = MlsMessageIn::tls_deserialize(&mut rest).unwrap();
        let epoch = parsed.try_into_protocol_message().unwrap().epoch();
        let (commit, welcome) = message.split_at(message.len() - rest.len());
        if self.withhold_commits || !self.in_group(user) || epoch.as_u64() != self.epoch {
            return;
        }
        // Others were late.
        let Some((added, removed)) = self.proposed.take() else {
            return;
        };
        for leaf in removed {
            self.leaves[leaf] = None;
        }
        let old = self.members();
        for user in &added {
            match self.leaves.iter_mut().find(|leaf| leaf.is_none()) {
                Some(leaf) => *leaf = Some(*user),
                None => self.leaves.push(Some(*user)),
            }
        }
        self.epoch += 1;
        let transition = self.next_transition();
        let number = transition.to_be_bytes();
        for user in old {
            self.binary(user, 29, &[&number, commit].concat());
        }
        for user in added {
            if self.connected.contains(&user) {
                self.binary(user, 30, &[&number, welcome].concat());
            } else if let Some(leaf) = self.leaves.iter().position(|leaf| *leaf == Some(user)) {
                self.to_remove.insert(leaf);
            }
        }
        self.propose();
    }
}
