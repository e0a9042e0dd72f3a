//! Some of the bytes of another source, as a source.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::{ChangeError, ReadFile, Source};

/// The bytes `range` of another source, where they lie.
#[derive(Clone, Debug)]
pub struct Section {
    name: String,
    whole: Arc<dyn Source>,
    range: Range<usize>,
}

impl Section {
    /// The bytes `range` of `whole`, which errors call `name`. `None` if it has no such bytes.
    pub fn new(name: String, whole: Arc<dyn Source>, range: Range<usize>) -> Option<Section> {
        whole.bytes().get(range.clone())?;
        Some(Section { name, whole, range })
    }
}

impl Source for Section {
    fn name(&self) -> &str {
        &self.name
    }

    fn bytes(&self) -> &[u8] {
        &self.whole.bytes()[self.range.clone()]
    }

    fn check(&self) -> Result<(), ChangeError> {
        self.whole.check()
    }

    fn memory(&self) -> Option<NonNull<[u8]>> {
        let whole = self.whole.memory()?;
        // Inside: a source does not change the number of its bytes.
        let start = NonNull::new(whole.cast::<u8>().as_ptr().wrapping_add(self.range.start))?;
        Some(NonNull::slice_from_raw_parts(start, self.range.len()))
    }

    fn flush(&self) -> Result<(), ChangeError> {
        self.whole.flush()
    }

    fn file(&self) -> Option<(&Arc<ReadFile>, u64)> {
        let (file, offset) = self.whole.file()?;
        Some((file, offset + self.range.start as u64))
    }

    fn forget_resident(&self) {
        self.whole.forget_resident();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MappedFile, Memory, Mode, RegularFile};

    #[test]
    fn a_section_is_the_bytes_where_they_lie() {
        let whole: Arc<dyn Source> = Arc::new(Memory::own("whole".to_owned(), vec![1_u8, 2, 3, 4]));
        let section = Section::new("middle".to_owned(), Arc::clone(&whole), 1..3).unwrap();
        assert_eq!((section.name(), section.bytes()), ("middle", &[2, 3][..]));
        assert_eq!(section.bytes().as_ptr(), whole.bytes()[1..].as_ptr());
        assert_eq!(section.memory().unwrap().cast::<u8>().as_ptr().cast_const(), section.bytes().as_ptr());
        assert!(Section::new("beyond".to_owned(), Arc::clone(&whole), 3..5).is_none());
        let reading = Arc::new(Memory::from(vec![1]));
        assert!(Section::new("read-only".to_owned(), reading, 0..1).unwrap().memory().is_none());
    }

    #[test]
    fn a_section_of_a_file_says_where_in_it_it_begins() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let opened = RegularFile::open(file.path(), Mode::ReadOnly).unwrap();
        let whole: Arc<dyn Source> = Arc::new(MappedFile::new(opened).unwrap());
        let half: Arc<dyn Source> = Arc::new(Section::new("half".to_owned(), whole, 5..10).unwrap());
        let section = Section::new("end".to_owned(), half, 2..5).unwrap();
        let (behind, offset) = section.file().unwrap();
        let mut bytes = [0; 3];
        behind.read_at(&mut bytes, offset).unwrap();
        assert_eq!(&bytes, section.bytes());
    }
}
