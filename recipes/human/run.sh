#!/usr/bin/env bash
# Prepares, trains and evaluates: CORPORA=FOLDER recipes/human/run.sh zh-CN   (or several languages, or: all)
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
source recipes/train_languages.sh

prepare() {
  recipes/human/prepare.sh
}

train_languages human "zh-CN de en" "$@"
