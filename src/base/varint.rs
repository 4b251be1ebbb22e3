//! Kafka's variable-length integers: base 128, least significant group first; zig-zag where signed.

use bytes::BufMut;

/// Bytes the longest varint of 32 bits takes.
pub const VARINT32_BYTES_MAX: usize = 5;
/// Bytes the longest varint of 64 bits takes.
pub const VARINT64_BYTES_MAX: usize = 10;

/// Reads an unsigned varint of at most 32 bits from the front of `bytes`: the value and how many bytes it took.
/// `None` if the bytes end early, run past five, or carry bits beyond the 32nd.
#[inline]
#[must_use]
pub fn read_u32(bytes: &[u8]) -> Option<(u32, usize)> {
    let (value, used) = read_u64_within(bytes, VARINT32_BYTES_MAX)?;
    Some((u32::try_from(value).ok()?, used))
}

/// Reads an unsigned varint of at most 64 bits from the front of `bytes`.
#[inline]
#[must_use]
pub fn read_u64(bytes: &[u8]) -> Option<(u64, usize)> {
    read_u64_within(bytes, VARINT64_BYTES_MAX)
}

/// Reads a zig-zag varint of 32 bits (`varint` in Kafka's record format).
#[inline]
#[must_use]
pub fn read_i32(bytes: &[u8]) -> Option<(i32, usize)> {
    let (value, used) = read_u32(bytes)?;
    Some(((value >> 1).cast_signed() ^ -(value & 1).cast_signed(), used))
}

/// Reads a zig-zag varint of 64 bits (`varlong` in Kafka's record format).
#[inline]
#[must_use]
pub fn read_i64(bytes: &[u8]) -> Option<(i64, usize)> {
    let (value, used) = read_u64(bytes)?;
    Some(((value >> 1).cast_signed() ^ -(value & 1).cast_signed(), used))
}

/// Appends an unsigned varint.
pub fn write_u64(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8((value & 0x7F) as u8);
}

/// Appends an unsigned varint of 32 bits.
pub fn write_u32(out: &mut impl BufMut, value: u32) {
    write_u64(out, u64::from(value));
}

/// Appends a zig-zag varint of 32 bits.
pub fn write_i32(out: &mut impl BufMut, value: i32) {
    write_u32(out, ((value << 1) ^ (value >> 31)).cast_unsigned());
}

/// Appends a zig-zag varint of 64 bits.
pub fn write_i64(out: &mut impl BufMut, value: i64) {
    write_u64(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Bytes that `value` takes as an unsigned varint.
#[inline]
#[must_use]
pub fn len_u64(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes that `value` takes as a zig-zag varint.
#[inline]
#[must_use]
pub fn len_i64(value: i64) -> usize {
    len_u64(((value << 1) ^ (value >> 63)).cast_unsigned())
}

#[inline]
fn read_u64_within(bytes: &[u8], bytes_max: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(bytes_max).enumerate() {
        let group = u64::from(byte & 0x7F);
        let shift = 7 * u32::try_from(index).ok()?;
        if shift == 63 && group > 1 {
            return None;
        }
        value |= group << shift;
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_round_trips() {
        for value in
            [0, 1, -1, 63, 64, -64, -65, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX, i64::MIN]
        {
            let mut out = Vec::new();
            write_i64(&mut out, value);
            assert_eq!(out.len(), len_i64(value));
            assert_eq!(read_i64(&out), Some((value, out.len())));
            assert_eq!(read_i64(&out[..out.len() - 1]), None);
        }
        for value in [0, 1, -1, i32::MAX, i32::MIN] {
            let mut out = Vec::new();
            write_i32(&mut out, value);
            assert_eq!(read_i32(&out), Some((value, out.len())));
        }
    }

    #[test]
    fn overlong_and_overflowing_are_refused() {
        assert_eq!(read_u32(&[0xFF, 0xFF, 0xFF, 0xFF, 0x1F]), None);
        assert_eq!(read_u32(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]), Some((u32::MAX, 5)));
        assert_eq!(read_u32(&[0x80; 6]), None);
        assert_eq!(read_u64(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02]), None);
    }
}
