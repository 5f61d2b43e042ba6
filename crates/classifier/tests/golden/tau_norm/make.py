"""tau-normalisation: w_k / |w_k|^tau, bias dropped (classifier-balancing, tau_norm.py)."""
import json
import numpy as np

rng = np.random.RandomState(1)
K, d, n = 5, 6, 7
W = rng.randn(K, d) * np.array([3, 2, 1, 0.5, 0.2])[:, None]
b = rng.randn(K)
x = rng.rand(n, d)
taus = [0.0, 0.3, 1.0, 2.0]
cases = []
for tau in taus:
    scaled = W / np.linalg.norm(W, axis=1, keepdims=True) ** tau
    cases.append({"tau": tau, "weight": scaled.ravel().tolist(), "logits": (x @ scaled.T).ravel().tolist()})
print(json.dumps({"made_with": "numpy " + np.__version__, "classes": K, "dim": d, "weight": W.ravel().tolist(),
                  "bias": b.tolist(), "features": x.ravel().tolist(), "cases": cases,
                  "joint_logits": (x @ W.T + b).ravel().tolist()}))
