//! The strings that name an element type, such as `<f4`: NumPy's array interface protocol, `typestr`.
//!
//! A byte order (`<`, `>`, or `|` where there is none), a letter for the kind, a size. NumPy's constructor
//! knows many more spellings (`float32`, `i4,f4`, `3f4`); `numpy.save` writes only these.

use npyfeed_array::{ByteOrder, Dtype};

use crate::descr::{Descr, TimeUnit};
use crate::limits::MAX_ITEM_BYTES;

/// The type that `text` names, `None` if it names none.
///
/// `=`, `|` and no sign at all mean the byte order of this machine, as they do to NumPy.
pub(crate) fn parse(text: &str) -> Option<Descr> {
    let (stated, rest) = split_byte_order(text);
    let byte_order = stated.unwrap_or(ByteOrder::NATIVE);
    let kind = rest.chars().next()?;
    let rest = &rest[kind.len_utf8()..];
    match kind {
        'b' | 'i' | 'u' | 'f' | 'c' => number(kind, rest, byte_order),
        // Four bytes a character, UCS-4.
        'U' => size(rest)
            .filter(|&characters| characters <= MAX_ITEM_BYTES / 4)
            .map(|characters| Descr::Text { characters, byte_order }),
        'S' => size(rest).map(|item_bytes| Descr::Bytes { item_bytes }),
        'V' => size(rest).map(|item_bytes| Descr::Void { item_bytes, byte_order: stated }),
        'M' => time_unit(rest).map(|unit| Descr::Datetime { unit, byte_order }),
        'm' => time_unit(rest).map(|unit| Descr::Timedelta { unit, byte_order }),
        // Python 2 wrote the size of a pointer behind it.
        'O' => ["", "4", "8"].contains(&rest).then_some(Descr::Object),
        _ => None,
    }
}

/// The type string that `numpy.save` writes for `dtype`.
///
/// What NumPy lacks is written as the `ml_dtypes` package does: `<V2` for bfloat16, raw bytes to any reader
/// that is not told more.
pub(crate) fn of(dtype: Dtype, byte_order: ByteOrder) -> String {
    match byte_order {
        ByteOrder::Big if dtype.item_bytes() > 1 => dtype.type_string().replace('<', ">"),
        ByteOrder::Big | ByteOrder::Little => dtype.type_string().to_owned(),
    }
}

impl Descr {
    /// The type string of an element, such as `"<f4"` or `"<M8[25s]"`; `None` for records and arrays, which are
    /// written as lists and tuples. [`Number`](Descr::Number)s of dtypes that NumPy lacks are raw bytes to it.
    pub fn type_string(&self) -> Option<String> {
        let sign = |byte_order| match byte_order {
            ByteOrder::Little => '<',
            ByteOrder::Big => '>',
        };
        Some(match self {
            Descr::Number { dtype, byte_order } => of(*dtype, *byte_order),
            Descr::Float { item_bytes, byte_order } => format!("{}f{item_bytes}", sign(*byte_order)),
            Descr::Complex { item_bytes, byte_order } => format!("{}c{item_bytes}", sign(*byte_order)),
            Descr::Text { characters, byte_order } => format!("{}U{characters}", sign(*byte_order)),
            Descr::Bytes { item_bytes } => format!("|S{item_bytes}"),
            Descr::Void { item_bytes, .. } => format!("|V{item_bytes}"),
            Descr::Datetime { unit, byte_order } => format!("{}M8{unit}", sign(*byte_order)),
            Descr::Timedelta { unit, byte_order } => format!("{}m8{unit}", sign(*byte_order)),
            Descr::Object => "|O".to_owned(),
            Descr::Record { .. } | Descr::Subarray { .. } => return None,
        })
    }
}

fn split_byte_order(text: &str) -> (Option<ByteOrder>, &str) {
    match text.as_bytes().first() {
        Some(b'<') => (Some(ByteOrder::Little), &text[1..]),
        Some(b'>') => (Some(ByteOrder::Big), &text[1..]),
        Some(b'=' | b'|') => (None, &text[1..]),
        Some(_) | None => (None, text),
    }
}

fn number(kind: char, digits: &str, byte_order: ByteOrder) -> Option<Descr> {
    let is_named = |dtype: &Dtype| dtype.type_string()[1..].strip_prefix(kind) == Some(digits);
    let Some(dtype) = Dtype::ALL.into_iter().find(is_named) else {
        return match (kind, size(digits)?) {
            ('c', item_bytes @ (24 | 32)) => Some(Descr::Complex { item_bytes, byte_order }),
            ('f', item_bytes @ (12 | 16)) => Some(Descr::Float { item_bytes, byte_order }),
            _ => None,
        };
    };
    // A single byte has no order. Stated or not, it is this machine's, so that `>u1` and `|u1` are equal.
    let byte_order = if dtype.item_bytes() == 1 { ByteOrder::NATIVE } else { byte_order };
    Some(Descr::Number { dtype, byte_order })
}

/// A size in decimal digits, without a sign and without zeros in front.
fn size(digits: &str) -> Option<usize> {
    let is_plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|&size| is_plain && size <= MAX_ITEM_BYTES)
}

/// The unit of `8[25s]`, of `8[ns]`, or of a bare `8`, which is generic.
fn time_unit(text: &str) -> Option<TimeUnit> {
    let text = text.strip_prefix('8')?;
    if text.is_empty() {
        return Some(TimeUnit::GENERIC);
    }
    let text = text.strip_prefix('[')?.strip_suffix(']')?;
    let (digits, name) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let count = if digits.is_empty() { 1 } else { size(digits).filter(|&count| count > 0)? };
    let name = TimeUnit::NAMES.into_iter().find(|known| *known == name)?;
    Some(TimeUnit { count, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_strings_are_written_as_they_are_read() {
        for text in
            ["|b1", "|u1", "<i2", ">f8", "<c16", ">f16", "<c32", ">U5", "|S3", "|V8", "<M8", ">m8[25s]", "|O"]
        {
            assert_eq!(parse(text).unwrap().type_string().as_deref(), Some(text));
        }
    }
}
