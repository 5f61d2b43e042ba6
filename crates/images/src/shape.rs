//! The size of one input image.

use std::fmt;

/// Rows, columns and channels of one image. In memory images are channels-last: `(N, height, width, channels)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ImageShape {
    /// Rows; 1 to 65535.
    pub height: usize,
    /// Columns; 1 to 65535.
    pub width: usize,
    /// Channels, 1 for grey and 3 for colour; 1 to 65535.
    pub channels: usize,
}

impl ImageShape {
    /// Elements of one image.
    pub fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// True when there is nothing in it; no network takes such an image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a network can be made for such images: every size is 1 to 65535.
    pub fn is_possible(&self) -> bool {
        let possible = |size: usize| (1..=usize::from(u16::MAX)).contains(&size);
        [self.height, self.width, self.channels].into_iter().all(possible)
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}×{}", self.height, self.width, self.channels)
    }
}
