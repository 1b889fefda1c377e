//! Elements of tensors as they lie in a file, little-endian, and what they become.

use std::io::{self, Write};

use safetensors::Dtype;
use wgrad_core::{DType, HostSlice, HostVec};

/// Writes elements as they lie in a file.
pub(super) fn write(out: &mut dyn Write, data: HostSlice<'_>) -> io::Result<()> {
    match data {
        HostSlice::F32(values) => write_words(out, values, |v| v.to_le_bytes()),
        HostSlice::U32(values) => write_words(out, values, |v| v.to_le_bytes()),
    }
}

fn write_words<T: Copy>(out: &mut dyn Write, values: &[T], bytes: impl Fn(T) -> [u8; 4]) -> io::Result<()> {
    // In pieces, so that a large tensor is not there twice.
    let mut piece = Vec::with_capacity(4 * values.len().min(1 << 14));
    for values in values.chunks(1 << 14) {
        piece.clear();
        piece.extend(values.iter().flat_map(|&v| bytes(v)));
        out.write_all(&piece)?;
    }
    Ok(())
}

/// The element type in a file of what is kept in memory.
pub(super) const fn stored(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::U32 => Dtype::U32,
    }
}

/// The elements of a tensor that was stored as it is kept.
pub(super) fn exact(dtype: Dtype, bytes: &[u8]) -> Result<HostVec, String> {
    match dtype {
        Dtype::F32 => Ok(HostVec::F32(words(bytes, f32::from_le_bytes))),
        Dtype::U32 => Ok(HostVec::U32(words(bytes, u32::from_le_bytes))),
        other => Err(format!("its elements are {other}, but a checkpoint has F32 and U32 only")),
    }
}

/// The elements of a tensor as a variable of that type takes them: floats of any usual width become single precision, rounded to
/// nearest.
pub(super) fn converted(dtype: Dtype, bytes: &[u8], wanted: DType) -> Result<HostVec, String> {
    let floats = match (wanted, dtype) {
        (DType::U32, Dtype::U32) => return Ok(HostVec::U32(words(bytes, u32::from_le_bytes))),
        (DType::F32, Dtype::F32) => words(bytes, f32::from_le_bytes),
        (DType::F32, Dtype::F16) => words(bytes, |b| half(u16::from_le_bytes(b))),
        (DType::F32, Dtype::BF16) => words(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
        (DType::F32, Dtype::F64) => {
            let doubles = words(bytes, f64::from_le_bytes);
            #[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose, and overflow is looked for")]
            let rounded: Vec<f32> = doubles.iter().map(|&v| v as f32).collect();
            let lost = doubles.iter().zip(&rounded).position(|(wide, narrow)| wide.is_finite() && !narrow.is_finite());
            if let Some(position) = lost {
                return Err(format!("element {position} is {:e}, too large for single precision", doubles[position]));
            }
            rounded
        }
        (DType::F32, other) => {
            return Err(format!("its elements are {other}; only F32, F16, BF16 and F64 become single precision"));
        }
        (DType::U32, other) => return Err(format!("its elements are {other}, but the variable takes U32 only")),
    };
    Ok(HostVec::F32(floats))
}

fn words<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&word| value(word)).collect()
}

/// A number in half precision, which single precision holds exactly.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let fraction = u32::from(bits & 0x3ff);
    match exponent {
        // A multiple of 2^-24, whose float takes the sign's bit.
        0 => f32::from_bits((fraction as f32 * 2f32.powi(-24)).to_bits() | sign),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;
    use wgrad_core::{DType, HostVec};

    use super::{converted, exact, half, write};

    fn floats(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
        converted(dtype, bytes, DType::F32).unwrap().into_f32().unwrap()
    }

    #[test]
    fn halves_are_exact() {
        let known = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in known {
            assert_eq!(half(bits), value, "{bits:x}");
        }
        assert!(half(0x8000).is_sign_negative());
        assert!(half(0x7e00).is_nan() && half(0xfc01).is_nan());
    }

    #[test]
    fn floats_of_all_widths_are_converted() {
        assert_eq!(floats(Dtype::F16, &[0x00, 0x3c, 0x00, 0xc0]), [1.0, -2.0]);
        assert_eq!(floats(Dtype::BF16, &[0x80, 0x3f, 0x49, 0x40]), [1.0, 3.140_625]);
        let doubles: Vec<u8> = [0.1f64, -1e-50, f64::INFINITY].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(floats(Dtype::F64, &doubles), [0.1, -0.0, f32::INFINITY]);
        let message = converted(Dtype::F64, &1e300f64.to_le_bytes(), DType::F32).unwrap_err();
        assert_eq!(message, "element 0 is 1e300, too large for single precision");
        for (dtype, wanted) in [(Dtype::I64, DType::F32), (Dtype::U32, DType::F32), (Dtype::F32, DType::U32)] {
            assert!(converted(dtype, &[0; 8], wanted).is_err(), "{dtype}");
        }
    }

    /// Bits survive, those of numbers that are none included.
    #[test]
    fn what_is_written_is_read() {
        let nan = f32::from_bits(0x7fa0_1234);
        let floats = HostVec::F32(vec![0.1, -0.0, f32::MIN_POSITIVE / 8.0, nan, f32::NEG_INFINITY]);
        let integers = HostVec::U32((0..40_000).map(|i| i * 77_777).collect());
        for (data, dtype) in [(floats, Dtype::F32), (integers, Dtype::U32)] {
            let mut bytes = vec![];
            write(&mut bytes, data.as_slice()).unwrap();
            let back = exact(dtype, &bytes).unwrap();
            assert!(back.as_slice().words().eq(data.as_slice().words()));
        }
        assert!(exact(Dtype::F16, &[0, 0]).is_err());
    }
}
