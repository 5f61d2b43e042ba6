"""Learnable weight scaling: (W x + b) * s with only s trained by SGD (classifier-balancing, DotProductClassifier with cls_lws)."""
import json
import numpy as np
import torch

torch.set_num_threads(1)
rng = np.random.RandomState(2)
K, d, bs, steps = 4, 5, 6, 7
W, b = rng.randn(K, d), rng.randn(K)
x, y = rng.rand(steps * bs, d), rng.randint(0, K, steps * bs)
lr, momentum, wd = 0.2, 0.9, 5e-4
Wt, bt = torch.tensor(W, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
s = torch.ones(K, dtype=torch.float64, requires_grad=True)
opt = torch.optim.SGD([s], lr=lr, momentum=momentum, weight_decay=wd)
losses = []
for i in range(steps):
    xb = torch.tensor(x[i * bs:(i + 1) * bs]); yb = torch.tensor(y[i * bs:(i + 1) * bs])
    loss = torch.nn.functional.cross_entropy((xb @ Wt.T + bt) * s, yb)
    opt.zero_grad(); loss.backward(); opt.step(); losses.append(loss.item())
logits = (torch.tensor(x) @ Wt.T + bt) * s
print(json.dumps({"made_with": f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}", "classes": K, "dim": d, "batch_size": bs,
                  "lr": lr, "momentum": momentum, "weight_decay": wd, "weight": W.ravel().tolist(), "bias": b.tolist(),
                  "features": x.ravel().tolist(), "labels": y.tolist(), "losses": losses,
                  "scale": s.detach().tolist(), "logits": logits.detach().ravel().tolist()}))
