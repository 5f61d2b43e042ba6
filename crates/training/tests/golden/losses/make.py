"""Losses and their gradients from torch in f64, as JSON. Run: python make.py > expected.json

Balanced softmax as BALMS loss/BalancedSoftmaxLoss.py: cross_entropy(logits + log(counts)).
Class-balanced weights as LDAM cifar_train.py: (1 - beta) / (1 - beta ** n), scaled to sum K, in F.cross_entropy(weight=).
"""

import json
import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.manual_seed(1)
N, K = 7, 5
counts = [500, 120, 40, 8, 5]
logits = torch.randn(N, K, dtype=torch.float64) * 3
labels = torch.tensor([0, 4, 1, 2, 0, 3, 4])


def case(loss):
    leaf = logits.clone().requires_grad_()
    value = loss(leaf)
    value.backward()
    return {"value": value.item(), "gradient": leaf.grad.flatten().tolist()}


beta = 0.9999
weights = (1.0 - beta) / np.array(1.0 - np.power(beta, counts))
weights = torch.tensor(weights / weights.sum() * K)
log_counts = torch.tensor(counts, dtype=torch.float64).log()
print(json.dumps({
    "torch": torch.__version__,
    "logits": logits.flatten().tolist(),
    "labels": labels.tolist(),
    "class_counts": counts,
    "cross_entropy": case(lambda z: F.cross_entropy(z, labels)),
    "smoothed": case(lambda z: F.cross_entropy(z, labels, label_smoothing=0.1)),
    "balanced_softmax": case(lambda z: F.cross_entropy(z + log_counts, labels)),
    "class_balanced": case(lambda z: F.cross_entropy(z, labels, weight=weights)),
}))
