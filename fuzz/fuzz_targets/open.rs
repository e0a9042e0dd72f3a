//! Any bytes are opened or refused, in every way that bytes in memory can be, and what is opened can be used: each
//! array copied, packed and taken apart into its fields, each member of an archive inflated.
//!
//! The bytes are first opened as they are. Then their last two choose an offset and a dtype, so that every file
//! that NumPy wrote is a seed as it is; the end of an archive is two zeros, or a comment that may be anything.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use npyfeed::{
    Archive, Array, Content, CrcCheck, Dtype, Error, ErrorKind, Memory, Mode, OpenOptions, Opened,
};
use npyfeed_npy::Directory;

/// Members that would take more than this together are not inflated: a bomb that says what it is, and is asked
/// for, may take what it says.
const INFLATED_AT_MOST_BYTES: u64 = 4 << 20;

/// Copies of an array and of its fields, and of their fields, are made up to this.
const COPIED_AT_MOST_BYTES: usize = 4 << 20;

const MODES: [Mode; 3] = [Mode::CopyOnWrite, Mode::ReadOnly, Mode::ReadWrite];

fuzz_target!(|bytes: &[u8]| {
    let opened: Vec<bool> = MODES.map(|mode| open(bytes, OpenOptions::new().mode(mode), 0)).into();
    assert_eq!(opened[0], opened[1], "what can be read once can be read twice");
    let [.., dtype, offset] = *bytes else { return };
    let options = OpenOptions::new().mode(MODES[usize::from(offset) % MODES.len()]).memory(0);
    let options = options.crc_check(CrcCheck::All).max_header_bytes(usize::from(offset) << 8);
    open(bytes, with_dtype(options, dtype), offset.into());
    open(bytes, with_dtype(OpenOptions::new(), dtype), 0);
});

/// No dtype for 0, so that most seeds say what they are themselves.
fn with_dtype(options: OpenOptions, number: u8) -> OpenOptions {
    let dtypes: Vec<Dtype> = Dtype::ALL.into_iter().collect();
    match usize::from(number) % (dtypes.len() + 1) {
        0 => options,
        number => options.dtype(dtypes[number - 1]),
    }
}

/// Opens `bytes` and uses what that gives. Whether it gave anything.
fn open(bytes: &[u8], options: OpenOptions, offset: usize) -> bool {
    let memory = Memory::own("memory".to_owned(), bytes.to_vec());
    match options.open_memory(memory, offset) {
        Err(error) => check_error(&error),
        Ok(Opened::Array(array)) => {
            assert!(offset <= array.end_offset() && array.end_offset() <= bytes.len());
            use_array(&array, &mut COPIED_AT_MOST_BYTES.clone());
            return true;
        }
        Ok(Opened::Archive(archive)) => {
            use_archive(&archive, bytes);
            return true;
        }
    }
    false
}

/// A message is short whatever the file says, and is no mistake of ours.
fn check_error(error: &Error) {
    let message = error.to_string();
    assert!(!message.is_empty() && message.len() < 4096, "{message}");
    assert!(error.kind() != ErrorKind::Internal, "{message}");
}

fn checked<T>(result: Result<T, Error>) -> Option<T> {
    result.inspect_err(check_error).ok()
}

/// The array and its fields can be copied and packed, or say why not; `left_bytes` is what may still be copied.
fn use_array(array: &Array, left_bytes: &mut usize) {
    array.check().expect("memory does not change");
    array.flush().expect("memory is on no disk");
    assert_eq!(array.bytes().len(), array.grid().span_bytes());
    assert!(array.memory().is_none_or(|memory| memory.len() == array.bytes().len()));
    assert!(array.view().is_ok() == array.layout().is_ok());
    let packed_bytes = array.grid().packed_bytes();
    assert!(packed_bytes <= array.bytes().len(), "elements that lie in each other");
    if let Some(left) = left_bytes.checked_sub(packed_bytes) {
        *left_bytes = left;
        for copy in [array.copied(), array.packed()].into_iter().filter_map(checked) {
            assert_eq!((copy.shape(), copy.bytes().len()), (array.shape(), packed_bytes));
        }
        let plain =
            checked(array.plain()).map(|plain| (plain.shape() == array.shape(), plain.memory().is_some()));
        assert_eq!(plain, array.layout().is_ok().then_some((true, true)));
    }
    assert!(!format!("{:?} {}", array.version(), array.descr()).is_empty());
    for field in array.descr().fields() {
        if !field.name.is_empty() {
            match array.field(&field.name) {
                Ok(field) => use_array(&field, left_bytes),
                Err(refusal) => assert_eq!(refusal.kind(), ErrorKind::Unsupported, "{refusal}"),
            }
        }
    }
    assert!(array.field("\u{1}no such field").is_err());
}

/// The names are those of the directory, and each member can be asked for, alone and with all others.
fn use_archive(archive: &Archive, bytes: &[u8]) {
    let directory = Directory::parse(bytes).expect("it has been read");
    let names: Vec<&str> = archive.names().collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), archive.len(), "each key once");
    let plain_bytes = directory.members().iter().map(|member| member.plain_bytes());
    if plain_bytes.fold(0, u64::saturating_add) > INFLATED_AT_MOST_BYTES {
        return;
    }
    let mut left_bytes = COPIED_AT_MOST_BYTES;
    let mut all_are_sound = true;
    for name in &names {
        assert!(archive.contains(name));
        match checked(archive.get(name)) {
            Some(Content::Array(array)) => use_array(&array, &mut left_bytes),
            Some(Content::Bytes(content)) => assert!(content.len() as u64 <= INFLATED_AT_MOST_BYTES),
            None => all_are_sound = false,
        }
    }
    assert_eq!(
        checked(archive.load(&names)).map(|contents| contents.len()),
        all_are_sound.then_some(names.len())
    );
    assert!(archive.get("no\u{1}such").is_err());
}
