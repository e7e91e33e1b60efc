#!/usr/bin/env bash
# Prepares, trains and evaluates: CORPORA=FOLDER recipes/human/run.sh zh-CN   (or several languages, or: all)
# FOLDER holds common_voice/zh-CN, mls_german_opus and audiofolder_en; it is not needed once data/human is there.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
source recipes/train_languages.sh

prepare() {
  local corpora=${CORPORA:-../shared/corpora}
  python -m data_scripts.common_voice "$corpora/common_voice" data/human --language zh-CN
  python -m data_scripts.mls "$corpora/mls_german_opus" data/human
  python -m data_scripts.audiofolder "$corpora/audiofolder_en" data/human --language en
}

train_languages human "zh-CN de en" "$@"
