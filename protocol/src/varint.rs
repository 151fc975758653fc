//! Variable-length unsigned integers of the packed frames: seven bits a byte, low bits first, the high bit set on all
//! but the last byte (LEB128). At most eight bytes, since no integer of the protocol reaches 2^53.

use bytes::BufMut;

use crate::limits::INTEGER_MAX;

/// Appends `value`.
pub fn put(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8((value & 0x7F) as u8);
}

/// Takes one integer off the front of `input`. `None` when the input ends early, the integer is longer than it has to
/// be, or it is 2^53 and above; `input` is unspecified then.
#[must_use]
pub fn take(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..56).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            let overlong = *byte == 0 && shift > 0;
            return (!overlong && value <= INTEGER_MAX).then_some(value);
        }
    }
    None
}
