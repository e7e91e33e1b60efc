#!/usr/bin/env bash
# Makes the manifests of recipes/human and recipes/transfer in data/human: CORPORA=FOLDER recipes/human/prepare.sh
# FOLDER holds common_voice/zh-CN, mls_german_opus and audiofolder_en.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
: "${CORPORA:?"set CORPORA to the folder that holds common_voice/zh-CN, mls_german_opus and audiofolder_en"}"

python -m data_scripts.common_voice "$CORPORA/common_voice" data/human --language zh-CN
python -m data_scripts.mls "$CORPORA/mls_german_opus" data/human
python -m data_scripts.audiofolder "$CORPORA/audiofolder_en" data/human --language en
