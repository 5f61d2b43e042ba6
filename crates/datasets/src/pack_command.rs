//! `datasets pack`: its arguments, the bar, and what it says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use longtail_artifact::cli::{WithHint, disk};
use longtail_artifact::{
    OutputFile, OutputKind, check_outputs, counted, init_threads, install_interrupt_handler, progress,
};
use longtail_datasets::identity::with_bar;
use longtail_datasets::pack::{self, Kind, MadeFrom, Making, Pack, PackKey, Shrinker};
use longtail_datasets::read::photos;
use longtail_datasets::{DataSource, DatasetError};
use longtail_recipe::{OnBadImage, PhotoRecipe, shell_word};
use serde_json::json;

use crate::target::data_recipe;

/// Bad images that are named; the rest are counted.
const NAMED: usize = 5;

#[derive(Args)]
pub struct PackArgs {
    /// A recipe in `pipelines/`, or a data set of photographs with default settings
    #[arg(required_unless_present = "recipe", conflicts_with = "recipe")]
    name: Option<String>,
    /// A recipe file
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Change one field of the recipe, for example --set data.on_bad_image=skip (may be repeated)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Folder with lists and images
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// File of the pack [default: longtail-DATASET.pack beside the training images], which is where it is looked for
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Largest short side of a stored image, at least resize_short [default: the recipe's resize_short, 256 for 224 pixels]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(32..=4096))]
    short: Option<u32>,
    /// JPEG quality of resized images
    #[arg(long, value_name = "N", default_value_t = pack::QUALITY, value_parser = clap::value_parser!(u8).range(50..=100))]
    quality: u8,
    /// Number of threads; does not change the output [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// No progress bar, no notes
    #[arg(long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &PackArgs) -> Result<ExitCode> {
    init_threads(arguments.threads)?;
    install_interrupt_handler();
    let data = data_recipe(arguments.name.as_deref(), arguments.recipe.as_deref(), &arguments.set)?;
    let Some(photo) = &data.photo else {
        return Err(anyhow::anyhow!("`{}` has no photographs to pack", data.dataset.name()))
            .hint("its images are stored as pixels and load in a second");
    };
    let listed = photos::read(data.dataset, arguments.data.as_deref()).map_err(DatasetError::explained)?;
    let chosen = arguments.out.clone().or_else(|| std::env::var_os(pack::PACK_VARIABLE).map(PathBuf::from));
    let place = |chosen| pack::pack_file(listed.dataset, &listed.train_root, chosen);
    let (file, beside) = (place(chosen.as_deref()), place(None));
    let option = if arguments.out.is_none() && chosen.is_some() { pack::PACK_VARIABLE } else { "--out" };
    check_outputs(&[], &[OutputFile { option, path: &file, kind: OutputKind::Pack }])?;
    let source = listed.into_files(photo.image_side);
    let images = source.train.len() + source.test.len();
    let short = arguments.short.unwrap_or(photo.resize_short as u32);
    let key = PackKey::new(data.dataset.name(), &source.hash, images, short, arguments.quality);
    let words = !arguments.quiet && !arguments.json;
    let (pack, was_there) = match pack::find(&file, &key).map_err(DatasetError::explained)? {
        Some(pack) => {
            still_of(&source, &pack, !words)?;
            let bad = pack.entries().filter(|entry| entry.kind == Kind::Bad).count();
            if bad > 0 && photo.on_bad_image == OnBadImage::Fail {
                let file = pack.path().display();
                return Err(anyhow::anyhow!(
                    "{file} leaves out {} that could not be decoded when it was made, but the recipe says \
                     `on_bad_image: fail`",
                    counted(bad, "image")
                ))
                .hint(&format!("repair the images, delete `{file}`, and run this command again"));
            }
            (pack, true)
        }
        None => (make(photo, &source, &key, &file, words)?, false),
    };
    say(arguments, &source, &pack, was_there, &beside)?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses a pack that is not known to be of these photographs.
fn still_of(source: &DataSource, pack: &Pack, quiet: bool) -> Result<()> {
    let looked = with_bar(quiet, |progress| pack::look(source, pack, progress));
    let made_from = looked.map_err(DatasetError::explained)?;
    match made_from {
        MadeFrom::Others(_) => Err(pack::of_other_photographs(pack, &made_from).explained()),
        MadeFrom::Unknown(words) => Err(anyhow::anyhow!("{words}")).hint(&format!(
            "delete `{}` and run this command again; the pack as it is still works, with a warning",
            pack.path().display()
        )),
        MadeFrom::NotAllThere(words) => {
            eprintln!("note: {words}");
            Ok(())
        }
        MadeFrom::These => Ok(()),
    }
}

fn make(photo: &PhotoRecipe, source: &DataSource, key: &PackKey, file: &std::path::Path, words: bool) -> Result<Pack> {
    let shrinker = Shrinker::new(key.short, key.quality);
    let encode = |bytes: &[u8]| shrinker.shrink(bytes).map_err(|problem| problem.to_string());
    let estimate = pack::estimate(source, file, &encode);
    let free = disk::free_bytes(file);
    if words {
        println!("{key}");
        println!(
            "{}: about {} (estimated from {} of the images); {} free",
            file.display(),
            disk::human(estimate.bytes),
            estimate.samples,
            free.map_or_else(|| "unknown how much is".to_owned(), |bytes| format!("{} are", disk::human(bytes)))
        );
        if (key.short as usize) < photo.resize_short {
            println!("note: data.resize_short is {}: this recipe cannot read such a pack", photo.resize_short);
        }
    }
    if let Some(free) = free.filter(|free| *free < estimate.bytes.saturating_sub(estimate.written)) {
        let needed = disk::human(estimate.bytes.saturating_sub(estimate.written));
        return Err(anyhow::anyhow!(
            "not enough disk for {}: {needed} more, {} free",
            file.display(),
            disk::human(free)
        ))
        .hint("free some space, choose another place with --out FILE, or store smaller images with --short");
    }
    let bar = progress(key.images as u64, "pack", !words);
    let mut begun = false;
    let made = pack::make(source, key, file, photo.on_bad_image, &encode, &mut |making| match making {
        Making::Checking(done, all) => {
            bar.set_message(format!("checking the existing part: {}%", done * 100 / all.max(1)))
        }
        Making::Comparing(done, all) => {
            bar.set_message(format!("comparing the photographs of the existing part: {}%", done * 100 / all.max(1)));
        }
        Making::Writing(images, bytes) => {
            bar.set_position(images as u64);
            bar.set_message(disk::human(bytes));
            if !begun {
                begun = true;
                bar.reset_eta(); // what an earlier start did says nothing about the speed of this one
                if words && images > 0 {
                    bar.suspend(|| println!("continuing after {} already written", counted(images, "image")));
                }
            }
        }
    });
    bar.finish_and_clear();
    made.map_err(DatasetError::explained)
        .with_context(|| format!("{} is not finished; the same command continues from there", file.display()))
}

/// `beside`: where a pack is looked for if nobody names one.
fn say(arguments: &PackArgs, source: &DataSource, pack: &Pack, was_there: bool, beside: &Path) -> Result<()> {
    let bad: Vec<usize> =
        pack.entries().enumerate().filter(|(_, entry)| entry.kind == Kind::Bad).map(|(index, _)| index).collect();
    if arguments.json {
        let object = json!({
            "file": pack.path(), "was_there": was_there, "images": pack.len(), "bad": bad.len(), "bytes": pack.bytes(),
            "short": pack.key().short, "quality": pack.key().quality, "identity": pack.identity(),
        });
        println!("{}", serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    if arguments.quiet {
        return Ok(());
    }
    for &index in bad.iter().take(NAMED) {
        let (set, index) = match index.checked_sub(source.train.len()) {
            None => (&source.train, index),
            Some(index) => (&source.test, index),
        };
        let place = set.images.photos().map_or_else(String::new, |files| files.path(index).display().to_string());
        println!("left out: {place}");
    }
    if bad.len() > NAMED {
        println!("left out: {} more", bad.len() - NAMED);
    }
    if was_there && !bad.is_empty() {
        println!(
            "they were left out when the pack was made; if they are readable now, delete the pack and make it again"
        );
    }
    if was_there {
        println!("{} already holds this pack; nothing to do", pack.path().display());
    }
    println!(
        "{}: {} in {}, BLAKE3 {}",
        pack.path().display(),
        counted(pack.len() - bad.len(), "image"),
        disk::human(pack.bytes()),
        pack.identity()
    );
    match is_at(pack.path(), beside) {
        true => println!("read it with --set data.packed=true"),
        false => println!(
            "read it with --set data.packed=true, and {}={} in the environment",
            pack::PACK_VARIABLE,
            shell_word(&absolute(pack.path()).to_string_lossy())
        ),
    }
    Ok(())
}

/// Whether the file at `path` is the one that `place` names.
fn is_at(path: &Path, place: &Path) -> bool {
    match (path.canonicalize(), place.canonicalize()) {
        (Ok(path), Ok(place)) => path == place,
        _ => absolute(path) == absolute(place),
    }
}

/// As it can be named from any folder.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
