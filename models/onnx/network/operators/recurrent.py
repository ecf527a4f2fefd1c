"""Recurrent layers, step by step: forward, backward or both, with initial states and lengths of sequences."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch.nn import functional

from models.onnx.network.registry import Node, Step, operator, refuse

Activation = Callable[[torch.Tensor], torch.Tensor]
State = tuple[torch.Tensor, ...]
Advance = Callable[[torch.Tensor, State], State]  # gates of the input at one time, and the states, to the new states

# name -> (function of alpha, beta and x; default alpha; default beta; None where it has none)
_ACTIVATIONS: dict[str, tuple[Callable[..., torch.Tensor], float | None, float | None]] = {
    "Relu": (lambda a, b, x: functional.relu(x), None, None),
    "Tanh": (lambda a, b, x: torch.tanh(x), None, None),
    "Sigmoid": (lambda a, b, x: torch.sigmoid(x), None, None),
    "Affine": (lambda a, b, x: a * x + b, 1.0, 0.0),
    "LeakyRelu": (lambda a, b, x: functional.leaky_relu(x, a), 0.01, None),
    "ThresholdedRelu": (lambda a, b, x: functional.threshold(x, a, 0.0), 1.0, None),
    "ScaledTanh": (lambda a, b, x: a * torch.tanh(b * x), 1.0, 1.0),
    "HardSigmoid": (lambda a, b, x: (a * x + b).clamp(0, 1), 0.2, 0.5),
    "Elu": (lambda a, b, x: functional.elu(x, a), 1.0, None),
    "Softsign": (lambda a, b, x: functional.softsign(x), None, None),
    "Softplus": (lambda a, b, x: functional.softplus(x), None, None),
}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@operator("RNN")
def plain_layer(node: Node) -> Step:
    functions = _activations(node, ["Tanh"])

    def advance(direction: int, recurrent: torch.Tensor, biases: torch.Tensor, peepholes: torch.Tensor) -> Advance:
        (act,) = functions[direction]
        return lambda gates, states: (act(gates + states[0] @ recurrent.T + biases[1]),)

    return _layer(node, advance, states=1)


@operator("GRU")
def gated_layer(node: Node) -> Step:
    functions = _activations(node, ["Sigmoid", "Tanh"])

    def advance(direction: int, recurrent: torch.Tensor, biases: torch.Tensor, peepholes: torch.Tensor) -> Advance:
        act, act_hidden = functions[direction]
        weights_zr, weights_h = recurrent.split([recurrent.shape[1] * 2, recurrent.shape[1]])
        bias_zr, bias_h = biases[1].split([recurrent.shape[1] * 2, recurrent.shape[1]])

        def step(gates: torch.Tensor, states: State) -> State:
            (h,) = states
            gate_z, gate_r, gate_h = gates.chunk(3, -1)
            other_z, other_r = (h @ weights_zr.T + bias_zr).chunk(2, -1)
            z, r = act(gate_z + other_z), act(gate_r + other_r)
            if node.get("linear_before_reset"):
                hidden = act_hidden(gate_h + r * (h @ weights_h.T + bias_h))
            else:
                hidden = act_hidden(gate_h + (r * h) @ weights_h.T + bias_h)
            return ((1 - z) * hidden + z * h,)

        return step

    return _layer(node, advance, states=1)


@operator("LSTM")
def long_short_term_layer(node: Node) -> Step:
    functions = _activations(node, ["Sigmoid", "Tanh", "Tanh"])

    def advance(direction: int, recurrent: torch.Tensor, biases: torch.Tensor, peepholes: torch.Tensor) -> Advance:
        act, act_cell, act_hidden = functions[direction]
        peep_i, peep_o, peep_f = peepholes.chunk(3)

        def step(gates: torch.Tensor, states: State) -> State:
            h, c = states
            i, o, f, new = (gates + h @ recurrent.T + biases[1]).chunk(4, -1)
            i = act(i + peep_i * c)
            f = 1 - i if node.get("input_forget") else act(f + peep_f * c)
            c = f * c + i * act_cell(new)
            return act(o + peep_o * c) * act_hidden(c), c

        return step

    return _layer(node, advance, states=2)


def _layer(node: Node, advance: Callable[..., Advance], states: int) -> Step:
    """The layer of `node`: `advance` makes for each direction what goes from one time to the next."""
    backward = _DIRECTIONS[node.one_of("direction", _DIRECTIONS)]

    def run(
        x: torch.Tensor,
        weights: torch.Tensor,
        recurrent: torch.Tensor,
        bias: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
        *more: torch.Tensor | None,
    ) -> tuple[torch.Tensor, ...]:
        hidden = recurrent.shape[2]
        starts = [*more[:states], *[None] * (states - len(more[:states]))]
        peepholes = more[states] if len(more) > states else None
        if node.get("layout"):
            x = x.transpose(0, 1)
            starts = [each if each is None else each.transpose(0, 1) for each in starts]
        bias = _or_zeros(bias, x, (len(backward), 2 * weights.shape[1]))
        peepholes = _or_zeros(peepholes, x, (len(backward), 3 * hidden))
        starts = [_or_zeros(each, x, (len(backward), x.shape[1], hidden)) for each in starts]
        sequences, ends = [], []
        for at, reverse in enumerate(backward):
            both = bias[at].reshape(2, -1)
            step = advance(at, recurrent[at], both, peepholes[at])
            gates = functional.linear(x, weights[at], both[0])
            sequence, end = _through_time(gates, tuple(each[at] for each in starts), step, reverse, lengths)
            sequences.append(sequence)
            ends.append(end)
        return _arranged(node, torch.stack(sequences, 1), [torch.stack(each) for each in zip(*ends, strict=True)])

    return run


def _through_time(
    gates: torch.Tensor, states: State, step: Advance, reverse: bool, lengths: torch.Tensor | None
) -> tuple[torch.Tensor, State]:
    """The hidden states (time, n, hidden) and the last states.

    Past the end of a sequence (n lengths) its states stay and its hidden states are written as zero.
    """
    hidden = [states[0]] * len(gates)
    for time in reversed(range(len(gates))) if reverse else range(len(gates)):
        new = step(gates[time], states)
        if lengths is None:
            states, hidden[time] = new, new[0]
        else:
            alive = (time < lengths)[:, None]
            states = tuple(torch.where(alive, after, before) for after, before in zip(new, states, strict=True))
            hidden[time] = torch.where(alive, new[0], 0)
    return torch.stack(hidden), states


def _arranged(node: Node, sequence: torch.Tensor, ends: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """All hidden states (time, directions, n, hidden) and the last states, in the layout of the node."""
    if not node.get("layout"):
        return sequence, *ends
    return sequence.permute(2, 0, 1, 3), *(each.transpose(0, 1) for each in ends)


def _or_zeros(x: torch.Tensor | None, like: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return like.new_zeros(shape) if x is None else x


def _activations(node: Node, default: list[str]) -> list[list[Activation]]:
    """For each direction the activations of its gates."""
    if node.get("clip") is not None:  # of the cell's state too? The standard and onnxruntime differ
        raise refuse(node, "with clip")
    names = node.get("activations") or default * 2
    alphas, betas = iter(node.get("activation_alpha") or ()), iter(node.get("activation_beta") or ())
    found = []
    for name in names:
        if name not in _ACTIVATIONS:
            raise refuse(node, f"with the activation {name}")
        function, alpha, beta = _ACTIVATIONS[name]
        given = [usual if usual is None else next(values, usual) for usual, values in ((alpha, alphas), (beta, betas))]
        found.append(partial(function, *given))
    return [found[: len(default)], found[len(default) :]]
