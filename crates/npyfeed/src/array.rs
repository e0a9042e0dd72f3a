//! One array in a file or in memory: what its elements are, where they lie, and its bytes.

use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use npyfeed_array::{ArrayView, Buffer, Dtype, Grid, Layout, MemoryOrder};
use npyfeed_io::{Memory, Mode, Source};
use npyfeed_npy::{Descr, MAX_AXES, UnsupportedDescr, Version};

use crate::error::{Error, ErrorKind, Result};
use crate::io_choice::{FileSpan, Lying};
use crate::reopen::{Step, Way};

/// One array. Opening it has checked the header and mapped the bytes; none is read before it is used.
///
/// Its elements are numbers, which a [`Dataset`](crate::Dataset) can have as a column, or what only NumPy
/// computes with: text, dates, raw bytes, and records, each [`field`](Array::field) of which is an array again.
/// Clones share the bytes, and are cheap. [`open`](crate::open) makes one out of a file.
#[derive(Clone, Debug)]
pub struct Array(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Arc<dyn Source>,
    origin: Origin,
    items: Items,
    /// Where in the source the first element starts.
    data_offset: usize,
}

/// What only an array that was written somewhere has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The file, if it lies in one.
    pub(crate) path: Option<Arc<Path>>,
    /// The version of its header.
    pub(crate) version: Option<Version>,
    /// What may be done with its bytes.
    pub(crate) mode: Mode,
    /// How to come to it again, if it lies in a file.
    pub(crate) way: Option<Way>,
}

#[derive(Clone, Debug)]
pub(crate) enum Items {
    Numbers(Layout),
    Others(Descr, Grid),
}

impl Items {
    /// What lies on `grid`. `None` if the items are not of the grid's size.
    pub(crate) fn on(grid: Grid, descr: &Descr) -> Option<Items> {
        match descr.number() {
            Ok((dtype, byte_order)) => Layout::on(grid, dtype, byte_order).map(Items::Numbers),
            Err(_) => (descr.item_bytes() == grid.item_bytes()).then(|| Items::Others(descr.clone(), grid)),
        }
    }
}

impl Array {
    /// The array whose elements start at `data_offset` in `source`.
    pub(crate) fn new(
        source: Arc<dyn Source>,
        origin: Origin,
        items: Items,
        data_offset: usize,
    ) -> Result<Array> {
        let array = Array(Arc::new(Inner { source, origin, items, data_offset }));
        let end = data_offset.checked_add(array.grid().span_bytes());
        if end.is_none_or(|end| end > array.0.source.bytes().len()) {
            let message = format!("cannot open '{}': its elements lie beyond its end", array.name());
            return Err(Error::new(ErrorKind::Internal, message).about(array.path()));
        }
        Ok(array)
    }

    /// An array that lies in memory already.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) unless `memory` has exactly the bytes of `layout`.
    pub fn in_memory(memory: Memory, layout: Layout) -> Result<Array> {
        ArrayView::new(&layout, memory.bytes()).map_err(|why| Error::mismatch(why.to_string()))?;
        Array::new(Arc::new(memory), Origin::default(), Items::Numbers(layout), 0)
    }

    /// Where the elements lie: the size of one, shape and strides.
    pub fn grid(&self) -> &Grid {
        match &self.0.items {
            Items::Numbers(layout) => layout.grid(),
            Items::Others(_, grid) => grid,
        }
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.grid().shape()
    }

    /// What one element is.
    pub fn descr(&self) -> Descr {
        match &self.0.items {
            Items::Numbers(layout) => {
                Descr::Number { dtype: layout.dtype(), byte_order: layout.byte_order() }
            }
            Items::Others(descr, _) => descr.clone(),
        }
    }

    /// Dtype, byte order, shape and strides of numbers.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if the elements are not numbers; it says how
    /// to make some of them.
    pub fn layout(&self) -> Result<&Layout> {
        match &self.0.items {
            Items::Numbers(layout) => Ok(layout),
            Items::Others(descr, _) => {
                let why = UnsupportedDescr { descr: descr.clone() };
                Err(Error::unsupported(format!(
                    "cannot make a tensor or a column of '{}': expected numbers, but {why}",
                    self.name()
                ))
                .about(self.path()))
            }
        }
    }

    /// The type of the elements.
    ///
    /// # Errors
    /// As [`layout`](Array::layout).
    pub fn dtype(&self) -> Result<Dtype> {
        self.layout().map(Layout::dtype)
    }

    /// One field of records, as an array over the same bytes: nothing is copied, and the other fields are not
    /// read. A field that is an array itself adds its axes behind those of the records.
    ///
    /// ```no_run
    /// let events = npyfeed::open("events.npy")?; // [('time', '<i8'), ('energy', '<f4', (3,))]
    /// let energy = events.field("energy")?; // f32 [events, 3]
    /// # Ok::<(), npyfeed::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the elements have no such field;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if it has more axes with those of the records than
    /// NumPy's arrays can have, 64.
    pub fn field(&self, name: &str) -> Result<Array> {
        let descr = self.descr();
        let (offset_bytes, field) = descr.field(name).ok_or_else(|| self.no_field(name, &descr))?;
        let (element, shape) = field.descr.flattened();
        let too_large = |why| Error::new(ErrorKind::Format, format!("cannot open '{}': {why}", self.name()));
        let grid = self.grid().part(element.item_bytes(), &shape);
        let grid = grid.map_err(|why| too_large(why).about(self.path()))?;
        if grid.shape().len() > MAX_AXES {
            return Err(self.too_many_axes(name, grid.shape().len()));
        }
        // Of no records, no field lies anywhere: the file may end where the first would begin.
        let offset_bytes = if grid.span_bytes() == 0 { 0 } else { offset_bytes };
        let items =
            Items::on(grid, element).ok_or_else(|| Error::new(ErrorKind::Internal, "a field's size"))?;
        self.seen_as(items, offset_bytes, Step::Field(name.to_owned()))
    }

    /// Other items over the same bytes, from `offset_bytes` on: what `step` leads to.
    fn seen_as(&self, items: Items, offset_bytes: usize, step: Step) -> Result<Array> {
        let source = Arc::clone(&self.0.source);
        let way = self.way().map(|way| way.and(step));
        let origin = Origin { way, ..self.0.origin.clone() };
        Array::new(source, origin, items, self.0.data_offset + offset_bytes)
    }

    fn no_field(&self, name: &str, descr: &Descr) -> Error {
        let message = format!("there is no field '{name}' in '{}', its elements are {descr}", self.name());
        Error::mismatch(message).about(self.path())
    }

    fn too_many_axes(&self, name: &str, axis_count: usize) -> Error {
        let message = format!(
            "cannot use field '{name}' of '{}': expected at most {MAX_AXES} axes, those of the array and of the field, \
             found {axis_count}",
            self.name()
        );
        Error::unsupported(message).about(self.path())
    }

    /// Whether the first axis runs fastest, and the last does not as well.
    pub fn is_fortran_ordered(&self) -> bool {
        self.grid().is_fortran_contiguous() && !self.grid().is_c_contiguous()
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.0.origin.path.as_deref()
    }

    /// How to come to it again, if it lies in a file.
    pub(crate) fn way(&self) -> Option<&Way> {
        self.0.origin.way.as_ref()
    }

    /// The version of the file format, if it was written in it.
    pub fn version(&self) -> Option<Version> {
        self.0.origin.version
    }

    /// The same elements, packed in `memory_order` into memory of their own.
    pub(crate) fn packed_in(&self, buffer: Buffer, memory_order: MemoryOrder) -> Result<Array> {
        let internal = || Error::new(ErrorKind::Internal, "a copy of another size than what it is of");
        let grid = self.grid();
        let grid = Grid::new(grid.item_bytes(), grid.shape(), memory_order).map_err(|_| internal())?;
        let items = Items::on(grid, &self.descr()).ok_or_else(internal)?;
        let memory = Memory::own(self.name().to_owned(), buffer);
        // What is written to a copy reaches no file, whatever the file was opened for.
        let origin = Origin { mode: Mode::CopyOnWrite, way: None, ..self.0.origin.clone() };
        Array::new(Arc::new(memory), origin, items, 0)
    }

    /// What it was opened for.
    pub fn mode(&self) -> Mode {
        self.0.origin.mode
    }

    /// The same elements as numbers of `dtype`, whose bytes they hold under another name, as
    /// [`OpenOptions::dtype`](crate::OpenOptions::dtype) says of a whole file. Nothing is converted.
    ///
    /// ```no_run
    /// let events = npyfeed::open("events.npy")?; // [('time', '<M8[ns]'), ('energy', '<f4')]
    /// let time = events.field("time")?.read_as(npyfeed::Dtype::I64)?; // i64 [events]
    /// # Ok::<(), npyfeed::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if their bytes are no such numbers.
    pub fn read_as(&self, dtype: Dtype) -> Result<Array> {
        let no_such = |why| Error::mismatch(format!("cannot read '{}': {why}", self.name()));
        let descr = self.descr().read_as(dtype).map_err(|why| no_such(why).about(self.path()))?;
        let items = Items::on(self.grid().clone(), &descr);
        let items = items.ok_or_else(|| Error::new(ErrorKind::Internal, "elements of another size"))?;
        self.seen_as(items, 0, Step::ReadAs(dtype))
    }

    /// What errors call it: the path of its file, or `"memory"`.
    pub fn name(&self) -> &str {
        self.0.source.name()
    }

    /// Where the bytes lie.
    pub(crate) fn lying(&self) -> Lying {
        match self.0.source.file() {
            Some((file, _)) => {
                let start = self.start_in_file(0);
                let bytes = start..start + self.grid().span_bytes() as u64;
                Lying::Files([FileSpan { file: Arc::clone(file), bytes }].into())
            }
            None if self.path().is_some() && self.0.origin.mode != Mode::ReadOnly => Lying::Map,
            None => Lying::Memory,
        }
    }

    /// Where in its file row `row` begins; counted from its first byte if it lies in none.
    pub(crate) fn start_in_file(&self, row: u64) -> u64 {
        let offset = self.0.source.file().map_or(0, |(_, offset)| offset);
        offset + self.0.data_offset as u64 + row * self.grid().row_stride_bytes() as u64
    }

    /// Has the pages of a map that were read no longer count as this process's memory.
    pub(crate) fn forget_resident(&self) {
        self.0.source.forget_resident();
    }

    /// Where the bytes of the array end in what it was opened from; the next array of a file may begin there.
    pub fn end_offset(&self) -> usize {
        self.0.data_offset + self.grid().span_bytes()
    }

    /// Whether the bytes are still those of the file that was opened. Ask after reading them, and throw
    /// away what was read if they are not: what a file cut short has lost reads as zeros.
    ///
    /// One system call, about 0.3 µs; none for a small file, which was read when it was opened. Batches and
    /// samples of a [`Dataset`](crate::Dataset) have been checked; what is read through
    /// [`bytes`](Array::bytes), [`view`](Array::view) and [`memory`](Array::memory) has not. A file that
    /// another one was renamed over, and one that was unlinked, is unchanged.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file was cut short or written to since, or could not
    /// be read.
    pub fn check(&self) -> Result<()> {
        self.0.source.check().map_err(|why| Error::changed(self.name(), why).about(self.path()))
    }

    /// Has what was written to the array put on disk, if it was opened for that
    /// ([`Mode::ReadWrite`](crate::Mode::ReadWrite)); else there is nothing to do.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the system cannot, and if the file was cut short, or the disk
    /// full, so that something written reached no file.
    pub fn flush(&self) -> Result<()> {
        self.0.source.flush().map_err(|why| Error::changed(self.name(), why).about(self.path()))
    }

    /// The bytes before the first element: the header, of a file.
    pub(crate) fn head(&self) -> &[u8] {
        &self.0.source.bytes()[..self.0.data_offset]
    }

    /// The bytes from the first element to the end of the last, as they lie.
    pub fn bytes(&self) -> &[u8] {
        &self.0.source.bytes()[self.0.data_offset..self.end_offset()]
    }

    /// The elements as bytes that may be written: a change is seen through every clone of this array, and
    /// reaches the file only if it was opened for that. `None` for what may only be read: a file opened so,
    /// and memory that someone else owns.
    pub fn memory(&self) -> Option<NonNull<[u8]>> {
        let all = self.0.source.memory()?;
        // The offset is inside: the bytes of the elements were checked to fit behind it.
        let start = NonNull::new(all.cast::<u8>().as_ptr().wrapping_add(self.0.data_offset))?;
        Some(NonNull::slice_from_raw_parts(start, self.grid().span_bytes()))
    }

    /// The elements with their layout.
    ///
    /// # Errors
    /// As [`layout`](Array::layout).
    pub fn view(&self) -> Result<ArrayView<'_>> {
        ArrayView::new(self.layout()?, self.bytes()).map_err(|why| Error::mismatch(why.to_string()))
    }
}
