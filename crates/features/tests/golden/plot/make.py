"""Points, and what scikit-learn makes of them: PCA's plane, and of t-SNE the plane from one start and measures over several.

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


def nearest(rows, count):
    """(n, count): the rows nearest to each."""
    distances = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :count]


def kept(placed, count=10):
    """The share of each point's `count` nearest neighbours that are among its nearest in the plane."""
    pairs = zip(nearest(points, count), nearest(placed, count))
    return float(np.mean([len(set(before) & set(after)) / count for before, after in pairs]))


def descend(perplexity, init, seed):
    # Exact, as ours; init="pca" is PCA's plane scaled to 1e-4, as ours; its tolerance for the perplexity is its own.
    tsne = TSNE(2, perplexity=perplexity, init=init, method="exact", max_iter=1000, learning_rate="auto", random_state=seed)
    return tsne.fit_transform(points), float(tsne.kl_divergence_)


runs = []
for perplexity in (5, 20, 35):
    placed, kl = descend(perplexity, "pca", 0)
    starts = [(placed, kl)] + [descend(perplexity, "random", seed) for seed in range(5)]
    runs.append(
        {
            "perplexity": perplexity,
            "plane": np.round(placed.ravel().astype(float), 5).tolist(),
            "kl": kl,
            "kl_of_starts": [kl for _, kl in starts],
            "kept_of_starts": [kept(placed) for placed, _ in starts],
        }
    )

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
