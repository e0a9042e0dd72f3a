//! Any bytes are read as an archive or refused, and what is read keeps its promises.

#![no_main]

use libfuzzer_sys::fuzz_target;
use npyfeed_npy::{ArchiveError, Directory, MAX_INFLATE_RATIO, Member, Method};

/// More than this is not inflated, so that a run spends its time on the directory.
const INFLATED_AT_MOST_BYTES: u64 = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    match Directory::parse(bytes) {
        Err(error) => check_error(&error, bytes),
        Ok(directory) => check_directory(&directory, bytes),
    }
});

/// An error points into the file, and its message stays short whatever the file says.
fn check_error(error: &ArchiveError, bytes: &[u8]) {
    assert!(error.offset() <= bytes.len(), "{error:?}");
    assert!(error.to_string().len() < 4096, "{error}");
}

/// Members are found by their names, do not overlap, and hold what the directory states.
fn check_directory(directory: &Directory, bytes: &[u8]) {
    assert!(Directory::is_archive(bytes));
    let mut ranges = Vec::new();
    for (place, member) in directory.members().iter().enumerate() {
        assert_eq!(directory.find(member.key()), Some(place));
        assert!(directory.find(member.name()).is_some());
        match member.data_range(bytes) {
            Err(error) => check_error(&error, bytes),
            Ok(range) => {
                check_member(member, &bytes[range.clone()]);
                ranges.push(range);
            }
        }
    }
    ranges.sort_by_key(|range| (range.start, range.end));
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{ranges:?}");
}

fn check_member(member: &Member, data: &[u8]) {
    assert_eq!(member.compressed_bytes(), data.len() as u64);
    assert!(member.plain_bytes() <= member.compressed_bytes() * MAX_INFLATE_RATIO);
    assert!(member.method() != Method::Stored || member.plain_bytes() == member.compressed_bytes());
    if member.plain_bytes() <= INFLATED_AT_MOST_BYTES {
        let mut plain = vec![0; member.plain_bytes() as usize];
        if member.inflate(data, &mut plain).is_ok() {
            assert_eq!(member.check_crc(&plain), Ok(()));
        }
    }
}
