"""Nearest class mean as classifier-balancing has it: un, l2n and cl2n centroids, minus the squared distance as logit."""
import json
import numpy as np

rng = np.random.RandomState(5)
K, d, n = 4, 5, 6
counts = [9, 6, 3, 1]
y = np.repeat(np.arange(K), counts)
order = rng.permutation(len(y))
y = y[order]
x = np.abs(rng.randn(len(y), d) + np.eye(K, d)[y] * 2)
test = np.abs(rng.randn(n, d))
unit = lambda a: a / np.linalg.norm(a, axis=1, keepdims=True)
cases = []
for kind in ["none", "l2", "cl2n"]:
    center = x.mean(0) if kind == "cl2n" else np.zeros(d)
    prep = (lambda a: a) if kind == "none" else (lambda a: unit(a - center))
    means = np.stack([prep(x)[y == k].mean(0) for k in range(K)])
    logits = -((prep(test)[:, None] - means[None]) ** 2).sum(-1)
    cases.append({"normalize": kind, "center": center.tolist(), "means": means.ravel().tolist(), "logits": logits.ravel().tolist()})
print(json.dumps({"made_with": "numpy " + np.__version__, "classes": K, "dim": d, "features": x.ravel().tolist(), "labels": y.tolist(),
                  "test": test.ravel().tolist(), "cases": cases}))
