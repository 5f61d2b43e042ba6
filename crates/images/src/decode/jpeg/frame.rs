//! What stands before a JPEG's data: the frame, the tables, and the header of each scan.

use super::kernel::{HuffmanTable, JPEG_ZIGZAG};

use super::super::header::segment;
use super::super::{Header, PhotoProblem};
use super::usual::usual_table;

/// One colour component.
#[derive(Debug, Clone)]
pub(super) struct Component {
    id: u8,
    /// Blocks of a unit, along and down.
    pub h: usize,
    pub v: usize,
    /// Place of its quantisation table.
    quantisation: usize,
    /// Quantisation steps, row by row: those that are there when its first scan begins.
    pub steps: [u16; 64],
    has_steps: bool,
}

/// What the components are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    Grey,
    Rgb,
    /// Luma and two of chroma.
    Ycc,
    Cmyk,
    /// CMY as luma and chroma, and K.
    Ycck,
}

/// The picture as all its scans share it.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub width: usize,
    pub height: usize,
    pub is_progressive: bool,
    pub components: Vec<Component>,
    pub colours: Colours,
    /// The most blocks of a component in a unit, along and down.
    pub most_h: usize,
    pub most_v: usize,
}

impl Frame {
    /// Units of a row, and rows of units.
    pub fn units(&self) -> (usize, usize) {
        (self.width.div_ceil(8 * self.most_h), self.height.div_ceil(8 * self.most_v))
    }
}

/// One component's part of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScanComponent {
    /// Which component of the frame.
    pub index: usize,
    /// Places of its tables in [`Tables`].
    pub dc: usize,
    pub ac: usize,
}

/// A scan's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scan {
    pub components: Vec<ScanComponent>,
    /// First and last coefficient, the bit that was known before, and the bit that comes; of progressive files.
    pub band: (usize, usize),
    pub high: u8,
    pub low: u8,
    /// Where its data begin in the file.
    pub data: usize,
}

impl Scan {
    /// Whether all components are in it, in their order.
    pub fn is_of_all(&self, frame: &Frame) -> bool {
        self.components.iter().map(|component| component.index).eq(0..frame.components.len())
    }
}

/// What holds until it is said anew.
#[derive(Debug, Default)]
pub(super) struct Tables {
    quantisation: [Option<[u16; 64]>; 4],
    pub dc: [Option<HuffmanTable>; 4],
    pub ac: [Option<HuffmanTable>; 4],
    /// Units from one restart to the next; 0 without any.
    pub restart: usize,
}

/// A table that a scan names.
///
/// # Errors
/// There is none.
pub(super) fn table(tables: &[Option<HuffmanTable>; 4], place: usize) -> Result<&HuffmanTable, PhotoProblem> {
    let table = tables.get(place).and_then(Option::as_ref);
    table.ok_or_else(|| PhotoProblem::jpeg("a scan without its Huffman table"))
}

/// A file, read from scan to scan.
pub(super) struct Segments<'a> {
    encoded: &'a [u8],
    pub frame: Frame,
    pub tables: Tables,
}

impl<'a> Segments<'a> {
    /// Up to the first scan.
    ///
    /// # Errors
    /// Segments that contradict the format, sorts of JPEG that are not read.
    pub fn open(encoded: &'a [u8], header: &Header) -> Result<(Self, Scan), PhotoProblem> {
        let frame = Frame {
            width: header.width as usize,
            height: header.height as usize,
            is_progressive: false,
            components: Vec::new(),
            colours: Colours::Ycc,
            most_h: 1,
            most_v: 1,
        };
        let mut segments = Self { encoded, frame, tables: Tables::default() };
        match segments.next(2)? {
            Some(scan) => Ok((segments, scan)),
            None => Err(PhotoProblem::jpeg("it ends before its image data starts")),
        }
    }

    /// The scan that comes after the byte `at`; `None` where the picture ends.
    ///
    /// # Errors
    /// As [`Segments::open`].
    pub fn next(&mut self, mut at: usize) -> Result<Option<Scan>, PhotoProblem> {
        let (mut is_jfif, mut adobe) = (false, None);
        loop {
            let segment = segment(self.encoded, at)?;
            at = segment.end;
            let body = segment.body;
            match segment.marker {
                0xC0..=0xC2 if !self.frame.components.is_empty() => {
                    return Err(PhotoProblem::jpeg("two frame headers"));
                }
                marker @ 0xC0..=0xC2 => {
                    self.frame.is_progressive = marker == 0xC2;
                    self.frame.components = components(body)?;
                }
                0xC4 => huffman(body, &mut self.tables)?,
                0xD9 => return Ok(None),
                0xDB => quantisation(body, &mut self.tables)?,
                0xDD => match *body {
                    [high, low] => self.tables.restart = usize::from(u16::from_be_bytes([high, low])),
                    _ => return Err(PhotoProblem::jpeg("restart interval not two bytes long")),
                },
                0xE0 => is_jfif |= body.len() >= 14 && body.starts_with(b"JFIF\0"),
                0xEE if body.len() >= 12 && body.starts_with(b"Adobe") => adobe = Some(body[11]),
                0xDA => {
                    let is_first = self.frame.components.iter().all(|component| !component.has_steps);
                    if is_first {
                        self.begin(is_jfif, adobe)?;
                    }
                    return self.scan(body, at).map(Some);
                }
                _ => {}
            }
        }
    }

    /// What the whole frame is, once everything before its first scan is known.
    fn begin(&mut self, is_jfif: bool, adobe: Option<u8>) -> Result<(), PhotoProblem> {
        let frame = &mut self.frame;
        if let [grey] = frame.components.as_mut_slice() {
            // A unit of one component is one block, whatever its sampling.
            (grey.h, grey.v) = (1, 1);
        }
        let most = |of: fn(&Component) -> usize| frame.components.iter().map(of).max().unwrap_or(1);
        (frame.most_h, frame.most_v) = (most(|component| component.h), most(|component| component.v));
        let divides = |component: &Component| {
            frame.most_h.is_multiple_of(component.h) && frame.most_v.is_multiple_of(component.v)
        };
        if !frame.components.iter().all(divides) {
            let what = "a JPEG whose sampling factors do not divide each other".to_owned();
            return Err(PhotoProblem::Unsupported { what });
        }
        frame.colours = match (frame.components.as_slice(), adobe) {
            ([_], _) => Colours::Grey,
            ([_, _, _], _) if is_jfif => Colours::Ycc,
            ([_, _, _], Some(0)) => Colours::Rgb,
            ([red, green, blue], None) if [red.id, green.id, blue.id] == *b"RGB" => Colours::Rgb,
            ([_, _, _], _) => Colours::Ycc,
            (_, None | Some(0)) => Colours::Cmyk,
            _ => Colours::Ycck,
        };
        Ok(())
    }

    fn scan(&mut self, body: &[u8], data: usize) -> Result<Scan, PhotoProblem> {
        let wrong = || PhotoProblem::jpeg("a scan header of the wrong length or of unknown components");
        let count = usize::from(*body.first().ok_or_else(wrong)?);
        if count == 0 || count > self.frame.components.len() || body.len() != 4 + 2 * count {
            return Err(wrong());
        }
        let mut components: Vec<ScanComponent> = Vec::with_capacity(count);
        for selector in body[1..=2 * count].chunks_exact(2) {
            // Of components with one name, the first that is not in the scan yet.
            let is_free = |index: &usize| components.iter().all(|component| component.index != *index);
            let mut all = 0..self.frame.components.len();
            let index = all.find(|index| self.frame.components[*index].id == selector[0] && is_free(index));
            let component = &mut self.frame.components[index.ok_or_else(wrong)?];
            if !component.has_steps {
                let steps = self.tables.quantisation.get(component.quantisation).copied().flatten();
                component.steps = steps.ok_or_else(|| PhotoProblem::jpeg("a scan without its quantisation table"))?;
                component.has_steps = true;
            }
            let (dc, ac) = (usize::from(selector[1] >> 4), usize::from(selector[1] & 15));
            if !self.frame.is_progressive {
                // Files without tables mean the usual ones.
                for (of_first, kept, place) in [(true, &mut self.tables.dc, dc), (false, &mut self.tables.ac, ac)] {
                    if let Some(kept @ None) = kept.get_mut(place) {
                        *kept = usual_table(of_first, place);
                    }
                }
            }
            components.push(ScanComponent { index: index.ok_or_else(wrong)?, dc, ac });
        }
        let [start, end, bits] = body[1 + 2 * count..] else { return Err(wrong()) };
        let band = (usize::from(start), usize::from(end));
        let scan = Scan { components, band, high: bits >> 4, low: bits & 15, data };
        if count > 1 && self.blocks_of_a_unit(&scan) > MOST_BLOCKS {
            return Err(PhotoProblem::jpeg(format!("a unit of more than {MOST_BLOCKS} blocks")));
        }
        Ok(scan)
    }

    fn blocks_of_a_unit(&self, scan: &Scan) -> usize {
        let component = |component: &ScanComponent| &self.frame.components[component.index];
        scan.components.iter().map(component).map(|component| component.h * component.v).sum()
    }
}

/// Blocks of a unit that the format allows.
pub(super) const MOST_BLOCKS: usize = 10;

fn components(body: &[u8]) -> Result<Vec<Component>, PhotoProblem> {
    let (head, rest) = body.split_at(body.len().min(6));
    if head.len() != 6 || head[5] == 0 || rest.len() != 3 * usize::from(head[5]) {
        return Err(PhotoProblem::jpeg("a frame header of the wrong length"));
    }
    let component = |three: &[u8]| {
        let (h, v) = (usize::from(three[1] >> 4), usize::from(three[1] & 15));
        if !(1..=4).contains(&h) || !(1..=4).contains(&v) {
            return Err(PhotoProblem::jpeg(format!("a sampling of {h} by {v}")));
        }
        let quantisation = usize::from(three[2]);
        Ok(Component { id: three[0], h, v, quantisation, steps: [1; 64], has_steps: false })
    };
    rest.chunks_exact(3).map(component).collect()
}

fn quantisation(mut body: &[u8], tables: &mut Tables) -> Result<(), PhotoProblem> {
    while let [kind, rest @ ..] = body {
        let (wide, place) = (usize::from(kind >> 4), usize::from(kind & 15));
        let length = 64 * (wide + 1);
        if wide > 1 || place > 3 || rest.len() < length {
            return Err(PhotoProblem::jpeg("a truncated or unknown quantisation table"));
        }
        let mut steps = [0; 64];
        for (value, at) in rest.chunks_exact(wide + 1).zip(JPEG_ZIGZAG) {
            steps[usize::from(at)] = value.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte));
        }
        tables.quantisation[place] = Some(steps);
        body = &rest[length..];
    }
    Ok(())
}

fn huffman(mut body: &[u8], tables: &mut Tables) -> Result<(), PhotoProblem> {
    let wrong = || PhotoProblem::jpeg("an invalid Huffman table");
    while let [kind, rest @ ..] = body {
        let counts: &[u8; 16] = rest.get(..16).ok_or_else(wrong)?.try_into().expect("sixteen bytes");
        let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
        let symbols = rest.get(16..16 + total).ok_or_else(wrong)?;
        let is_first = kind >> 4 == 0;
        if kind >> 4 > 1 || kind & 15 > 3 || is_first && symbols.iter().any(|size| *size > 15) {
            return Err(wrong());
        }
        let table = HuffmanTable::new(counts, symbols).ok_or_else(wrong)?;
        let kept = if is_first { &mut tables.dc } else { &mut tables.ac };
        kept[usize::from(kind & 15)] = Some(table);
        body = &rest[16 + total..];
    }
    Ok(())
}
