//! The voice gateway as the group's external sender: it proposes who comes and who goes (RFC 9420 section 12.1.8).

use openmls::prelude::{
    BasicCredential, Ciphersuite, ExternalProposal, ExternalSender as Extension, GroupEpoch,
    GroupId, LeafNodeIndex, MlsMessageOut, SenderExtensionIndex, tls_codec::Serialize,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use ring::digest;

use super::{key_package::KeyPackage, wire::vector};
use crate::id::Id;

/// DAVE version 1 has this one.
pub const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMP256_AES128GCM_SHA256_P256;
/// What the external sender calls itself.
const IDENTITY: &[u8] = b"discord-sim";

/// It could not be made, or could not sign.
#[derive(Debug, thiserror::Error)]
#[error("MLS: {0}")]
pub struct SenderError(String);

impl SenderError {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// A signed proposal.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// An MLSMessage.
    pub message: Vec<u8>,
    /// How commits refer to it.
    pub reference: Vec<u8>,
}

/// The external sender of one group.
pub struct ExternalSender {
    group: GroupId,
    signer: SignatureKeyPair,
    package: Vec<u8>,
}

impl ExternalSender {
    pub fn new(channel: Id) -> Result<Self, SenderError> {
        let signer = SignatureKeyPair::new(CIPHERSUITE.signature_algorithm())
            .map_err(|error| SenderError(format!("{error:?}")))?;
        let credential = BasicCredential::new(IDENTITY.to_vec());
        let extension = Extension::new(signer.public().into(), credential.into());
        Ok(Self {
            group: GroupId::from_slice(&channel.0.to_be_bytes()),
            signer,
            package: extension
                .tls_serialize_detached()
                .map_err(SenderError::new)?,
        })
    }

    /// What op 25 carries.
    pub fn package(&self) -> &[u8] {
        &self.package
    }

    /// The group's id.
    pub fn group(&self) -> &GroupId {
        &self.group
    }

    pub fn add(&self, epoch: u64, joiner: &KeyPackage) -> Result<Proposal, SenderError> {
        let message = ExternalProposal::new_add::<OpenMlsRustCrypto>(
            joiner.package.clone(),
            self.group.clone(),
            GroupEpoch::from(epoch),
            &self.signer,
            SenderExtensionIndex::new(0),
        );
        Self::proposal(&message.map_err(SenderError::new)?)
    }

    pub fn remove(&self, epoch: u64, leaf: u32) -> Result<Proposal, SenderError> {
        let message = ExternalProposal::new_remove::<OpenMlsRustCrypto>(
            LeafNodeIndex::new(leaf),
            self.group.clone(),
            GroupEpoch::from(epoch),
            &self.signer,
            SenderExtensionIndex::new(0),
        );
        Self::proposal(&message.map_err(SenderError::new)?)
    }

    fn proposal(message: &MlsMessageOut) -> Result<Proposal, SenderError> {
        let message = message.tls_serialize_detached().map_err(SenderError::new)?;
        // The content that is authenticated is the message without its version, as there is no membership tag.
        let content = message.get(2..).unwrap_or_default();
        let reference = reference("MLS 1.0 Proposal Reference", content);
        Ok(Proposal { message, reference })
    }
}

/// MLS's RefHash (RFC 9420 section 5.2).
pub fn reference(label: &str, value: &[u8]) -> Vec<u8> {
    let input = [vector(label.as_bytes()), vector(value)].concat();
    digest::digest(&digest::SHA256, &input).as_ref().to_vec()
}
