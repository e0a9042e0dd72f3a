//! Archives as NumPy writes them, as others may, and as nobody should: made here byte for byte, each lie alone.

use npyfeed_npy::{ArchiveError, Directory, MAX_DIRECTORY_BYTES, MAX_INFLATE_RATIO, Member, Method};
use proptest::prelude::*;

mod zip_files;

use zip_files::{
    Entry, Numbers, archive, body, deflated, end, join, size, stored, wide_archive, zip64_extra,
};

/// The bytes of a member, inflated and checked.
fn plain(member: &Member, file: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let range = member.data_range(file)?;
    let mut plain = vec![0; usize::try_from(member.plain_bytes()).expect("small")];
    member.inflate(&file[range], &mut plain).map(|()| plain)
}

/// Reads everything: the names and bytes, or the first error.
fn read(file: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
    let directory = Directory::parse(file)?;
    let read = |member: &Member| Ok((member.name().to_owned(), plain(member, file)?));
    directory.members().iter().map(read).collect()
}

const TEXT: &[u8] = b"one two three one two three one two three";

fn pair() -> [Entry; 2] {
    [stored("a.npy", TEXT), deflated("b.npy", TEXT)]
}

fn expected_pair() -> Vec<(String, Vec<u8>)> {
    [("a.npy", TEXT), ("b.npy", TEXT)].map(|(name, plain)| (name.to_owned(), plain.to_vec())).to_vec()
}

#[test]
fn stored_and_deflated_members_are_read() {
    assert_eq!(read(&archive(&pair())), Ok(expected_pair()));
    assert_eq!(read(&archive(&[])), Ok(vec![]));
}

#[test]
fn members_are_found_by_key_and_by_name() {
    let file = archive(&[stored("b.npy", b"1"), stored("a/c.npy", b"2"), stored("readme.txt", b"3")]);
    let directory = Directory::parse(&file).unwrap();
    let found = |name| directory.find(name);
    assert_eq!(
        [found("b"), found("b.npy"), found("a/c"), found("a/c.npy")],
        [Some(0), Some(0), Some(1), Some(1)]
    );
    assert_eq!(
        [found("readme.txt"), found("readme.txt.npy"), found("x"), found("")],
        [Some(2), None, None, None]
    );
    assert_eq!(directory.members()[1].method(), Method::Stored);
}

#[test]
fn a_comment_a_prefix_and_letters_beyond_ascii_change_nothing() {
    let (body, directory) = body(&pair());
    let comment = [b"a comment with PK\x05\x06 in it", &[0; 40][..]].concat();
    let file = join(&[&body, &directory, &end(2, size(&directory), size(&body), &comment)]);
    assert_eq!(read(&file), Ok(expected_pair()));
    let prefixed = join(&[b"#!/bin/sh\n", &archive(&pair())]);
    assert_eq!(read(&prefixed), Ok(expected_pair()));
    assert!(Directory::is_archive(&prefixed) && !Directory::is_archive(b"#!/bin/sh\n"));
    assert_eq!(read(&archive(&[stored("größe.npy", b"")])).unwrap()[0].0, "größe.npy");
}

#[test]
fn zip64_is_read_in_every_place() {
    assert_eq!(read(&wide_archive(&pair(), |_| {})), Ok(expected_pair()));
    let prefixed = join(&[b"prefix", &wide_archive(&pair(), |_| {})]);
    assert_eq!(read(&prefixed), Ok(expected_pair()));
    // numpy.savez asks zipfile for zip64 in every local header; the directory has it where it must.
    let length = TEXT.len() as u64;
    let wide =
        stored("a.npy", TEXT).both(|numbers| (numbers.compressed, numbers.plain) = (u32::MAX, u32::MAX));
    let wide = wide.with(|entry| {
        entry.local_extra = zip64_extra(&[length, length]);
        entry.central_extra = join(&[&[9, 9, 1, 0, 7], &zip64_extra(&[length, length, 0])]);
        entry.header_offset = Some(u32::MAX);
    });
    assert_eq!(read(&archive(&[wide])), Ok(expected_pair()[..1].to_vec()));
}

#[test]
fn streamed_members_are_read() {
    let streamed = pair().map(|entry| {
        entry.both(|numbers| numbers.flags |= 1 << 3).with(|entry| {
            let Numbers { crc, compressed, plain, .. } = entry.central;
            let sizes = [compressed, plain].map(|size| u64::from(size).to_le_bytes()).concat();
            entry.descriptor = join(&[b"PK\x07\x08", &crc.to_le_bytes(), &sizes]);
            (entry.local.crc, entry.local.compressed, entry.local.plain) = (0, u32::MAX, u32::MAX);
            entry.local_extra = zip64_extra(&[0, 0]);
        })
    });
    assert_eq!(read(&archive(&streamed)), Ok(expected_pair()));
}

/// A hostile file, and how its error must read.
type Case = (&'static str, Vec<u8>, &'static str);

fn check(cases: Vec<Case>) {
    for (name, file, message) in cases {
        let error = read(&file).expect_err(name);
        assert!(error.to_string().contains(message), "{name}: {error}");
        assert!(error.offset() <= file.len(), "{name}: {error:?}");
    }
}

#[test]
fn archives_cut_or_damaged_in_their_records_are_refused() {
    let whole = archive(&pair());
    let (body, directory) = body(&pair());
    let (directory_offset, directory_bytes) = (size(&body), size(&directory));
    let ended = |count, bytes, offset| join(&[&body, &directory, &end(count, bytes, offset, b"")]);
    let changed = |at: usize, byte: u8| {
        let mut file = whole.clone();
        file[at] = byte;
        file
    };
    let end_offset = whole.len() - 22;
    check(vec![
        ("empty", vec![], "expected the end record of a zip archive in the last 0 bytes, from byte 0 on"),
        ("cut at the end", whole[..whole.len() - 1].to_vec(), "found none (truncated download?)"),
        ("cut in the directory", whole[..directory.len()].to_vec(), "truncated download?"),
        ("bytes behind the end", join(&[&whole, b"more"]), "found none"),
        ("comment shorter than stated", changed(whole.len() - 2, 9), "found none"),
        ("second disk", changed(end_offset + 4, 1), "one of several parts"),
        ("members on other disks", changed(end_offset + 8, 1), "one of several parts"),
        (
            "more members than room",
            ended(60_000, directory_bytes, directory_offset),
            "at most 2 members, found 60000",
        ),
        (
            "fewer members than there are",
            ended(1, directory_bytes, directory_offset),
            "expected the directory to end at",
        ),
        ("directory larger than the file", ended(2, 1 << 30, 0), "found 1073741824 stated there"),
        (
            "directory beyond its end",
            ended(2, directory_bytes, directory_offset + 1),
            "the offset of the directory to be",
        ),
        (
            "no directory where it should be",
            ended(2, directory_bytes - 1, directory_offset),
            "a directory entry, 'PK",
        ),
        (
            "entry without signature",
            changed(body.len(), b'X'),
            "expected a directory entry, 'PK\\x01\\x02', at byte",
        ),
        ("name beyond the directory", changed(body.len() + 29, 0xff), "bytes of the name of a member"),
        (
            "extra beyond the directory",
            changed(body.len() + 31, 0xff),
            "bytes of the extra fields of a member",
        ),
        ("comment beyond the directory", changed(body.len() + 33, 0xff), "bytes of the comment of a member"),
    ]);
}

#[test]
fn a_directory_too_large_to_copy_is_refused() {
    let most = u32::try_from(MAX_DIRECTORY_BYTES).unwrap();
    let directory_of = |bytes: u32| {
        // Zeros that are never touched, so that none of this becomes memory.
        let mut file = vec![0; most as usize + 1];
        file.extend(end(1, bytes, most + 1 - bytes, b""));
        file
    };
    check(vec![
        ("at the limit", directory_of(most), "expected a directory entry"),
        ("beyond", directory_of(most + 1), "expected a directory of at most 268435456 bytes"),
    ]);
}

#[test]
fn a_directory_of_many_windows_is_read_whole() {
    // Each entry takes 60 KiB, so that they straddle every place at which a copy could end.
    let names: Vec<String> = (0..100).map(|number| format!("{number}.npy")).collect();
    let padded = |entry: &mut Entry| entry.central_extra = join(&[&[9, 9, 0, 0xf0], &vec![0; 0xf000]]);
    let entries: Vec<Entry> = names.iter().map(|name| stored(name, TEXT).with(padded)).collect();
    let whole = archive(&entries);
    let found = read(&whole).unwrap();
    assert!(found.iter().map(|(name, plain)| (name, &plain[..])).eq(names.iter().map(|name| (name, TEXT))));
    let mut cut = whole.clone();
    let last = cut.len() - 22 - 0xf004 - "99.npy".len() - 46;
    cut[last + 28] = 7;
    let message = read(&cut).unwrap_err().to_string();
    assert!(message.contains("found 61443"), "{message}");
}

#[test]
fn zip64_records_that_disagree_are_refused() {
    let wide = |change: fn(&mut [u8])| wide_archive(&pair(), change);
    // The tail is 56 bytes of record, 20 of locator, 22 of end.
    check(vec![
        ("no record before the locator", wide(|tail| tail[0] = 0), "the zip64 end record, 'PK\\x06\\x06'"),
        ("locator to elsewhere", wide(|tail| tail[56 + 8] ^= 1), "the offset of the zip64 end record to be"),
        (
            "two counts",
            wide(|tail| tail[76 + 10..76 + 12].fill(1)),
            "the number of members to be 2, found 257",
        ),
        ("two offsets", wide(|tail| tail[76 + 16..76 + 20].fill(0)), "the offset of the directory to be"),
        ("a quintillion members", wide(|tail| tail[24..40].fill(0x7f)), "expected at most 2 members"),
        ("an exabyte of directory", wide(|tail| tail[47] = 0x7f), "expected a directory of at most"),
        ("three disks", wide(|tail| tail[56 + 16] = 3), "one of several parts"),
        ("locator alone", join(&[b"PK\x06\x07", &[0; 16], &end(0, 0, 0, b"")]), "of the zip64 end record"),
    ]);
    let [a, _] = pair();
    let wide = a.clone().both(|numbers| (numbers.compressed, numbers.plain) = (u32::MAX, u32::MAX));
    let central =
        |extra: Vec<u8>| archive(&[wide.clone().with(|entry| entry.central_extra.clone_from(&extra))]);
    check(vec![
        ("zip64 sizes missing", central(vec![]), "bytes from byte 0 on, found the directory"),
        ("zip64 sizes cut", central(zip64_extra(&[41])), "expected 8 bytes of the zip64 extra field at byte"),
        (
            "zip64 sizes beyond the file",
            central(zip64_extra(&[u64::MAX, u64::MAX])),
            "18446744073709551615 bytes",
        ),
        (
            "extra field beyond the others",
            central(vec![1, 0, 99, 0, 1]),
            "expected 99 bytes of an extra field",
        ),
    ]);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let named = |name: &str| archive(&[stored(name, TEXT)]);
    let flagged = stored("a.npy", TEXT).both(|numbers| numbers.flags |= 1 << 11);
    check(vec![
        ("up", named("../evil.npy"), "that does not climb out of the archive, at byte"),
        ("up in the middle", named("a/../../evil.npy"), "that does not climb out"),
        ("up at the end", named("a/.."), "that does not climb out"),
        ("absolute", named("/etc/passwd.npy"), "that is no absolute path"),
        ("backslash", named("..\\evil.npy"), "without a backslash"),
        ("NUL", named("a.npy\0.exe"), "without a NUL"),
        ("empty", named(""), "of at least one letter"),
        ("not UTF-8", archive(&[flagged.with(|entry| entry.name[1] = 0xff)]), "in UTF-8, as its flags say"),
        (
            "twice",
            archive(&[stored("a.npy", TEXT), stored("a.npy", b"other")]),
            "expected each member once, found 'a.npy'",
        ),
        (
            "one key twice",
            archive(&[stored("a.npy", TEXT), stored("a", TEXT)]),
            "expected each member once, found 'a'",
        ),
    ]);
    assert_eq!(read(&named("a/..b/c...npy")).unwrap()[0].1, TEXT);
}

#[test]
fn members_that_lie_about_their_place_are_refused() {
    let [a, b] = pair();
    let at = |offset| move |entry: &mut Entry| entry.header_offset = Some(offset);
    let long = |compressed| {
        move |numbers: &mut Numbers| (numbers.compressed, numbers.plain) = (compressed, compressed)
    };
    let padded = a.clone().with(|entry| {
        entry.local_extra = join(&[&[9, 9, 30, 0], &[0; 30]]);
        entry.data.truncate(10);
    });
    check(vec![
        (
            "two at one place",
            archive(&[a.clone(), b.clone().with(at(0))]),
            "bytes from byte 0 on, found member 'b.npy' at byte 0",
        ),
        (
            "one inside the other",
            archive(&[a.clone(), b.clone().with(at(40))]),
            "found member 'b.npy' at byte 40",
        ),
        (
            "as long as both",
            archive(&[a.clone().both(long(80)), b.clone()]),
            "expected 115 bytes from byte 0 on, found member 'b.npy'",
        ),
        (
            "into the directory",
            archive(&[a.clone().both(long(42))]),
            "expected 77 bytes from byte 0 on, found the directory at byte 76",
        ),
        ("beyond the file", archive(&[a.clone().both(long(0x7fff_ffff))]), "found the directory at byte 76"),
        (
            "header beyond the file",
            archive(&[a.clone().with(at(1 << 30))]),
            "expected its local header before the directory",
        ),
        (
            "header in the directory",
            archive(&[a.clone().with(at(80))]),
            "expected its local header before the directory",
        ),
        ("header inside the data", archive(&[a.clone().with(at(1)), b]), "expected 76 bytes from byte 1 on"),
        ("local extra fields push the data away", archive(&[padded]), "expected 41 bytes from byte 69 on"),
    ]);
}

#[test]
fn local_headers_that_contradict_the_directory_are_refused() {
    let [a, b] = pair();
    let local = |entry: &Entry, change: fn(&mut Numbers)| {
        archive(&[entry.clone().with(|entry| change(&mut entry.local))])
    };
    check(vec![
        ("CRC", local(&a, |numbers| numbers.crc ^= 1), "expected the CRC that the directory states"),
        (
            "compressed size",
            local(&a, |numbers| numbers.compressed -= 1),
            "the compressed size that the directory states, 41, at byte 18, found 40",
        ),
        (
            "plain size",
            local(&b, |numbers| numbers.plain += 1),
            "the plain size that the directory states, 41, at byte 22, found 42",
        ),
        ("zero size", local(&a, |numbers| numbers.plain = 0), "the plain size that the directory states"),
        (
            "method",
            local(&b, |numbers| numbers.method = 0),
            "the method that the directory states, deflate, at byte 8, found stored",
        ),
        (
            "encryption",
            local(&a, |numbers| numbers.flags = 1),
            "the encryption that the directory states, none, at byte 6, found some",
        ),
        ("streamed, other size", local(&a, |numbers| (numbers.flags, numbers.plain) = (8, 7)), "found 7"),
        (
            "name",
            archive(&[a.clone().with(|entry| entry.local_name = Some(b"b.npy".to_vec()))]),
            "the name that the directory states, 'a.npy', at byte 30, found 'b.npy'",
        ),
        (
            "no local header",
            archive(&[
                stored("", b"").with(|entry| {
                    entry.name = b"0".to_vec();
                    entry.local_name = Some(b"0".to_vec());
                }),
                a.clone().with(|entry| {
                    entry.header_offset = Some(32);
                    entry.descriptor = vec![0];
                }),
            ]),
            "expected a local header, 'PK\\x03\\x04', at byte 32",
        ),
        (
            "local name beyond the file",
            archive(&[a.with(|entry| {
                entry.local_name = Some(vec![b'n'; 9]);
                entry.data.truncate(1);
                entry.local.flags = 0;
            })]),
            "found the directory",
        ),
    ]);
}

#[test]
fn bytes_that_are_not_what_the_directory_states_are_refused() {
    let [a, b] = pair();
    let damaged = |at: usize| b.clone().with(|entry| entry.data[at] ^= 0xff);
    let plain = |plain: u32| b.clone().both(|numbers| numbers.plain = plain);
    let most = u32::try_from(u64::from(b.central.compressed) * MAX_INFLATE_RATIO).unwrap();
    check(vec![
        (
            "stored, wrong CRC",
            archive(&[a.clone().with(|entry| entry.data[3] ^= 1)]),
            "member 'a.npy', at byte 0: expected CRC-32",
        ),
        ("deflated, wrong CRC", archive(&[b.clone().both(|numbers| numbers.crc ^= 1)]), "expected CRC-32"),
        ("deflated, damaged", archive(&[damaged(0)]), "expected deflated data, found bytes that are none"),
        (
            "deflated, nothing",
            archive(&[b
                .clone()
                .both(|numbers| (numbers.compressed, numbers.plain) = (0, 0))
                .with(|entry| entry.data.clear())]),
            "expected deflated data",
        ),
        ("inflates to more", archive(&[plain(40)]), "expected 40 inflated bytes, found more"),
        ("inflates to less", archive(&[plain(42)]), "expected 42 inflated bytes, found 41"),
        ("a bomb that cannot be", archive(&[plain(most + 1)]), "at most 1032 times as many"),
        ("a bomb of 4 GiB", archive(&[plain(u32::MAX - 1)]), "found 4294967294 stated at byte"),
        (
            "stored, two sizes",
            archive(&[a.clone().both(|numbers| numbers.plain = 99)]),
            "expected as many bytes from 41 (stored), found 99",
        ),
        (
            "encrypted",
            archive(&[a.clone().both(|numbers| numbers.flags |= 1)]),
            "member 'a.npy': expected plain bytes, found it encrypted",
        ),
        ("strongly encrypted", archive(&[a.both(|numbers| numbers.flags |= 1 << 6)]), "found it encrypted"),
        (
            "bzip2",
            archive(&[b.clone().both(|numbers| numbers.method = 12)]),
            "member 'b.npy': expected it stored or deflated, found bzip2",
        ),
        ("lzma", archive(&[b.clone().both(|numbers| numbers.method = 14)]), "found lzma"),
        ("imploded", archive(&[b.clone().both(|numbers| numbers.method = 6)]), "found method 6"),
    ]);
    assert!(Directory::parse(&archive(&[plain(most)])).is_ok());
    assert!(read(&archive(&[b.both(|numbers| numbers.method = 12)])).unwrap_err().is_unsupported());
}

#[test]
fn one_unreadable_member_does_not_hide_the_others() {
    let [a, b] = pair();
    let file = archive(&[a, b.both(|numbers| numbers.method = 93)]);
    let directory = Directory::parse(&file).unwrap();
    assert_eq!(plain(&directory.members()[0], &file).as_deref(), Ok(TEXT));
    assert_eq!(directory.members()[1].method().to_string(), "zstd");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0..4_u16) {
        drop(read(&bytes));
        drop(read(&join(&[&bytes, &end(count, size(&bytes), 0, b"")])));
        drop(read(&join(&[b"PK\x03\x04", &bytes, b"PK\x01\x02", &bytes, &end(count, 4 + size(&bytes), 4, b"")])));
    }

    #[test]
    fn an_archive_with_a_few_bytes_changed_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5), is_wide in any::<bool>(),
    ) {
        let mut file = if is_wide { wide_archive(&pair(), |_| {}) } else { archive(&pair()) };
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Err(error) = read(&file) {
            prop_assert!(error.offset() <= file.len(), "{:?}", error);
        }
        if let Ok(directory) = Directory::parse(&file) {
            // The file may have been cut since it was opened.
            for member in directory.members() {
                drop(member.data_range(&file[..file.len() / 2]));
            }
        }
    }
}
