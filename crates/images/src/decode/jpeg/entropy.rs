//! From the entropy-coded data of one scan of everything to planes of samples, row of units by row of units.

use super::kernel::{EntropyBits, UnitBlock, jpeg_idct, jpeg_idct_reduced, jpeg_units};

use super::super::PhotoProblem;
use super::frame::{Frame, MOST_BLOCKS, Scan, Tables, table};
use super::plan::Plan;
use super::planes::Planes;
use super::stretches::Stretches;

/// Buffers.
#[derive(Debug, Default)]
pub(super) struct Entropy {
    /// Of one row of units.
    coefficients: Vec<i16>,
    flat: Vec<bool>,
}

/// One component's share of the buffers for a row of units.
struct Share {
    /// First block, and blocks of a row, an even number.
    first: usize,
    per_row: usize,
}

impl Entropy {
    /// Decodes the units that `plan` names into `planes`; with `to_the_end`, reads all others too. Whether the data did not end
    /// before what was read, and something follows.
    pub fn decode(
        &mut self,
        stretches: &Stretches,
        (frame, tables, scan): (&Frame, &Tables, &Scan),
        plan: &Plan,
        planes: &mut Planes,
        to_the_end: bool,
    ) -> Result<bool, PhotoProblem> {
        let columns = plan.columns.len();
        let (mut shares, mut blocks) = (Vec::with_capacity(4), 0);
        for component in &frame.components {
            let per_row = (component.h * columns).next_multiple_of(2);
            shares.push(Share { first: blocks, per_row });
            blocks += component.v * per_row;
        }
        planes.fit(frame, plan);
        let mut units = Vec::with_capacity(MOST_BLOCKS);
        for (number, (part, share)) in scan.components.iter().zip(&shares).enumerate() {
            let component = &frame.components[number];
            let (dc, ac) = (table(&tables.dc, part.dc)?, table(&tables.ac, part.ac)?);
            for (y, x) in (0..component.v).flat_map(|y| (0..component.h).map(move |x| (y, x))) {
                let first = share.first + y * share.per_row + x;
                units.push(UnitBlock { component: number, dc, ac, first, step: component.h });
            }
        }
        self.coefficients.resize(64 * blocks, 0);
        self.flat.resize(blocks, true);
        let mut reader = Reader::new(stretches, tables.restart, &units);
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
        if to_the_end {
            reader.pass_to(frame.units().0 * frame.units().1)?;
        }
        Ok(!reader.ended && stretches.is_followed(&reader.bits))
    }
}

/// Goes through the units, from restart to restart.
struct Reader<'a> {
    stretches: &'a Stretches,
    restart: usize,
    blocks: &'a [UnitBlock<'a>],
    /// The unit that comes next.
    unit: usize,
    bits: EntropyBits<'a>,
    /// Whether the bits ended before their units did. Stays so where the next stretches are missing, as in libjpeg.
    ended: bool,
    predictions: [i32; 4],
}

impl<'a> Reader<'a> {
    fn new(stretches: &'a Stretches, restart: usize, blocks: &'a [UnitBlock<'a>]) -> Self {
        let bits = stretches.bits(0);
        Self { stretches, restart, blocks, unit: 0, bits, ended: false, predictions: [0; 4] }
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
        self.ended &= stretch >= self.stretches.len();
        (self.bits, self.predictions) = (self.stretches.bits(stretch), [0; 4]);
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
                let outcome =
                    jpeg_units(&mut self.bits, &blocks[..self.blocks.len()], &mut self.predictions, count, target);
                self.ended = self.bits.is_beyond_end();
                // The zeros behind the end need not be a code.
                if outcome.is_err() && !self.ended {
                    return Err(super::no_code());
                }
            }
            (self.unit, done) = (self.unit + count, done + count);
        }
        Ok(())
    }
}
