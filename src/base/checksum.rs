//! CRC-32C as Kafka's record batches use it (Castagnoli, reflected, inverted), whole, in pieces and by combination.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    narrow(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes))
}

/// CRC-32C of `a ++ b` from the two CRCs and the length of `b`, in O(log len_b). A broker stamps a batch's header anew with
/// this, without reading the payload again. A CRC is a polynomial over GF(2), and bytes behind it multiply it by a power of
/// x. With a table of the powers this takes some ten nanoseconds for every bit set in the length; libraries build matrices
/// each time, which takes microseconds.
#[must_use]
pub fn crc32c_combine(crc_a: u32, crc_b: u32, len_b: u64) -> u32 {
    let powers = POWERS.iter().enumerate().filter(|(bit, _)| len_b >> bit & 1 == 1);
    powers.fold(crc_a, |crc, (_, power)| multiply(*power, crc)) ^ crc_b
}

/// The Castagnoli polynomial, like all here reflected: the highest bit is the coefficient of x⁰.
const POLYNOMIAL: u32 = 0x82F6_3B78;
/// x to the 8·2ⁿ.
const POWERS: [u32; 64] = {
    let mut powers = [1 << 23; 64];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = multiply(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
};

/// The product modulo the polynomial.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 32;
    while bit > 0 {
        bit -= 1;
        if a >> bit & 1 == 1 {
            product ^= b;
        }
        b = b >> 1 ^ if b & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}

/// CRC-32C of bytes that come in pieces.
#[derive(Clone, Debug)]
pub struct Crc32c {
    digest: Digest,
}

impl Crc32c {
    #[must_use]
    pub fn new() -> Crc32c {
        Crc32c { digest: Digest::new(CrcAlgorithm::Crc32Iscsi) }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// Copies `source` into `target` (equal lengths) and takes it in, in pieces small enough to stay in the first-level
    /// cache between the two.
    pub fn copy(&mut self, target: &mut [u8], source: &[u8]) {
        const PIECE_BYTES: usize = 8 * 1024;
        assert_eq!(target.len(), source.len(), "copy needs equal lengths");
        for (to, from) in target.chunks_mut(PIECE_BYTES).zip(source.chunks(PIECE_BYTES)) {
            to.copy_from_slice(from);
            self.digest.update(to);
        }
    }

    #[must_use]
    pub fn finish(&self) -> u32 {
        narrow(self.digest.finalize())
    }
}

impl Default for Crc32c {
    fn default() -> Crc32c {
        Crc32c::new()
    }
}

/// Copies `source` into `target` (equal lengths) and returns the CRC-32C of it.
#[must_use]
pub fn copy_crc32c(target: &mut [u8], source: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.copy(target, source);
    crc.finish()
}

fn narrow(crc: u64) -> u32 {
    u32::try_from(crc).expect("a 32-bit CRC fits 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn pieces_and_combination_agree_with_the_whole() {
        let bytes: Vec<u8> = (0..40_000u32).map(|i| (i * 7 % 251) as u8).collect();
        let mut copy = vec![0; bytes.len()];
        assert_eq!(copy_crc32c(&mut copy, &bytes), crc32c(&bytes));
        assert_eq!(copy, bytes);
        for at in [0, 1, 12_345, bytes.len() - 1, bytes.len()] {
            let (a, b) = bytes.split_at(at);
            assert_eq!(crc32c_combine(crc32c(a), crc32c(b), b.len() as u64), crc32c(&bytes));
        }
    }
}
