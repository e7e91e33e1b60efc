#!/usr/bin/env bash
# Speaks the synthetic corpus into data/language_distance. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
python -m data_scripts.synthetic data/language_distance --languages es,it,pt,ro,pl,cs,sk,sl,nl,de,sv,da,fi,tr,id \
  --train-minutes 4.2 --dev-utterances 60 --test-utterances 150
