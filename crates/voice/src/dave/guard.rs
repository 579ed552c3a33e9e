//! davey, kept at arm's length: no panic of its comes through, and nothing it logs gets out.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};

use davey::errors::{CreateKeyPackageError, DecryptError, EncryptError, InitError, ReinitError};
use davey::{Codec, DaveSession, MediaType};
use thiserror::Error;
use tracing::dispatcher::{Dispatch, with_default};

const VERSION: NonZeroU16 = match NonZeroU16::new(super::VERSION) {
    Some(version) => version,
    None => NonZeroU16::MIN,
};

/// Why there is no session in which one could join a group.
#[derive(Debug, Error)]
pub(crate) enum DaveError {
    #[error("{0}")]
    Init(#[from] InitError),
    #[error("{0}")]
    Reinit(#[from] ReinitError),
    #[error("{0}")]
    KeyPackage(#[from] CreateKeyPackageError),
    #[error("davey panicked")]
    Panicked,
}

/// A DAVE session whose every call is guarded.
pub(crate) struct Guarded {
    session: DaveSession,
    nobody: Dispatch,
}

impl Guarded {
    pub(crate) fn new(user_id: u64, channel_id: u64) -> Result<Self, DaveError> {
        let nobody = Dispatch::none();
        let session = DaveSession::new(VERSION, user_id, channel_id, None)?;
        Ok(Self { session, nobody })
    }

    /// Calls davey. `None` if it panicked: then the session must not be used again.
    ///
    /// It logs keys at level trace, and an error for every frame that somebody sends in clear.
    pub(crate) fn call<T>(&mut self, call: impl FnOnce(&mut DaveSession) -> T) -> Option<T> {
        let session = &mut self.session;
        with_default(&self.nobody, || {
            catch_unwind(AssertUnwindSafe(|| call(session)))
        })
        .map_err(|_| tracing::error!("davey panicked"))
        .ok()
    }

    pub(crate) fn renew(&mut self, user_id: u64, channel_id: u64) -> Result<(), DaveError> {
        let renewed = self.call(|dave| dave.reinit(VERSION, user_id, channel_id, None));
        Ok(renewed.ok_or(DaveError::Panicked)??)
    }

    pub(crate) fn key_package(&mut self) -> Result<Vec<u8>, DaveError> {
        let package = self.call(DaveSession::create_key_package);
        Ok(package.ok_or(DaveError::Panicked)??)
    }

    pub(crate) fn passthrough(&mut self, on: bool, expiry: Option<u32>) {
        self.session.set_passthrough_mode(on, expiry);
    }

    /// Not `is_ready()`: that is true between a commit and its transition, and after a downgrade.
    pub(crate) fn can_encrypt(&self) -> bool {
        self.session.can_encrypt()
    }

    pub(crate) fn epoch(&self) -> Option<u64> {
        self.session.epoch().map(|epoch| epoch.as_u64())
    }

    pub(crate) fn privacy_code(&self) -> Option<&str> {
        self.session.voice_privacy_code()
    }

    /// `None` if davey panicked.
    pub(crate) fn encrypt(
        &mut self,
        codec: Codec,
        frame: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Result<(), EncryptError>> {
        self.call(|dave| dave.encrypt_into(media(codec), codec, frame, out))
    }

    /// `None` if davey panicked.
    pub(crate) fn decrypt(
        &mut self,
        user: u64,
        media: MediaType,
        frame: &[u8],
        out: &mut [u8],
    ) -> Option<Result<usize, DecryptError>> {
        self.call(|dave| dave.decrypt_into(user, media, frame, out))
    }
}

fn media(codec: Codec) -> MediaType {
    match codec {
        Codec::OPUS => MediaType::AUDIO,
        _ => MediaType::VIDEO,
    }
}
