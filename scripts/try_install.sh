#!/usr/bin/env bash
# try_install.sh PYTHON [lowest|newest]: build the wheel, install it in an environment of its own with the lowest or
# the newest dependencies (needs uv), and try doctor, demo, localize and two steps of training.
set -euo pipefail
python=${1:?name a Python} versions=${2:-newest}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
case $versions in lowest) resolution=lowest-direct ;; newest) resolution=highest ;; *) echo "lowest or newest" >&2; exit 2 ;; esac

uv build -q --wheel --out-dir "$work/dist" "$root"
uv pip compile -q --python "$python" --resolution "$resolution" "$root/pyproject.toml" -o "$work/requirements.txt"
uv venv -q --python "$python" "$work/venv"
uv pip install -q --python "$work/venv/bin/python" -r "$work/requirements.txt"
uv pip install -q --python "$work/venv/bin/python" --no-deps "$work"/dist/*.whl
cd "$work" && unset PYTHONPATH
bin=$work/venv/bin
"$bin/python" -c 'import sys, torch, numpy; print("python", sys.version.split()[0], "torch", torch.__version__, "numpy", numpy.__version__)'
"$bin/autods" doctor
"$bin/autods" demo simulate.n_frames=60
"$bin/autods" localize autods_demo/simulation/movie.tif frames=0:10
"$bin/autods" train experiment=zoo/heatmap conditions=diff_1 out=train trainer.max_steps=2 data.batches_per_epoch=2 \
  data.validation_batches=1 data.batch_size=2 trainer.progress_bar=false
test -f train/model/weights.safetensors
du -sh "$work/venv"
