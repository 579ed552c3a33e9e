//! Transport encryption: the AEAD between us and the voice server, in the two modes that Discord has
//! ([Discord](https://discord.com/developers/docs/topics/voice-connections#transport-encryption-modes)).
//!
//! A packet is its clear part, which is authenticated, the ciphertext, a tag of 16 bytes and a nonce of 4. The nonce is a
//! counter of ours, and stands in front of zeroes.

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use secrecy::{ExposeSecret, SecretBox};
use serde::Deserialize;
use thiserror::Error;

const TAG: usize = 16;
const COUNTER: usize = 4;

/// How packets are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `aead_aes256_gcm_rtpsize`: the faster one; servers need not offer it.
    Aes256Gcm,
    /// `aead_xchacha20_poly1305_rtpsize`: every server offers it.
    XChaCha20Poly1305,
}

impl Mode {
    /// Discord's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aead_aes256_gcm_rtpsize",
            Self::XChaCha20Poly1305 => "aead_xchacha20_poly1305_rtpsize",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Aes256Gcm, Self::XChaCha20Poly1305]
            .into_iter()
            .find(|mode| mode.name() == name)
    }

    /// The best of those offered.
    pub(crate) fn choose(offered: &[String]) -> Option<Self> {
        let offered = || offered.iter().filter_map(|name| Self::from_name(name));
        offered()
            .find(|mode| *mode == Self::Aes256Gcm)
            .or_else(|| offered().next())
    }
}

/// The key of one session description. `Debug` does not show it.
#[derive(Debug)]
pub(crate) struct SecretKey(SecretBox<[u8; 32]>);

impl From<[u8; 32]> for SecretKey {
    fn from(key: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(key)))
    }
}

impl<'de> Deserialize<'de> for SecretKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(Self::from)
    }
}

/// Every nonce has been used once: packets can be sent under another key only.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("2^32 packets were sent under one key")]
pub(crate) struct NonceExhausted;

/// A packet that was not encrypted under this key, or was changed on its way.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not encrypted by the voice server")]
pub(crate) struct NotAuthentic;

#[expect(
    clippy::large_enum_variant,
    reason = "a session has one, and mostly the larger"
)]
enum Cipher {
    // Less than half the time of RustCrypto's for a packet of audio.
    Aes256Gcm(LessSafeKey),
    XChaCha20Poly1305(XChaCha20Poly1305),
}

/// Seals our packets and opens theirs.
pub(crate) struct Transport {
    cipher: Cipher,
    /// The next packet's nonce.
    counter: Option<u32>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

impl Transport {
    pub(crate) fn new(mode: Mode, key: &SecretKey) -> Self {
        let key = key.0.expose_secret();
        let cipher = match mode {
            Mode::Aes256Gcm => match UnboundKey::new(&AES_256_GCM, key) {
                Ok(key) => Cipher::Aes256Gcm(LessSafeKey::new(key)),
                Err(ring::error::Unspecified) => unreachable!("its keys have 32 bytes"),
            },
            Mode::XChaCha20Poly1305 => {
                Cipher::XChaCha20Poly1305(XChaCha20Poly1305::new(key.into()))
            }
        };
        Self {
            cipher,
            counter: Some(0),
        }
    }

    /// Encrypts all but the first `clear` bytes of the packet, and appends tag and nonce.
    pub(crate) fn seal(
        &mut self,
        packet: &mut Vec<u8>,
        clear: usize,
    ) -> Result<(), NonceExhausted> {
        let counter = self.counter.ok_or(NonceExhausted)?;
        self.counter = counter.checked_add(1);
        let counter = counter.to_be_bytes();
        let (aad, body) = packet.split_at_mut(clear);
        let tag: [u8; TAG] = match &self.cipher {
            Cipher::Aes256Gcm(key) => key
                .seal_in_place_separate_tag(nonce(counter), Aad::from(&*aad), body)
                .ok()
                .and_then(|tag| tag.as_ref().try_into().ok()),
            Cipher::XChaCha20Poly1305(key) => key
                .encrypt_in_place_detached(&xnonce(counter), aad, body)
                .ok()
                .map(Into::into),
        }
        // Both fail for messages of gigabytes only.
        .ok_or(NonceExhausted)?;
        packet.extend_from_slice(&tag);
        packet.extend_from_slice(&counter);
        Ok(())
    }

    /// Decrypts a packet in place and gives what follows its `clear` bytes.
    pub(crate) fn open<'a>(
        &self,
        packet: &'a mut [u8],
        clear: usize,
    ) -> Result<&'a mut [u8], NotAuthentic> {
        let (packet, counter) = packet
            .split_last_chunk_mut::<COUNTER>()
            .ok_or(NotAuthentic)?;
        let (aad, sealed) = packet.split_at_mut_checked(clear).ok_or(NotAuthentic)?;
        let length = sealed.len().checked_sub(TAG).ok_or(NotAuthentic)?;
        match &self.cipher {
            Cipher::Aes256Gcm(key) => key
                .open_in_place(nonce(*counter), Aad::from(&*aad), sealed)
                .map_err(|ring::error::Unspecified| NotAuthentic)?,
            Cipher::XChaCha20Poly1305(key) => {
                let (body, tag) = sealed.split_at_mut(length);
                key.decrypt_in_place_detached(&xnonce(*counter), aad, body, (&*tag).into())
                    .map_err(|chacha20poly1305::aead::Error| NotAuthentic)?;
                body
            }
        };
        sealed.get_mut(..length).ok_or(NotAuthentic)
    }
}

fn nonce(counter: [u8; COUNTER]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..COUNTER].copy_from_slice(&counter);
    Nonce::assume_unique_for_key(nonce)
}

fn xnonce(counter: [u8; COUNTER]) -> XNonce {
    let mut nonce = [0; 24];
    nonce[..COUNTER].copy_from_slice(&counter);
    nonce.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [Mode; 2] = [Mode::Aes256Gcm, Mode::XChaCha20Poly1305];

    #[test]
    fn aes_is_preferred() {
        let offered = |names: &[&str]| {
            Mode::choose(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let [aes, xchacha] = MODES.map(Mode::name);
        assert_eq!(offered(&["x", xchacha, aes]), Some(Mode::Aes256Gcm));
        assert_eq!(offered(&[xchacha]), Some(Mode::XChaCha20Poly1305));
        assert_eq!(offered(&["xsalsa20_poly1305"]), None);
    }

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does() {
        for mode in MODES {
            let mut transport = Transport::new(mode, &[7; 32].into());
            let mut packet = b"header..opus".to_vec();
            transport.seal(&mut packet, 8).unwrap();
            assert_eq!(packet.len(), 12 + TAG + COUNTER);
            assert_ne!(&packet[8..12], b"opus");
            let open = |packet: &[u8]| {
                transport
                    .open(&mut packet.to_vec(), 8)
                    .map(|body| body.to_vec())
            };
            assert_eq!(open(&packet), Ok(b"opus".to_vec()));
            for bit in 0..packet.len() * 8 {
                let mut changed = packet.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(&changed), Err(NotAuthentic), "{bit}");
            }
            for length in 0..packet.len() {
                assert_eq!(open(&packet[..length]), Err(NotAuthentic));
            }
        }
    }

    /// Made with the `cryptography` package of Python; its ChaCha20-Poly1305 with HChaCha20 (draft-irtf-cfrg-xchacha-03)
    /// written out before it.
    #[test]
    fn packets_of_another_implementation() {
        let clear = "807812340001020300000009";
        let sealed = [
            "8d8c69e4fa84fe6d1e426720693c239875b247f03e3d96bfaf7100000102",
            "cc673f762ff065c8e5395855d55646cf7c76b2f883e91c92497300000102",
        ];
        let bytes = |hex: &str| -> Vec<u8> {
            let digits = hex.as_bytes().as_chunks::<2>().0;
            let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            digits.iter().map(|pair| byte(pair)).collect()
        };
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        for (mode, sealed) in MODES.into_iter().zip(sealed) {
            let mut transport = Transport::new(mode, &key.into());
            transport.counter = Some(0x102);
            let expected = bytes(&format!("{clear}{sealed}"));
            let mut packet = bytes(clear);
            packet.extend(b"opus frame");
            transport.seal(&mut packet, 12).unwrap();
            assert_eq!(packet, expected, "{mode:?}");
            assert_eq!(transport.open(&mut packet, 12).unwrap(), b"opus frame");
        }
    }

    #[test]
    fn no_nonce_is_used_twice() {
        let mut transport = Transport::new(Mode::Aes256Gcm, &[7; 32].into());
        let seal = |transport: &mut Transport| {
            let mut packet = vec![0; 20];
            transport.seal(&mut packet, 12)?;
            Ok(packet.last_chunk::<4>().copied().unwrap())
        };
        assert_eq!(seal(&mut transport), Ok([0, 0, 0, 0]));
        assert_eq!(seal(&mut transport), Ok([0, 0, 0, 1]));
        transport.counter = Some(u32::MAX);
        assert_eq!(seal(&mut transport), Ok([0xff; 4]));
        assert_eq!(seal(&mut transport), Err(NonceExhausted));
        assert_eq!(seal(&mut transport), Err(NonceExhausted));
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let key = SecretKey::from([0xab; 32]);
        assert!(!format!("{key:?}").contains("171"));
        let transport = Transport::new(Mode::Aes256Gcm, &key);
        assert!(!format!("{transport:?}").contains("171"));
    }
}
