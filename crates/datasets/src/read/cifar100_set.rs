//! What every set of CIFAR-100's images is, from whatever file.

use crate::image_set::ImageSet;

const SIDE: usize = 32;
pub(super) const CHANNELS: usize = 3;
pub(super) const PLANE: usize = SIDE * SIDE;
pub(super) const FINE_CLASSES: u32 = 100;

/// Names by fine label, alphabetical, as in `fine_label_names.txt`.
const FINE_NAMES: &str = "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus \
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup \
    dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion \
    lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear \
    pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew \
    skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger \
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm";

/// A set of CIFAR-100's images `(N, 32, 32, 3)` under their fine labels.
pub(super) fn image_set(pixels: Vec<u8>, labels: Vec<u32>) -> ImageSet {
    ImageSet {
        images: pixels.into(),
        labels,
        height: SIDE,
        width: SIDE,
        channels: CHANNELS,
        num_classes: FINE_CLASSES as usize,
        class_names: FINE_NAMES.split_whitespace().map(str::to_owned).collect(),
    }
}

/// Whether `set` is of CIFAR-100's form and has so many images.
pub(super) fn is_whole(set: &ImageSet, images: usize) -> bool {
    let form = (set.height, set.width, set.channels, set.num_classes);
    form == (SIDE, SIDE, CHANNELS, FINE_CLASSES as usize)
        && set.labels.len() == images
        && set.images.pixels().len() == images * CHANNELS * PLANE
}
