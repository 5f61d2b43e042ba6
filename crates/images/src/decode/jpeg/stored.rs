//! Files of several scans, progressive or not: all coefficients are gathered first, then the blocks that are wanted are transformed.

use super::kernel::{
    EntropyBits, NoJpegCode, ScanBand, UnitBlock, jpeg_band, jpeg_first, jpeg_first_refined, jpeg_idct,
    jpeg_idct_reduced, jpeg_units,
};

use super::super::PhotoProblem;
use super::frame::{Frame, Scan, ScanComponent, Segments, Tables, table};
use super::plan::Plan;
use super::planes::Planes;
use super::stretches::Stretches;

/// The lowest bit of a coefficient that may come first.
const HIGHEST_BIT: u8 = 13;

/// Buffers.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Of all components, block by block and row by row; a row has a block more than its units.
    coefficients: Vec<i16>,
    flat: Vec<bool>,
}

/// Which bits of which coefficients the scans brought.
struct Known {
    /// Of each component and coefficient the lowest known bit; `None` before its first scan.
    bits: Vec<[Option<u8>; 64]>,
}

impl Known {
    /// Takes note of a scan.
    fn add(&mut self, frame: &Frame, scan: &Scan) -> Result<(), PhotoProblem> {
        let (start, end) = scan.band;
        let (high, low) = (scan.high, scan.low);
        let out_of_order = || PhotoProblem::jpeg("a scan that contradicts those before it");
        for component in &scan.components {
            let known = &mut self.bits[component.index];
            if !frame.is_progressive {
                if known[0].is_some() {
                    return Err(out_of_order());
                }
                known.fill(Some(0));
                continue;
            }
            let one_band = if start == 0 { end == 0 } else { end >= start && end < 64 && scan.components.len() == 1 };
            let before = if high == 0 { None } else { Some(high) };
            let follows = low <= HIGHEST_BIT && (high == 0 || high == low + 1);
            if !one_band || !follows || (start > 0 && known[0].is_none()) {
                return Err(out_of_order());
            }
            for bit in &mut known[start..=end] {
                if *bit != before {
                    return Err(out_of_order());
                }
                *bit = Some(low);
            }
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.bits.iter().flatten().all(|bit| *bit == Some(0))
    }
}

/// How one block of a scan is read.
enum Kind {
    Sequential,
    First { low: u32 },
    FirstRefined { low: u32 },
    Band(ScanBand),
}

/// One stretch between restarts.
struct Reader<'a> {
    bits: EntropyBits<'a>,
    predictions: [i32; 4],
    /// Blocks that have nothing more of the band.
    ended: u32,
}

impl<'a> Reader<'a> {
    fn new(stretches: &'a Stretches, stretch: usize) -> Self {
        Self { bits: stretches.bits(stretch), predictions: [0; 4], ended: 0 }
    }

    /// Reads one block's part of a scan; `part` with its place in the scan.
    ///
    /// # Errors
    /// A table is missing. The inner result: bits that are no code.
    fn block(
        &mut self,
        kind: &Kind,
        tables: &Tables,
        (number, part): (usize, &ScanComponent),
        block: &mut [i16; 64],
    ) -> Result<Result<(), NoJpegCode>, PhotoProblem> {
        Ok(match kind {
            Kind::Sequential => {
                let (dc, ac) = (table(&tables.dc, part.dc)?, table(&tables.ac, part.ac)?);
                let unit = UnitBlock { component: number, dc, ac, first: 0, step: 0 };
                let target = (block.as_mut_slice(), &mut [false][..]);
                jpeg_units(&mut self.bits, &[unit], &mut self.predictions, 1, Some(target))
            }
            Kind::First { low } => {
                let codes = table(&tables.dc, part.dc)?;
                jpeg_first(&mut self.bits, codes, *low, &mut self.predictions[number], block)
            }
            Kind::FirstRefined { low } => {
                jpeg_first_refined(&mut self.bits, *low, block);
                Ok(())
            }
            Kind::Band(band) => jpeg_band(&mut self.bits, table(&tables.ac, part.ac)?, *band, &mut self.ended, block),
        })
    }
}

impl Stored {
    /// Gathers the coefficients of all scans.
    ///
    /// # Errors
    /// Bits that are no code; scans that contradict each other or are missing; data that end.
    pub fn read(
        &mut self,
        encoded: &[u8],
        segments: &mut Segments<'_>,
        first: Scan,
        stretches: &mut Stretches,
    ) -> Result<(), PhotoProblem> {
        let blocks: usize = (0..segments.frame.components.len()).map(|index| blocks(&segments.frame, index)).sum();
        // The first coefficient of a block takes a bit at least: no memory for a file that cannot hold so many.
        let coded: usize = (0..segments.frame.components.len())
            .map(|index| own_blocks(&segments.frame, index))
            .map(|(columns, rows)| columns * rows)
            .sum();
        if coded > 8 * encoded.len() {
            return Err(PhotoProblem::jpeg_ends(encoded));
        }
        self.coefficients.clear();
        self.coefficients.resize(64 * blocks, 0);
        let mut known = Known { bits: vec![[None; 64]; segments.frame.components.len()] };
        let mut scan = first;
        loop {
            known.add(&segments.frame, &scan)?;
            stretches.read(encoded, scan.data, segments.tables.restart > 0)?;
            let is_whole = self.read_scan(&segments.frame, &segments.tables, &scan, stretches)?;
            if known.is_complete() {
                // What comes behind a whole picture is not looked at.
                let is_over = is_whole || super::has_end(encoded, scan.data);
                return if is_over { Ok(()) } else { Err(PhotoProblem::jpeg_ends(encoded)) };
            }
            scan = match segments.next(stretches.end)? {
                Some(next) => next,
                None => {
                    return Err(PhotoProblem::jpeg("scans are missing: it ends before all coefficients were read"));
                }
            };
        }
    }

    /// Whether its data did not end early, and something follows.
    fn read_scan(
        &mut self,
        frame: &Frame,
        tables: &Tables,
        scan: &Scan,
        stretches: &Stretches,
    ) -> Result<bool, PhotoProblem> {
        let (start, low) = (scan.band.0, u32::from(scan.low));
        let kind = match (frame.is_progressive, start, scan.high) {
            (false, ..) => Kind::Sequential,
            (true, 0, 0) => Kind::First { low },
            (true, 0, _) => Kind::FirstRefined { low },
            (true, _, high) => Kind::Band(ScanBand { start, end: scan.band.1, refines: high > 0, low }),
        };
        // (component's place in the scan, first block, blocks of a row, blocks of a unit along and down)
        let mut parts = Vec::with_capacity(scan.components.len());
        for (number, part) in scan.components.iter().enumerate() {
            let component = &frame.components[part.index];
            let first: usize = (0..part.index).map(|index| blocks(frame, index)).sum();
            let is_alone = scan.components.len() == 1;
            let (h, v) = if is_alone { (1, 1) } else { (component.h, component.v) };
            parts.push((number, first, per_row(frame, part.index), h, v));
        }
        let (columns, rows) = match scan.components.as_slice() {
            [alone] => own_blocks(frame, alone.index),
            _ => frame.units(),
        };
        let mut reader = Reader::new(stretches, 0);
        let (mut unit, mut is_over) = (0usize, false);
        for row in 0..rows {
            for column in 0..columns {
                if tables.restart > 0 && unit > 0 && unit.is_multiple_of(tables.restart) {
                    let stretch = unit / tables.restart;
                    is_over &= stretch >= stretches.len();
                    reader = Reader::new(stretches, stretch);
                }
                unit += 1;
                // Beyond the end everything stays as it is: what is missing is zero, as in libjpeg.
                if is_over {
                    continue;
                }
                for &(number, first, per_row, h, v) in &parts {
                    let part = &scan.components[number];
                    for (y, x) in (0..v).flat_map(|y| (0..h).map(move |x| (y, x))) {
                        let place = first + (row * v + y) * per_row + column * h + x;
                        let block = &mut self.coefficients[64 * place..64 * place + 64];
                        let block: &mut [i16; 64] = block.try_into().expect("64 coefficients");
                        let outcome = reader.block(&kind, tables, (number, part), block)?;
                        // The zeros behind the end need not be a code.
                        if outcome.is_err() && !reader.bits.is_beyond_end() {
                            return Err(super::no_code());
                        }
                    }
                }
                is_over = reader.bits.is_beyond_end();
            }
        }
        Ok(!is_over && stretches.is_followed(&reader.bits))
    }

    /// Samples of the blocks that `plan` names.
    pub fn transform(&mut self, frame: &Frame, plan: &Plan, planes: &mut Planes) {
        planes.fit(frame, plan);
        let mut first = 0;
        for (index, (component, scale)) in frame.components.iter().zip(&plan.scales).enumerate() {
            let (plane, per_row) = (&mut planes.planes[index], per_row(frame, index));
            let count = plane.stride / scale.size;
            let high = scale.size * plane.stride;
            let rows = plan.rows.start * component.v..plan.rows.end * component.v;
            for (row, out) in rows.zip(plane.samples.chunks_exact_mut(high)) {
                let start = first + row * per_row + plan.columns.start * component.h;
                let coefficients = &self.coefficients[64 * start..64 * (start + count)];
                self.flat.clear();
                self.flat.extend(coefficients.chunks_exact(64).map(|block| block[1..].iter().all(|value| *value == 0)));
                if scale.size == 8 {
                    jpeg_idct(coefficients, &component.steps, &self.flat, out, plane.stride);
                } else {
                    jpeg_idct_reduced(scale.size, coefficients, &component.steps, &self.flat, out, plane.stride);
                }
            }
            first += blocks(frame, index);
        }
    }
}

/// Blocks of a component, along and down, without those that fill up units: what a scan of it alone has.
fn own_blocks(frame: &Frame, index: usize) -> (usize, usize) {
    let component = &frame.components[index];
    let blocks = |pixels: usize, own: usize, most: usize| (pixels * own).div_ceil(most).div_ceil(8);
    (blocks(frame.width, component.h, frame.most_h), blocks(frame.height, component.v, frame.most_v))
}

/// Blocks of a row of a component: those of whole units, and one more, as they are transformed in pairs.
fn per_row(frame: &Frame, index: usize) -> usize {
    frame.units().0 * frame.components[index].h + 1
}

/// Blocks of a component.
fn blocks(frame: &Frame, index: usize) -> usize {
    frame.units().1 * frame.components[index].v * per_row(frame, index)
}
