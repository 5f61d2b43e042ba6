//! Where a recipe that says nothing stands, and where the presets stand. Sources are beside the fields in
//! [`crate::resolved`]; row numbers are those of mpcl_mpfa.md §5.

use crate::raw::Preset;
use crate::resolved::*;

/// Per-channel statistics.
pub(crate) fn normalize(dataset: Dataset) -> Normalize {
    match dataset {
        // CIFAR-10's numbers, as LDAM and its descendants use for CIFAR-100 (protocol.md §1.3).
        Dataset::Cifar100 => Normalize { mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.2023, 0.1994, 0.2010] },
        // Over the 60000 training images.
        Dataset::FashionMnist => Normalize { mean: vec![0.2860], std: vec![0.3530] },
        // CB's `data/dataloader.py`.
        Dataset::Inaturalist2018 => Normalize { mean: vec![0.466, 0.471, 0.380], std: vec![0.195, 0.194, 0.192] },
        // ImageNet's, as in torchvision and CB.
        Dataset::ImagenetLt | Dataset::ImageFolder => {
            Normalize { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
        }
    }
}

/// Prototypes of the unit sphere, one EMA step a sample.
pub(crate) fn ema(preset: Preset) -> Ema {
    Ema {
        momentum: EmaMomentum::Fixed(0.999),
        order: EmaOrder::Seq,
        space: match preset {
            Preset::Defaults => ProtoSpace::Sphere,
            Preset::PaperLiteral => ProtoSpace::Raw,
        },
        debias: false,
    }
}

/// MPCL before its recipe is laid over it.
pub(crate) fn mpcl(preset: Preset) -> MpclRecipe {
    let defaults = MpclRecipe {
        prototypes: Prototypes::Meta,
        lambda: 0.5,
        lambda_ramp_epochs: 0,
        tau: 0.07,
        t_th_frac: 0.2,
        pc_warm: false,
        ema: ema(preset),
        ema_after_tth: true,
        meta_network: MetaNetworkRecipe {
            residual: true,
            hidden: 0,
            // Unbounded, c' left its class in every run that we made (results/meta-network-search.md): the meta loss looks one
            // step ahead, and nothing in Eqs. 4 to 8 holds c' near c.
            max_angle_deg: 15.0,
            optimizer: MetaOptimizer::Adam,
            lr: 3e-4,
            follow_schedule: true,
            weight_decay: 0.0,
            proximity: 0.0,
        },
        meta_batch: 0,
        meta_aug: MetaAug::CropFlip,
        meta_every: 1,
        meta_scale: MetaScale::Unit,
        virtual_step: VirtualStep::Sgd,
        jvp: Jvp::Forward,
        meta_bn: MetaBn::Batch,
        meta_loss: MetaLoss::Ce,
    };
    match preset {
        Preset::Defaults => defaults,
        Preset::PaperLiteral => MpclRecipe {
            ema_after_tth: false,          // row 6: Algorithm 1 updates c before T_th only
            meta_scale: MetaScale::WithLr, // Eq. 7 differentiates through Eq. 6 as it stands
            meta_network: MetaNetworkRecipe {
                max_angle_deg: 180.0,
                residual: false,               // row 10: Linear-ReLU, Linear-ReLU-Linear
                optimizer: MetaOptimizer::Sgd, // row 11: a plain step of rate β, which the paper leaves open;
                lr: 0.1,                       // MetaSAug, whose meta set it takes, uses 0.1
                follow_schedule: false,        // β carries no epoch
                ..defaults.meta_network
            },
            ..defaults
        },
    }
}

/// MPFA before its recipe is laid over it.
pub(crate) fn mpfa(preset: Preset) -> MpfaRecipe {
    let defaults = MpfaRecipe {
        prototypes: MpfaPrototypes::Meta,
        proto_scale: ProtoScale::ClassNorm,
        proto_clamp: true,
        cov_center: CovCenter::Proto,
        cov_space: CovSpace::Raw,
        tukey: 0.9,
        tukey_renorm: true,
        feat_norm: FeatNorm::L2,
        neighbor_rule: NeighborRule::CosLarger,
        neighbors: 3,
        weights: NeighborWeights::Softmax,
        beta_mode: BetaMode::RelDiag,
        beta: 0.05,
        alpha: Alpha::Fixed(0.4),
        tail: TailRule::BelowMax,
        count: CountRule::Exact,
        regen: Regen::Epoch,
        head_scale: 16.0,
        training: head_training(150, 128, 0.01, Schedule::Constant, 0.9),
    };
    match preset {
        Preset::Defaults => defaults,
        Preset::PaperLiteral => MpfaRecipe {
            proto_scale: ProtoScale::Unit,          // row 13: ĉ enters Eqs. 9 and 10 as it is
            proto_clamp: false,                     // row 14
            tukey_renorm: false,                    // row 16
            feat_norm: FeatNorm::None,              // row 18: only the similarity is a cosine
            weights: NeighborWeights::SoftmaxOverM, // row 21: both
            beta_mode: BetaMode::AbsAll,            // row 23: "+β", a scalar on a matrix
            alpha: Alpha::Adaptive(0.2),            // row 24
            count: CountRule::Ceil,                 // row 26
            regen: Regen::Once,                     // row 28: "first pre-compute"
            ..defaults
        },
    }
}

/// cRT's training (CB's ImageNet-LT recipe).
pub(crate) fn crt_training() -> HeadTraining {
    head_training(10, 512, 0.2, Schedule::Cosine, 0.9)
}

/// LWS's training (same source).
pub(crate) fn lws_training() -> HeadTraining {
    head_training(5, 512, 0.2, Schedule::Cosine, 0.9)
}

/// TailCalib's numbers at factor 100 (methods.md §4.20).
pub(crate) fn tailcalib() -> TailCalibRecipe {
    TailCalibRecipe {
        tukey: 1.0,
        alpha: 0.0,
        neighbors: 3,
        training: head_training(150, 128, 0.01, Schedule::Constant, 0.7),
    }
}

/// 0, 0.1, …, 2.
pub(crate) fn taus() -> Vec<f64> {
    (0..=20).map(|step| f64::from(step) / 10.0).collect()
}

fn head_training(epochs: usize, batch_size: usize, lr: f64, schedule: Schedule, momentum: f64) -> HeadTraining {
    HeadTraining { epochs, batch_size, lr, schedule, momentum, weight_decay: 5e-4 }
}
