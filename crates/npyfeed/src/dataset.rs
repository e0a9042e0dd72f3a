//! Named columns of one length, and which of their rows are samples.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use npyfeed_kernel::{Cpu, DefaultFloats, Kernel, Stores};
use npyfeed_sampler::{Draws, Key, Purpose, Shuffle, split_lengths};

use crate::array::Array;
use crate::batch::{Batch, ColumnSpec};
use crate::chain::{self, Outcome};
use crate::column_plan::ColumnPlan;
use crate::drawn::Drawn;
use crate::error::{Error, ErrorKind, Result};
use crate::io_choice::Io;
use crate::report::PlanReport;
use crate::rows::{FileSet, Rows};
use crate::run::{Chosen, Scratch, gather};
use crate::transform::Transform;

/// Named columns of one length. Sample *i* is row *i* of each, transformed.
///
/// Cheap to clone; [`map`](Dataset::map), [`select`](Dataset::select) and [`split`](Dataset::split)
/// return new datasets over the same bytes.
#[derive(Clone, Debug)]
pub struct Dataset {
    columns: Arc<[Column]>,
    selection: Selection,
    /// The names of the classes, if they are known.
    classes: Option<Arc<[String]>>,
}

/// Named rows and what is done with them.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: Arc<str>,
    pub(crate) rows: Rows,
    transforms: Vec<Transform>,
    /// What the transforms come to.
    pub(crate) outcome: Outcome,
    /// The kernel for batches that stay in the cache.
    pub(crate) kernel: Arc<Kernel>,
}

/// Which rows are the samples.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// All, in their order; this many.
    All(u64),
    /// These, in this order. Each is below the number of rows.
    Picked(Arc<[u64]>),
}

/// Where the rows of a column come from.
#[derive(Clone, Debug)]
pub enum ColumnSource {
    /// An .npy file, `"file.npz:member"`, or a field of records in either, `"file.npy:field"`: their rows are the
    /// samples. A folder, or a pattern as Python's `glob` has them: the files are, sorted by name.
    Path(PathBuf),
    /// One sample a file, in this order.
    Files(Vec<PathBuf>),
    /// The rows of several files, one after the other.
    Rows(FileSet),
    /// An array that is open already.
    Array(Array),
}

impl Dataset {
    /// Begins to describe a dataset.
    pub fn builder() -> DatasetBuilder {
        DatasetBuilder { columns: Vec::new() }
    }

    /// The number of samples.
    pub fn len(&self) -> u64 {
        self.selection.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What comes out of each column: known without reading.
    pub fn spec(&self) -> Vec<ColumnSpec> {
        self.columns.iter().map(Column::spec).collect()
    }

    /// The names of the classes that labels count, of a dataset made by [`from_folder`](Dataset::from_folder) and of
    /// those made from it.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    pub(crate) fn with_classes(self, classes: Arc<[String]>) -> Dataset {
        Dataset { classes: Some(classes), ..self }
    }

    /// The dataset with `transforms` done to column `column`, after those it has.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if there is no such column, or a transform
    /// does not fit the samples; [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for casts
    /// that could lose values. Both name the column, and the step of the chain.
    pub fn map(&self, column: &str, transforms: &[Transform]) -> Result<Dataset> {
        let mut columns = self.columns.to_vec();
        let place = self.place_of(column)?;
        let mut chain = columns[place].transforms.clone();
        chain.extend_from_slice(transforms);
        columns[place] = Column::new(column, columns[place].rows.clone(), chain)?;
        Ok(Dataset { columns: columns.into(), ..self.clone() })
    }

    /// The samples at `indices`, in that order; one may come twice. Holds 8 bytes for each.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if an index is not below [`len`](Dataset::len).
    pub fn select(&self, indices: &[u64]) -> Result<Dataset> {
        self.check_indices(indices)?;
        let mut rows = indices.to_vec();
        self.selection.resolve(&mut rows);
        Ok(Dataset { selection: Selection::Picked(rows.into()), ..self.clone() })
    }

    /// Disjoint datasets whose sizes are `fractions` of this one's, of samples drawn by `seed`.
    ///
    /// Sizes follow `torch.utils.data.random_split`: rounded down, then what remains is dealt out one
    /// by one from the first on.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) unless the fractions are at least 0 and sum to 1.
    pub fn split(&self, fractions: &[f64], seed: u64) -> Result<Vec<Dataset>> {
        let lengths = split_lengths(self.len(), fractions)
            .map_err(|why| Error::mismatch(format!("cannot split the dataset: {why}")))?;
        let shuffle = Shuffle::new(self.len(), Key::new(seed, 0, Purpose::Split));
        let mut start = 0;
        let mut subset = |length: u64| {
            let mut indices = zeros(length)?;
            shuffle.fill(start, &mut indices);
            start += length;
            self.select(&indices)
        };
        lengths.into_iter().map(&mut subset).collect()
    }

    /// The samples at `indices`, stacked, filled by the calling thread.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if an index is not below [`len`](Dataset::len),
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if there is no memory for them, or a file was cut short or
    /// written to since it was opened.
    pub fn batch(&self, indices: &[u64]) -> Result<Batch> {
        self.check_indices(indices)?;
        let mut rows = indices.to_vec();
        self.selection.resolve(&mut rows);
        let chosen = Chosen { samples: indices, rows: &rows, draws: Draws::new(0, 0) };
        let _floats = DefaultFloats::begin();
        let (mut leases, mut scratch) = (Vec::with_capacity(self.columns.len()), Scratch::default());
        for column in self.columns.iter() {
            let plan = ColumnPlan::new(column, rows.len(), 0, Io::Map)?;
            let mut lease = plan.pool.lease()?;
            gather(&plan, &chosen, 0, lease.bytes_mut(), &mut scratch)?;
            leases.push(lease);
        }
        Ok(Batch::new(&self.spec(), leases, rows.len()))
    }

    /// What the random transforms of each column draw for sample `sample` in this epoch under this seed, in the
    /// order of the columns and of their chains. Samples outside an epoch, as those of [`batch`](Dataset::batch),
    /// are drawn in epoch 0 under seed 0.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if `sample` is not below [`len`](Dataset::len).
    pub fn draw(&self, seed: u64, epoch: u64, sample: u64) -> Result<Vec<Vec<Drawn>>> {
        self.check_indices(&[sample])?;
        let draws = Draws::new(seed, epoch);
        let column_draws =
            |column: &Column| column.outcome.random.iter().map(|step| step.drawn(draws, sample)).collect();
        Ok(self.columns.iter().map(column_draws).collect())
    }

    /// What is read, computed and written for each sample: known without reading.
    ///
    /// # Errors
    /// None in practice: the columns of a dataset have rows.
    pub fn plan(&self) -> Result<PlanReport> {
        PlanReport::of(self)
    }

    /// A dataset that is broken on purpose: rows may be beyond the end.
    #[cfg(test)]
    pub(crate) fn with_unchecked_rows(&self, rows: &[u64]) -> Dataset {
        Dataset { selection: Selection::Picked(rows.into()), ..self.clone() }
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    fn place_of(&self, name: &str) -> Result<usize> {
        self.columns.iter().position(|column| &*column.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.columns.iter().map(|column| &*column.name).collect();
            Error::mismatch(format!("there is no column '{name}', the dataset has {}", known.join(", ")))
        })
    }

    fn check_indices(&self, indices: &[u64]) -> Result<()> {
        match indices.iter().find(|&&index| index >= self.len()) {
            None => Ok(()),
            Some(beyond) => {
                Err(Error::mismatch(format!("expected sample indices below {}, found {beyond}", self.len())))
            }
        }
    }
}

/// `length` zeros, or an error where there is no memory for them.
fn zeros(length: u64) -> Result<Vec<u64>> {
    let no_memory = |()| {
        let why = std::io::ErrorKind::OutOfMemory.into();
        Error::system(&format!("hold {length} sample indices of 8 bytes"), why)
    };
    let length = usize::try_from(length).map_err(|_| no_memory(()))?;
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(length).map_err(|_| no_memory(()))?;
    zeros.resize(length, 0);
    Ok(zeros)
}

impl Column {
    fn new(name: &str, rows: Rows, transforms: Vec<Transform>) -> Result<Column> {
        let outcome = chain::fold(name, &rows.layout()?, &transforms)?;
        let kernel = Arc::new(kernel_for(&outcome, Stores::Cached)?);
        Ok(Column { name: name.into(), rows, transforms, outcome, kernel })
    }

    /// The same column over rows in memory of their own, which may lie in another order.
    ///
    /// # Errors
    /// As [`Array::copied`].
    pub(crate) fn in_memory(&self) -> Result<Column> {
        Column::new(&self.name, self.rows.in_memory()?, self.transforms.clone())
    }

    fn spec(&self) -> ColumnSpec {
        ColumnSpec {
            name: Arc::clone(&self.name),
            dtype: self.outcome.dtype,
            shape: self.outcome.shape.clone(),
        }
    }
}

/// The kernel for what a chain came to.
///
/// # Errors
/// None in practice: a chain that was folded has a pass with a meaning.
pub(crate) fn kernel_for(outcome: &Outcome, stores: Stores) -> Result<Kernel> {
    Kernel::new(outcome.pass.clone(), stores, Cpu::detect())
        .map_err(|why| Error::new(ErrorKind::Internal, format!("a chain of transforms has no kernel: {why}")))
}

impl Selection {
    /// The number of samples.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Selection::All(len) => *len,
            Selection::Picked(rows) => rows.len() as u64,
        }
    }

    /// From indices of samples, in place, to rows of the columns.
    #[expect(clippy::cast_possible_truncation, reason = "an index into a slice")]
    pub(crate) fn resolve(&self, indices: &mut [u64]) {
        match self {
            Selection::All(_) => {}
            Selection::Picked(rows) => indices.iter_mut().for_each(|index| *index = rows[*index as usize]),
        }
    }
}

/// Collects the columns of a [`Dataset`].
#[derive(Clone, Debug)]
pub struct DatasetBuilder {
    columns: Vec<Column>,
}

impl DatasetBuilder {
    /// Adds a column: the path of an .npy file, whose rows are the samples, `"file.npz:member"`, a field of
    /// records, `"file.npy:field"` or `"file.npz:member:field"`, or an [`Array`]; a folder, a pattern or a list of
    /// .npy files, each of which is one sample; the rows of several files, [`ColumnSource::Rows`].
    ///
    /// Of files that are one sample each the first is opened here. The others are when their samples are made: one
    /// that is not there, or not like the first, is an error in place of its batch.
    ///
    /// ```no_run
    /// use npyfeed::{ColumnSource, Dataset};
    ///
    /// let dataset = Dataset::builder()
    ///     .column("image", "images/*.npy")? // a sample each, sorted by name
    ///     .column("mask", vec!["masks/a.npy".into(), "masks/b.npy".into()])?
    ///     .column("label", ColumnSource::Rows("labels/part*.npy".into()))? // their rows, joined
    ///     .build()?;
    /// # Ok::<(), npyfeed::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](crate::open) and [`Archive::array`](crate::Archive::array), naming the column; [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the name
    /// is taken or the array has no rows to count.
    pub fn column(self, name: &str, source: impl Into<ColumnSource>) -> Result<DatasetBuilder> {
        let rows = match source.into() {
            ColumnSource::Path(path) => Rows::of_path(&path),
            ColumnSource::Files(files) => Rows::of_files(&files),
            ColumnSource::Rows(files) => Rows::of_rows(&files),
            ColumnSource::Array(array) => Rows::of_array(array),
        };
        self.rows(name, rows.map_err(|error| error.while_doing(&format!("column '{name}'")))?)
    }

    /// Adds a column of these rows.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the name is taken.
    pub(crate) fn rows(mut self, name: &str, rows: Rows) -> Result<DatasetBuilder> {
        if self.columns.iter().any(|column| &*column.name == name) {
            return Err(Error::mismatch(format!(
                "there are two columns '{name}', expected one of each name"
            )));
        }
        self.columns.push(Column::new(name, rows, Vec::new())?);
        Ok(self)
    }

    /// The dataset.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if there are no columns, or they differ in length.
    pub fn build(self) -> Result<Dataset> {
        let Some(first) = self.columns.first() else {
            return Err(Error::mismatch(
                "cannot build a dataset: expected at least one column, found none; nf.Dataset(image='images.npy') has one",
            ));
        };
        let rows = first.rows.count();
        if self.columns.iter().any(|column| column.rows.count() != rows) {
            let found: Vec<String> = self
                .columns
                .iter()
                .map(|column| format!("'{}' has {}", column.name, column.rows.count()))
                .collect();
            return Err(Error::mismatch(format!(
                "cannot build a dataset: expected columns with the same number of samples, found {}",
                found.join(", ")
            )));
        }
        Ok(Dataset { columns: self.columns.into(), selection: Selection::All(rows), classes: None })
    }
}

impl From<&str> for ColumnSource {
    fn from(path: &str) -> ColumnSource {
        ColumnSource::Path(path.into())
    }
}

impl From<&Path> for ColumnSource {
    fn from(path: &Path) -> ColumnSource {
        ColumnSource::Path(path.to_owned())
    }
}

impl From<PathBuf> for ColumnSource {
    fn from(path: PathBuf) -> ColumnSource {
        ColumnSource::Path(path)
    }
}

impl From<Vec<PathBuf>> for ColumnSource {
    fn from(files: Vec<PathBuf>) -> ColumnSource {
        ColumnSource::Files(files)
    }
}

impl From<Array> for ColumnSource {
    fn from(array: Array) -> ColumnSource {
        ColumnSource::Array(array)
    }
}
