//! From the tuples that `npyfeed.transforms` makes of its classes to the engine's transforms.

use npyfeed::{BoxSize, Transform};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::descr;
use crate::error::unsupported;

/// The transforms for `column`: `("ToTensor",)`, `("ToDtype", "float32", True)`, `("Normalize", [..], [..])`,
/// `("Clip", 0.0, 1.0)`.
pub(crate) fn chain(column: &str, given: &[Bound<'_, PyTuple>]) -> PyResult<Vec<Transform>> {
    let steps = given.iter().enumerate();
    steps
        .map(|(index, given)| transform(&format!("cannot map column '{column}': step {}", index + 1), given))
        .collect()
}

fn transform(context: &str, given: &Bound<'_, PyTuple>) -> PyResult<Transform> {
    let name: String = given.get_item(0)?.extract()?;
    match name.as_str() {
        "ToTensor" => Ok(Transform::ToTensor),
        "ToDtype" => {
            let dtype = descr::meant(&format!("{context} (ToDtype)"), &given.get_item(1)?)?;
            Ok(Transform::ToDtype { dtype, scale: given.get_item(2)?.extract()? })
        }
        "Normalize" => Ok(Transform::Normalize {
            mean: given.get_item(1)?.extract()?,
            std: given.get_item(2)?.extract()?,
        }),
        "AddChannel" => Ok(Transform::AddChannel),
        "SpatialCrop" => Ok(Transform::SpatialCrop {
            start: given.get_item(1)?.extract()?,
            end: given.get_item(2)?.extract()?,
        }),
        "CenterSpatialCrop" => Ok(Transform::CenterSpatialCrop { size: box_size(&given.get_item(1)?)? }),
        "RandSpatialCrop" => Ok(Transform::RandSpatialCrop { size: box_size(&given.get_item(1)?)? }),
        "CenterCrop" => Ok(Transform::CenterCrop { size: given.get_item(1)?.extract()? }),
        "RandomCrop" => Ok(Transform::RandomCrop { size: given.get_item(1)?.extract()? }),
        "ScaleIntensityRange" => Ok(Transform::ScaleIntensityRange {
            from: given.get_item(1)?.extract()?,
            to: given.get_item(2)?.extract()?,
            clip: given.get_item(3)?.extract()?,
        }),
        "Clip" => {
            Ok(Transform::Clip { min: given.get_item(1)?.extract()?, max: given.get_item(2)?.extract()? })
        }
        _ => Err(unsupported(given.py(), format!("{context}: no native transform is called '{name}'"))),
    }
}

/// One length for every spatial axis, or one for each of the last axes.
fn box_size(given: &Bound<'_, PyAny>) -> PyResult<BoxSize> {
    match given.extract() {
        Ok(length) => Ok(BoxSize::Every(length)),
        Err(_) => Ok(BoxSize::Each(given.extract()?)),
    }
}
