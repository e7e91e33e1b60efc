#!/usr/bin/env bash
# Speaks the synthetic corpus into data/synthetic. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
python -m data_scripts.synthetic data/synthetic --languages zh,de,fr,es,it \
  --train-minutes 10 --dev-utterances 60 --test-utterances 150
