"""Points, and what scikit-learn makes of them: PCA's plane and t-SNE's divergence.

Made with the versions that the file's metadata names:  python make.py golden.json
`points` are rounded to six digits, so that the file is small and both sides read the same numbers.
"""

import json
import sys

import numpy as np
import sklearn
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

rng = np.random.default_rng(0)
classes, each, dim = 4, 30, 12
centres = rng.normal(size=(classes, dim)) * 1.6
labels = np.repeat(np.arange(classes), each)
points = np.round(centres[labels] + rng.normal(size=(classes * each, dim)), 6)

pca = PCA(2, svd_solver="full").fit(points)
plane = pca.transform(points)
runs = []
for perplexity in (5, 20, 35):
    # init="pca" is PCA's plane scaled to 1e-4, as ours; exact, as ours; its tolerance for the perplexity is its own.
    tsne = TSNE(2, perplexity=perplexity, init="pca", method="exact", max_iter=1000, learning_rate="auto", random_state=0)
    tsne.fit(points)
    runs.append({"perplexity": perplexity, "kl": float(tsne.kl_divergence_)})

json.dump(
    {
        "made_with": f"numpy {np.__version__}, scikit-learn {sklearn.__version__}",
        "dim": dim,
        "labels": labels.tolist(),
        "points": points.ravel().tolist(),
        "plane": plane.ravel().tolist(),
        "explained": pca.explained_variance_ratio_.tolist(),
        "tsne": runs,
    },
    open(sys.argv[1], "w"),
)
