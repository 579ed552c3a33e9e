//! What a packet says of itself in its first bytes (RFC 6716, 3.1 and 3.2).

/// Samples of a channel in the longest packet: 120 ms.
pub const LONGEST: usize = 5_760;

/// The samples of a channel in one of a packet's frames, by the packet's first byte.
#[must_use]
pub fn frame_samples(toc: u8) -> usize {
    let config = toc >> 3;
    match config {
        0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        12..16 => [480, 960][usize::from(config & 1)],
        _ => 120 << (config & 3),
    }
}

/// The samples of a channel in a packet; `None` if it cannot be one.
#[must_use]
pub fn samples(packet: &[u8]) -> Option<usize> {
    let toc = *packet.first()?;
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(*packet.get(1)? & 63),
    };
    let samples = frame_samples(toc) * frames;
    (1..=LONGEST).contains(&samples).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_from_the_first_bytes() {
        assert_eq!(samples(&[]), None);
        assert_eq!(samples(&[0xf8, 0xff, 0xfe]), Some(960), "Discord's silence");
        assert_eq!(samples(&[0b0110_0000, 1]), Some(480), "hybrid, 10 ms");
        assert_eq!(
            samples(&[0b0110_1001, 1]),
            Some(1_920),
            "hybrid, twice 20 ms"
        );
        assert_eq!(samples(&[3]), None, "how many is not said");
        assert_eq!(samples(&[0x83, 48]), Some(5_760));
        assert_eq!(samples(&[0x83, 0]), None);
        assert_eq!(samples(&[0x1b, 2]), Some(5_760));
        assert_eq!(samples(&[0x1b, 3]), None, "180 ms");
    }
}
