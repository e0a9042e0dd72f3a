//! The engine's orders, under `npyfeed.samplers`.

use std::num::NonZeroU64;

use npyfeed::{Blocks, ClassBalanced, Order, OrderError, Replacement, Weighted};
use numpy::{PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::error::mismatch;
use crate::loader::integer;

const DOING: &str = "cannot make a sampler";

/// In which order an epoch takes which samples.
#[pyclass(frozen, name = "Order", module = "npyfeed._native")]
pub(crate) struct PyOrder {
    pub(crate) order: Order,
}

#[pymethods]
impl PyOrder {
    #[staticmethod]
    fn sequential() -> PyOrder {
        PyOrder { order: Order::Sequential }
    }

    #[staticmethod]
    fn shuffled() -> PyOrder {
        PyOrder { order: Order::Shuffled }
    }

    #[staticmethod]
    fn block_shuffled(block_size: &Bound<'_, PyAny>, window: &Bound<'_, PyAny>) -> PyResult<PyOrder> {
        let blocks = Blocks {
            block_size: at_least_one("block_size", block_size)?,
            window: at_least_one("window", window)?,
        };
        Ok(PyOrder { order: Order::BlockShuffled(blocks) })
    }

    #[staticmethod]
    fn weighted(
        py: Python<'_>,
        weights: PyReadonlyArray1<'_, f64>,
        num_samples: &Bound<'_, PyAny>,
        replacement: bool,
    ) -> PyResult<PyOrder> {
        let draw_count = integer(DOING, "num_samples", num_samples)?;
        let replacement = if replacement { Replacement::With } else { Replacement::Without };
        let weights = weights.to_vec()?; // what Python cannot change meanwhile
        let weighted = py.detach(|| Weighted::new(&weights, draw_count, replacement));
        wrap(py, weighted.map(Order::Weighted))
    }

    #[staticmethod]
    fn class_balanced(
        py: Python<'_>,
        labels: PyReadonlyArray1<'_, u64>,
        num_samples: &Bound<'_, PyAny>,
    ) -> PyResult<PyOrder> {
        let is_given = !num_samples.is_none();
        let epoch_len = is_given.then(|| integer(DOING, "num_samples", num_samples)).transpose()?;
        let labels = labels.to_vec()?; // as above
        let classes = py.detach(|| ClassBalanced::new(&labels, epoch_len));
        wrap(py, classes.map(Order::ClassBalanced))
    }

    #[staticmethod]
    fn explicit(indices: PyReadonlyArray1<'_, u64>) -> PyResult<PyOrder> {
        Ok(PyOrder { order: Order::Explicit(indices.to_vec()?.into()) })
    }
}

fn wrap(py: Python<'_>, order: Result<Order, OrderError>) -> PyResult<PyOrder> {
    order.map(|order| PyOrder { order }).map_err(|why| mismatch(py, format!("{DOING}: {why}")))
}

fn at_least_one(name: &str, value: &Bound<'_, PyAny>) -> PyResult<NonZeroU64> {
    NonZeroU64::new(integer(DOING, name, value)?)
        .ok_or_else(|| mismatch(value.py(), format!("{DOING}: expected {name} of at least 1, found 0")))
}
