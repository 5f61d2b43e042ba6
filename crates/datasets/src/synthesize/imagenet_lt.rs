//! ImageNet-LT's layout (protocol.md §2): training and validation lists point into `train/`, the test list into `val/`.

use super::encode::{Form, form};
use super::{Options, Picture, Tree};

/// No WordNet identifier of ImageNet begins like this.
fn wnid(class: usize) -> String {
    format!("n9{:07}", 7 * class + 1)
}

/// All pictures, and the three lists: one `path label` a line, class after class.
pub fn tree(options: &Options, class_counts: &[usize]) -> Tree {
    let mut tree = Tree { pictures: Vec::new(), lists: Vec::new() };
    let mut lists = [String::new(), String::new(), String::new()];
    let mut numbers = [0; 3];
    for (class, &count) in class_counts.iter().enumerate() {
        let wnid = wnid(class);
        let parts = [("train", count), ("val", options.val_per_class), ("test", options.test_per_class)];
        for (place, (part, pictures)) in parts.into_iter().enumerate() {
            for index in 0..pictures {
                let number = numbers[place];
                let path = match part {
                    // Numbers with gaps, and apart from the validation images' in the same folder.
                    "train" => format!("train/{wnid}/{wnid}_{}.JPEG", 10 * index + 1 + class % 5),
                    "val" => format!("train/{wnid}/{wnid}_{}.JPEG", 10 * index + 7),
                    _ => format!("val/{wnid}/ILSVRC2012_val_{:08}.JPEG", number + 1),
                };
                lists[place] += &format!("{path} {class}\n");
                // Every form stands in the training list; one that loses the colours would waste a small test set.
                let form = if part == "train" { form(number) } else { Form::Plain };
                tree.pictures.push(Picture { path, class, index, part, form });
                numbers[place] += 1;
            }
        }
    }
    let names = ["ImageNet_LT_train.txt", "ImageNet_LT_val.txt", "ImageNet_LT_test.txt"];
    tree.lists = names.into_iter().zip(lists).collect();
    tree
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesize::Layout;

    #[test]
    fn lists_are_grouped_by_class_and_their_paths_all_differ() {
        let options = Options {
            layout: Layout::ImagenetLt,
            out: "unused".into(),
            classes: 3,
            train_images: 12,
            val_per_class: 2,
            test_per_class: 1,
            seed: 0,
            side: 32,
        };
        let tree = tree(&options, &[3, 7, 2]);
        assert_eq!(tree.pictures.len(), 12 + 6 + 3);
        let mut paths: Vec<&str> = tree.pictures.iter().map(|picture| picture.path.as_str()).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), tree.pictures.len());
        let lines: Vec<&str> = tree.lists[0].1.lines().collect();
        assert_eq!(lines[0], "train/n90000001/n90000001_1.JPEG 0");
        assert_eq!(lines[3], "train/n90000008/n90000008_2.JPEG 1");
        let labels: Vec<&str> = lines.iter().map(|line| line.split(' ').nth(1).expect("a label")).collect();
        assert!(labels.is_sorted());
        assert_eq!(
            tree.lists[2].1,
            "val/n90000001/ILSVRC2012_val_00000001.JPEG 0\nval/n90000008/ILSVRC2012_val_00000002.JPEG 1\nval/n90000015/ILSVRC2012_val_00000003.JPEG 2\n"
        );
    }
}
