"""TailCalib's distribution of every generated row (rahulvigneswaran/TailCalibX, TailCalib.py), written out densely.

Class statistics of unit features before Tukey; per sample the k classes whose means are nearest to the Tukey'd sample (all
classes allowed); mean (sum of their means + x)/(k+1); covariance = mean of theirs + alpha in every entry + 1e-4 I; counts
N_1 - N_k. Features on their way into the head: unit, Tukey, unit.
"""
import json
import numpy as np

rng = np.random.RandomState(6)
K, d = 5, 4
counts = [11, 8, 6, 3, 2]
y = np.repeat(np.arange(K), counts)
raw = np.abs(rng.randn(len(y), d) * 0.4 + rng.rand(K, d)[y] * 2)
unit = lambda a: a / np.linalg.norm(a, axis=1, keepdims=True)
x = unit(raw)
means = np.stack([x[y == k].mean(0) for k in range(K)])
covs = np.stack([np.cov(x[y == k].T) for k in range(K)])
cases = []
for lam, alpha, k in [(1.0, 0.0, 3), (0.9, 0.2, 3), (0.5, 0.05, 2)]:
    t = x ** lam
    near = np.argsort(((t[:, None] - means[None]) ** 2).sum(-1), axis=1, kind="stable")[:, :k]
    mean = (means[near].sum(1) + t) / (k + 1)
    cov = covs[near].mean(1) + alpha + 1e-4 * np.eye(d)
    cases.append({"tukey": lam, "alpha": alpha, "neighbors": k, "nearest": near.ravel().tolist(), "mean": mean.ravel().tolist(),
                  "cov": [float("%.9g" % v) for v in cov.ravel()], "head_features": unit(t).ravel().tolist()})
print(json.dumps({"made_with": "numpy " + np.__version__, "classes": K, "dim": d, "features": raw.ravel().tolist(), "labels": y.tolist(),
                  "generated": [max(counts) - c for c in counts], "cases": cases}))
