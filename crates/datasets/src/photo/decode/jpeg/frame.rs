//! The tables and the frame of a baseline JPEG.

use longtail_ops::{HuffmanTable, JPEG_ZIGZAG};

use super::super::header::segment;
use super::super::{Header, PhotoProblem};

/// One colour component.
#[derive(Debug, Clone)]
pub(super) struct Component {
    /// Blocks of a unit, along and down.
    pub h: usize,
    pub v: usize,
    /// Quantisation steps, row by row.
    pub steps: [u16; 64],
    /// Places of its tables in [`Frame::dc`] and [`Frame::ac`].
    pub dc: usize,
    pub ac: usize,
}

/// A baseline frame with its one scan.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub width: usize,
    pub height: usize,
    /// Luma alone, or three of which the second and third have one block a unit.
    pub components: Vec<Component>,
    /// Whether the three are luma and chroma, not red, green and blue.
    pub is_ycc: bool,
    pub dc: [Option<HuffmanTable>; 4],
    pub ac: [Option<HuffmanTable>; 4],
    /// Units from one restart to the next; 0 without any.
    pub restart: usize,
}

impl Frame {
    pub fn table(tables: &[Option<HuffmanTable>; 4], place: usize) -> &HuffmanTable {
        tables[place].as_ref().expect("checked when the frame was read")
    }
}

/// A component as its frame header has it.
struct Stored {
    id: u8,
    h: usize,
    v: usize,
    quantisation: usize,
}

#[derive(Default)]
struct Tables {
    quantisation: [Option<[u16; 64]>; 4],
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
    restart: usize,
    jfif: bool,
    adobe: Option<u8>,
}

/// The frame, if the file is of the sort that is decoded here.
///
/// # Errors
/// Tables that contradict the format.
pub(super) fn baseline(encoded: &[u8], header: &Header) -> Result<Option<Frame>, PhotoProblem> {
    let mut tables = Tables::default();
    let mut stored: Vec<Stored> = Vec::new();
    let mut at = 2;
    loop {
        let segment = segment(encoded, at)?;
        at = segment.end;
        let body = segment.body;
        match segment.marker {
            // A frame header twice: the other decoder knows what to say.
            0xC0 | 0xC1 if stored.is_empty() => stored = components(body),
            0xC0..=0xC2 => return Ok(None),
            0xC4 => huffman(body, &mut tables)?,
            0xDB => quantisation(body, &mut tables)?,
            0xDD => match *body {
                [high, low] => tables.restart = usize::from(u16::from_be_bytes([high, low])),
                _ => return Err(PhotoProblem::jpeg("a restart interval that is not two bytes long")),
            },
            0xE0 => tables.jfif |= body.len() >= 14 && body.starts_with(b"JFIF\0"),
            0xEE if body.len() >= 12 && body.starts_with(b"Adobe") => tables.adobe = Some(body[11]),
            0xDA => return frame(body, header, &stored, tables),
            _ => {}
        }
    }
}

fn components(body: &[u8]) -> Vec<Stored> {
    let component = |four: &[u8]| Stored {
        id: four[0],
        h: usize::from(four[1] >> 4),
        v: usize::from(four[1] & 15),
        quantisation: usize::from(four[2]),
    };
    let (head, rest) = body.split_at(body.len().min(6));
    let whole = head.len() == 6 && rest.len() == 3 * usize::from(head[5]);
    if whole { rest.chunks_exact(3).map(component).collect() } else { Vec::new() }
}

fn quantisation(mut body: &[u8], tables: &mut Tables) -> Result<(), PhotoProblem> {
    while let [kind, rest @ ..] = body {
        let (wide, place) = (usize::from(kind >> 4), usize::from(kind & 15));
        let length = 64 * (wide + 1);
        if wide > 1 || place > 3 || rest.len() < length {
            return Err(PhotoProblem::jpeg("a quantisation table that is cut or of no known sort"));
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
    let wrong = || PhotoProblem::jpeg("a Huffman table that is no code");
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

fn frame(scan: &[u8], header: &Header, stored: &[Stored], tables: Tables) -> Result<Option<Frame>, PhotoProblem> {
    let count = stored.len();
    // All components in one scan, in their order, with all coefficients.
    let selectors = scan.get(1..).unwrap_or_default();
    let one_scan = scan.len() == 4 + 2 * count
        && usize::from(scan[0]) == count
        && stored.iter().zip(selectors.chunks_exact(2)).all(|(stored, selector)| stored.id == selector[0])
        && scan[1 + 2 * count..] == [0, 63, 0];
    let usual = match stored {
        [_] => true,
        [luma, rest @ ..] => {
            rest.len() == 2
                && (1..=2).contains(&luma.h)
                && (1..=2).contains(&luma.v)
                && rest.iter().all(|chroma| (chroma.h, chroma.v) == (1, 1))
        }
        [] => false,
    };
    if !one_scan || !usual {
        return Ok(None);
    }
    let is_ycc = match (tables.jfif, tables.adobe, stored) {
        (true, ..) => true,
        (_, Some(transform), _) => transform != 0,
        (_, None, [red, green, blue]) => [red.id, green.id, blue.id] != *b"RGB",
        _ => true,
    };
    let mut components = Vec::with_capacity(count);
    for (stored, selector) in stored.iter().zip(selectors.chunks_exact(2)) {
        let (dc, ac) = (usize::from(selector[1] >> 4), usize::from(selector[1] & 15));
        let steps = tables.quantisation.get(stored.quantisation).copied().flatten();
        let (Some(steps), Some(Some(_)), Some(Some(_))) = (steps, tables.dc.get(dc), tables.ac.get(ac)) else {
            // Files without tables mean the usual ones.
            return Ok(None);
        };
        // A unit of one component is one block, whatever its sampling.
        let (h, v) = if count == 1 { (1, 1) } else { (stored.h, stored.v) };
        components.push(Component { h, v, steps, dc, ac });
    }
    Ok(Some(Frame {
        width: header.width as usize,
        height: header.height as usize,
        components,
        is_ycc,
        dc: tables.dc,
        ac: tables.ac,
        restart: tables.restart,
    }))
}
