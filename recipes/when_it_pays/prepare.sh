#!/usr/bin/env bash
# Speaks the synthetic corpus into data/when_it_pays. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
python -m data_scripts.synthetic data/when_it_pays --languages es,it,pt,fi,tr,id --train-minutes 1.2 \
  --dev-utterances 60 --test-utterances 150
