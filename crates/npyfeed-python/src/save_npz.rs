//! The engine's side of `npyfeed.save_npz`: named arrays to an archive that is there whole or not at all.

use std::path::PathBuf;

use npyfeed::{Compression, NpzWriter};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::error::to_python;
use crate::save::{Description, SIGNAL_INTERVAL_BYTES};

/// As [`SIGNAL_INTERVAL_BYTES`], where each byte is deflated: a tenth of a second at 40 MB/s.
const DEFLATE_INTERVAL_BYTES: usize = 4 << 20;

/// A member that is to be written.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Member<'py> {
    name: String,
    description: Description,
    data_bytes: u64,
    chunks: Bound<'py, PyIterator>,
}

/// Writes an archive of `members`: of each its header, then the bytes of its chunks.
#[pyfunction]
pub(crate) fn save_npz(
    py: Python<'_>,
    path: PathBuf,
    members: Vec<Member<'_>>,
    compressed: bool,
) -> PyResult<()> {
    let (compression, interval_bytes) = if compressed {
        (Compression::Deflated, DEFLATE_INTERVAL_BYTES)
    } else {
        (Compression::Stored, SIGNAL_INTERVAL_BYTES)
    };
    let writer = py.detach(|| NpzWriter::create(&path, compression));
    let mut writer = writer.map_err(|error| to_python(py, error))?;
    for Member { name, description, data_bytes, chunks } in members {
        let header = description.header(py, &path)?;
        let begun = py.detach(|| writer.begin(&name, &header, data_bytes));
        begun.map_err(|error| to_python(py, error))?;
        for chunk in chunks {
            let chunk: PyReadonlyArray1<'_, u8> = chunk?.extract()?;
            for bytes in chunk.as_slice()?.chunks(interval_bytes) {
                py.detach(|| writer.write(bytes)).map_err(|error| to_python(py, error))?;
                py.check_signals()?;
            }
        }
    }
    py.detach(|| writer.finish()).map_err(|error| to_python(py, error))
}
