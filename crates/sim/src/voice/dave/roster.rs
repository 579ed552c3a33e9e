//! Who is in the MLS group, who is to be, and the proposals and commits between the two.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    commit::{Commit, CommitError},
    key_package::KeyPackage,
    sender::{ExternalSender, Proposal, SenderError},
    wire::vector,
};
use crate::id::Id;

const APPEND: u8 = 0;
const REVOKE: u8 = 1;

/// A member, at his place in the tree.
#[derive(Debug, Clone)]
struct Leaf {
    user: Id,
    signature_key: Vec<u8>,
}

/// What a proposal would do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Add { user: Id, package: Vec<u8> },
    Remove { leaf: u32, user: Id },
}

struct Proposed {
    change: Change,
    proposal: Proposal,
    sent_to: BTreeSet<Id>,
}

/// A commit that was accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The MLSMessage, and those in the group before and after it, who are to have it.
    pub message: Vec<u8>,
    pub stayed: Vec<Id>,
    /// A welcome for each who is new.
    pub welcomes: Vec<(Id, Vec<u8>)>,
}

/// Why a commit was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("another commit of its epoch came first")]
    Late,
    #[error("it lacks a proposal, or has one that was revoked")]
    Proposals,
    #[error("its sender has no place in the group, or another")]
    Leaf,
    #[error("it changes its sender's signature key")]
    SignatureKey,
    #[error("its welcome is not for those whom it adds")]
    Welcome,
    #[error(transparent)]
    Malformed(#[from] CommitError),
}

impl Refusal {
    pub fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Proposals => "proposals",
            Self::Leaf => "leaf",
            Self::SignatureKey => "signature_key",
            Self::Welcome => "welcome",
            Self::Malformed(_) => "malformed",
        }
    }

    /// Whether a client that keeps the rules may come to this, by being slower than another.
    pub fn is_bad_luck(self) -> bool {
        matches!(self, Self::Late | Self::Proposals)
    }
}

/// An MLS group, from outside.
pub struct Roster {
    sender: ExternalSender,
    /// 0: there is no group yet, but each has one of his own.
    epoch: u64,
    leaves: Vec<Option<Leaf>>,
    /// Key packages of those who wait to be added.
    waiting: BTreeMap<Id, KeyPackage>,
    /// Members whose place is out of date: who left, and who is to be added anew.
    stale: BTreeSet<Id>,
    proposals: Vec<Proposed>,
}

impl Roster {
    pub fn new(channel: Id) -> Result<Self, SenderError> {
        Ok(Self {
            sender: ExternalSender::new(channel)?,
            epoch: 0,
            leaves: Vec::new(),
            waiting: BTreeMap::new(),
            stale: BTreeSet::new(),
            proposals: Vec::new(),
        })
    }

    pub fn external_sender(&self) -> &[u8] {
        self.sender.package()
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The members, in the order of the tree.
    pub fn members(&self) -> impl Iterator<Item = Id> {
        self.leaves.iter().flatten().map(|leaf| leaf.user)
    }

    /// Those who wait to be added.
    pub fn waiting(&self) -> impl Iterator<Item = Id> {
        self.waiting.keys().copied()
    }

    pub fn proposals(&self) -> usize {
        self.proposals.len()
    }

    /// There is no group any longer. Who waited for it goes on with a new key package.
    pub fn reset(&mut self) {
        self.dissolve();
        self.waiting.clear();
    }

    /// There is no group any longer; who waits to be in one still does.
    fn dissolve(&mut self) {
        self.epoch = 0;
        self.leaves.clear();
        self.stale.clear();
        self.proposals.clear();
    }

    /// A key package came. That of a member means that his place is out of date.
    pub fn add_key_package(&mut self, user: Id, package: KeyPackage) {
        self.mark_stale(user);
        self.waiting.insert(user, package);
    }

    /// A user left, or could not follow the group: his place is out of date.
    pub fn mark_stale(&mut self, user: Id) {
        self.waiting.remove(&user);
        if self.members().any(|member| member == user) {
            self.stale.insert(user);
        }
    }

    /// Brings the proposals in line with who should be in the group. Answers the payloads of op 27, and for whom they are.
    pub fn propose(&mut self) -> Result<Vec<(Id, Vec<u8>)>, SenderError> {
        if self.epoch > 0 && self.committers().is_empty() {
            self.dissolve();
        }
        let wanted = self.wanted();
        let (kept, revoked): (Vec<_>, Vec<_>) = std::mem::take(&mut self.proposals)
            .into_iter()
            .partition(|proposed| wanted.contains(&proposed.change));
        self.proposals = kept;
        for change in wanted {
            if !self.proposals.iter().any(|own| own.change == change) {
                let proposal = match &change {
                    Change::Remove { leaf, .. } => self.sender.remove(self.epoch, *leaf)?,
                    Change::Add { user, .. } => match self.waiting.get(user) {
                        Some(package) => self.sender.add(self.epoch, package)?,
                        None => continue,
                    },
                };
                self.proposals.push(Proposed {
                    change,
                    proposal,
                    sent_to: BTreeSet::new(),
                });
            }
        }
        let mut payloads = Vec::new();
        for user in self.committers() {
            let known = revoked.iter().filter(|own| own.sent_to.contains(&user));
            let references = known.map(|own| vector(&own.proposal.reference));
            payloads.extend(payload(REVOKE, references).map(|payload| (user, payload)));
            let messages = self.proposals.iter_mut().filter_map(|own| {
                let is_new = !own.change.adds(user) && own.sent_to.insert(user);
                is_new.then(|| own.proposal.message.clone())
            });
            payloads.extend(payload(APPEND, messages).map(|payload| (user, payload)));
        }
        Ok(payloads)
    }

    /// Judges the payload of op 28 from a user. The first good one of an epoch makes the next.
    pub fn commit(&mut self, user: Id, bytes: &[u8]) -> Result<Accepted, Refusal> {
        let commit = Commit::parse(self.sender.group(), bytes)?;
        if commit.epoch != self.epoch {
            return Err(Refusal::Late);
        }
        let own = self.leaf(user, commit.leaf).ok_or(Refusal::Leaf)?.clone();
        if commit
            .signature_key
            .is_some_and(|key| key != own.signature_key)
        {
            return Err(Refusal::SignatureKey);
        }
        // In the committer's order, in which new members find their places.
        let changes: Option<Vec<Change>> = commit
            .proposals
            .iter()
            .map(|reference| {
                let mut known = self.proposals.iter();
                known
                    .find(|own| own.proposal.reference == *reference && !own.change.adds(user))
                    .map(|own| own.change.clone())
            })
            .collect();
        let changes = changes.ok_or(Refusal::Proposals)?;
        let all = self.proposals.iter().filter(|own| !own.change.adds(user));
        if changes.is_empty() || !all.clone().all(|own| changes.contains(&own.change)) {
            return Err(Refusal::Proposals);
        }
        let welcomes = self.welcomes(&commit, &changes)?;
        if self.epoch == 0 {
            self.leaves = vec![Some(own)];
            self.waiting.remove(&user);
        }
        self.apply(&changes);
        let is_new = |user: &Id| welcomes.iter().any(|(new, _)| new == user);
        let stayed = self.members().filter(|member| !is_new(member)).collect();
        self.epoch += 1;
        self.proposals.clear();
        Ok(Accepted {
            message: commit.message.to_vec(),
            stayed,
            welcomes,
        })
    }

    /// What proposals there should be.
    fn wanted(&self) -> Vec<Change> {
        let mut wanted = Vec::new();
        for (place, leaf) in (0..).zip(&self.leaves) {
            if let Some(Leaf { user, .. }) = leaf
                && self.stale.contains(user)
            {
                wanted.push(Change::Remove {
                    leaf: place,
                    user: *user,
                });
            }
        }
        // A first group takes two.
        if self.epoch > 0 || self.waiting.len() > 1 {
            wanted.extend(self.waiting.iter().map(|(&user, package)| Change::Add {
                user,
                package: package.reference.clone(),
            }));
        }
        wanted
    }

    /// Who is to commit: the members, or before there are any those who wait to be.
    fn committers(&self) -> Vec<Id> {
        if self.epoch == 0 {
            return self.waiting().collect();
        }
        self.members()
            .filter(|user| !self.stale.contains(user))
            .collect()
    }

    /// A committer's leaf. In his own group, which he has before there is one of all, he is the first.
    fn leaf(&self, user: Id, place: u32) -> Option<Leaf> {
        if self.epoch == 0 {
            let package = self.waiting.get(&user).filter(|_| place == 0)?;
            return Some(Leaf {
                user,
                signature_key: package.signature_key.clone(),
            });
        }
        let leaf = self.leaves.get(place as usize)?.clone()?;
        (leaf.user == user && !self.stale.contains(&user)).then_some(leaf)
    }

    fn welcomes(
        &self,
        commit: &Commit<'_>,
        changes: &[Change],
    ) -> Result<Vec<(Id, Vec<u8>)>, Refusal> {
        let added = changes.iter().filter_map(|change| match change {
            Change::Add { user, package } => Some((*user, package)),
            Change::Remove { .. } => None,
        });
        let Some(welcome) = &commit.welcome else {
            return match added.count() {
                0 => Ok(Vec::new()),
                _ => Err(Refusal::Welcome),
            };
        };
        if welcome.welcomed().count() != added.clone().count() {
            return Err(Refusal::Welcome);
        }
        added
            .map(|(user, package)| Some((user, welcome.for_one(package)?)))
            .collect::<Option<_>>()
            .ok_or(Refusal::Welcome)
    }

    /// Carries changes out as members do (RFC 9420 sections 7.7 and 7.8): removals first, and who is new takes the first
    /// empty place.
    fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Remove { leaf, user } = change {
                if let Some(place) = self.leaves.get_mut(*leaf as usize) {
                    *place = None;
                }
                self.stale.remove(user);
            }
        }
        while matches!(self.leaves.last(), Some(None)) {
            self.leaves.pop();
        }
        for change in changes {
            let Change::Add { user, .. } = change else {
                continue;
            };
            let Some(package) = self.waiting.remove(user) else {
                continue;
            };
            let leaf = Some(Leaf {
                user: *user,
                signature_key: package.signature_key,
            });
            match self.leaves.iter_mut().find(|place| place.is_none()) {
                Some(place) => *place = leaf,
                None => self.leaves.push(leaf),
            }
        }
    }
}

impl Change {
    fn adds(&self, wanted: Id) -> bool {
        matches!(self, Self::Add { user, .. } if *user == wanted)
    }
}

/// The payload of op 27, if there is anything in it.
fn payload(operation: u8, items: impl Iterator<Item = Vec<u8>>) -> Option<Vec<u8>> {
    let items: Vec<u8> = items.flatten().collect();
    (!items.is_empty()).then(|| [&[operation][..], &vector(&items)].concat())
}
