"""Golden files of the ImageNet ResNets: one forward pass on running statistics, one training step, torchvision in f64.

    python make.py        writes a file for each network beside itself

As `../resnet/make.py` has it: weights, images and momentum are no part of the files, both sides make them from `formula`. Of
every tensor a file holds the sum, the norm, and three entries; of the features every seventh number and the sum of all. The
image's sides are odd at each halving, so that every stride and the max pool meet the border.
"""

import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)

NUM_CLASSES, LR, MOMENTUM, WEIGHT_DECAY, NESTEROV = 10, 0.1, 0.9, 5e-4, False
IMAGE, BATCH, IMAGE_STREAM = (61, 49, 3), 2, 3000
HEAD_HALF_WIDTH, FEATURE_STEP = 0.05, 7


def formula(stream, count):
    """Uniform in [0, 1): splitmix64 of stream·2^32 + index, upper 53 bits."""
    with np.errstate(over="ignore"):
        x = np.uint64(stream) * np.uint64(1 << 32) + np.arange(count, dtype=np.uint64)
        x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def tensor(stream, shape, centre, half_width):
    values = centre + half_width * (2 * formula(stream, math.prod(shape)) - 1)
    return torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(shape)


def fill(net):
    for stream, (name, value) in enumerate(net.named_parameters()):
        if value.dim() == 4:
            new = tensor(stream, value.shape, 0.0, math.sqrt(6.0 / math.prod(value.shape[1:])))
        else:
            new = tensor(stream, value.shape, *((1.0, 0.3) if name.endswith("weight") else (0.0, 0.2)))
        value.data.copy_(new)
    for stream, (name, value) in enumerate(running(net).items()):
        value.copy_(tensor(1000 + stream, value.shape, *((0.0, 0.3) if name.endswith("mean") else (1.0, 0.5))))


def running(net):
    return {name: value for name, value in net.named_buffers() if "num_batches" not in name}


def summary(value):
    flat = value.detach().flatten()
    entries = [flat[i].item() for i in (0, flat.numel() // 2, flat.numel() - 1)]
    return [flat.sum().item(), flat.norm().item(), *entries]


def make(name):
    net = getattr(torchvision.models, name)(weights=None)
    with_classifier = sum(value.numel() for value in net.parameters())
    net.fc = torch.nn.Identity()
    fill(net)
    dim = 2048
    head_weight = tensor(2000, (NUM_CLASSES, dim), 0.0, HEAD_HALF_WIDTH)
    head_bias = tensor(2001, (NUM_CLASSES,), 0.0, 0.1)
    height, width, channels = IMAGE
    # Made channels last, as our networks take them.
    images = tensor(IMAGE_STREAM, (BATCH, height, width, channels), 0.0, 1.7).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor([(3 * i + 1) % NUM_CLASSES for i in range(BATCH)])

    net.eval()
    with torch.no_grad():
        running_features = net(images)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=NESTEROV)
    for stream, value in enumerate(net.parameters()):
        optimizer.state[value]["momentum_buffer"] = tensor(4000 + stream, value.shape, 0.0, 0.01)
    features = net(images)
    loss = F.cross_entropy(features @ head_weight.T + head_bias, labels)
    loss.backward()
    gradients = {k: summary(v.grad) for k, v in net.named_parameters()}
    optimizer.step()
    thin = lambda value: value.detach().flatten()[::FEATURE_STEP].tolist()
    golden = {
        "made_by": f"make.py, torch {torch.__version__}, torchvision {torchvision.__version__}, numpy {np.__version__}",
        "architecture": name,
        "parameters_with_classifier": with_classifier,
        "image": IMAGE,
        "image_stream": IMAGE_STREAM,
        "batch": BATCH,
        "num_classes": NUM_CLASSES,
        "head_half_width": HEAD_HALF_WIDTH,
        "feature_step": FEATURE_STEP,
        "sgd": {"lr": LR, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY, "nesterov": NESTEROV},
        # torchvision's names in the order of its `state_dict`.
        "param_names": [k for k, _ in net.named_parameters()],
        "buffer_names": list(running(net)),
        "running_features": thin(running_features),
        "running_features_sum": running_features.sum().item(),
        "features": thin(features),
        "features_sum": features.sum().item(),
        "loss": loss.item(),
        "gradients": gradients,
        "params_after": {k: summary(v) for k, v in net.named_parameters()},
        "running_after": {k: summary(v) for k, v in running(net).items()},
    }
    text = json.dumps(golden, separators=(",", ":")).replace('],"', '],\n"').replace('},"', '},\n"')
    (pathlib.Path(__file__).parent / f"{name}.json").write_text(text + "\n")
    print(name, golden["loss"], features.std().item(), running_features.std().item())


for name in ["resnet50", "resnext50_32x4d", "resnet101", "resnet152"]:
    make(name)
