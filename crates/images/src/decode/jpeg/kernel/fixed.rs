//! The fixed-point constants of the inverse cosine transform.

/// Bits after the point of the constants.
pub(super) const CONST_BITS: u32 = 13;
/// Bits after the point between the passes.
pub(super) const PASS1_BITS: u32 = 2;
/// Shift at the end of the pass over columns.
pub(super) const FIRST_SHIFT: u32 = CONST_BITS - PASS1_BITS;
/// Shift at the end of the pass over rows: the passes' own factor of 8 goes as well.
pub(super) const SECOND_SHIFT: u32 = CONST_BITS + PASS1_BITS + 3;

// `round(c · 2^13)` of libjpeg's constants.
pub(super) const F_0_298: i32 = 2446;
pub(super) const F_0_390: i32 = 3196;
pub(super) const F_0_541: i32 = 4433;
pub(super) const F_0_765: i32 = 6270;
pub(super) const F_0_899: i32 = 7373;
pub(super) const F_1_175: i32 = 9633;
pub(super) const F_1_501: i32 = 12299;
pub(super) const F_1_847: i32 = 15137;
pub(super) const F_1_961: i32 = 16069;
pub(super) const F_2_053: i32 = 16819;
pub(super) const F_2_562: i32 = 20995;
pub(super) const F_3_072: i32 = 25172;
