//! Commits and welcomes, as far as a voice gateway looks into them (DAVE protocol, "Voice Gateway Commit Validity").

use openmls::prelude::{
    ContentType, GroupId, MlsMessageBodyIn, MlsMessageIn, ProtocolMessage, Sender,
    tls_codec::Deserialize,
};

use super::wire::{Reader, vector};

/// A proposal that a commit names by its reference.
const BY_REFERENCE: u8 = 2;

/// What op 28 carries.
#[derive(Debug)]
pub struct Commit<'a> {
    pub epoch: u64,
    /// The committer's leaf.
    pub leaf: u32,
    /// The references of its proposals, in its order.
    pub proposals: Vec<&'a [u8]>,
    /// The signature key in its update path, if it has one.
    pub signature_key: Option<&'a [u8]>,
    /// The MLSMessage.
    pub message: &'a [u8],
    pub welcome: Option<Welcome<'a>>,
}

/// A commit that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    #[error("it is not a commit in an MLSMessage, and perhaps a welcome")]
    Decode,
    #[error("it is not a commit by a member in plain text")]
    Kind,
    #[error("it is for another group")]
    Group,
    #[error("it has proposals that are not references")]
    Inline,
}

impl<'a> Commit<'a> {
    pub fn parse(group: &GroupId, bytes: &'a [u8]) -> Result<Self, CommitError> {
        let mut rest = bytes;
        let message = MlsMessageIn::tls_deserialize(&mut rest).map_err(|_| CommitError::Decode)?;
        let length = bytes.len() - rest.len();
        let MlsMessageBodyIn::PublicMessage(public) = message.extract() else {
            return Err(CommitError::Kind);
        };
        let Sender::Member(leaf) = *public.sender() else {
            return Err(CommitError::Kind);
        };
        if public.content_type() != ContentType::Commit {
            return Err(CommitError::Kind);
        }
        let epoch = public.epoch().as_u64();
        if ProtocolMessage::PublicMessage(Box::new(public)).group_id() != group {
            return Err(CommitError::Group);
        }
        let message = bytes.get(..length).ok_or(CommitError::Decode)?;
        let (proposals, signature_key) = Self::body(message)?;
        let welcome = match rest {
            [] => None,
            rest => Some(Welcome::parse(rest).ok_or(CommitError::Decode)?),
        };
        Ok(Self {
            epoch,
            leaf: leaf.u32(),
            proposals,
            signature_key,
            message,
            welcome,
        })
    }

    /// The references of the proposals and the signature key of the update path, which openmls does not show.
    #[expect(clippy::type_complexity, reason = "a pair")]
    fn body(message: &'a [u8]) -> Result<(Vec<&'a [u8]>, Option<&'a [u8]>), CommitError> {
        let mut reader = Reader(message);
        let mut list = (|| {
            reader.take(4)?; // version, wire format
            reader.vector()?; // group
            reader.take(8 + 1 + 4)?; // epoch, kind of the sender, his leaf
            reader.vector()?; // authenticated data
            reader.u8()?; // kind of content
            reader.vector().map(Reader)
        })()
        .ok_or(CommitError::Decode)?;
        let mut proposals = Vec::new();
        while !list.is_empty() {
            if list.u8() != Some(BY_REFERENCE) {
                return Err(CommitError::Inline);
            }
            proposals.push(list.vector().ok_or(CommitError::Decode)?);
        }
        let signature_key = match reader.u8() {
            Some(0) => None,
            Some(1) => {
                let _encryption_key = reader.vector().ok_or(CommitError::Decode)?;
                Some(reader.vector().ok_or(CommitError::Decode)?)
            }
            _ => return Err(CommitError::Decode),
        };
        Ok((proposals, signature_key))
    }
}

/// A welcome: the secrets for each who is welcomed, and what is the same for all.
#[derive(Debug)]
pub struct Welcome<'a> {
    ciphersuite: u16,
    /// By reference of the key package: the reference and the secrets as they are written.
    secrets: Vec<(&'a [u8], &'a [u8])>,
    group_info: &'a [u8],
}

impl<'a> Welcome<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let ciphersuite = reader.u16()?;
        let mut list = Reader(reader.vector()?);
        let mut secrets = Vec::new();
        while !list.is_empty() {
            let start = list.0;
            let reference = list.vector()?;
            list.vector()?; // KEM output
            list.vector()?; // ciphertext
            secrets.push((reference, start.get(..start.len() - list.0.len())?));
        }
        let group_info = reader.vector()?;
        reader.is_empty().then_some(Self {
            ciphersuite,
            secrets,
            group_info,
        })
    }

    /// Whom it welcomes, by the references of their key packages.
    pub fn welcomed(&self) -> impl Iterator<Item = &'a [u8]> {
        self.secrets.iter().map(|(reference, _)| *reference)
    }

    /// The welcome for one of them.
    pub fn for_one(&self, reference: &[u8]) -> Option<Vec<u8>> {
        let (_, secrets) = self.secrets.iter().find(|(own, _)| *own == reference)?;
        let mut welcome = self.ciphersuite.to_be_bytes().to_vec();
        welcome.extend(vector(secrets));
        welcome.extend(vector(self.group_info));
        Some(welcome)
    }
}
