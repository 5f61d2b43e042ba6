//! From entropy-coded data to planes of samples.

use std::ops::Range;

use longtail_ops::{EntropyBits, UnitBlock, jpeg_idct, jpeg_idct_reduced, jpeg_units};

use super::super::PhotoProblem;
use super::frame::Frame;
use super::plan::Plan;

/// Buffers.
#[derive(Debug, Default)]
pub(super) struct Entropy {
    /// The data without stuffed bytes and markers, eight zeros after each stretch.
    data: Vec<u8>,
    /// Where each stretch between restarts lies in it, zeros included.
    stretches: Vec<Range<usize>>,
    /// Of one row of units.
    coefficients: Vec<i16>,
    flat: Vec<bool>,
}

/// The samples that a plan asks for, component by component.
#[derive(Debug, Default)]
pub(super) struct Planes {
    pub planes: [Plane; 3],
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

impl Plane {
    /// Samples `columns` of row `y`, both counted in the component.
    pub fn row(&self, y: usize, columns: Range<usize>) -> &[u8] {
        let start = (y - self.top) * self.stride + columns.start - self.left;
        &self.samples[start..start + columns.len()]
    }
}

/// One component's share of the buffers for a row of units.
struct Share {
    /// First block, and blocks of a row, an even number.
    first: usize,
    per_row: usize,
}

impl Entropy {
    /// Decodes the units that `plan` names into `planes`.
    pub fn decode(&mut self, scan: &[u8], frame: &Frame, plan: &Plan, planes: &mut Planes) -> Result<(), PhotoProblem> {
        self.unstuff(scan, frame.restart > 0)?;
        let columns = plan.columns.len();
        let (mut shares, mut blocks) = (Vec::with_capacity(3), 0);
        for component in &frame.components {
            let per_row = (component.h * columns).next_multiple_of(2);
            shares.push(Share { first: blocks, per_row });
            blocks += component.v * per_row;
        }
        for ((plane, share), (component, scale)) in
            planes.planes.iter_mut().zip(&shares).zip(frame.components.iter().zip(&plan.scales))
        {
            plane.stride = share.per_row * scale.size;
            plane.left = plan.columns.start * component.h * scale.size;
            plane.top = plan.rows.start * component.v * scale.size;
            plane.samples.resize(plane.stride * plan.rows.len() * component.v * scale.size, 0);
        }
        let mut units = Vec::with_capacity(MOST_BLOCKS);
        for (number, (component, share)) in frame.components.iter().zip(&shares).enumerate() {
            let (dc, ac) = (Frame::table(&frame.dc, component.dc), Frame::table(&frame.ac, component.ac));
            for (y, x) in (0..component.v).flat_map(|y| (0..component.h).map(move |x| (y, x))) {
                let first = share.first + y * share.per_row + x;
                units.push(UnitBlock { component: number, dc, ac, first, step: component.h });
            }
        }
        self.coefficients.resize(64 * blocks, 0);
        self.flat.resize(blocks, true);
        let mut reader = Reader::new(&self.data, &self.stretches, frame.restart, &units);
        reader.start_at(plan.rows.start * plan.per_row + plan.columns.start);
        for row in plan.rows.clone() {
            let start = row * plan.per_row;
            self.coefficients.fill(0);
            self.flat.fill(true);
            reader.pass_to(start + plan.columns.start)?;
            reader.read(columns, &mut self.coefficients, &mut self.flat)?;
            for ((plane, share), (component, scale)) in
                planes.planes.iter_mut().zip(&shares).zip(frame.components.iter().zip(&plan.scales))
            {
                let high = scale.size * plane.stride;
                for y in 0..component.v {
                    let blocks = share.first + y * share.per_row..share.first + (y + 1) * share.per_row;
                    let coefficients = &self.coefficients[64 * blocks.start..64 * blocks.end];
                    let out = &mut plane.samples[((row - plan.rows.start) * component.v + y) * high..][..high];
                    let (steps, flat) = (&component.steps, &self.flat[blocks]);
                    if scale.size == 8 {
                        jpeg_idct(coefficients, steps, flat, out, plane.stride);
                    } else {
                        jpeg_idct_reduced(scale.size, coefficients, steps, flat, out, plane.stride);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes the data of the first scan apart: up to the first marker that is no restart.
    fn unstuff(&mut self, scan: &[u8], restarts: bool) -> Result<(), PhotoProblem> {
        self.data.clear();
        self.stretches.clear();
        let (mut at, mut start) = (0, 0);
        loop {
            let rest = &scan[at..];
            let plain = memchr::memchr(0xFF, rest).unwrap_or(rest.len());
            self.data.extend_from_slice(&rest[..plain]);
            // Fill bytes may stand before a marker, and before a stuffed zero.
            let fill = rest[plain..].iter().take_while(|byte| **byte == 0xFF).count();
            at += plain + fill + 1;
            match rest.get(plain + fill) {
                Some(0x00) => self.data.push(0xFF),
                Some(marker @ 0xD0..=0xD7) if restarts => {
                    if usize::from(marker - 0xD0) != self.stretches.len() % 8 {
                        return Err(PhotoProblem::jpeg("a part of the picture is missing: restarts out of order"));
                    }
                    start = self.close(start);
                }
                _ => break,
            }
        }
        self.close(start);
        Ok(())
    }

    fn close(&mut self, start: usize) -> usize {
        self.data.extend([0; 8]);
        self.stretches.push(start..self.data.len());
        self.data.len()
    }
}

/// Goes through the units, from restart to restart.
struct Reader<'a> {
    data: &'a [u8],
    stretches: &'a [Range<usize>],
    restart: usize,
    blocks: &'a [UnitBlock<'a>],
    /// The unit that comes next.
    unit: usize,
    bits: EntropyBits<'a>,
    /// Whether the bits ended before their units did. Stays so where the next stretches are missing, as in libjpeg.
    ended: bool,
    predictions: [i32; 3],
}

/// Of a unit: four of luma and one each of chroma.
const MOST_BLOCKS: usize = 6;

/// What a restart without data reads.
const NOTHING: &[u8] = &[0; 8];

impl<'a> Reader<'a> {
    fn new(data: &'a [u8], stretches: &'a [Range<usize>], restart: usize, blocks: &'a [UnitBlock<'a>]) -> Self {
        let bits = EntropyBits::new(&data[stretches[0].clone()]);
        Self { data, stretches, restart, blocks, unit: 0, bits, ended: false, predictions: [0; 3] }
    }

    /// Goes to the last restart at or before `unit` without reading.
    fn start_at(&mut self, unit: usize) {
        if let Some(stretch) = unit.checked_div(self.restart) {
            let stretch = stretch.min(self.stretches.len() - 1);
            self.unit = stretch * self.restart;
            self.begin(stretch);
        }
    }

    fn begin(&mut self, stretch: usize) {
        let range = self.stretches.get(stretch);
        self.ended &= range.is_none();
        let data = range.map_or(NOTHING, |range| &self.data[range.clone()]);
        (self.bits, self.predictions) = (EntropyBits::new(data), [0; 3]);
    }

    /// Reads up to `unit` and forgets what was there.
    fn pass_to(&mut self, unit: usize) -> Result<(), PhotoProblem> {
        self.go(unit - self.unit, None)
    }

    /// Reads `units` units into the buffers, of which unit 0 is the next one.
    fn read(&mut self, units: usize, coefficients: &mut [i16], flat: &mut [bool]) -> Result<(), PhotoProblem> {
        self.go(units, Some((coefficients, flat)))
    }

    fn go(&mut self, units: usize, mut target: Option<(&mut [i16], &mut [bool])>) -> Result<(), PhotoProblem> {
        let mut done = 0;
        while done < units {
            let mut count = units - done;
            if self.restart > 0 {
                if self.unit.is_multiple_of(self.restart) {
                    self.begin(self.unit / self.restart);
                }
                count = count.min(self.restart - self.unit % self.restart);
            }
            // Beyond the end everything stays as it is: no coefficients, which is grey.
            if !self.ended {
                let mut blocks = [self.blocks[0]; MOST_BLOCKS];
                for (moved, block) in blocks.iter_mut().zip(self.blocks) {
                    *moved = UnitBlock { first: block.first + done * block.step, ..*block };
                }
                let target = target.as_mut().map(|(coefficients, flat)| (&mut **coefficients, &mut **flat));
                jpeg_units(&mut self.bits, &blocks[..self.blocks.len()], &mut self.predictions, count, target)
                    .map_err(|_| PhotoProblem::jpeg("bits that are no code: the picture's data were changed"))?;
                self.ended = self.bits.is_beyond_end();
            }
            (self.unit, done) = (self.unit + count, done + count);
        }
        Ok(())
    }
}
