//! Values of other programs' element types, taken where none of them changes.
//!
//! NumPy and PyTorch write labels as I64 and features as F64, F16 or BF16. A conversion that gives back every value is made as the
//! file is read; one that would not is refused, with the value that it would change.

use half::{bf16, f16};
use safetensors::tensor::Dtype;

/// A value that the wanted type does not hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Changed {
    /// Its flat index.
    pub index: usize,
    /// The value, as printed in the error.
    pub value: String,
    /// It is finite and beyond the largest of the wanted type, so that no program's conversion would keep it.
    pub is_too_large: bool,
}

impl Changed {
    fn whole(index: usize, value: i128) -> Self {
        Changed { index, value: value.to_string(), is_too_large: false }
    }
}

/// Reads one value from its bytes.
type ReadValue = fn(&[u8]) -> f64;

/// Bytes of one value of a type, and how to read it; `None` for types that are no plain numbers.
pub(crate) fn reader(dtype: Dtype) -> Option<(usize, ReadValue)> {
    Some(match dtype {
        Dtype::F64 => (8, |bytes| f64::from_le_bytes(array(bytes))),
        Dtype::F32 => (4, |bytes| f64::from(f32::from_le_bytes(array(bytes)))),
        Dtype::F16 => (2, |bytes| f16::from_le_bytes(array(bytes)).to_f64()),
        Dtype::BF16 => (2, |bytes| bf16::from_le_bytes(array(bytes)).to_f64()),
        // Above 2⁵³ the nearest f64.
        Dtype::I64 => (8, |bytes| i64::from_le_bytes(array(bytes)) as f64),
        Dtype::U64 => (8, |bytes| u64::from_le_bytes(array(bytes)) as f64),
        Dtype::I32 => (4, |bytes| f64::from(i32::from_le_bytes(array(bytes)))),
        Dtype::U32 => (4, |bytes| f64::from(u32::from_le_bytes(array(bytes)))),
        Dtype::I16 => (2, |bytes| f64::from(i16::from_le_bytes(array(bytes)))),
        Dtype::U16 => (2, |bytes| f64::from(u16::from_le_bytes(array(bytes)))),
        Dtype::I8 => (1, |bytes| f64::from(i8::from_le_bytes(array(bytes)))),
        Dtype::U8 | Dtype::BOOL => (1, |bytes| f64::from(bytes[0])),
        _ => return None,
    })
}

/// Floating point of another width as f32; `None` for integers, which are no features.
pub(crate) fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Result<Vec<f32>, Changed>> {
    if !matches!(dtype, Dtype::F64 | Dtype::F16 | Dtype::BF16) {
        return None;
    }
    let (size, read) = reader(dtype)?;
    let narrow = |(index, bytes): (usize, &[u8])| {
        let value = read(bytes);
        let narrowed = value as f32;
        let same = f64::from(narrowed) == value || value.is_nan();
        let is_too_large = value.is_finite() && narrowed.is_infinite();
        if same { Ok(narrowed) } else { Err(Changed { index, value: in_words(value), is_too_large }) }
    };
    Some(bytes.chunks_exact(size).enumerate().map(narrow).collect())
}

/// Integers of another type as i64.
pub(crate) fn to_i64(dtype: Dtype, bytes: &[u8]) -> Option<Result<Vec<i64>, Changed>> {
    let read: fn(&[u8]) -> i128 = match dtype {
        Dtype::I64 => |bytes| i128::from(i64::from_le_bytes(array(bytes))),
        Dtype::U64 => |bytes| i128::from(u64::from_le_bytes(array(bytes))),
        Dtype::I32 => |bytes| i128::from(i32::from_le_bytes(array(bytes))),
        Dtype::U32 => |bytes| i128::from(u32::from_le_bytes(array(bytes))),
        Dtype::I16 => |bytes| i128::from(i16::from_le_bytes(array(bytes))),
        Dtype::U16 => |bytes| i128::from(u16::from_le_bytes(array(bytes))),
        Dtype::I8 => |bytes| i128::from(i8::from_le_bytes(array(bytes))),
        Dtype::U8 | Dtype::BOOL => |bytes| i128::from(bytes[0]),
        _ => return None,
    };
    let (size, _) = reader(dtype)?;
    let narrow = |(index, bytes): (usize, &[u8])| {
        let value = read(bytes);
        i64::try_from(value).map_err(|_| Changed::whole(index, value))
    };
    Some(bytes.chunks_exact(size).enumerate().map(narrow).collect())
}

/// Integers of another type as u32: none may be negative or above 4294967295.
pub(crate) fn to_u32(dtype: Dtype, bytes: &[u8]) -> Option<Result<Vec<u32>, Changed>> {
    let narrow = |(index, value): (usize, i64)| u32::try_from(value).map_err(|_| Changed::whole(index, value.into()));
    Some(to_i64(dtype, bytes)?.and_then(|values| values.into_iter().enumerate().map(narrow).collect()))
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("chunks have the size of their type")
}

/// The shortest digits that mean this number, with an exponent where it is very large or small: 1e300, not 1 and 300 zeros.
pub(crate) fn in_words(value: f64) -> String {
    let words = format!("{value:?}");
    words.strip_suffix(".0").map_or_else(|| words.clone(), str::to_owned)
}

/// The line that makes a file of the wanted type, metadata kept. `wanted` is ours: F32, U32 and so on.
pub(crate) fn command(path: &std::path::Path, tensor: &str, wanted: &str) -> String {
    let numpy = match wanted {
        "F64" => "float64",
        "U32" => "uint32",
        "U8" => "uint8",
        "I64" => "int64",
        _ => "float32",
    };
    let path = path.display();
    format!(
        "to convert it to {numpy}, if that is what it means: python3 -c 'import safetensors as s, safetensors.numpy as n; \
         f = s.safe_open(\"{path}\", \"np\"); t = {{k: f.get_tensor(k) for k in f.keys()}}; \
         t[\"{tensor}\"] = t[\"{tensor}\"].astype(\"{numpy}\"); n.save_file(t, \"converted.safetensors\", f.metadata())'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(values: &[[u8; N]]) -> Vec<u8> {
        values.concat()
    }

    #[test]
    fn what_f32_holds_is_taken_and_what_it_rounds_is_named() {
        let f64s =
            |values: &[f64]| to_f32(Dtype::F64, &bytes(&values.iter().map(|x| x.to_le_bytes()).collect::<Vec<_>>()));
        assert_eq!(f64s(&[0.5, -2.0, f64::INFINITY]).expect("floats").expect("exact"), [0.5, -2.0, f32::INFINITY]);
        assert_eq!(f64s(&[0.5, 0.1]), Some(Err(Changed { index: 1, value: "0.1".into(), is_too_large: false })));
        assert!(f64s(&[f64::NAN]).expect("floats").expect("a NaN is one")[0].is_nan());
        assert_eq!(f64s(&[1e300]), Some(Err(Changed { index: 0, value: "1e300".into(), is_too_large: true })));
        assert_eq!(f64s(&[-1e39]), Some(Err(Changed { index: 0, value: "-1e39".into(), is_too_large: true })));
        assert_eq!((in_words(12.0), in_words(0.25), in_words(5e-324)), ("12".into(), "0.25".into(), "5e-324".into()));
        let halves = bytes(&[f16::from_f32(0.25).to_le_bytes(), f16::from_f32(-7.5).to_le_bytes()]);
        assert_eq!(to_f32(Dtype::F16, &halves).expect("floats").expect("exact"), [0.25, -7.5]);
        let brains = bytes(&[bf16::from_f32(3.0e38).to_le_bytes()]);
        assert_eq!(to_f32(Dtype::BF16, &brains).expect("floats").expect("exact"), [bf16::from_f32(3.0e38).to_f32()]);
        assert_eq!(to_f32(Dtype::I32, &[0; 4]), None, "whole numbers are no features");
    }

    #[test]
    fn labels_of_every_integer_type_are_taken_unless_negative_or_too_large() {
        let of = |dtype, bytes: &[u8]| to_u32(dtype, bytes).expect("integers");
        assert_eq!(of(Dtype::I64, &bytes(&[3i64.to_le_bytes(), 0i64.to_le_bytes()])), Ok(vec![3, 0]));
        assert_eq!(of(Dtype::I32, &7i32.to_le_bytes()), Ok(vec![7]));
        assert_eq!(of(Dtype::U8, &[200, 1]), Ok(vec![200, 1]));
        assert_eq!(of(Dtype::U64, &u64::from(u32::MAX).to_le_bytes()), Ok(vec![u32::MAX]));
        let changed = |index, value: &str| Err(Changed { index, value: value.into(), is_too_large: false });
        assert_eq!(of(Dtype::I64, &bytes(&[1i64.to_le_bytes(), (-1i64).to_le_bytes()])), changed(1, "-1"));
        assert_eq!(of(Dtype::I16, &(-100i16).to_le_bytes()), changed(0, "-100"));
        assert_eq!(of(Dtype::I64, &(1i64 << 32).to_le_bytes()), changed(0, "4294967296"));
        assert_eq!(of(Dtype::U64, &u64::MAX.to_le_bytes()), changed(0, "18446744073709551615"));
        assert_eq!(to_u32(Dtype::F32, &1f32.to_le_bytes()), None);
    }
}
