"""The workloads of `cargo xtask bench` in PyTorch and in JAX, on the same inputs and weights, for figures beside wgrad's on the same machine.

    pip install numpy torch            # or: pip install numpy "jax[cpu]"
    python tests/torch/bench.py torch  # W1 to W4, eager
    python tests/torch/bench.py jax    # W1 to W4, one jitted step
    python tests/torch/bench.py torch --only W2 --threads 2 --seconds 1 --blocks 7

Losses before the first step and after 20 are asserted to be those of `tests/src/bench/case.rs`, so that all systems do the same work.
A line for each workload: milliseconds of a step (median, least and largest block), seconds from the first use of the library to the
first loss, and the process's peak memory so far.
"""

import argparse
import os
import resource
import statistics
import time

import numpy as np

DEEP = [64] + 24 * [256] + [10]
# Name, layers, activation, batch, losses before the first step and after 20: see tests/src/bench/case.rs.
WORKLOADS = [
    ("W1", [64, 128, 10], "relu", 32, (2.565, 1.321)),
    ("W2", [784, 512, 512, 10], "relu", 128, (2.529, 0.695)),
    ("W3", [1024, 4096, 4096, 1024], "relu", 256, (7.229, 0.778)),
    ("W4", DEEP, "tanh", 64, (2.338, 0.938)),
]
LOSS_TOLERANCE = 2e-3


def hashed(i, seed):
    """The 32-bit finaliser of MurmurHash3 over counters and a seed."""
    u32 = lambda v: np.uint32(v & 0xFFFFFFFF)
    h = i.astype(np.uint32) * u32(2654435761) + u32(seed * 0x9E3779B9)
    h ^= h >> np.uint32(16)
    h *= u32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= u32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def uniform(i, seed):
    """Uniform in [-1, 1)."""
    return ((hashed(i, seed) >> np.uint32(8)) / float(1 << 24) * 2.0 - 1.0).astype(np.float32)


def inputs(rows, width, classes):
    """A batch whose second half repeats the inputs of the first with the next class."""
    half = rows // 2
    features = uniform(np.arange(rows * width) % (half * width), 1).reshape(rows, width)
    labels = (hashed(np.arange(rows) % half, 2) >> np.uint32(8)) % np.uint32(classes)
    labels = np.where(np.arange(rows) < half, labels, (labels + 1) % classes)
    return features, labels.astype(np.int64)


def weights(layer, width_in, width_out, activation):
    """The weight of a layer, stored [inputs, outputs]."""
    gain = 3.0 if activation == "tanh" else 6.0
    bound = np.float32((gain / width_in) ** 0.5)
    return uniform(np.arange(width_in * width_out), 100 + layer).reshape(width_in, width_out) * bound


def torch_step(layers, activation, batch, threads):
    """A function that takes a step and gives the loss, which is waited for only when it becomes a number."""
    import torch

    torch.set_num_threads(threads)
    features, labels = inputs(batch, layers[0], layers[-1])
    features, labels = torch.from_numpy(features), torch.from_numpy(labels)
    parts = []
    for layer, (width_in, width_out) in enumerate(zip(layers, layers[1:])):
        linear = torch.nn.Linear(width_in, width_out)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights(layer, width_in, width_out, activation).T.copy()))
            linear.bias.zero_()
        parts += [linear, torch.nn.Tanh() if activation == "tanh" else torch.nn.ReLU()]
    model = torch.nn.Sequential(*parts[:-1])
    if activation == "tanh":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(features), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def jax_step(layers, activation, batch, _threads):
    """The same in JAX, with the optimizers written out: parameters and state are given up to each step."""
    import jax
    import jax.numpy as jnp

    features, labels = (jnp.asarray(a) for a in inputs(batch, layers[0], layers[-1]))
    params = [
        (jnp.asarray(weights(layer, width_in, width_out, activation)), jnp.zeros(width_out))
        for layer, (width_in, width_out) in enumerate(zip(layers, layers[1:]))
    ]
    between = jnp.tanh if activation == "tanh" else jax.nn.relu

    def loss_of(params):
        x = features
        for weight, bias in params[:-1]:
            x = between(x @ weight + bias)
        logits = x @ params[-1][0] + params[-1][1]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return -chosen.mean()

    def momentum(params, state):
        loss, grads = jax.value_and_grad(loss_of)(params)
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, state, grads)
        return jax.tree.map(lambda p, v: p - 0.01 * v, params, velocity), velocity, loss

    def adam(params, state):
        loss, grads = jax.value_and_grad(loss_of)(params)
        count, first, second = state
        count = count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
        scale, root = 1e-3 / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)
        new = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) / root + 1e-8), params, first, second)
        return new, (count, first, second), loss

    zeros = jax.tree.map(jnp.zeros_like, params)
    if activation == "tanh":
        state = zeros
    else:
        state = (jnp.zeros((), jnp.float32), zeros, jax.tree.map(jnp.zeros_like, params))
    update = jax.jit(momentum if activation == "tanh" else adam, donate_argnums=(0, 1))

    def step():
        nonlocal params, state
        params, state, loss = update(params, state)
        return loss

    return step


def measure(name, system, workload, arguments):
    layers, activation, batch, losses = workload
    start = time.perf_counter()
    step = {"torch": torch_step, "jax": jax_step}[system](layers, activation, batch, arguments.threads)
    first = float(step())
    first_seconds = time.perf_counter() - start
    for _ in range(20):
        after = step()
    for when, loss, wanted in (("at step 0", first, losses[0]), ("after 20 steps", float(after), losses[1])):
        assert abs(loss - wanted) <= LOSS_TOLERANCE * wanted, f"{name}: the loss {when} is {loss}, but should be {wanted}"
    flops = sum(6.0 * batch * a * b for a, b in zip(layers, layers[1:]))
    ahead = int(min(max(2e9 / flops, 1), 200))

    def block(seconds):
        start, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - start < seconds:
            for _ in range(ahead):
                loss = step()
            steps += ahead
            float(loss)
        return 1e3 * (time.perf_counter() - start) / steps

    block(arguments.seconds)
    blocks = [block(arguments.seconds) for _ in range(arguments.blocks)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name} {system}: step {statistics.median(blocks):.3f} ms ({min(blocks):.3f} to {max(blocks):.3f}), "
        f"first step {first_seconds:.2f} s, peak {peak:.0f} MiB",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=["torch", "jax"])
    parser.add_argument("--only", default="", help="a part of a workload's name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a block")
    parser.add_argument("--blocks", type=int, default=7)
    arguments = parser.parse_args()
    # JAX has no call for it; the processors that the process may use decide.
    if arguments.system == "jax" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    for name, *workload in WORKLOADS:
        if arguments.only in name:
            measure(name, arguments.system, workload, arguments)


if __name__ == "__main__":
    main()
