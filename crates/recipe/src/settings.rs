//! How the settings of one method become known: a trait that they implement in their own file, and a macro that lists them.

use serde::de::DeserializeOwned;

use crate::check::{At, Problem};

/// The settings of one method. `Beside` is what they are checked against beside themselves.
pub(crate) trait Settings<Beside>: Sized {
    /// As YAML has them: every field optional.
    type Raw: DeserializeOwned;

    /// Whether the method trains a head, so that `head_training_defaults` goes under its `training`.
    const TRAINS_HEAD: bool = false;

    /// Defaults filled in, ranges checked.
    fn resolve(at: &At, raw: Self::Raw, beside: &Beside) -> Result<Self, Problem>;

    /// Fields that these settings leave without effect: they stand in no stage's key.
    fn without_effect(&self) -> &'static [&'static str] {
        &[]
    }
}

impl<T: Settings<Beside>, Beside> Settings<Beside> for Box<T> {
    type Raw = Box<T::Raw>;

    const TRAINS_HEAD: bool = T::TRAINS_HEAD;

    fn resolve(at: &At, raw: Self::Raw, beside: &Beside) -> Result<Self, Problem> {
        T::resolve(at, *raw, beside).map(Box::new)
    }

    fn without_effect(&self) -> &'static [&'static str] {
        T::without_effect(self)
    }
}

/// Lists the methods of one stage: a line each, `"word" => Variant(Settings)`. Everything that must know all of them is
/// made from this list: both forms of the enum, the words, who trains a head.
macro_rules! methods {
    (
        $(#[$attribute:meta])*
        $resolved:ident, $raw:ident, $beside:ty;
        $( $(#[$doc:meta])* $word:literal => $variant:ident($settings:ty), )+
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum $resolved {
            $( $(#[$doc])* #[serde(rename = $word)] $variant($settings), )+
        }

        #[doc = concat!("[`", stringify!($resolved), "`] as YAML has it.")]
        #[derive(Debug, Clone, serde::Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub(crate) enum $raw {
            $( #[serde(rename = $word)] $variant(<$settings as $crate::settings::Settings<$beside>>::Raw), )+
        }

        impl $resolved {
            /// What recipes call the methods, in the order of documents.
            pub const NAMES: &[&str] = &[$($word),+];

            /// The method's name as a recipe writes it.
            pub fn name(&self) -> &'static str {
                match self {
                    $( Self::$variant(_) => $word, )+
                }
            }

            /// Whether the method called `name` trains a head.
            #[allow(dead_code)] // stage 1's methods all do
            pub(crate) fn trains_head(name: &str) -> bool {
                $( (name == $word && <$settings as $crate::settings::Settings<$beside>>::TRAINS_HEAD) )||+
            }

            /// See [`Settings::without_effect`](crate::settings::Settings::without_effect).
            pub(crate) fn without_effect(&self) -> &'static [&'static str] {
                match self {
                    $( Self::$variant(settings) => {
                        $crate::settings::Settings::<$beside>::without_effect(settings)
                    } )+
                }
            }

            /// `at` is the field that holds the method's name.
            pub(crate) fn resolve(
                at: &$crate::check::At,
                raw: $raw,
                beside: &$beside,
            ) -> Result<Self, $crate::check::Problem> {
                match raw {
                    $( $raw::$variant(raw) => {
                        let resolved = <$settings as $crate::settings::Settings<$beside>>::resolve(&at.key($word), raw, beside)?;
                        Ok(Self::$variant(resolved))
                    } )+
                }
            }
        }
    };
}

pub(crate) use methods;
