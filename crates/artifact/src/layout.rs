//! Where everything lies in a run: the only place that knows.

use std::path::{Path, PathBuf};

/// The paths inside one seed's folder, `runs/NAME/seed-N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLayout {
    run: PathBuf,
}

impl RunLayout {
    /// The layout of a run folder, which need not exist.
    pub fn new(run: impl Into<PathBuf>) -> Self {
        Self { run: run.into() }
    }

    /// The run folder itself.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> PathBuf {
        self.run.join("recipe.yaml")
    }

    /// The indices of train, meta, val and test.
    pub fn split(&self) -> PathBuf {
        self.run.join("split.safetensors")
    }

    /// What the image files were when they were last looked at: saves hashing them again.
    pub fn images(&self) -> PathBuf {
        self.run.join("images.json")
    }

    /// The same of images that the split is not drawn from, found there instead: saves hashing them again once it is.
    pub fn other_images(&self) -> PathBuf {
        self.run.join("other-images.json")
    }

    /// The folder of stage 1 for one variant.
    pub fn representation(&self, variant: &str) -> PathBuf {
        self.run.join("representation").join(variant)
    }

    /// The folder of stage 2 for one variant.
    pub fn features(&self, variant: &str) -> PathBuf {
        self.run.join("features").join(variant)
    }

    /// The folder of stage 3 for one variant and method.
    pub fn classifier(&self, variant: &str, method: &str) -> PathBuf {
        self.run.join("classifier").join(variant).join(method)
    }

    /// The folder of the report over all seeds, beside the run folders.
    pub fn report(&self) -> PathBuf {
        self.run.parent().unwrap_or(Path::new(".")).join("report")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_of_the_architecture_page() {
        let layout = RunLayout::new("runs/x/seed-0");
        assert_eq!(layout.classifier("ce", "crt"), Path::new("runs/x/seed-0/classifier/ce/crt"));
        assert_eq!(layout.report(), Path::new("runs/x/report"));
    }
}
