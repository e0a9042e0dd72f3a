//! Archives as we write them: sound to our own reader, and in the sizes that nobody writes in a test.

use npyfeed_npy::{ArchiveError, ArchiveWriter, Directory, Method, NewMember, Written};

fn stored(key: &str, plain_bytes: u64) -> NewMember<'_> {
    NewMember { key, method: Method::Stored, plain_bytes, element_offset: 128 }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = libdeflater::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// An archive of members as they are.
fn archive(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut records, mut file) = (ArchiveWriter::new(), Vec::new());
    for (key, bytes) in members {
        let plain_bytes = bytes.len() as u64;
        let begun = records.begin(&stored(key, plain_bytes)).expect("a test writes what can be written");
        file.extend(&begun);
        file.extend(bytes);
        let written = Written { crc: crc(bytes), compressed_bytes: plain_bytes, plain_bytes };
        let (offset, header) = records.end(written).expect("a test writes what can be written");
        assert_eq!(header.len(), begun.len(), "a local header keeps its size");
        let offset = usize::try_from(offset).expect("a test writes what can be written");
        file[offset..offset + header.len()].copy_from_slice(&header);
    }
    file.extend(records.finish().expect("a test writes what can be written"));
    file
}

#[test]
fn what_is_written_is_read_and_its_elements_are_aligned() {
    for name_letters in 0..130 {
        let name = "n".repeat(name_letters);
        let members =
            [(&*name, vec![1; 150]), ("größe", vec![2; 128]), ("a/b", vec![]), ("x.npy", vec![3; 131])];
        let file = archive(&members);
        let directory = Directory::parse(&file).unwrap();
        assert_eq!(directory.members().len(), members.len());
        for (member, (key, bytes)) in directory.members().iter().zip(&members) {
            let range = member.data_range(&file).unwrap();
            assert_eq!((member.key(), (range.start + 128) % 64), (*key, 0), "{name_letters}");
            assert_eq!(&file[range], bytes);
            member.check_crc(bytes).unwrap();
        }
    }
}

#[test]
fn names_that_are_not_read_are_not_written() {
    let long = "n".repeat(65_532);
    for (key, message) in [
        ("../up", "climb out"),
        ("/absolute", "absolute"),
        ("back\\slash", "backslash"),
        ("nul\0", "NUL"),
        ("twice", "each member once"),
        (&long, "of less than 65,532 bytes"),
    ] {
        let mut records = ArchiveWriter::new();
        records.begin(&stored("twice", 0)).unwrap();
        records.end(Written::default()).unwrap();
        let refused = records.begin(&stored(key, 0)).unwrap_err().to_string();
        assert!(refused.contains(message), "{refused}");
    }
    let other = NewMember { method: Method::Other(12), ..stored("x", 0) };
    assert!(ArchiveWriter::new().begin(&other).unwrap_err().is_unsupported());
}

/// What `numbers` members of such sizes would have around them; none of their bytes.
fn records_of(sizes: &[u64]) -> (Vec<(u64, Vec<u8>)>, Vec<u8>) {
    let mut records = ArchiveWriter::new();
    let mut headers = Vec::new();
    for (place, &bytes) in sizes.iter().enumerate() {
        records.begin(&stored(&format!("x{place}"), bytes)).expect("a test writes what can be written");
        let written = Written { crc: 7, compressed_bytes: bytes, plain_bytes: bytes };
        headers.push(records.end(written).expect("a test writes what can be written"));
    }
    (headers, records.finish().expect("a test writes what can be written"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a test writes what can be written"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a test writes what can be written"))
}

#[test]
fn sizes_beyond_4_gib_stand_in_zip64_fields() {
    let large = 5 << 30;
    let (headers, tail) = records_of(&[large, 10]);
    let [(_, first), (second_offset, second)] = &headers[..] else { panic!("two members") };
    assert_eq!((u32_at(first, 18), u32_at(first, 22)), (u32::MAX, u32::MAX));
    // Behind 30 bytes and "x0.npy": the number of the field, its size, plain and compressed.
    assert_eq!((u32_at(first, 36), u64_at(first, 40), u64_at(first, 48)), (1 | 16 << 16, large, large));
    assert_eq!((u32_at(second, 18), u32_at(second, 22)), (10, 10));
    assert_eq!(*second_offset, first.len() as u64 + large);
    let directory_bytes = tail.len() - 22 - 20 - 56;
    assert_eq!(u64_at(&tail, 46 + 6 + 4), large);
    let second_entry = 46 + 6 + 4 + 16;
    assert_eq!(u32_at(&tail, second_entry + 42), u32::MAX);
    assert_eq!(u64_at(&tail, second_entry + 46 + 6 + 4), *second_offset);
    let wide = &tail[directory_bytes..];
    let directory_offset = second_offset + second.len() as u64 + 10;
    assert_eq!((u64_at(wide, 40), u64_at(wide, 48)), (directory_bytes as u64, directory_offset));
    assert_eq!(u64_at(wide, 56 + 8), directory_offset + directory_bytes as u64);
}

#[test]
fn sizes_about_4_gib_are_said_in_one_way_and_not_both() {
    for bytes in [0xefff_ffff, 0xf000_0000, 0xffff_fffe, 0xffff_ffff, 1 << 32] {
        let (headers, tail) = records_of(&[bytes]);
        let is_wide = u32_at(&headers[0].1, 18) == u32::MAX;
        assert_eq!(is_wide, bytes >= 0xf000_0000);
        assert_eq!(u32_at(&tail, 20), u32::try_from(bytes).unwrap_or(u32::MAX));
        assert_eq!(u32_at(&tail, 28) >> 16, if bytes >= 0xffff_ffff { 20 } else { 0 }, "the extra fields");
    }
    let mut records = ArchiveWriter::new();
    records.begin(&stored("x", 9)).unwrap();
    let grown = Written { crc: 0, compressed_bytes: 1 << 32, plain_bytes: 9 };
    assert!(matches!(records.end(grown), Err(ArchiveError::PlainSize { .. })));
}

#[test]
fn seventy_thousand_members_are_counted_in_zip64() {
    let members: Vec<(String, Vec<u8>)> = (0..70_000).map(|n| (n.to_string(), vec![])).collect();
    let members: Vec<(&str, Vec<u8>)> =
        members.iter().map(|(name, bytes)| (&**name, bytes.clone())).collect();
    let file = archive(&members);
    assert_eq!(Directory::parse(&file).unwrap().members().len(), 70_000);
}
