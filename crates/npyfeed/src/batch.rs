//! Samples stacked: one buffer for each column.

use std::sync::Arc;

use ndarray::Dimension;
use npyfeed_array::{Dtype, Element};

use crate::error::{Error, Result};
use crate::pool::Lease;

/// What a column gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// The name of the column.
    pub name: Arc<str>,
    /// The dtype of the elements that come out.
    pub dtype: Dtype,
    /// The shape of one sample that comes out.
    pub shape: Vec<usize>,
}

impl ColumnSpec {
    /// The size of one sample that comes out.
    pub fn sample_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.item_bytes()
    }
}

/// Samples of every column, stacked along a new first axis.
///
/// The memory belongs to the batch until it is dropped; only then is it filled again.
#[derive(Debug)]
pub struct Batch {
    columns: Vec<BatchColumn>,
    sample_count: usize,
}

/// One column of a batch: `[sample_count, …]` in C order.
#[derive(Debug)]
pub struct BatchColumn {
    spec: ColumnSpec,
    sample_count: usize,
    lease: Lease,
}

impl Batch {
    pub(crate) fn new(specs: &[ColumnSpec], leases: Vec<Lease>, sample_count: usize) -> Batch {
        let column =
            |(spec, lease): (&ColumnSpec, Lease)| BatchColumn { spec: spec.clone(), sample_count, lease };
        Batch { columns: specs.iter().zip(leases).map(column).collect(), sample_count }
    }

    /// The number of samples: the batch size, or fewer in the last batch.
    pub fn len(&self) -> usize {
        self.sample_count
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.sample_count == 0
    }

    /// The columns, in the order of the dataset.
    pub fn columns(&self) -> &[BatchColumn] {
        &self.columns
    }

    /// The columns, each to go its own way.
    pub fn into_columns(self) -> Vec<BatchColumn> {
        self.columns
    }

    /// The column called `name`, as an array whose first axis is the batch.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if there is no such column, or its dtype or
    /// its number of axes is not that of `T` and `D`.
    pub fn view<T: Element, D: Dimension>(&self, name: &str) -> Result<ndarray::ArrayView<'_, T, D>> {
        let column = self.columns.iter().find(|column| &*column.spec.name == name).ok_or_else(|| {
            let known: Vec<_> = self.columns.iter().map(|column| &*column.spec.name).collect();
            Error::mismatch(format!("there is no column '{name}', the batch has {known:?}"))
        })?;
        column.view()
    }
}

impl BatchColumn {
    /// Name, dtype, and the shape of one sample.
    pub fn spec(&self) -> &ColumnSpec {
        &self.spec
    }

    /// `[sample_count, …]`
    pub fn shape(&self) -> Vec<usize> {
        std::iter::once(self.sample_count).chain(self.spec.shape.iter().copied()).collect()
    }

    /// The elements, in the machine's byte order.
    pub fn bytes(&self) -> &[u8] {
        &self.lease.bytes()[..self.sample_count * self.spec.sample_bytes()]
    }

    /// The elements, to be written: they are the batch's own.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.lease.bytes_mut()[..self.sample_count * self.spec.sample_bytes()]
    }

    /// The elements as an array whose first axis is the batch.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the dtype or the number of axes is not
    /// that of `T` and `D`.
    pub fn view<T: Element, D: Dimension>(&self) -> Result<ndarray::ArrayView<'_, T, D>> {
        let misfit = |expected: String| {
            let (name, dtype, shape) = (&self.spec.name, self.spec.dtype, self.shape());
            Error::mismatch(format!("column '{name}': expected {expected}, found {shape:?} {dtype}"))
        };
        if self.spec.dtype != T::DTYPE {
            return Err(misfit(format!("elements of {}", T::DTYPE)));
        }
        let elements: &[T] = bytemuck::cast_slice(self.bytes());
        let view = ndarray::ArrayView::from_shape(self.shape(), elements);
        let view = view.map_err(|why| misfit(why.to_string()))?;
        let axes = D::NDIM.map_or_else(|| "another number of axes".to_owned(), |axes| format!("{axes} axes"));
        view.into_dimensionality().map_err(|_| misfit(axes))
    }
}
