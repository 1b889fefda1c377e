"""Weights between torch and wgrad, both ways.

    pip install torch safetensors numpy
    python tests/torch/roundtrip.py write   # from_torch.safetensors: an MLP of torch with its outputs
    python tests/torch/roundtrip.py read    # checks from_wgrad.safetensors: the same weights, loaded and saved by wgrad

`write` needs torch, and its file is the same whenever it is run with the version named in EXPECTED. `read` needs safetensors and
numpy; where torch is there it loads the weights into a torch model, too, and compares what that makes of the inputs.
"""

import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
FROM_TORCH = FOLDER / "from_torch.safetensors"
FROM_WGRAD = FOLDER / "from_wgrad.safetensors"
# What both sides build: Linear(3, 8), BatchNorm1d(8), Tanh, Linear(8, 2).
SIZES = (3, 8, 2)
EXPECTED = "2.15"
TOLERANCE = 1e-5


def torch_model(torch):
    inputs, hidden, outputs = SIZES
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, hidden),
        torch.nn.BatchNorm1d(hidden),
        torch.nn.Tanh(),
        torch.nn.Linear(hidden, outputs),
    )


def write():
    import torch
    from safetensors.torch import save_file

    if not torch.__version__.startswith(EXPECTED):
        print(f"note: torch {torch.__version__}; the committed file is of {EXPECTED}, whose random numbers may differ")
    torch.manual_seed(3)
    model = torch_model(torch)
    inputs = torch.randn(6, SIZES[0])
    # Some steps, so that the running statistics are not those of the start.
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        outputs = model(inputs)
    tensors = dict(model.state_dict())
    tensors["test.inputs"] = inputs
    tensors["test.outputs"] = outputs
    # The same matrix in other widths, which are converted when they are loaded.
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        name = str(dtype).removeprefix("torch.")
        tensors[f"test.{name}"] = tensors["0.weight"].to(dtype)
        tensors[f"test.{name}.expected"] = tensors["0.weight"].to(dtype).to(torch.float32)
    save_file(tensors, FROM_TORCH)
    print(f"{FROM_TORCH.name}: {FROM_TORCH.stat().st_size} bytes")


def with_torch(weights, inputs):
    import torch

    model = torch_model(torch)
    missing, unused = model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()}, strict=False)
    if unused or any(not name.endswith("num_batches_tracked") for name in missing):
        raise SystemExit(f"torch misses {missing} and does not know {unused}")
    model.eval()
    with torch.no_grad():
        return model(torch.from_numpy(inputs)).numpy()


def with_numpy(weights, inputs):
    import numpy

    x = inputs @ weights["0.weight"].T + weights["0.bias"]
    x = (x - weights["1.running_mean"]) / numpy.sqrt(weights["1.running_var"] + 1e-5)
    x = numpy.tanh(x * weights["1.weight"] + weights["1.bias"])
    return x @ weights["3.weight"].T + weights["3.bias"]


def read():
    from safetensors import safe_open
    from safetensors.numpy import load_file

    weights = load_file(FROM_WGRAD)
    with safe_open(FROM_TORCH, "numpy") as file:
        # What wgrad has no use for.
        known = [name for name in file.keys() if not name.startswith("test.") and not name.endswith("_tracked")]
        wanted = {name: file.get_tensor(name) for name in known}
        inputs, outputs = file.get_tensor("test.inputs"), file.get_tensor("test.outputs")
    if sorted(weights) != sorted(wanted):
        raise SystemExit(f"{FROM_WGRAD.name} has {sorted(weights)}, not {sorted(wanted)}")
    for name, tensor in wanted.items():
        found = weights[name]
        if (found.dtype, found.shape, found.tobytes()) != (tensor.dtype, tensor.shape, tensor.tobytes()):
            raise SystemExit(f"{FROM_WGRAD.name}: {name} is not what was loaded")
    ways = {"numpy": with_numpy}
    try:
        import torch  # noqa: F401

        ways["torch"] = with_torch
    except ImportError:
        print("SKIPPED: torch is not there")
    for name, outputs_of in ways.items():
        difference = abs(outputs_of(weights, inputs) - outputs).max()
        if not difference <= TOLERANCE:
            raise SystemExit(f"{FROM_WGRAD.name}: {name} is {difference} off")
        print(f"{FROM_WGRAD.name}: {name} agrees to {difference:.1e}")


if __name__ == "__main__":
    commands = {"write": write, "read": read}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        raise SystemExit(__doc__)
    commands[sys.argv[1]]()
