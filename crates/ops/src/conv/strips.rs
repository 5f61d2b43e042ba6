//! How the output rows of a batch are cut into strips, and strips into tasks.

use super::ConvShape;

/// Elements of source and result that a strip may take: half a megabyte of f32, so that the second
/// cache still holds a strip when the next kernel reads it.
const STRIP_ELEMENTS: usize = 1 << 17;

/// Every image in strips of equally many output rows, but for the last one of an image. A function of the shape only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strips {
    batch: usize,
    /// Output rows and input rows of an image.
    out_height: usize,
    height: usize,
    stride: usize,
    /// Output rows of a strip.
    pub rows: usize,
    /// Strips of an image.
    pub count: usize,
    /// All strips have as many output rows and as many input rows.
    even: bool,
}

/// One strip.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strip {
    pub image: usize,
    /// First output row, and how many.
    pub first: usize,
    pub rows: usize,
    /// First input row of which this strip computes the gradient, and how many.
    pub in_first: usize,
    pub in_rows: usize,
}

impl Strips {
    /// `row_elements`: what one output row takes of source and result.
    pub fn new(s: &ConvShape, row_elements: usize) -> Self {
        let height = s.out_height();
        let most = (STRIP_ELEMENTS / row_elements.max(1)).max(1);
        // Input rows are shared out by their output rows, which works where those reach down to the last one.
        let divisible = height * s.stride >= s.height;
        let mut rows = if most >= height || !divisible { height } else { strip_rows(height, most) };
        // With much padding the last rows may lie below the input; a strip of them alone would have no input rows.
        if (height.div_ceil(rows) - 1) * rows * s.stride >= s.height {
            rows = height;
        }
        let count = height.div_ceil(rows);
        let even = count == 1 || (height.is_multiple_of(rows) && s.height == height * s.stride);
        Self { batch: s.batch, out_height: height, height: s.height, stride: s.stride, rows, count, even }
    }

    /// Strips in the batch.
    pub fn total(&self) -> usize {
        self.batch * self.count
    }

    pub fn strip(&self, index: usize) -> Strip {
        let (image, at) = (index / self.count, index % self.count);
        let first = at * self.rows;
        let in_first = (first * self.stride).min(self.height);
        let in_end = if at + 1 == self.count { self.height } else { (first + self.rows) * self.stride };
        Strip {
            image,
            first,
            rows: self.rows.min(self.out_height - first),
            in_first,
            in_rows: in_end.min(self.height) - in_first,
        }
    }

    /// Strips of a task that should have `wanted`. Tasks end with an image where strips differ, so
    /// that all tasks but the last are of one length.
    pub fn per_task(&self, wanted: usize) -> usize {
        let wanted = wanted.max(1);
        if self.even || self.batch == 1 { wanted } else { wanted.next_multiple_of(self.count) }
    }

    /// Output rows of a task of `strips`, and input rows.
    pub fn task_rows(&self, strips: usize) -> (usize, usize) {
        if self.even || self.batch == 1 {
            (
                strips * self.rows.min(self.out_height),
                strips * if self.count == 1 { self.height } else { self.rows * self.stride },
            )
        } else {
            let images = strips / self.count;
            (images * self.out_height, images * self.height)
        }
    }
}

/// At most `most` rows: an even divisor of the height where there is one not far below, else as many as may be.
fn strip_rows(height: usize, most: usize) -> usize {
    let divides = |rows: &usize| height.is_multiple_of(*rows);
    let even = (2..=most).rev().filter(|rows| rows % 2 == 0).find(divides);
    let any = (1..=most).rev().find(divides).unwrap_or(1);
    match even {
        Some(rows) if 2 * rows >= most => rows,
        _ if 2 * any >= most => any,
        _ if most >= 2 => most - most % 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(batch: usize, size: usize, stride: usize) -> ConvShape {
        ConvShape {
            batch,
            height: size,
            width: size,
            in_channels: 16,
            out_channels: 16,
            kernel: 3,
            stride,
            padding: 1,
            dilation: 1,
            groups: 1,
        }
    }

    #[test]
    fn strips_cover_every_row_once() {
        for (size, stride, row) in
            [(32, 1, 1), (56, 1, 7000), (57, 1, 9000), (56, 2, 20000), (57, 2, 20000), (5, 1, 1 << 20)]
        {
            let s = shape(3, size, stride);
            let strips = Strips::new(&s, row);
            let (mut out, mut input) = (0, 0);
            for index in 0..strips.total() {
                let strip = strips.strip(index);
                assert_eq!(
                    (strip.image * s.out_height() + strip.first, strip.image * s.height + strip.in_first),
                    (out, input)
                );
                assert!(strip.rows > 0 && strip.rows <= strips.rows);
                out += strip.rows;
                input += strip.in_rows;
            }
            assert_eq!((out, input), (3 * s.out_height(), 3 * s.height));
            let per_task = strips.per_task(2);
            let (rows, in_rows) = strips.task_rows(per_task);
            if per_task < strips.total() {
                let next = strips.strip(per_task);
                assert_eq!(next.image * s.out_height() + next.first, rows);
                assert_eq!(next.image * s.height + next.in_first, in_rows);
            }
        }
    }

    #[test]
    fn no_strip_is_without_input_rows() {
        for (padding, size, row) in [(2, 15, 7872), (3, 28, 16384), (2, 95, 7872), (1, 16, 20000)] {
            let s = ConvShape { padding, ..shape(2, size, 1) };
            let strips = Strips::new(&s, row);
            assert!((0..strips.total()).all(|index| strips.strip(index).in_rows > 0), "{strips:?}");
        }
    }

    #[test]
    fn rows_are_even_divisors_where_possible() {
        assert_eq!(
            [(56, 13), (28, 20), (7, 5), (57, 20), (13, 5), (112, 3)].map(|(h, most)| strip_rows(h, most)),
            [8, 14, 4, 19, 4, 2]
        );
    }
}
