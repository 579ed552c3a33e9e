//! Key packages, which pending members send (DAVE protocol, "Key Packages").

use openmls::prelude::{
    BasicCredential, KeyPackage as Package, KeyPackageIn, OpenMlsProvider, ProtocolVersion,
    tls_codec::Deserialize,
};
use openmls_rust_crypto::OpenMlsRustCrypto;

use super::sender::{CIPHERSUITE, reference};
use crate::id::Id;

/// A key package that may be proposed.
#[derive(Debug, Clone)]
pub struct KeyPackage {
    pub package: Package,
    /// How a welcome refers to it.
    pub reference: Vec<u8>,
    pub signature_key: Vec<u8>,
}

/// A key package that may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyPackageError {
    #[error("it is not a key package, or there is more than one")]
    Decode,
    #[error("its signature or its form is not valid")]
    Invalid,
    #[error("it is not of DAVE's ciphersuite")]
    Ciphersuite,
    #[error("its credential is not the user's id, big endian")]
    Credential,
    #[error("its lifetime is not all of time")]
    Lifetime,
}

impl KeyPackage {
    /// Reads and judges the payload of op 26 from a user.
    pub fn parse(user: Id, bytes: &[u8]) -> Result<Self, KeyPackageError> {
        let mut rest = bytes;
        let package =
            KeyPackageIn::tls_deserialize(&mut rest).map_err(|_| KeyPackageError::Decode)?;
        if !rest.is_empty() {
            return Err(KeyPackageError::Decode);
        }
        let package = package
            .validate(
                OpenMlsRustCrypto::default().crypto(),
                ProtocolVersion::Mls10,
            )
            .map_err(|_| KeyPackageError::Invalid)?;
        if package.ciphersuite() != CIPHERSUITE {
            return Err(KeyPackageError::Ciphersuite);
        }
        let leaf = package.leaf_node();
        let credential = BasicCredential::try_from(leaf.credential().clone());
        if !credential.is_ok_and(|basic| basic.identity() == user.0.to_be_bytes()) {
            return Err(KeyPackageError::Credential);
        }
        let lifetime = package.life_time();
        if (lifetime.not_before(), lifetime.not_after()) != (0, u64::MAX) {
            return Err(KeyPackageError::Lifetime);
        }
        Ok(Self {
            reference: reference("MLS 1.0 KeyPackage Reference", bytes),
            signature_key: leaf.signature_key().as_slice().to_vec(),
            package,
        })
    }
}
