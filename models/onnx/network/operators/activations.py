"""Activations: modules of torch's own wherever there is one, because DeepLIFT puts its rule in their place."""

import torch
from torch import nn

from models.onnx.network.registry import Node, Step, operator


class Scale(nn.Module):
    """A number times the input."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


class FlattenedFrom(nn.Module):
    """Applies a module to matrices: axes before `axis` are the rows, the others the columns."""

    def __init__(self, axis: int, inner: nn.Module) -> None:
        super().__init__()
        self.axis = axis
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.shape[: self.axis].numel()
        return self.inner(x.reshape(rows, -1)).reshape(x.shape)


class Hardmax(nn.Module):
    """One at the first largest value along `axis`, zero elsewhere."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x).scatter(self.axis, x.argmax(self.axis, keepdim=True), 1)


@operator("Relu")
def relu(node: Node) -> Step:
    return nn.ReLU()


@operator("Sigmoid")
def sigmoid(node: Node) -> Step:
    return nn.Sigmoid()


@operator("Tanh")
def tanh(node: Node) -> Step:
    return nn.Tanh()


@operator("LeakyRelu")
def leaky_relu(node: Node) -> Step:
    return nn.LeakyReLU(node["alpha"])


@operator("PRelu")
def p_relu(node: Node) -> Step:
    return lambda x, slope: torch.where(x < 0, slope * x, x)


@operator("Elu")
def elu(node: Node) -> Step:
    return nn.ELU(node["alpha"])


@operator("Selu")
def selu(node: Node) -> Step:
    return nn.Sequential(nn.ELU(node["alpha"]), Scale(node["gamma"]))


@operator("Celu")
def celu(node: Node) -> Step:
    return nn.CELU(node["alpha"])


@operator("HardSigmoid")
def hard_sigmoid(node: Node) -> Step:
    alpha, beta = node["alpha"], node["beta"]
    return lambda x: (alpha * x + beta).clamp(0, 1)


@operator("HardSwish")
def hard_swish(node: Node) -> Step:
    return nn.Hardswish()


@operator("Softplus")
def softplus(node: Node) -> Step:
    return nn.Softplus()


@operator("Softsign")
def softsign(node: Node) -> Step:
    return nn.Softsign()


@operator("Gelu")
def gelu(node: Node) -> Step:
    return nn.GELU(node.one_of("approximate", ("none", "tanh")))


@operator("Mish")
def mish(node: Node) -> Step:
    return nn.Mish()


@operator("ThresholdedRelu")
def thresholded_relu(node: Node) -> Step:
    return nn.Threshold(node["alpha"], 0.0)


@operator("Shrink")
def shrink(node: Node) -> Step:
    """Zero within `lambd` of zero, and nearer to it by `bias` beyond."""
    bias, limit = node["bias"], node["lambd"]
    return lambda x: torch.where(x < -limit, x + bias, torch.where(x > limit, x - bias, 0)).to(x.dtype)


@operator("Softmax")
def softmax_of_matrix(node: Node) -> Step:
    return FlattenedFrom(node["axis"], nn.Softmax(dim=1))


@operator("Softmax", since=13)
def softmax(node: Node) -> Step:
    return nn.Softmax(dim=node["axis"])


@operator("LogSoftmax")
def log_softmax_of_matrix(node: Node) -> Step:
    return FlattenedFrom(node["axis"], nn.LogSoftmax(dim=1))


@operator("LogSoftmax", since=13)
def log_softmax(node: Node) -> Step:
    return nn.LogSoftmax(dim=node["axis"])


@operator("Hardmax")
def hardmax_of_matrix(node: Node) -> Step:
    return FlattenedFrom(node["axis"], Hardmax(1))


@operator("Hardmax", since=13)
def hardmax(node: Node) -> Step:
    return Hardmax(node["axis"])
