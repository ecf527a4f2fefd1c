"""ONNX networks as PyTorch modules, so that they have gradients.

The graph is read node by node: operators that ONNX defines by simpler ones are expanded by onnx's own
inliner (`prepare`), every other one is a small function in `operators`, and `graph` runs them in order.
Nothing in a file is ever executed, and control flow (If, Loop, Scan) is not taken. Which operators are
taken, and how many of ONNX's own test cases each passes, is in docs/onnx-operators.md.

Importing this package loads no library; the modules in it load torch and onnx, so import them where
they are needed only.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx
    import torch


def unsupported(model: "onnx.ModelProto") -> tuple[str, ...]:
    """What of `model` is not taken, such as "If" or "Resize with antialias"; empty if all of it is.

    Raises UserFacingError for a graph that is broken.
    """
    from models.onnx.network.graph import plan

    return plan(model).refusals


def to_module(model: "onnx.ModelProto") -> "torch.nn.Module":
    """`model` in eval mode: takes the graph's inputs in their order, weights left out, gives a tuple of outputs.

    Tensors have the types and shapes that the graph says, and outputs have gradients with respect to
    floating-point inputs. Each activation, softmax and max pooling is a module of torch's own, used
    once. Raises UserFacingError for a model that is not taken, and later, from the forward pass, for
    inputs that do not fit.
    """
    from models.onnx.network.graph import build

    return build(model)
