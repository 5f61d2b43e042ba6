//! The methods, one file each; [`base`] says what they share.

pub mod alpha;
pub mod base;
pub mod crt;
pub mod generation;
pub mod joint;
pub mod lws;
pub mod mpfa;
pub mod ncm;
pub mod tailcalib;
pub mod tau_norm;
