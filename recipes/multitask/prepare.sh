#!/usr/bin/env bash
# Speaks the synthetic corpus with labels into data/multitask. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
python -m data_scripts.synthetic data/multitask --languages de --train-minutes 60 --dev-utterances 100 \
  --test-utterances 300 --labels articulation,emotion,gender,rate --shared-voices
