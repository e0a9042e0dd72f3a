//! The choice of the loop, made once, and the door to it.

use std::ops::Range;

use npyfeed_array::Dtype;

use crate::arch::{Cpu, DefaultFloats, LINE_BYTES, Standardize};
use crate::block::Block;
use crate::moves::{self, Move, Run};
use crate::pass::{Arrangement, Pass, PassError};
use crate::plain;
use crate::single::Single;
use crate::table::{Table, distinct_channels};
use crate::walk::Way;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stores {
    /// Through the cache: right when the batch fits there and its consumer reads it next.
    Cached,
    /// Past the cache, where the loop can: saves reading each line before it is overwritten.
    Streaming,
}

/// A checked pass and the loop that was chosen for it.
#[derive(Debug)]
pub struct Kernel {
    pass: Pass,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Move(Move),
    Table(Table),
    Standardize(Standardize),
    Single(Single),
    Block(Block),
    Plain,
}

impl Kernel {
    /// Checks the pass and chooses its loop.
    ///
    /// # Errors
    /// [`PassError`] if the pass has no meaning.
    pub fn new(pass: Pass, stores: Stores, cpu: Cpu) -> Result<Kernel, PassError> {
        pass.check()?;
        let pass = simplify(pass);
        let _floats = DefaultFloats::begin(); // the table is computed here, on the thread of the user
        let work = choose(&pass, stores, cpu);
        Ok(Kernel { pass, work })
    }

    /// The plain loop for the pass: the reference for every other, and slow.
    ///
    /// # Errors
    /// [`PassError`] if the pass has no meaning.
    pub fn plain(pass: Pass) -> Result<Kernel, PassError> {
        pass.check()?;
        Ok(Kernel { pass, work: Work::Plain })
    }

    /// Fills a slot with a sample.
    ///
    /// # Panics
    /// If `sample` is not [`Pass::source_bytes`] or `slot` not [`Pass::output_bytes`] long.
    pub fn fill(&self, sample: &[u8], slot: &mut [u8]) {
        assert_eq!(sample.len(), self.pass.source_bytes(), "bytes of the sample");
        assert_eq!(slot.len(), self.pass.output_bytes(), "bytes of the slot");
        if slot.is_empty() {
            return;
        }
        match &self.work {
            Work::Move(moves) => moves.fill(&self.pass, sample, slot),
            Work::Table(table) => table.fill(&self.pass, sample, slot),
            Work::Standardize(standardize) => standardize.fill(sample, slot),
            Work::Single(single) => single.fill(&self.pass, sample, slot),
            Work::Block(block) => block.fill(&self.pass, sample, slot),
            Work::Plain => plain::fill(&self.pass, sample, 0..self.pass.element_count(), slot),
        }
    }

    /// Cuts a sample into parts for as many threads: ranges of its elements in the order of the slot, which
    /// are about as long as each other, cover it and do not overlap. In a slot that starts on a line of the
    /// cache (64 bytes) parts begin on one too, so that no two threads write the same line. Fewer parts if
    /// there are not as many lines; none of an empty sample.
    ///
    /// ```
    /// # use npyfeed_array::{ByteOrder, Dtype};
    /// # use npyfeed_kernel::{Arrangement, Cpu, Kernel, Pass, Step, Stores};
    /// # let pass = Pass {
    /// #     source: Dtype::I16,
    /// #     byte_order: ByteOrder::NATIVE,
    /// #     output: Dtype::F32,
    /// #     channels: 1,
    /// #     pixels: 50,
    /// #     arrangement: Arrangement::Planar,
    /// #     steps: vec![Step::Cast(Dtype::F32)],
    /// # };
    /// let kernel = Kernel::new(pass, Stores::Cached, Cpu::detect())?; // 50 elements, i16 to f32
    /// assert_eq!(kernel.parts(2).collect::<Vec<_>>(), [0..32, 32..50]);
    /// let (sample, mut slot) = ([0; 100], [0; 200]);
    /// for elements in kernel.parts(2) {
    ///     let part = &mut slot[4 * elements.start..4 * elements.end];
    ///     kernel.fill_part(&sample, elements, part);
    /// }
    /// # Ok::<(), npyfeed_kernel::PassError>(())
    /// ```
    ///
    /// # Panics
    /// If `count` is 0.
    pub fn parts(&self, count: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        assert!(count > 0, "a sample is cut into one part at least");
        let total = self.pass.element_count();
        let line_elements = LINE_BYTES / self.pass.output.item_bytes();
        let part_elements = total.div_ceil(line_elements).div_ceil(count).max(1) * line_elements;
        (0..total).step_by(part_elements).map(move |start| start..total.min(start + part_elements))
    }

    /// Fills `part`, the part of a slot that holds `elements`, from the whole sample. Parts are filled in any
    /// order, by any threads, and together are what [`fill`](Kernel::fill) gives.
    ///
    /// # Panics
    /// If `elements` is not a range of the sample's elements, `sample` is not [`Pass::source_bytes`] long, or
    /// `part` not as long as the elements are in the output.
    pub fn fill_part(&self, sample: &[u8], elements: Range<usize>, part: &mut [u8]) {
        let pass = &self.pass;
        assert_eq!(sample.len(), pass.source_bytes(), "bytes of the sample");
        assert!(elements.start <= elements.end && elements.end <= pass.element_count(), "elements");
        assert_eq!(part.len(), elements.len() * pass.output.item_bytes(), "bytes of the part");
        self.fill_runs(sample, elements, part, |channel, pixels| Run::of(pass, channel, pixels));
    }

    /// As [`fill_part`](Kernel::fill_part), from the bytes of these elements alone: they lie side by side in a
    /// sample whose channels are planar.
    ///
    /// # Panics
    /// If the channels are interleaved, `elements` is not a range of the sample's elements, or `source` or `part`
    /// is not as long as they are.
    pub fn fill_elements(&self, source: &[u8], elements: Range<usize>, part: &mut [u8]) {
        let pass = &self.pass;
        assert_eq!(pass.arrangement, Arrangement::Planar, "channels");
        assert!(elements.start <= elements.end && elements.end <= pass.element_count(), "elements");
        assert_eq!(source.len(), elements.len() * pass.source.item_bytes(), "bytes of the elements");
        assert_eq!(part.len(), elements.len() * pass.output.item_bytes(), "bytes of the part");
        let begin = elements.start;
        let run = |channel: usize, pixels: Range<usize>| {
            let first = channel * pass.pixels + pixels.start - begin;
            Run { channel, pixels, first }
        };
        self.fill_runs(source, elements, part, run);
    }

    /// Cuts elements where the next channel begins, and fills each of the runs.
    fn fill_runs(
        &self,
        bytes: &[u8],
        elements: Range<usize>,
        mut part: &mut [u8],
        run: impl Fn(usize, Range<usize>) -> Run,
    ) {
        let pass = &self.pass;
        let mut next = elements.start;
        while !part.is_empty() {
            let (channel, pixel) = (next / pass.pixels, next % pass.pixels);
            let pixels = pixel..pass.pixels.min(pixel + elements.end - next);
            next += pixels.len();
            let (output, rest) = part.split_at_mut(pixels.len() * pass.output.item_bytes());
            self.fill_run(bytes, &run(channel, pixels), output);
            part = rest;
        }
    }

    fn fill_run(&self, sample: &[u8], run: &Run, output: &mut [u8]) {
        let pass = &self.pass;
        match &self.work {
            Work::Move(moves) => moves.fill_run(pass, sample, run, output),
            Work::Table(table) => table.fill_run(pass, sample, run, output),
            Work::Standardize(standardize) => standardize.fill_run(pass, sample, run, output),
            Work::Single(single) => single.fill_run(pass, sample, run, output),
            Work::Block(block) => block.fill_run(pass, sample, run, output),
            Work::Plain => plain::fill_run(pass, sample, run, output),
        }
    }

    /// Whether the elements of a sample lie in the order of the slot, so that some can be filled from their bytes
    /// alone: [`fill_elements`](Kernel::fill_elements).
    pub fn keeps_order(&self) -> bool {
        self.pass.arrangement == Arrangement::Planar
    }

    /// Whether a slot is its sample, byte for byte.
    pub fn copies(&self) -> bool {
        matches!(self.work, Work::Move(_)) && self.keeps_order() && !self.pass.is_swapped()
    }

    /// The size of an element of the slot.
    pub fn output_item_bytes(&self) -> usize {
        self.pass.output.item_bytes()
    }

    /// The loop that was chosen: `"move"`, `"table"`, `"vector"`, `"single"`, `"block"` or `"plain"`.
    pub fn name(&self) -> &'static str {
        match self.work {
            Work::Move(_) => "move",
            Work::Table(_) => "table",
            Work::Standardize(_) => "vector",
            Work::Single(_) => "single",
            Work::Block(_) => "block",
            Work::Plain => "plain",
        }
    }
}

/// One channel is planar; planes that are treated alike and lie side by side are one plane.
fn simplify(mut pass: Pass) -> Pass {
    if pass.channels == 1 || pass.pixels == 1 {
        pass.arrangement = Arrangement::Planar;
    }
    if pass.arrangement == Arrangement::Planar && distinct_channels(&pass) == 1 {
        pass.pixels *= pass.channels;
        pass.channels = 1;
    }
    pass
}

fn choose(pass: &Pass, stores: Stores, cpu: Cpu) -> Work {
    if moves::applies(pass) {
        return Work::Move(Move::of(stores, cpu));
    }
    let way = Way { cpu, stores };
    let single = Single::of(pass, way).map(Work::Single);
    let Some(table) = Table::of(pass) else {
        return single.or_else(|| Block::of(pass, way).map(Work::Block)).unwrap_or(Work::Plain);
    };
    if let Some(standardize) = Standardize::of(pass, &table, stores, cpu) {
        return Work::Standardize(standardize);
    }
    // Looking up is as fast as computing four elements at a time, or eight that are rounded to 16 bits then.
    let lanes_needed = if pass.output == Dtype::F32 { 8 } else { 16 };
    single.filter(|_| cpu.lanes() >= lanes_needed).unwrap_or(Work::Table(table))
}
