#!/usr/bin/env bash
# Prepares, trains and evaluates: CORPORA=FOLDER recipes/mls/run.sh pl   (or several languages, or: all)
# FOLDER holds one folder a language, as Multilingual LibriSpeech is unpacked: mls_polish_opus/train/transcripts.txt, ...
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
source recipes/train_languages.sh

prepare() {
  local corpora=${CORPORA:?"set CORPORA to the folder that holds mls_polish_opus/, mls_german_opus/, ..."} name
  for name in polish german dutch french spanish italian portuguese; do
    python -m data_scripts.mls "$corpora/mls_${name}_opus" data/mls
  done
}

train_languages mls "pl de nl fr es it pt" "$@"
