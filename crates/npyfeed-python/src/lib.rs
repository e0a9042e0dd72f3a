//! `npyfeed._native`: the engine as Python classes. Conversion only; what anything means is in the crate
//! `npyfeed`, and what users type is in `python/npyfeed`.

#![expect(
    clippy::doc_markdown,
    clippy::doc_link_with_quotes,
    reason = "what Python's `help()` shows is no Markdown"
)]
#![expect(clippy::needless_pass_by_value, reason = "PyO3 hands converted arguments over by value")]

use pyo3::pymodule;

mod answer;
mod archive;
mod array;
mod dataset;
mod descr;
mod dlpack;
mod error;
mod export;
mod loader;
mod open;
mod order;
mod reopen;
mod rows;
mod save;
mod save_npz;
mod transform;
mod turns;
mod writer;

#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::archive::PyArchive;
    #[pymodule_export]
    use super::array::PyArray;
    #[pymodule_export]
    use super::dataset::PyDataset;
    #[pymodule_export]
    use super::loader::{PyEpoch, PyLoader};
    #[pymodule_export]
    use super::open::open;
    #[pymodule_export]
    use super::order::PyOrder;
    #[pymodule_export]
    use super::reopen::reopen;
    #[pymodule_export]
    use super::rows::{PyRows, rows};
    #[pymodule_export]
    use super::save::save;
    #[pymodule_export]
    use super::save_npz::save_npz;
    #[pymodule_export]
    use super::writer::PyWriter;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("NUMPY_LACKS", super::descr::numpy_lacks(module.py())?)
    }
}
