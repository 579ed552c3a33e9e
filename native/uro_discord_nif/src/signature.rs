//! Ed25519, with which Discord signs what it sends to us.

use ring::signature::{ED25519, UnparsedPublicKey};
use rustler::{Binary, NifResult};

const KEY: usize = 32;

fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> NifResult<bool> {
    if public_key.len() != KEY {
        return Err(rustler::Error::BadArg);
    }
    Ok(UnparsedPublicKey::new(&ED25519, public_key)
        .verify(message, signature)
        .is_ok())
}

/// Whether the signature is that of the message; for up to 64 KiB (35 µs for 1 KiB). A key that is not 32 bytes long is
/// an argument error, a signature of another length than 64 simply not one.
#[rustler::nif]
fn verify_ed25519_inline(
    public_key: Binary<'_>,
    message: Binary<'_>,
    signature: Binary<'_>,
) -> NifResult<bool> {
    verify(&public_key, &message, &signature)
}

/// The same for longer messages.
#[rustler::nif(schedule = "DirtyCpu")]
fn verify_ed25519_dirty(
    public_key: Binary<'_>,
    message: Binary<'_>,
    signature: Binary<'_>,
) -> NifResult<bool> {
    verify(&public_key, &message, &signature)
}
