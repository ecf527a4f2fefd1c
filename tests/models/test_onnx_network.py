"""The ONNX importer against ONNX's own cases, the networks that PyTorch exported, and onnxruntime."""

import contextlib
import io
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, parser
from torch import nn

from benchmarks.onnx_operators import FAILED, PAGE, STORED, document, node_results, stored_results
from core.errors import UserFacingError
from models.onnx.network import to_module, unsupported
from models.onnx.network.prepare import NEWEST

NAMES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float64): TensorProto.DOUBLE}


def test_the_page_of_operators_is_what_their_cases_give():
    node, stored = node_results(), {kind: stored_results(kind) for kind in STORED}
    assert [each for each in node if each.outcome == FAILED] == []
    assert PAGE.read_text(encoding="utf-8") == document(node, stored)


# Networks of PyTorch, through both of its exporters.


class Recurrent(nn.Module):
    """A recurrent layer, and a dense one on its last output."""

    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__()
        self.layer = kind(5, 6, batch_first=True, **options)
        self.out = nn.Linear(12 if options.get("bidirectional") else 6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(x)[0][:, -1])


class Encoder(nn.Module):
    """A transformer's layer, the mean over its sequence, and a dense one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
        self.out = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(x).mean(1))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(7, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.ELU(), nn.Linear(8, 3), nn.Softmax(1)
    )


def activations() -> nn.Module:
    kinds = [nn.LeakyReLU(), nn.PReLU(7), nn.SELU(), nn.CELU(0.5), nn.Hardswish(), nn.Hardsigmoid(), nn.Softplus()]
    kinds += [nn.Softsign(), nn.Tanh(), nn.Mish(), nn.ReLU6(), nn.GELU("tanh"), nn.LayerNorm(7), nn.LogSigmoid()]
    return nn.Sequential(*(each for kind in kinds for each in (nn.Linear(7, 7), kind)))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2, dilation=2), nn.SiLU(), nn.AvgPool2d(2, ceil_mode=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 3),
    )  # fmt: skip


def cnn_1d() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 4, 3, dilation=2), nn.InstanceNorm1d(4, affine=True), nn.ReLU(), nn.MaxPool1d(3, 2, 1),
        nn.ConvTranspose1d(4, 4, 3, 2, 1, 1), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(64, 3),
    )  # fmt: skip


def enlarging() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2), nn.ReLU(), nn.Upsample(scale_factor=1.5, mode="bilinear"),
        nn.PixelShuffle(2), nn.ZeroPad2d(1), nn.Flatten(), nn.Linear(1444, 3),
    )  # fmt: skip


EXPORTS = [
    (cnn, (3, 17, 17), True, 20),
    (lambda: Recurrent(nn.LSTM), (4, 5), True, 18),
    (lambda: Recurrent(nn.GRU), (4, 5), True, 21),
    (Encoder, (4, 8), True, 24),
    *((mlp, (7,), False, opset) for opset in (9, 11, 13, 18, 20)),
    *((cnn, (3, 17, 17), False, opset) for opset in (9, 11, 13, 18, 20)),
    (activations, (7,), False, 18),
    (cnn_1d, (3, 20), False, 11),
    (cnn_1d, (3, 20), False, 18),
    (enlarging, (3, 8, 8), False, 11),
    (enlarging, (3, 8, 8), False, 18),
    (lambda: Recurrent(nn.RNN), (4, 5), False, 11),
    (lambda: Recurrent(nn.GRU), (4, 5), False, 9),
    (lambda: Recurrent(nn.LSTM), (4, 5), False, 9),
    (lambda: Recurrent(nn.LSTM, bidirectional=True, num_layers=2), (4, 5), False, 17),
    (Encoder, (4, 8), False, 17),
]


@pytest.mark.parametrize("make, shape, dynamo, opset", EXPORTS)
def test_an_exported_network_is_the_network(make, shape, dynamo, opset):
    network = trained(make)
    model = exported(network, shape, dynamo, opset)
    assert unsupported(model) == ()
    rows = torch.randn(5, *shape, requires_grad=True)  # the network was traced with 2
    (found,) = to_module(model)(rows)
    expected = network(rows)
    assert_close(found, expected)
    weights = torch.randn_like(expected)
    assert_close(gradient(found, rows, weights), gradient(expected, rows, weights))
    assert_close(found, *onnxruntime_outputs(model, [rows.detach().numpy()]))


def trained(make: Any) -> nn.Module:
    """A network whose weights and statistics are none of the defaults."""
    torch.manual_seed(0)
    network = make().eval()
    with torch.no_grad():
        for each in (*network.parameters(), *network.buffers()):
            if each.is_floating_point():
                each.add_(0.2 * torch.rand_like(each))
    return network


def exported(network: nn.Module, shape: tuple[int, ...], dynamo: bool, opset: int) -> onnx.ModelProto:
    """The network exported at a batch of two, with a free batch size."""
    file, example = io.BytesIO(), torch.randn(2, *shape)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if dynamo:
            free = ({0: torch.export.Dim("n")},)
            program = torch.onnx.export(
                network, (example,), dynamo=True, opset_version=opset, dynamic_shapes=free, verbose=False
            )
            program.save(file)
        else:
            torch.onnx.export(
                network, (example,), file, dynamo=False, opset_version=opset, input_names=["x"],
                dynamic_axes={"x": {0: "n"}},
            )  # fmt: skip
    return onnx.load_from_string(file.getvalue())


def gradient(outputs: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad((outputs * weights).sum(), rows)[0]


def onnxruntime_outputs(model: onnx.ModelProto, inputs: list[np.ndarray]) -> list[torch.Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return [torch.from_numpy(each) for each in session.run(None, dict(zip(names, inputs, strict=True)))]


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


# Forms that ONNX's cases leave out, older versions above all, against onnxruntime.


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def one_node(
    operator: str, opset: int, inputs: list[np.ndarray | None], outputs: int = 1, **attributes: Any
) -> onnx.ModelProto:
    """A graph of one node whose first input is the graph's, the others its weights."""
    names = [f"in{at}" if each is not None else "" for at, each in enumerate(inputs)]
    results = [f"out{at}" for at in range(outputs)]
    node = helper.make_node(operator, names, results, **attributes)
    first = inputs[0]
    return model(
        [node],
        {"in0": first},
        results,
        {name: each for name, each in zip(names[1:], inputs[1:], strict=True) if each is not None},
        opset,
    )


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, np.ndarray],
    outputs: list[str],
    weights: dict[str, np.ndarray],
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(each.dtype), ["n", *each.shape[1:]])
            for name, each in inputs.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(each, name) for name, each in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


X = numbers(3, 4, 5)
PICTURE = numbers(2, 3, 6, 7)
SEQUENCE = numbers(4, 3, 5)  # time, n, inputs
RAGGED = np.array([4, 1, 3], np.int32)
OLDER = {
    "softmax flattens": ("Softmax", 11, [X], 1, {"axis": 1}),
    "log-softmax flattens": ("LogSoftmax", 11, [X], 1, {"axis": 2}),
    "hardmax flattens": ("Hardmax", 11, [X], 1, {"axis": 1}),
    "clip by attributes": ("Clip", 9, [X], 1, {"min": -0.5, "max": 0.2}),
    "clip from below": ("Clip", 13, [X, np.float32(-0.5)], 1, {}),
    "slice by attributes": ("Slice", 9, [X], 1, {"starts": [1, -3], "ends": [3, 99], "axes": [1, 2]}),
    "slice backwards": ("Slice", 13, [X, whole(-1), whole(-99), whole(2), whole(-2)], 1, {}),
    "squeeze by attribute": ("Squeeze", 11, [numbers(2, 1, 3, 1)], 1, {"axes": [1, 3]}),
    "unsqueeze by attribute": ("Unsqueeze", 11, [X], 1, {"axes": [0, 4]}),
    "split by attribute": ("Split", 11, [X], 2, {"split": [1, 3], "axis": 1}),
    "top by attribute": ("TopK", 9, [X], 2, {"k": 2}),
    "pad by attribute": ("Pad", 9, [X], 1, {"pads": [0, 1, 0, 0, 0, 2], "value": 2.0}),
    "reflect": ("Pad", 13, [X, whole(0, 2, 0, 0, 3, 1)], 1, {"mode": "reflect"}),
    "reduce by attribute": ("ReduceMean", 13, [X], 1, {"axes": [-1], "keepdims": 0}),
    "upsample by attribute": ("Upsample", 7, [PICTURE], 1, {"scales": [1.0, 1.0, 2.0, 3.0]}),
    "resize of opset 10": ("Resize", 10, [PICTURE, np.float32([1, 1, 0.7, 2])], 1, {"mode": "linear"}),
    "global power pooling": ("GlobalLpPool", 13, [PICTURE], 1, {"p": 2}),
    "average beside padding": (
        "AveragePool", 13, [PICTURE], 1,
        {"kernel_shape": [3, 2], "pads": [1, 0, 2, 1], "strides": [2, 3], "ceil_mode": 1},
    ),
    "largest, padded to fit": (
        "MaxPool", 13, [PICTURE], 1, {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    ),
    "uneven padding": ("Conv", 13, [PICTURE, numbers(2, 3, 3, 3)], 1, {"pads": [0, 1, 2, 0]}),
    "same padding": (
        "Conv", 13, [PICTURE, numbers(2, 3, 3, 2), numbers(2)], 1, {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    ),
    "transposed, cut and biased": (
        "ConvTranspose", 13, [PICTURE, numbers(3, 2, 3, 3), numbers(2)], 1,
        {"pads": [0, 1, 2, 0], "strides": [2, 3], "output_padding": [1, 2]},
    ),
    "layer normalisation": ("LayerNormalization", 17, [X, numbers(4, 5), numbers(4, 5)], 1, {"axis": 1}),
    "batch normalisation": (
        "BatchNormalization", 9, [PICTURE, numbers(3), numbers(3), numbers(3), np.abs(numbers(3))], 1, {},
    ),
    "product, scaled and turned": (
        "Gemm", 9, [numbers(4, 3), numbers(5, 4), numbers(5)], 1, {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0},
    ),
    "lstm, both ways, ragged": (
        "LSTM", 14,
        [SEQUENCE, numbers(2, 24, 5), numbers(2, 24, 6), numbers(2, 48), RAGGED, numbers(2, 3, 6), numbers(2, 3, 6),
         numbers(2, 18)], 3, {"hidden_size": 6, "direction": "bidirectional"},
    ),
    "lstm, backward": (
        "LSTM", 9, [SEQUENCE, numbers(1, 24, 5), numbers(1, 24, 6)], 3, {"hidden_size": 6, "direction": "reverse"},
    ),
    "lstm, coupled gates": (
        "LSTM", 9, [SEQUENCE, numbers(1, 24, 5), numbers(1, 24, 6)], 3, {"hidden_size": 6, "input_forget": 1},
    ),
    "lstm, other activations": (
        "LSTM", 9, [SEQUENCE, numbers(1, 24, 5), numbers(1, 24, 6)], 3,
        {"hidden_size": 6, "activations": ["HardSigmoid", "Elu", "Softsign"], "activation_alpha": [0.3, 0.7],
         "activation_beta": [0.4]},
    ),
    "gru, both ways, reset after": (
        "GRU", 9, [SEQUENCE, numbers(2, 18, 5), numbers(2, 18, 6), numbers(2, 36), RAGGED, numbers(2, 3, 6)], 2,
        {"hidden_size": 6, "direction": "bidirectional", "linear_before_reset": 1},
    ),
    "rnn, backward": (
        "RNN", 9, [SEQUENCE, numbers(1, 6, 5), numbers(1, 6, 6), numbers(1, 12)], 2,
        {"hidden_size": 6, "direction": "reverse"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OLDER)
def test_a_form_that_onnx_has_no_case_for_is_as_onnxruntime_has_it(name):
    operator, opset, inputs, outputs, attributes = OLDER[name]
    proto = one_node(operator, opset, inputs, outputs, **attributes)
    found = to_module(proto)(torch.from_numpy(inputs[0]))
    expected = onnxruntime_outputs(proto, [inputs[0]])
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs)


def test_logic_of_old_opsets():
    proto = one_node("Not", 9, [np.array([[True, False]])])
    assert to_module(proto)(torch.tensor([[True, False]]))[0].tolist() == [[False, True]]


# Slopes, held to differences.

SMALL = PICTURE[:, :, :3, :4]
SLOPES = {
    "lstm": ("LSTM", [SEQUENCE, numbers(1, 24, 5), numbers(1, 24, 6)], 3, {"hidden_size": 6}),
    "gru": ("GRU", [SEQUENCE, numbers(1, 18, 5), numbers(1, 18, 6)], 2, {"hidden_size": 6}),
    "average pooling": ("AveragePool", [SMALL], 1, {"kernel_shape": [3, 2], "pads": [1, 0, 2, 1], "ceil_mode": 1}),
    "resize": (
        "Resize", [SMALL, None, np.float32([1, 1, 1.5, 0.6])], 1,
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    ),
    "reflection": ("Pad", [X, whole(0, 2, 0, 0, 3, 1)], 1, {"mode": "reflect"}),
    "gather": ("Gather", [X, whole(3, -1, 0)], 1, {"axis": 1}),
    "scatter": ("ScatterND", [X, whole(1, 0)[:, None], numbers(2, 4, 5)], 1, {"reduction": "add"}),
    "softmax": ("Softmax", [X], 1, {"axis": 1}),
    "local response": ("LRN", [SMALL], 1, {"size": 2, "alpha": 0.5}),
    "sorting": ("TopK", [X, whole(2)], 2, {"axis": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOPES)
def test_the_gradients_are_the_slopes(name):
    operator, inputs, outputs, attributes = SLOPES[name]
    wide = [
        each if each is None or each.dtype != np.float32 or operator == "Resize" else each.astype(np.float64)
        for each in inputs
    ]
    wide[0] = inputs[0].astype(np.float64)
    module = to_module(one_node(operator, 18, wide, outputs, **attributes))
    assert torch.autograd.gradcheck(lambda x: module(x)[0], torch.tensor(wide[0], requires_grad=True))


def test_the_norm_of_nothing_has_no_slope():
    module = to_module(one_node("ReduceL2", 13, [X], axes=[1]))
    rows = torch.zeros(3, 4, 5, requires_grad=True)
    module(rows)[0].sum().backward()
    assert rows.grad.abs().max() == 0


# Graphs as Keras, TensorFlow and JAX write them.


def test_channels_last_and_a_squeeze():
    """A picture (n, height, width, channels), turned, convolved, pooled whole, squeezed and multiplied."""
    kernel, dense, bias = numbers(4, 3, 3, 3), numbers(4, 2), numbers(2)
    proto = model(
        [
            helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["turned", "kernel"], ["conv"], auto_pad="SAME_UPPER", strides=[2, 2]),
            helper.make_node("Relu", ["conv"], ["relu"]),
            helper.make_node("GlobalAveragePool", ["relu"], ["pooled"]),
            helper.make_node("Squeeze", ["pooled", "axes"], ["flat"]),
            helper.make_node("MatMul", ["flat", "dense"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["sum"]),
            helper.make_node("Softmax", ["sum"], ["y"], axis=-1),
        ],
        {"x": numbers(1, 8, 8, 3)},
        ["y"],
        {"kernel": kernel, "axes": whole(2, 3), "dense": dense, "bias": bias},
    )
    rows = torch.randn(5, 8, 8, 3, requires_grad=True)
    (found,) = to_module(proto)(rows)
    assert_close(found, *onnxruntime_outputs(proto, [rows.detach().numpy()]))
    padded = nn.functional.pad(rows.permute(0, 3, 1, 2), (0, 1, 0, 1))
    pooled = nn.functional.conv2d(padded, torch.from_numpy(kernel), stride=2).relu().mean((2, 3))
    expected = (pooled @ torch.from_numpy(dense) + torch.from_numpy(bias)).softmax(1)
    weights = torch.randn(5, 2)
    assert_close(gradient(found, rows, weights), gradient(expected, rows, weights))


def test_a_shape_that_the_graph_works_out():
    """Flattened by Shape, Gather, Concat and Reshape, so that any batch goes through."""
    proto = model(
        [
            helper.make_node("Shape", ["x"], ["shape"]),
            helper.make_node("Gather", ["shape", "zero"], ["n"], axis=0),
            helper.make_node("Unsqueeze", ["n", "first"], ["rows"]),
            helper.make_node("Concat", ["rows", "rest"], ["flat"], axis=0),
            helper.make_node("Reshape", ["x", "flat"], ["y"]),
        ],
        {"x": X},
        ["y"],
        {"zero": np.int64(0), "first": whole(0), "rest": whole(-1)},
    )
    for count in (1, 3, 6):
        rows = torch.randn(count, 4, 5)
        assert torch.equal(to_module(proto)(rows)[0], rows.flatten(1))


def test_whole_numbers_stay_exact():
    large = 2**53 + 1
    proto = one_node("Add", 14, [whole(0), whole(large)])
    assert to_module(proto)(torch.tensor([2]))[0].tolist() == [large + 2]


def test_weights_listed_as_inputs_are_weights():
    proto = one_node("Add", 9, [X, numbers(5)])
    proto.graph.input.append(helper.make_tensor_value_info("in1", TensorProto.FLOAT, [5]))
    assert_close(to_module(proto)(torch.from_numpy(X))[0], torch.from_numpy(X + numbers(5)))


# What the explainers need of the module.


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(7, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def test_every_activation_is_a_module_of_its_own_that_runs_once():
    module = to_module(exported(trained(dense), (7,), False, 17))
    used = [each for each in module.modules() if type(each) is nn.ReLU]
    assert len(used) == 2
    runs = []
    for each in used:
        each.register_forward_hook(lambda *_: runs.append(1))
    module(torch.randn(2, 7))
    assert len(runs) == 2


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.parametrize("make, shape", [(dense, (7,)), (cnn_1d, (3, 20))])
def test_deeplift_is_that_of_the_network(make, shape):
    from captum.attr import DeepLift

    class First(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found = self.inner(x)
            return found[0] if isinstance(found, tuple) else found

    network = trained(make)
    imported = to_module(exported(network, shape, False, 17))
    rows, baselines = torch.randn(4, *shape, requires_grad=True), torch.randn(4, *shape)
    ours = DeepLift(First(imported)).attribute(rows, baselines, target=1)
    theirs = DeepLift(First(network)).attribute(rows, baselines, target=1)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_all_of_it_moves_to_another_device():
    module = to_module(exported(trained(mlp), (7,), False, 17)).to("meta")
    assert module(torch.empty(5, 7, device="meta"))[0].device.type == "meta"


def test_a_double_graph_stays_double():
    wide = X.astype(np.float64)
    (found,) = to_module(one_node("MatMul", 13, [wide, wide[0].T.copy()]))(torch.from_numpy(wide))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), wide @ wide[0].T, rtol=1e-14)


# What is not taken, and files that mean harm.


def test_the_newest_opset_is_the_newest_that_onnx_knows():
    assert unsupported(one_node("Relu", NEWEST, [X])) == ()
    assert unsupported(one_node("Relu", NEWEST + 1, [X])) == (f"opset {NEWEST + 1} (7 to {NEWEST} are known)",)


BRANCH = helper.make_graph([], "branch", [], [helper.make_empty_tensor_value_info("in0")])
NOT_TAKEN = {
    "If": one_node("If", 17, [np.array([True])], then_branch=BRANCH, else_branch=BRANCH),
    "com.other.Relu": one_node("Relu", 17, [X], domain="com.other"),
    "Gone": one_node("Gone", 17, [X]),
    "RandomNormalLike": one_node("RandomNormalLike", 17, [X]),
    "BatchNormalization in training mode": one_node("BatchNormalization", 17, [X, *[X[0, :, 0]] * 4], training_mode=1),
    "LSTM with clip": one_node("LSTM", 17, [SEQUENCE, numbers(1, 24, 5), numbers(1, 24, 6)], hidden_size=6, clip=1.0),
    "MaxPool with its indices": one_node("MaxPool", 17, [PICTURE], outputs=2, kernel_shape=[2, 2]),
    "Conv with auto_pad OTHER": one_node("Conv", 17, [PICTURE, numbers(2, 3, 3, 3)], auto_pad="OTHER"),
    "Resize with coordinate_transformation_mode tf_crop_and_resize": one_node(
        "Resize", 17, [PICTURE, None, np.float32([1, 1, 2, 2])], coordinate_transformation_mode="tf_crop_and_resize"
    ),
    "Relu with such a alpha": one_node("Relu", 17, [X], alpha=1.0),
    "Elu with such a alpha": one_node("Elu", 17, [X], alpha="much"),
    "tensors of type FLOAT8E5M2": one_node("Cast", 21, [X], to=TensorProto.FLOAT8E5M2),
}


@pytest.mark.parametrize("sentence", NOT_TAKEN)
def test_what_is_not_taken_is_named(sentence):
    assert unsupported(NOT_TAKEN[sentence]) == (sentence,)
    with pytest.raises(UserFacingError) as refusal:
        to_module(NOT_TAKEN[sentence])
    assert sentence in refusal.value.sentence


def test_weights_in_another_file_are_not_read():
    proto = one_node("Add", 17, [X, numbers(5)])
    weight = proto.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="passwords")
    assert unsupported(proto) == ("weights kept in another file",)


def test_a_weight_that_lies_about_its_size_is_refused():
    proto = one_node("Add", 17, [X, numbers(5)])
    proto.graph.initializer[0].dims[:] = [2**40]
    assert unsupported(proto) == ("the tensor 'in1', whose size is not what it says",)


HUGE = 2**40
TOO_LARGE = {
    "ConstantOfShape": one_node("ConstantOfShape", 17, [whole(HUGE)]),
    "Expand": one_node("Expand", 17, [X, whole(HUGE, 1, 1, 1)]),
    "Tile": one_node("Tile", 17, [X, whole(HUGE, 1, 1)]),
    "Range": one_node("Range", 17, [np.int64(0), np.int64(HUGE), np.int64(1)]),
    "Pad": one_node("Pad", 17, [X, whole(0, 0, 0, 0, 0, HUGE)]),
    "Pad at the edge": one_node("Pad", 17, [X, whole(0, 0, 0, 0, 0, HUGE)], mode="edge"),
    "Resize": one_node("Resize", 17, [X, None, None, whole(3, 4, HUGE)], mode="linear"),
    "Conv": one_node("Conv", 17, [PICTURE, numbers(2, 3, 3, 3)], pads=[HUGE] * 4),
    "MaxPool": one_node("MaxPool", 17, [PICTURE], kernel_shape=[3, 3], pads=[HUGE] * 4),
    "ConvTranspose": one_node("ConvTranspose", 17, [PICTURE, numbers(3, 2, 3, 3)], strides=[HUGE, HUGE]),
    "OneHot": one_node("OneHot", 17, [whole(1), whole(HUGE), np.float32([0, 1])]),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_tensor_that_would_be_too_large_is_refused_before_it_is_made(name):
    proto = TOO_LARGE[name]
    kind = proto.graph.input[0].type.tensor_type
    shape = [2, *(each.dim_value for each in list(kind.shape.dim)[1:])] if kind.shape.dim else []
    first = {"ConstantOfShape": torch.tensor([HUGE]), "Range": torch.tensor(0), "OneHot": torch.tensor([1])}
    with pytest.raises(UserFacingError, match="asks for a tensor of"):
        to_module(proto)(first.get(name, torch.zeros(shape)))


def functions(text: str) -> onnx.ModelProto:
    """A graph that calls `local.f0` on its input, and the functions of `text`."""
    head = '<ir_version: 10, opset_import: ["" : 18, "local" : 1]>\n'
    return parser.parse_model(head + "g (float[n,3] x) => (float[n,3] y) { y = local.f0 (x) }\n" + text)


def function(name: str, body: str) -> str:
    return f'<opset_import: ["" : 18, "local" : 1], domain: "local"> {name} (x) => (y) {{ {body} }}\n'


def test_functions_are_written_out_with_their_defaults():
    """onnx's inliner drops the defaults of a function's attributes, and those of an operator that ONNX defines."""
    proto = functions(
        '<opset_import: ["" : 18], domain: "local"> f0 <alpha: float = 0.5> (x) => (y)'
        " { y = LeakyRelu <alpha: float = @alpha> (x) }"
    )
    assert to_module(proto)(torch.tensor([[-1.0, 0.0, 1.0]]))[0].tolist() == [[-0.5, 0.0, 1.0]]


def test_functions_that_stand_for_too_much_are_refused_before_they_are_written_out():
    twice = "a = local.f{0} (x)\n y = local.f{0} (a)"
    bomb = "".join(function(f"f{at}", twice.format(at + 1)) for at in range(40))
    proto = functions(bomb + function("f40", "y = Relu (x)"))
    assert unsupported(proto) == ("functions that stand for more than 100,000 nodes",)


def test_functions_without_end_are_refused():
    proto = functions(function("f0", "y = local.f1 (x)") + function("f1", "y = local.f0 (x)"))
    assert unsupported(proto) == ("functions that call each other more than 64 deep, or without end",)


@pytest.mark.parametrize(
    "nodes",
    [
        [("Relu", "nothing", "y")],
        [("Relu", "x", "x"), ("Relu", "x", "y")],
        [("Relu", "x", "z")],
        [("Relu", "z", "y"), ("Relu", "x", "z")],
        [("Constant", "", "x"), ("Relu", "x", "y")],
    ],
)
def test_a_graph_whose_nodes_do_not_fit_together_is_refused(nodes):
    made = [
        helper.make_node(name, [read], [gives], **({"value_int": 1} if name == "Constant" else {}))
        for name, read, gives in nodes
    ]
    proto = model(made, {"x": X}, ["y"], {})
    with pytest.raises(UserFacingError, match="cannot be opened"):
        to_module(proto)


def test_inputs_that_do_not_fit_are_refused_with_the_node():
    module = to_module(one_node("MatMul", 17, [X, numbers(5, 2)]))
    with pytest.raises(UserFacingError, match="MatMul"):
        module(torch.zeros(3, 4, 6))
    with pytest.raises(UserFacingError, match="1 inputs and was given 2"):
        module(torch.zeros(3, 4, 5), torch.zeros(1))
