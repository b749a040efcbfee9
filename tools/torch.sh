#!/usr/bin/env bash
# Installs PyTorch's CPU build into an environment, `tools/torch.sh PYTHON`, and ends well also where it cannot be had: the tests
# of PyTorch are skipped then and say why. Plain pip, because it is what people tell where such builds are; no dependencies,
# because those are in frameworks.txt, so that no CUDA package can come along.
set -euo pipefail
python=$1
if ! said=$("$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
    --requirement requirements/torch.txt 2>&1); then
    echo "PyTorch's CPU build is not to be had from pip's sources here; its tests will be skipped:" >&2
    tail -n 2 <<<"$said" >&2
elif ! said=$("$python" -c 'import torch' 2>&1); then
    echo "PyTorch is installed and cannot be imported; its tests will be skipped:" >&2
    tail -n 1 <<<"$said" >&2
fi
