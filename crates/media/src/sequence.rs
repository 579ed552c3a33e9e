//! Packets' 16-bit sequence numbers, counted on so that they do not wrap.

/// The number nearest to `newest` that packets have as `sequence`. Of the two that are as near it is the one before.
#[must_use]
pub fn nearest(newest: u64, sequence: u16) -> u64 {
    let ahead = sequence.wrapping_sub(low(newest)).cast_signed();
    newest.saturating_add_signed(ahead.into())
}

/// A number as packets have it.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "that is how it wraps")]
pub const fn low(number: u64) -> u16 {
    number as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_found_again_from_one_that_is_near() {
        for newest in [1 << 32, (1 << 32) + 65_535, (7 << 16) + 40_000] {
            for number in newest - 0x8000..newest + 0x8000 {
                assert_eq!(nearest(newest, low(number)), number);
            }
        }
        assert_eq!(nearest(3, 65_535), 0, "there is none before zero");
    }
}
