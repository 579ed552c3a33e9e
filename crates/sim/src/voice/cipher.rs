//! Transport encryption: the two modes that Discord still has, both `rtpsize` (`developers/topics/voice-connections`).
//!
//! A packet is `clear header | ciphertext | 16-byte tag | 4-byte nonce`. The nonce is the start of the AEAD's, the rest of
//! which is zero.

use chacha20poly1305::{AeadInPlace, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const TAG: usize = 16;
const NONCE: usize = 4;

/// An encryption mode, as clients select it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Offered where the hardware has AES.
    Aes256Gcm,
    /// Always offered.
    XChaCha20Poly1305,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aead_aes256_gcm_rtpsize",
            Self::XChaCha20Poly1305 => "aead_xchacha20_poly1305_rtpsize",
        }
    }

    /// The modes that are offered, the preferred one first.
    pub fn offered(with_aes: bool) -> &'static [Self] {
        if with_aes {
            &[Self::Aes256Gcm, Self::XChaCha20Poly1305]
        } else {
            &[Self::XChaCha20Poly1305]
        }
    }
}

/// A client's transport key.
pub enum Cipher {
    Aes256Gcm(Box<LessSafeKey>),
    XChaCha20Poly1305(XChaCha20Poly1305),
}

impl Cipher {
    pub fn new(mode: Mode, key: &[u8; 32]) -> Option<Self> {
        Some(match mode {
            Mode::Aes256Gcm => {
                let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
                Self::Aes256Gcm(Box::new(LessSafeKey::new(key)))
            }
            Mode::XChaCha20Poly1305 => Self::XChaCha20Poly1305(XChaCha20Poly1305::new(key.into())),
        })
    }

    pub fn mode(&self) -> Mode {
        match self {
            Self::Aes256Gcm(_) => Mode::Aes256Gcm,
            Self::XChaCha20Poly1305(_) => Mode::XChaCha20Poly1305,
        }
    }

    /// A packet of a header that stays clear and a body that is encrypted.
    pub fn seal(&self, clear: &[u8], body: &[u8], nonce: u32) -> Option<Vec<u8>> {
        let nonce = nonce.to_be_bytes();
        let mut packet = Vec::with_capacity(clear.len() + body.len() + TAG + NONCE);
        packet.extend_from_slice(clear);
        packet.extend_from_slice(body);
        let body = packet.get_mut(clear.len()..)?;
        let tag: [u8; TAG] = match self {
            Self::Aes256Gcm(key) => key
                .seal_in_place_separate_tag(wide(nonce), Aad::from(clear), body)
                .ok()?
                .as_ref()
                .try_into()
                .ok()?,
            Self::XChaCha20Poly1305(key) => key
                .encrypt_in_place_detached(&XNonce::from(wider(nonce)), clear, body)
                .ok()?
                .into(),
        };
        packet.extend_from_slice(&tag);
        packet.extend_from_slice(&nonce);
        Some(packet)
    }

    /// What a packet has behind its first `clear` bytes, and its nonce. `None`: it was not made with this key.
    pub fn open(&self, packet: &[u8], clear: usize) -> Option<(Vec<u8>, u32)> {
        let (packet, &nonce) = packet.split_last_chunk::<NONCE>()?;
        let (clear, sealed) = packet.split_at_checked(clear)?;
        let (body, tag) = sealed.split_last_chunk::<TAG>()?;
        let mut body = body.to_vec();
        match self {
            Self::Aes256Gcm(key) => {
                body.extend_from_slice(tag);
                let opened = key
                    .open_in_place(wide(nonce), Aad::from(clear), &mut body)
                    .ok()?
                    .len();
                body.truncate(opened);
            }
            Self::XChaCha20Poly1305(key) => key
                .decrypt_in_place_detached(
                    &XNonce::from(wider(nonce)),
                    clear,
                    &mut body,
                    &Tag::from(*tag),
                )
                .ok()?,
        }
        Some((body, u32::from_be_bytes(nonce)))
    }
}

fn wide(nonce: [u8; NONCE]) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..NONCE].copy_from_slice(&nonce);
    Nonce::assume_unique_for_key(bytes)
}

fn wider(nonce: [u8; NONCE]) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..NONCE].copy_from_slice(&nonce);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_with_its_key_and_header_only() {
        for &mode in Mode::offered(true) {
            let cipher = Cipher::new(mode, &[7; 32]).unwrap();
            let packet = cipher
                .seal(b"a clear header", b"and a body", 0x0102_0304)
                .unwrap();
            assert_eq!(packet.len(), 14 + 10 + 16 + 4);
            assert_eq!(
                (&packet[..14], &packet[40..]),
                (&b"a clear header"[..], &[1, 2, 3, 4][..])
            );
            let opened = cipher.open(&packet, 14);
            assert_eq!(opened, Some((b"and a body".to_vec(), 0x0102_0304)));
            assert_eq!(cipher.open(&packet, 13), None);
            assert_eq!(Cipher::new(mode, &[8; 32]).unwrap().open(&packet, 14), None);
            for length in 0..packet.len() {
                assert_eq!(cipher.open(&packet[..length], 14), None);
            }
        }
    }
}
