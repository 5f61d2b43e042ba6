"""L_PC with its gradients, the EMA as a loop over samples, and c' of a meta-network, from torch in f64, as JSON.

Run: python make.py > expected.json
EMA per sample as Eq. 1, renormalised once a batch as MoPro's model.py; L_PC = F.cross_entropy(u @ c_hat.T / tau, y).
"""

import json
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.manual_seed(2)
N, K, D, BATCHES, MOMENTUM, TAU = 6, 4, 5, 3, 0.9, 0.07
f64 = dict(dtype=torch.float64)
features = torch.randn(BATCHES, N, D, **f64)
labels = torch.tensor([[0, 1, 1, 3, 0, 1], [3, 3, 0, 1, 1, 0], [2, 0, 0, 3, 1, 2]])

prototypes = torch.zeros(K, D, **f64)
after_each = []
for z, y in zip(features, labels):
    for u, k in zip(F.normalize(z), y):
        prototypes[k] = MOMENTUM * prototypes[k] + (1 - MOMENTUM) * u
    prototypes = F.normalize(prototypes)
    after_each.append(prototypes.flatten().tolist())

torch.manual_seed(3)
meta = torch.nn.Sequential(
    torch.nn.Linear(D, 3), torch.nn.ReLU(), torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Linear(3, D)).double()
moved = prototypes + meta(prototypes)
z = features[0].clone().requires_grad_()
c = moved.detach().clone().requires_grad_()
loss = F.cross_entropy(F.normalize(z) @ F.normalize(c).T / TAU, labels[0])
loss.backward()
print(json.dumps({
    "torch": torch.__version__,
    "features": features.flatten(1).tolist(),
    "labels": labels.tolist(),
    "momentum": MOMENTUM,
    "tau": TAU,
    "prototypes": after_each,
    "theta": torch.cat([p.flatten() for p in meta.parameters()]).tolist(),
    "meta_prototypes": moved.flatten().tolist(),
    "loss": loss.item(),
    "features_gradient": z.grad.flatten().tolist(),
    "prototypes_gradient": c.grad.flatten().tolist(),
}))
