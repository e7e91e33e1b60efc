#!/usr/bin/env bash
# Prepares, trains and evaluates: recipes/synthetic/run.sh zh   (or several languages, or: all)
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
source recipes/train_languages.sh

prepare() {
  recipes/synthetic/prepare.sh
}

train_languages synthetic "zh de fr es it" "$@"
