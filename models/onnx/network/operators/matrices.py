"""Products of matrices."""

import torch

from models.onnx.network.registry import Node, Step, operator, plain

plain({"MatMul": torch.matmul, "Det": torch.linalg.det})


@operator("Gemm")
def general_product(node: Node) -> Step:
    alpha, beta = node["alpha"], node["beta"]

    def run(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
        y = torch.matmul(a.T if node["transA"] else a, b.T if node["transB"] else b)
        if alpha != 1:
            y = (alpha * y).to(a.dtype)
        if c is None:
            return y
        return y + (c if beta == 1 else (beta * c).to(c.dtype))

    return run


@operator("Einsum")
def einsum(node: Node) -> Step:
    equation = node["equation"].replace(" ", "")
    return lambda *xs: torch.einsum(equation, *xs)
