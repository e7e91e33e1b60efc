#!/usr/bin/env bash
# Makes the manifests of recipes/more_languages in data/more_languages: CORPORA=FOLDER recipes/more_languages/prepare.sh
# FOLDER holds common_voice/zh-CN, mls_german_opus, audiofolder_en, speechocean762, alffa_amharic and common_voice_fillets.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
: "${CORPORA:?"set CORPORA to the folder that holds common_voice/zh-CN, mls_german_opus, audiofolder_en, speechocean762, alffa_amharic and common_voice_fillets"}"

python -m data_scripts.common_voice "$CORPORA/common_voice" data/more_languages --language zh-CN
python -m data_scripts.mls "$CORPORA/mls_german_opus" data/more_languages
python -m data_scripts.audiofolder "$CORPORA/audiofolder_en" data/more_languages --language en
python -m data_scripts.kaldi "$CORPORA/speechocean762" data/more_languages --language en-CN
python -m data_scripts.kaldi "$CORPORA/alffa_amharic" data/more_languages --language am
python -m data_scripts.common_voice "$CORPORA/common_voice_fillets" data/more_languages --language cs
python -m data_scripts.common_voice "$CORPORA/common_voice_fillets" data/more_languages --language nl
