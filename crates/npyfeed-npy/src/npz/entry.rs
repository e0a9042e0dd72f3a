//! One entry of the directory.

use super::end::End;
use super::error::{ArchiveError, quoted};
use super::fields::{ENTRY_SIGNATURE, Excerpt, u16_at, u32_at, widen};
use super::member::{Facts, Member, Method};

/// The size of an entry without its name, extra fields and comment.
pub(super) const ENTRY_BYTES: usize = 46;

/// The size of the largest entry there can be: each of the three has a length of 16 bits.
pub(super) const MAX_ENTRY_BYTES: usize = ENTRY_BYTES + 3 * u16::MAX as usize;

/// The bit of the flags that says: the name is UTF-8.
pub(super) const UTF8: u16 = 1 << 11;

/// The letters of code page 437 beyond ASCII, in which names without that bit are written.
const CODE_PAGE_437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The entry at `offset` of the archive whose end is `end`, and where the next one starts. Of the `directory`, at
/// least the bytes that an entry can have are there.
pub(super) fn read(directory: &Excerpt, offset: usize, end: &End) -> Result<(Member, usize), ArchiveError> {
    let entry: &[u8; ENTRY_BYTES] = directory.record(offset, ENTRY_SIGNATURE, "a directory entry")?;
    let [name_bytes, extra_bytes, comment_bytes] = [28, 30, 32].map(|at| usize::from(u16_at(entry, at)));
    let name_offset = offset + ENTRY_BYTES;
    let name = directory.take(name_offset, name_bytes, "the name of a member")?;
    let extra_offset = name_offset + name_bytes;
    let extra = directory.take(extra_offset, extra_bytes, "the extra fields of a member")?;
    let comment_offset = extra_offset + extra_bytes;
    directory.take(comment_offset, comment_bytes, "the comment of a member")?;

    let flags = u16_at(entry, 8);
    let name = decode(name, flags, name_offset)?;
    check_name(&name, name_offset)?;
    // The zip64 field has them in this order.
    let mut values = [24, 20, 42].map(|at| u64::from(u32_at(entry, at)));
    widen(&mut values, extra, extra_offset)?;
    let [plain_bytes, compressed_bytes, header_offset] = values;
    let found = header_offset.saturating_add(end.prefix_bytes);
    let header_offset = usize::try_from(found).ok().filter(|&at| at < end.directory.start);
    let header_offset =
        header_offset.ok_or_else(|| ArchiveError::HeaderOffset { offset, name: quoted(&name), found })?;
    let facts = Facts {
        flags,
        method: Method::of_number(u16_at(entry, 10)),
        crc: u32_at(entry, 16),
        compressed_bytes,
        plain_bytes,
    };
    let member = Member::new(name, name_bytes, facts, [offset, header_offset])?;
    Ok((member, comment_offset + comment_bytes))
}

/// The letters of a name: UTF-8 if `flags` say so, else code page 437, as Python's `zipfile` has it.
pub(super) fn decode(name: &[u8], flags: u16, offset: usize) -> Result<Box<str>, ArchiveError> {
    if flags & UTF8 != 0 || name.is_ascii() {
        return match std::str::from_utf8(name) {
            Ok(name) => Ok(name.into()),
            Err(wrong) => {
                let name = name.escape_ascii().to_string();
                Err(bad_name(offset + wrong.valid_up_to(), &name, "in UTF-8, as its flags say"))
            }
        };
    }
    let letter = |&byte: &u8| match byte.checked_sub(128) {
        None => char::from(byte),
        Some(index) => CODE_PAGE_437.chars().nth(index.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    Ok(name.iter().map(letter).collect::<String>().into())
}

/// Refuses names that would lead elsewhere if someone took them for paths, or that readers see differently.
pub(super) fn check_name(name: &str, offset: usize) -> Result<(), ArchiveError> {
    let expected = if name.is_empty() {
        "of at least one letter"
    } else if name.contains('\0') {
        "without a NUL, at which other readers cut it"
    } else if name.contains('\\') {
        "without a backslash, which is a separator on Windows"
    } else if name.starts_with('/') {
        "that is no absolute path"
    } else if name.split('/').any(|part| part == "..") {
        "that does not climb out of the archive"
    } else {
        return Ok(());
    };
    Err(bad_name(offset, name, expected))
}

fn bad_name(offset: usize, name: &str, expected: &'static str) -> ArchiveError {
    ArchiveError::Name { offset, expected, name: quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_page_437_has_a_letter_for_each_byte() {
        assert_eq!(CODE_PAGE_437.chars().count(), 128);
        assert_eq!(&*decode(b"na\x8bve\x81\xff", 0, 0).unwrap(), "naïveü\u{a0}");
        assert_eq!(&*decode("naïve".as_bytes(), UTF8, 0).unwrap(), "naïve");
    }
}
