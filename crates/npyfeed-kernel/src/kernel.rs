//! The choice of the loop, made once, and the door to it.

use crate::arch::{Cpu, DefaultFloats, Standardize};
use crate::block::Block;
use crate::pass::{Arrangement, Pass, PassError};
use crate::table::{Table, distinct_channels};
use crate::{moves, plain};

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
    Move,
    Table(Table),
    Standardize(Standardize),
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
            Work::Move => moves::fill(&self.pass, sample, slot),
            Work::Table(table) => table.fill(&self.pass, sample, slot),
            Work::Standardize(standardize) => standardize.fill(sample, slot),
            Work::Block(block) => block.fill(&self.pass, sample, slot),
            Work::Plain => plain::fill(&self.pass, sample, slot),
        }
    }

    /// The loop that was chosen: `"move"`, `"table"`, `"vector"`, `"block"` or `"plain"`.
    pub fn name(&self) -> &'static str {
        match self.work {
            Work::Move => "move",
            Work::Table(_) => "table",
            Work::Standardize(_) => "vector",
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
        return Work::Move;
    }
    let Some(table) = Table::of(pass) else {
        return Work::Block(Block::of(pass));
    };
    match Standardize::of(pass, &table, stores, cpu) {
        Some(standardize) => Work::Standardize(standardize),
        None => Work::Table(table),
    }
}
