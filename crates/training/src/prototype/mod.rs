//! Prototypes and what is learnt with them: the averages, the loss against them, the meta-network and its gradient.

mod bank;
mod central_difference;
mod loss;
mod meta_gradient;
mod meta_network;
mod seen;
mod unit_rows;

pub use bank::{PrototypeBank, PrototypeSettings};
pub use central_difference::{CentralStep, central_difference};
pub use loss::{Contrast, prototype_loss};
pub use meta_gradient::{ContrastDirection, MetaObjective, meta_gradient};
pub use meta_network::{MetaLayers, MetaNetwork};
pub use seen::SeenClasses;
pub(crate) use unit_rows::unit_rows;
pub use unit_rows::{UnitRows, row_cosines};
