"""Ten steps of torch.optim.SGD and AdamW in f64, as JSON. Run: python make.py > expected.json"""

import json
import torch

torch.set_num_threads(1)
torch.manual_seed(0)
N, STEPS = 6, 10
start = torch.randn(N, dtype=torch.float64)
gradients = torch.randn(STEPS, N, dtype=torch.float64)


def run(make):
    decayed = torch.nn.Parameter(start[:4].clone())
    spared = torch.nn.Parameter(start[4:].clone())
    optimizer = make(decayed, spared)
    rows = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (1 + step)
        decayed.grad, spared.grad = gradients[step, :4].clone(), gradients[step, 4:].clone()
        optimizer.step()
        rows.append(torch.cat([decayed, spared]).detach().tolist())
    return rows


def sgd(momentum, nesterov, weight_decay):
    return run(lambda decayed, spared: torch.optim.SGD(
        [{"params": [decayed], "weight_decay": weight_decay}, {"params": [spared], "weight_decay": 0.0}],
        lr=0.1, momentum=momentum, nesterov=nesterov))


def adamw(eps, weight_decay):
    return run(lambda decayed, spared: torch.optim.AdamW([decayed, spared], lr=0.1, eps=eps, weight_decay=weight_decay))


print(json.dumps({
    "torch": torch.__version__,
    "start": start.tolist(),
    "gradients": gradients.tolist(),
    "sgd": [{"momentum": m, "nesterov": n, "weight_decay": w, "weights": sgd(m, n, w)}
            for m, n, w in [(0.0, False, 0.0), (0.9, False, 5e-2), (0.9, True, 5e-2)]],
    "adamw": [{"eps": e, "weight_decay": w, "weights": adamw(e, w)} for e, w in [(1e-8, 0.0), (1e-12, 0.1)]],
}, indent=None))
