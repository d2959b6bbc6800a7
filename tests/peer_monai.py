"""MONAI's sliding window on the network of tests/peer_unet.py, timed, to compare ours with.

tests/bench_infer.py runs it with the Python of .venv-peer. Prints one JSON object.
"""

import argparse
import json
import os
import resource
import time

import monai
import torch
from monai.inferers import sliding_window_inference
from peer_unet import CHANNELS, UNet

WARM_UP = 64
"""Side of a crop that goes through the network before the timed case. Instance norm refuses the one
voxel that 32 would leave.
"""


def main() -> None:
    """Prints the seconds of one case, from the standardised image to its classes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--overlap", type=float, required=True)
    parser.add_argument("--box", type=int, nargs=3, required=True)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network = UNet().eval()
    image = torch.randn(1, CHANNELS, *options.box)
    cast = torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16")
    with torch.inference_mode(), cast:
        network(torch.randn(1, CHANNELS, *(WARM_UP,) * 3))
        started = time.perf_counter()
        logits = sliding_window_inference(
            image, options.window, 1, network, overlap=options.overlap, mode="gaussian"
        )
        classes = logits.argmax(1).to(torch.uint8)
        seconds = time.perf_counter() - started
    assert classes.shape == (1, *options.box)
    result = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds": seconds,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "monai": monai.__version__,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
