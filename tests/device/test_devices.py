"""The same code on another device: on a CUDA device, and on one that only looks like it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
PARTS = ("plain", "difficult", "minimised", "learned", "many", "hessian", "large", "training")


def run(*arguments: str) -> subprocess.CompletedProcess:
    line = [sys.executable, str(HERE / "parts.py"), *arguments]
    return subprocess.run(line, capture_output=True, text=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("part", PARTS)
def test_cuda_against_cpu(part):
    done = run("cuda", part)
    assert done.returncode == 0, done.stderr


SLOW = ("minimised", "training")


@pytest.mark.parametrize(
    "part", [pytest.param(p, marks=pytest.mark.slow) if p in SLOW else p for p in PARTS]
)
def test_nothing_stays_on_the_cpu(part):
    """No operation mixes tensors of the device with tensors of the CPU."""
    done = run("pretend", part)
    assert done.returncode == 0, done.stderr


MIXING = """
import torch
from pretend_device import pretend_device
with pretend_device():
    there = torch.ones(3, device="pretend:0")
    assert there.device.type == "pretend" and (2.0 * there).tolist() == [2.0] * 3
    assert there.cpu().device.type == "cpu" and (there + torch.tensor(1.0)).sum().item() == 6.0
    here, where = torch.ones(3), torch.tensor([0, 2])
    assert there[where].device.type == "pretend"
    for wrong in (
        lambda: there + here,
        lambda: there.numpy(),
        lambda: here @ there,
        lambda: here[where.to("pretend:0")],
        lambda: there.index_put_((where,), here[:2]),
        lambda: torch.stack((there[0], here[0])),
    ):
        try:
            wrong()
        except (RuntimeError, TypeError):
            continue
        raise SystemExit("nobody noticed")
"""


def test_the_pretended_device_refuses_what_a_real_one_does():
    done = subprocess.run([sys.executable, "-c", MIXING], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
