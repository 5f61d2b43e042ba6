"""Classifier re-training: a linear head by SGD on frozen features in a given order (classifier-balancing, cls_crt)."""
import json
import numpy as np
import torch

torch.set_num_threads(1)
rng = np.random.RandomState(3)
K, d, bs, steps = 4, 5, 6, 8
W, b = rng.uniform(-1, 1, (K, d)) / d ** 0.5, rng.uniform(-1, 1, K) / d ** 0.5
x, y = rng.rand(steps * bs, d), rng.randint(0, K, steps * bs)
lr, momentum, wd = 0.2, 0.9, 5e-4
head = torch.nn.Linear(d, K, dtype=torch.float64)
with torch.no_grad():
    head.weight.copy_(torch.tensor(W)); head.bias.copy_(torch.tensor(b))
opt = torch.optim.SGD(head.parameters(), lr=lr, momentum=momentum, weight_decay=wd)
losses = []
for i in range(steps):
    xb = torch.tensor(x[i * bs:(i + 1) * bs]); yb = torch.tensor(y[i * bs:(i + 1) * bs])
    loss = torch.nn.functional.cross_entropy(head(xb), yb)
    opt.zero_grad(); loss.backward(); opt.step(); losses.append(loss.item())
print(json.dumps({"made_with": f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}", "classes": K, "dim": d, "batch_size": bs,
                  "lr": lr, "momentum": momentum, "weight_decay": wd, "weight": W.ravel().tolist(), "bias": b.tolist(),
                  "features": x.ravel().tolist(), "labels": y.tolist(), "losses": losses,
                  "trained_weight": head.weight.detach().ravel().tolist(), "trained_bias": head.bias.detach().tolist()}))
