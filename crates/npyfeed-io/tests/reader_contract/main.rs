//! The contract of `npyfeed_io::reader`, over every reader and every kind of file system at hand. The numbers are those
//! of the contract in `reader/mod.rs`. What cannot be tried on a system says why.

#![expect(clippy::unwrap_used, reason = "what surprises a test ends it")]

mod fork;
mod ground;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use ground::{Held, MAX_REQUEST_BYTES, ask, folders, mapped, open, pattern, range, readers, write};
use npyfeed_io::reader::{Place, ReadError, Reader, Request, Uring};
use npyfeed_io::{ChangeError, OpenError};
use proptest::prelude::*;

/// Lengths of files and requests that meet the edges of blocks, and any others.
fn len_bytes() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..300_000_usize,
        (0..70_usize, 0..3_usize).prop_map(|(blocks, more)| (blocks * 4096 + more).saturating_sub(1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// 1, 2, 6.
    #[test]
    fn every_request_is_answered_once_with_exactly_its_bytes(
        len_bytes in len_bytes(),
        wishes in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<bool>()), 0..300),
    ) {
        let expected = pattern(len_bytes);
        for folder in folders() {
            let path = folder.path().join("file");
            write(&path, &expected);
            let held = Held::of(&path);
            let ranges: Vec<_> = wishes.iter().map(|&(start, len, at_end)| {
                let len = len as usize % (MAX_REQUEST_BYTES.min(len_bytes) + 1);
                let start = if at_end { len_bytes - len } else { start as usize % (len_bytes - len + 1) };
                start..start + len
            }).collect();
            for mut reader in readers() {
                let places = ranges.iter().enumerate().map(|(tag, range)| held.place(tag, range.clone())).collect();
                for (tag, answer) in ask(reader.as_mut(), places) {
                    let range = ranges[usize::try_from(tag).unwrap()].clone();
                    prop_assert!(answer.unwrap() == expected[range.clone()], "{:?} of {:?}", range, reader);
                }
            }
        }
    }
}

#[test]
fn the_edges_of_a_file_are_read() {
    for len in [1, 511, 4095, 4096, 4097, MAX_REQUEST_BYTES] {
        let expected = pattern(len);
        for folder in folders() {
            let path = folder.path().join("file");
            write(&path, &expected);
            let file = open(&path);
            let ranges = [0..0, 0..1, 0..len, len - 1..len, len..len, len / 2..len];
            for mut reader in readers() {
                let places = ranges.iter().map(|bytes| range(&file, bytes.clone())).collect();
                for (answer, bytes) in ask(reader.as_mut(), places).into_values().zip(&ranges) {
                    assert!(answer.unwrap() == expected[bytes.clone()], "{bytes:?} of {len} by {reader:?}");
                }
            }
        }
    }
}

/// 2.
#[test]
fn more_than_was_agreed_on_is_a_bug_of_the_askers() {
    let file = open(&std::env::current_exe().unwrap());
    let path: Arc<Path> = Arc::from(file.path());
    let request = |place| Request { tag: 0, place };
    let panics = |reader: &mut dyn Reader, place| {
        catch_unwind(AssertUnwindSafe(|| reader.submit(request(place)))).is_err()
    };
    for mut reader in readers() {
        assert!(panics(reader.as_mut(), range(&file, 0..MAX_REQUEST_BYTES + 1)));
        let whole = Place::Whole { path: Arc::clone(&path), limit_bytes: MAX_REQUEST_BYTES + 1 };
        assert!(panics(reader.as_mut(), whole));
        let source = mapped(&path);
        let bytes = 0..source.bytes().len() + 1;
        assert!(panics(reader.as_mut(), Place::Held { source, bytes }));
        while reader.has_room() {
            reader.submit(request(range(&file, 0..10)));
        }
        assert!(panics(reader.as_mut(), range(&file, 0..10)));
        reader.next().unwrap().bytes.unwrap();
        assert!(reader.has_room(), "what arrived last counts as gone");
    }
}

/// 4.
#[test]
fn a_file_cut_short_fails_the_requests_beyond_its_end_and_no_other() {
    for folder in folders() {
        for mut reader in readers() {
            let path = folder.path().join("file");
            let expected = pattern(200_000);
            write(&path, &expected);
            let file = open(&path);
            std::fs::File::options().write(true).open(&path).unwrap().set_len(50_001).unwrap();
            let ranges = [0..50_000, 50_000..50_001, 50_000..50_002, 100_000..200_000, 4096..8192];
            let places = ranges.iter().map(|bytes| range(&file, bytes.clone())).collect();
            let answers = ask(reader.as_mut(), places);
            for (answer, bytes) in answers.into_values().zip(ranges) {
                match answer {
                    Ok(found) => assert!(bytes.end <= 50_001 && found == expected[bytes], "{reader:?}"),
                    Err(ReadError::Change(ChangeError::CutShort { expected_bytes, found_bytes })) => {
                        assert_eq!((expected_bytes, found_bytes), (200_000, 50_001));
                        assert!(bytes.end > 50_001, "{bytes:?} of {reader:?}");
                    }
                    Err(why) => panic!("{why} by {reader:?}"),
                }
            }
        }
    }
}

/// 4, 5.
#[test]
fn a_file_cut_short_while_it_is_read_gives_its_bytes_or_says_what_happened() {
    for folder in folders() {
        for mut reader in readers() {
            let path = folder.path().join("file");
            let expected = pattern(200_000);
            write(&path, &expected);
            let file = open(&path);
            let mut tag = 0;
            while reader.has_room() {
                let start = tag * 1000 % 100_000;
                let place = range(&file, start..start + 100_000);
                reader.submit(Request { tag: tag as u64, place });
                tag += 1;
            }
            std::fs::File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
            while let Some(arrival) = reader.next() {
                let start = usize::try_from(arrival.tag).unwrap() * 1000 % 100_000;
                match arrival.bytes {
                    Ok(bytes) => assert!(bytes.len() == 100_000, "from {start} on"),
                    Err(ReadError::Change(ChangeError::CutShort { found_bytes: 10, .. })) => {}
                    Err(why) => panic!("{why}"),
                }
            }
            assert!(matches!(file.check(), Err(ChangeError::CutShort { found_bytes: 10, .. })));
        }
    }
}

/// 4.
#[test]
fn what_a_file_never_had_is_missing() {
    for folder in folders() {
        let path = folder.path().join("file");
        write(&path, b"0123456789");
        let file = open(&path);
        for mut reader in readers() {
            let answers = ask(reader.as_mut(), vec![range(&file, 5..15), range(&file, 5_000..6_000)]);
            for answer in answers.into_values() {
                assert!(
                    matches!(answer, Err(ReadError::Change(ChangeError::Missing { expected_bytes: 10 }))),
                    "{answer:?} by {reader:?}"
                );
            }
        }
    }
}

#[test]
fn a_file_that_was_deleted_is_read_to_its_end() {
    for folder in folders() {
        for mut reader in readers() {
            let path = folder.path().join("file");
            let expected = pattern(100_000);
            write(&path, &expected);
            let file = open(&path);
            std::fs::remove_file(&path).unwrap();
            let answers = ask(reader.as_mut(), vec![range(&file, 0..100_000), range(&file, 99_999..100_000)]);
            let found: Vec<_> = answers.into_values().map(Result::unwrap).collect();
            assert!(found[0] == expected && found[1] == expected[99_999..], "{reader:?}");
            file.check().unwrap();
        }
    }
}

/// 1, 4.
#[test]
fn whole_files_come_whole_or_say_why_not() {
    for folder in folders() {
        let path = |name: &str| -> Arc<Path> { folder.path().join(name).into() };
        write(&path("small"), &pattern(12_000));
        write(&path("long"), &pattern(20_000));
        write(&path("empty"), b"");
        let pipe = path("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&*pipe).status().unwrap().success());
        let nul: Arc<Path> = Path::new(OsStr::from_bytes(b"a\0b")).into();
        let paths =
            [path("small"), path("long"), path("empty"), path("none"), folder.path().into(), pipe, nul];
        for mut reader in readers() {
            let places = paths
                .iter()
                .map(|path| Place::Whole { path: Arc::clone(path), limit_bytes: 12_000 })
                .collect();
            let answers: Vec<_> = ask(reader.as_mut(), places).into_values().collect();
            let [small, long, empty, none, directory, pipe, nul] = answers.as_slice() else {
                panic!("seven answers")
            };
            assert!(small.as_ref().unwrap() == &pattern(12_000), "{reader:?}");
            assert!(long.as_ref().unwrap() == &pattern(20_000)[..12_001], "{reader:?}");
            assert!(empty.as_ref().unwrap().is_empty());
            let is_io = |answer: &Result<_, _>, expected| matches!(answer, Err(ReadError::Open(OpenError::Io(why))) if why.kind() == expected);
            assert!(is_io(none, std::io::ErrorKind::NotFound), "{none:?} by {reader:?}");
            assert!(
                matches!(directory, Err(ReadError::Open(OpenError::Directory))),
                "{directory:?} by {reader:?}"
            );
            assert!(matches!(pipe, Err(ReadError::Open(OpenError::NotRegular))), "{pipe:?} by {reader:?}");
            assert!(is_io(nul, std::io::ErrorKind::InvalidInput), "{nul:?} by {reader:?}");
        }
    }
}

/// 1, whether the system has the files in memory or has forgotten them.
#[test]
fn hundreds_of_whole_files_do_not_mix() {
    for folder in folders() {
        let paths: Vec<Arc<Path>> =
            (0..200).map(|number| folder.path().join(number.to_string()).into()).collect();
        for (number, path) in paths.iter().enumerate() {
            write(path, &pattern(number * 61));
        }
        for forget in [None, Some(forget as fn(&Path))] {
            for mut reader in readers() {
                let places = paths.iter().map(|path| {
                    forget.inspect(|forget| forget(path));
                    Place::Whole { path: Arc::clone(path), limit_bytes: 13_000 }
                });
                for (number, answer) in ask(reader.as_mut(), places.collect()) {
                    let expected = pattern(usize::try_from(number).unwrap() * 61);
                    assert!(answer.unwrap() == expected, "file {number} by {reader:?}");
                }
            }
        }
    }
}

/// Has the system write a file to its disk, and take its bytes out of memory.
fn forget(path: &Path) {
    let file = std::fs::File::open(path).unwrap();
    file.sync_data().unwrap();
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

/// 7.
#[test]
fn a_reader_is_dropped_in_mid_flight() {
    for folder in folders() {
        let path = folder.path().join("file");
        let expected = pattern(1_000_000);
        write(&path, &expected);
        let file = open(&path);
        for arrived in 0..20 {
            for mut reader in readers() {
                while reader.has_room() {
                    let start = reader.in_flight() * 1000;
                    reader.submit(Request { tag: start as u64, place: range(&file, start..start + 100_000) });
                }
                for _ in 0..arrived.min(reader.in_flight()) {
                    let arrival = reader.next().unwrap();
                    let start = usize::try_from(arrival.tag).unwrap();
                    assert!(arrival.bytes.unwrap() == &expected[start..start + 100_000]);
                }
            }
        }
        assert_eq!(Arc::strong_count(&file), 1, "a dropped reader holds no file open");
    }
}

/// 1: each worker has its own reader, and all share their files.
#[test]
fn many_threads_read_the_same_file() {
    for folder in folders() {
        let path = folder.path().join("file");
        let expected = pattern(3_000_000);
        write(&path, &expected);
        let file = open(&path);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (file, expected) = (&file, &expected);
                scope.spawn(move || {
                    for mut reader in readers() {
                        let starts: Vec<_> =
                            (0..100).map(|number| (number * 29_989 + thread * 7919) % 2_900_000).collect();
                        let places = starts.iter().map(|&start| range(file, start..start + 99_999)).collect();
                        for (answer, start) in ask(reader.as_mut(), places).into_values().zip(starts) {
                            assert!(answer.unwrap() == expected[start..start + 99_999], "{reader:?}");
                        }
                    }
                });
            }
        });
    }
}

/// A reader is made on one thread and used on another, and goes on when the first has ended.
#[test]
fn a_reader_moves_between_threads_in_mid_flight() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("file");
    let expected = pattern(300_000);
    write(&path, &expected);
    let file = open(&path);
    for mut reader in readers() {
        let filled = std::thread::scope(|scope| {
            let filling = scope.spawn(|| {
                while reader.has_room() {
                    let start = reader.in_flight() * 1000;
                    reader.submit(Request { tag: start as u64, place: range(&file, start..start + 100_000) });
                }
                reader
            });
            filling.join().unwrap()
        });
        reader = filled;
        while let Some(arrival) = reader.next() {
            let start = usize::try_from(arrival.tag).unwrap();
            assert!(arrival.bytes.unwrap() == &expected[start..start + 100_000]);
        }
        assert_eq!(Arc::strong_count(&file), 1, "{reader:?} is idle and keeps a file open");
    }
}

#[test]
fn a_refusal_of_io_uring_is_a_sentence() {
    match Uring::probe() {
        Ok(()) => drop(Uring::new(MAX_REQUEST_BYTES, 0).unwrap()),
        Err(why) => {
            eprintln!("io_uring is refused here: {why}");
            assert!(why.to_string().contains(' '));
        }
    }
}

#[test]
fn why_there_is_no_direct_way_to_a_file_is_a_sentence() {
    for folder in folders() {
        let path = folder.path().join("file");
        write(&path, b"0123456789");
        let file = open(&path);
        match file.direct() {
            Ok(_) => {}
            Err(why) => {
                eprintln!("no O_DIRECT on {}: {why}", file.file_system().name);
                assert!(why.to_string().contains(' '));
            }
        }
    }
}

/// The system has nothing of a file in memory that it was told to forget, and all of one that was read.
#[cfg(target_os = "linux")]
#[test]
fn what_is_in_memory_is_known() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("file");
    write(&path, &pattern(1 << 20));
    let opened = std::fs::File::open(&path).unwrap();
    opened.sync_all().unwrap();
    let file = open(&path);
    let resident = || file.resident_bytes(0..1 << 20);
    assert_eq!(resident(), Some(1 << 20));
    rustix::fs::fadvise(&opened, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    match resident() {
        Some(0) => {}
        Some(found) => eprintln!("not run: {} keeps {found} bytes when told not to", file.file_system().name),
        None => panic!("the owner of a file is told"),
    }
    std::fs::read(&path).unwrap();
    assert_eq!(resident(), Some(1 << 20));
}

/// A ring leaves the page cache as it was, where the file system can.
#[cfg(target_os = "linux")]
#[test]
fn what_is_read_past_the_page_cache_is_not_in_it() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("file");
    let expected = pattern(90_000);
    write(&path, &expected);
    forget(&path);
    let file = open(&path);
    let mut reader = match (Uring::new(MAX_REQUEST_BYTES, 0), file.direct()) {
        (Ok(reader), Ok(_)) => reader,
        (Err(why), _) => return eprintln!("not run: {why}"),
        (_, Err(why)) => return eprintln!("not run: {why}"),
    };
    let before_bytes = file.resident_bytes(0..90_000);
    let answers = ask(&mut reader, vec![range(&file, 0..90_000)]);
    assert!(answers[&0].as_ref().unwrap() == &expected);
    assert_eq!(file.resident_bytes(0..90_000), before_bytes);
}
