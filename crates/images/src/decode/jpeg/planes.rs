//! The samples that a plan asks for.

use std::ops::Range;

use super::frame::Frame;
use super::plan::Plan;

/// Component by component.
#[derive(Debug, Default)]
pub(super) struct Planes {
    pub planes: [Plane; 4],
}

/// One component's samples.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub samples: Vec<u8>,
    pub stride: usize,
    /// Place of the first one in the component.
    pub left: usize,
    pub top: usize,
}

impl Planes {
    /// Makes room. What is there is not cleared.
    pub fn fit(&mut self, frame: &Frame, plan: &Plan) {
        for (plane, (component, scale)) in self.planes.iter_mut().zip(frame.components.iter().zip(&plan.scales)) {
            // Blocks are transformed in pairs.
            plane.stride = (component.h * plan.columns.len()).next_multiple_of(2) * scale.size;
            plane.left = plan.columns.start * component.h * scale.size;
            plane.top = plan.rows.start * component.v * scale.size;
            plane.samples.resize(plane.stride * plan.rows.len() * component.v * scale.size, 0);
        }
    }
}

impl Plane {
    /// Samples `columns` of row `y`, both counted in the component.
    pub fn row(&self, y: usize, columns: Range<usize>) -> &[u8] {
        let start = (y - self.top) * self.stride + columns.start - self.left;
        &self.samples[start..start + columns.len()]
    }
}
