//! The readers, the file systems and the files that the contract is tried on.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use npyfeed_io::reader::{InTurn, Place, ReadAhead, ReadError, Reader, Request, Uring};
use npyfeed_io::{MappedFile, Memory, Mode, ReadFile, RegularFile, Source};
use tempfile::TempDir;

pub(crate) const MAX_REQUEST_BYTES: usize = 100_000;

/// Every reader there is on this system; of a ring, one with many buffers and one with two.
pub(crate) fn readers() -> Vec<Box<dyn Reader>> {
    let mut readers: Vec<Box<dyn Reader>> = vec![
        Box::new(InTurn::map(MAX_REQUEST_BYTES)),
        Box::new(InTurn::memory(MAX_REQUEST_BYTES)),
        Box::new(InTurn::pread(MAX_REQUEST_BYTES, ReadAhead::Unasked)),
        Box::new(InTurn::pread(MAX_REQUEST_BYTES, ReadAhead::Asked)),
    ];
    for budget_bytes in [0, Uring::BUDGET_BYTES] {
        match Uring::new(MAX_REQUEST_BYTES, budget_bytes) {
            Ok(reader) => readers.push(Box::new(reader)),
            Err(why) => eprintln!("not run with io_uring: {why}"),
        }
    }
    readers
}

/// A folder on each kind of file system at hand: that of the build, and the machine's memory.
pub(crate) fn folders() -> Vec<TempDir> {
    let mut folders = vec![tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()];
    match tempfile::tempdir_in("/dev/shm") {
        Ok(folder) => folders.push(folder),
        Err(why) => eprintln!("not run on a tmpfs: {why}"),
    }
    folders
}

/// Bytes that tell where they stand.
pub(crate) fn pattern(len_bytes: usize) -> Vec<u8> {
    (0..u32::try_from(len_bytes).unwrap())
        .flat_map(|word| (word.wrapping_mul(2_654_435_761)).to_le_bytes())
        .take(len_bytes)
        .collect()
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(bytes).unwrap();
}

pub(crate) fn open(path: &Path) -> Arc<ReadFile> {
    Arc::new(ReadFile::new(RegularFile::open(path, Mode::ReadOnly).unwrap()))
}

pub(crate) fn mapped(path: &Path) -> Arc<dyn Source> {
    Arc::new(MappedFile::new(RegularFile::open(path, Mode::ReadOnly).unwrap()).unwrap())
}

/// The same bytes of one file, in each of the places where they may be asked for.
pub(crate) struct Held {
    file: Arc<ReadFile>,
    sources: [Arc<dyn Source>; 2],
}

impl Held {
    pub(crate) fn of(path: &Path) -> Held {
        let memory = Memory::own("copy".to_owned(), std::fs::read(path).unwrap());
        Held { file: open(path), sources: [mapped(path), Arc::new(memory)] }
    }

    /// A place of these bytes, another kind for each `tag`.
    pub(crate) fn place(&self, tag: usize, bytes: std::ops::Range<usize>) -> Place {
        match tag % 4 {
            0 | 1 => range(&self.file, bytes),
            kind => Place::Held { source: Arc::clone(&self.sources[kind - 2]), bytes },
        }
    }
}

pub(crate) fn range(file: &Arc<ReadFile>, bytes: std::ops::Range<usize>) -> Place {
    Place::Range { file: Arc::clone(file), bytes: bytes.start as u64..bytes.end as u64 }
}

pub(crate) type Answers = BTreeMap<u64, Result<Vec<u8>, ReadError>>;

/// Asks for all `places`, tagged by their number, with as many underway as there is room for.
pub(crate) fn ask(reader: &mut dyn Reader, places: Vec<Place>) -> Answers {
    let count = places.len();
    let mut answers = Answers::new();
    let mut requests = (0..).zip(places).map(|(tag, place)| Request { tag, place }).peekable();
    loop {
        while reader.has_room() && requests.peek().is_some() {
            let before = reader.in_flight();
            reader.submit(requests.next().unwrap());
            assert_eq!(reader.in_flight(), before + 1, "{reader:?}");
        }
        let before = reader.in_flight();
        let Some(arrival) = reader.next() else { break };
        let answered_before = answers.insert(arrival.tag, arrival.bytes.map(<[u8]>::to_vec));
        assert!(answered_before.is_none(), "a request was answered twice by {reader:?}");
        assert_eq!(reader.in_flight(), before - 1, "{reader:?}");
    }
    assert_eq!((reader.in_flight(), answers.len()), (0, count), "{reader:?}");
    answers
}
