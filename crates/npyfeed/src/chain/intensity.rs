//! The transforms of intensities: the same arithmetic on every element.

use npyfeed_array::Dtype;
use npyfeed_kernel::{Step, rounded};

use super::Chain;
use crate::error::{Error, Result};

impl Chain {
    /// Operation by operation what MONAI asks PyTorch for, so that every rounding is the same: floats are computed
    /// with as they are, everything else in f32, and f32 comes out.
    pub(super) fn add_intensity_range(
        &mut self,
        from: (f64, f64),
        to: Option<(f64, f64)>,
        bounds: Option<(f64, f64)>,
    ) -> Result<()> {
        let (least, greatest) = to.unwrap_or((0.0, 1.0));
        if [from.0, from.1, least, greatest].iter().any(|number| !number.is_finite()) {
            return Err(Error::mismatch(format!("{from:?} or {to:?} has a number that is not finite")));
        }
        let operand = if self.dtype.holds_results() { self.dtype } else { Dtype::F32 };
        if rounded(from.1 - from.0, operand) == 0.0 {
            return Err(Error::mismatch(format!(
                "expected an a_max that is not a_min, found {} and {} as {operand}, which would divide by zero",
                from.1, from.0
            )));
        }
        self.add_to_dtype(operand)?;
        self.push(Step::Subtract(vec![from.0]));
        self.scale(Step::Divide(vec![from.1 - from.0]));
        if to.is_some() {
            self.scale(Step::Multiply(vec![greatest - least]));
            self.push(Step::Subtract(vec![-least])); // as adding it: the same number, rounded alike
        }
        if let Some((min, max)) = bounds {
            self.add_clip(min, max)?;
        }
        self.add_to_dtype(Dtype::F32)
    }

    /// A multiplication or division by a scalar. PyTorch rounds it to 32 bits where elements have 16, unlike what it
    /// adds and subtracts.
    fn scale(&mut self, step: Step) {
        let dtype = self.dtype;
        if dtype.item_bytes() > 2 {
            return self.push(step);
        }
        self.push(Step::Cast(Dtype::F32));
        self.push(step);
        self.push(Step::Cast(dtype));
    }
}
