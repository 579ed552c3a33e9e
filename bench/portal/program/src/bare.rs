//! The two AEAD operations of a packet by themselves, as `rtc` has them from the same crate: AES-128-GCM over a header of 12 bytes and a
//! frame of some 80.

use std::hint::black_box;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::Error;
use crate::voice::{Mouth, Signal};

pub fn run(packets: u32) -> Result<(), Error> {
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).map_err(|_| "a key")?;
    let key = LessSafeKey::new(key);
    let hum = Signal {
        hum: 300.0,
        bursts: true,
    };
    let frames = Mouth::new(hum)?.frames(50)?;
    let header = [0x80_u8, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
    println!("made");
    std::io::stdin().read_line(&mut String::new())?;
    for number in 0..packets {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&number.to_be_bytes());
        let nonce = || Nonce::assume_unique_for_key(nonce);
        let mut packet = frames[number as usize % frames.len()].to_vec();
        key.seal_in_place_append_tag(nonce(), Aad::from(header), &mut packet)
            .map_err(|_| "sealing")?;
        key.open_in_place(nonce(), Aad::from(header), &mut packet)
            .map_err(|_| "opening")?;
        black_box(&packet);
    }
    println!("done");
    Ok(())
}
