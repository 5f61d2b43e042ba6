"""Golden files of CIFAR ResNets: one forward pass on running statistics, one training step, in PyTorch, f64.

    python make.py        writes resnet32.json and resnet14_two_headed.json beside itself

Weights, images and momentum are no part of the files: both sides make them from `formula`, rounded to f32. PyTorch works in
f64, so the files hold what is exact for those numbers and a test's tolerance speaks of our arithmetic alone. Of every tensor
a file holds the sum, the norm, and three entries. Images are drawn again until no ReLU sees a number within 6e-6 of its kink: one
that f32's rounding sends to the other side changes gradients by 1e-3, which says nothing about arithmetic.

Architecture as published: He et al. 2016 section 4.2 with option-A shortcuts; the two-headed form as BBN has it.
"""

import json
import math
import pathlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)

NUM_CLASSES, LR, MOMENTUM, WEIGHT_DECAY = 10, 0.1, 0.9, 5e-4


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


MARGIN = []


def relu(x):
    MARGIN.append(x.detach().abs().min().item())
    return torch.relu(x)


class Block(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.pad = stride, (width - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.stride != 1 or self.pad != 0:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return relu(y + x)


class ResNet(nn.Module):
    def __init__(self, depth, channels, two_headed):
        super().__init__()
        n = (depth - 2) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self.stage(16, 16, n, 1)
        self.layer2 = self.stage(16, 32, n, 2)
        self.layer3 = self.stage(32, 64, n - int(two_headed), 2)
        self.two_headed = two_headed
        if two_headed:
            self.cb_block = Block(64, 64, 1)
            self.rb_block = Block(64, 64, 1)

    @staticmethod
    def stage(inputs, width, blocks, stride):
        return nn.Sequential(*[Block(width if i else inputs, width, 1 if i else stride) for i in range(blocks)])

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        if self.two_headed:
            x = torch.cat((self.cb_block(x), self.rb_block(x)), dim=1)
        return x.mean(dim=(2, 3))


def fill(net):
    for stream, (name, value) in enumerate(net.named_parameters()):
        if value.dim() == 4:
            # Uniform of the variance 2 / fan-in.
            new = tensor(stream, value.shape, 0.0, math.sqrt(6.0 / math.prod(value.shape[1:])))
        elif name.endswith("weight"):
            new = tensor(stream, value.shape, 1.0, 0.3)
        else:
            new = tensor(stream, value.shape, 0.0, 0.2)
        value.data.copy_(new)
    buffers = [(name, value) for name, value in net.named_buffers() if "num_batches" not in name]
    for stream, (name, value) in enumerate(buffers):
        value.copy_(tensor(1000 + stream, value.shape, *((0.0, 0.3) if name.endswith("mean") else (1.0, 0.5))))


def summary(value):
    flat = value.detach().flatten()
    entries = [flat[i].item() for i in (0, flat.numel() // 2, flat.numel() - 1)]
    return [flat.sum().item(), flat.norm().item(), *entries]


def step(dtype, image_stream, depth, two_headed, shape, batch, nesterov):
    """All results of one network, by name, as tensors."""
    height, width, channels = shape
    net = ResNet(depth, channels, two_headed)
    fill(net)
    net = net.to(dtype)
    dim = 128 if two_headed else 64
    head_weight = tensor(2000, (NUM_CLASSES, dim), 0.0, 0.3).to(dtype)
    head_bias = tensor(2001, (NUM_CLASSES,), 0.0, 0.1).to(dtype)
    # Made channels last, as our networks take them.
    images = tensor(image_stream, (batch, height, width, channels), 0.0, 1.7).permute(0, 3, 1, 2).contiguous().to(dtype)
    labels = torch.tensor([(3 * i + 1) % NUM_CLASSES for i in range(batch)])

    net.eval()
    with torch.no_grad():
        running_features = net(images)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=nesterov)
    for stream, value in enumerate(net.parameters()):
        optimizer.state[value]["momentum_buffer"] = tensor(4000 + stream, value.shape, 0.0, 0.01).to(dtype)
    MARGIN.clear()
    features = net(images)
    if dtype == torch.float64 and min(MARGIN) < 6e-6:
        return None
    loss = F.cross_entropy(features @ head_weight.T + head_bias, labels)
    loss.backward()
    gradients = {k: v.grad.clone() for k, v in net.named_parameters()}
    optimizer.step()
    return {
        "running_features": running_features,
        "features": features.detach(),
        "loss": loss.item(),
        "gradients": gradients,
        "params_after": dict(net.named_parameters()),
        "running_after": {k: v for k, v in net.named_buffers() if "num_batches" not in k},
    }


def worst(single, exact):
    """The test's measure: by how much five numbers of a tensor are off, in units of its norm."""
    worst = 0.0
    for name, value in exact.items():
        ours, theirs, norm = summary(single[name].double()), summary(value), value.norm().item()
        units = [math.sqrt(value.numel()), 1.0, 1.0, 1.0, 1.0]
        worst = max(worst, *(abs(a - b) / (u * norm) for a, b, u in zip(ours, theirs, units)))
    return worst


def make(name, *arguments):
    image_stream, exact = next((i, s) for i in range(3000, 4000) if (s := step(torch.float64, i, *arguments)))
    single = step(torch.float32, image_stream, *arguments)
    _, _, shape, batch, nesterov = arguments
    far = lambda key: ((single[key].double() - exact[key]).abs().max() / exact[key].abs().max()).item()
    tensors = ("gradients", "params_after", "running_after")
    golden = {
        "made_by": f"make.py, torch {torch.__version__}, numpy {np.__version__}",
        "architecture": name,
        "image": shape,
        "image_stream": image_stream,
        "batch": batch,
        "num_classes": NUM_CLASSES,
        "sgd": {"lr": LR, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY, "nesterov": nesterov},
        # How far PyTorch's own f32 is from its f64.
        "f32_errors": [far("running_features"), far("features"), abs(single["loss"] / exact["loss"] - 1)]
        + [worst(single[key], exact[key]) for key in tensors],
        "running_features": exact["running_features"].flatten().tolist(),
        "features": exact["features"].flatten().tolist(),
        "loss": exact["loss"],
        **{key: {k: summary(v) for k, v in exact[key].items()} for key in tensors},
    }
    text = json.dumps(golden, separators=(",", ":")).replace('],"', '],\n"').replace('},"', '},\n"')
    (pathlib.Path(__file__).parent / f"{name}.json").write_text(text + "\n")
    print(name, golden["f32_errors"])


make("resnet32", 32, False, (32, 32, 3), 2, False)
make("resnet14_two_headed", 14, True, (17, 15, 1), 3, True)
