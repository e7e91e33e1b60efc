#!/usr/bin/env bash
# Prepares, trains and evaluates: CORPORA=FOLDER recipes/common_voice/run.sh cs   (or several languages, or: all)
# FOLDER holds one folder a language, as Common Voice is unpacked: cs/train.tsv, cs/clips/, sk/train.tsv, ...
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
source recipes/train_languages.sh
languages="cs sk pl uk"

prepare() {
  local corpora=${CORPORA:?"set CORPORA to the folder that holds cs/, sk/, pl/ and uk/ of Common Voice"} language
  for language in $languages; do
    python -m data_scripts.common_voice "$corpora" data/common_voice --language "$language"
  done
}

train_languages common_voice "$languages" "$@"
