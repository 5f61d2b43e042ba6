"""The head that TailCalib and MPFA rows train: 16 * cos(x, w_k), rows from stage 1 at unit norm, SGD on given batches."""
import json
import numpy as np
import torch

torch.set_num_threads(1)
rng = np.random.RandomState(4)
K, d, bs, steps, scale = 4, 5, 6, 8, 16.0
W = rng.randn(K, d) * np.array([2.0, 1.5, 1.0, 0.5])[:, None]
x, y = rng.rand(steps * bs, d), rng.randint(0, K, steps * bs)
lr, momentum, wd = 0.01, 0.9, 5e-4
w = torch.tensor(W / np.linalg.norm(W, axis=1, keepdims=True), requires_grad=True)
opt = torch.optim.SGD([w], lr=lr, momentum=momentum, weight_decay=wd)
norm = torch.nn.functional.normalize
losses = []
for i in range(steps):
    xb = torch.tensor(x[i * bs:(i + 1) * bs]); yb = torch.tensor(y[i * bs:(i + 1) * bs])
    loss = torch.nn.functional.cross_entropy(scale * norm(xb) @ norm(w).T, yb)
    opt.zero_grad(); loss.backward(); opt.step(); losses.append(loss.item())
print(json.dumps({"made_with": f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}", "classes": K, "dim": d, "batch_size": bs,
                  "scale": scale, "lr": lr, "momentum": momentum, "weight_decay": wd, "stage1_weight": W.ravel().tolist(),
                  "features": x.ravel().tolist(), "labels": y.tolist(), "losses": losses,
                  "trained_weight": w.detach().ravel().tolist()}))
