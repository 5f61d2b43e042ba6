//! iNaturalist 2018's layout (protocol.md §3): `train_val2018/<Super>/<label>/<hash>.jpg`, the lists that CB makes, and the
//! competition's two JSON files. It is evaluated on its validation list; there is no test list.

use serde_json::{Value, json};

use super::encode::{Form, form};
use super::{Options, Picture, Tree};

/// Three of the competition's super-categories.
const SUPERS: [&str; 3] = ["Aves", "Insecta", "Plantae"];

/// All pictures, the lists and the JSON files.
pub fn tree(options: &Options, class_counts: &[usize]) -> Tree {
    let mut tree = Tree { pictures: Vec::new(), lists: Vec::new() };
    let categories: Vec<Value> = (0..class_counts.len())
        .map(|class| json!({"id": class, "name": class.to_string(), "supercategory": SUPERS[class % 3]}))
        .collect();
    let mut id = 0;
    for part in ["train", "val"] {
        let (mut list, mut images, mut annotations) = (String::new(), Vec::new(), Vec::new());
        let mut number = 0;
        for (class, &count) in class_counts.iter().enumerate() {
            for index in 0..if part == "train" { count } else { options.val_per_class } {
                id += 1;
                let name = blake3::hash(format!("{}/{part}/{class}/{index}", options.seed).as_bytes()).to_hex();
                let path = format!("train_val2018/{}/{class}/{}.jpg", SUPERS[class % 3], &name[..32]);
                list += &format!("{path} {class}\n");
                images.push(json!({"id": id, "file_name": path}));
                annotations.push(json!({"id": id, "image_id": id, "category_id": class}));
                let form = if part == "train" { form(number) } else { Form::Plain };
                tree.pictures.push(Picture { path, class, index, part, form });
                number += 1;
            }
        }
        let competition = json!({"images": images, "annotations": annotations, "categories": categories});
        let [list_name, json_name] = match part {
            "train" => ["iNaturalist18_train.txt", "train2018.json"],
            _ => ["iNaturalist18_val.txt", "val2018.json"],
        };
        tree.lists.push((list_name, list));
        tree.lists.push((json_name, format!("{competition}\n")));
    }
    tree
}
