#!/usr/bin/env bash
# Makes the manifests of recipes/many_languages in data/many_languages: CORPORA=FOLDER recipes/many_languages/prepare.sh
# FOLDER holds alffa_amharic, speechocean762, common_voice, common_voice_fillets, mls_german_opus, audiofolder_en,
# tuxpaint_fleurs, and for tests by other speakers ljspeech_nl.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
: "${CORPORA:?"set CORPORA to the folder that holds alffa_amharic, speechocean762 and the others that this script lists"}"
data=data/many_languages

python -m data_scripts.kaldi "$CORPORA/alffa_amharic" $data --language am
python -m data_scripts.kaldi "$CORPORA/speechocean762" $data --language en-CN
python -m data_scripts.common_voice "$CORPORA/common_voice_fillets" $data --language cs
python -m data_scripts.common_voice "$CORPORA/common_voice_fillets" $data --language nl
python -m data_scripts.mls "$CORPORA/mls_german_opus" $data
python -m data_scripts.common_voice "$CORPORA/common_voice" $data --language zh-CN
python -m data_scripts.audiofolder "$CORPORA/audiofolder_en" $data --language en
python -m data_scripts.fleurs "$CORPORA/tuxpaint_fleurs" $data --language be --language bg --language ca --language da \
  --language el --language es --language fr --language ro --language ru

# Dutch by the reader of another corpus.
python -m data_scripts.ljspeech "$CORPORA/ljspeech_nl" $data/others --language nl

# Speakers that training has: every eighth utterance is taken out of training, beside the test sets of other speakers.
for language in am en-CN; do
  train=$data/$language/train.jsonl known=$data/$language/known_speakers.jsonl
  [ -e $known ] && continue
  awk 'NR % 8' $train > $train.part
  awk 'NR % 8 == 0' $train > $known.part
  mv $train.part $train && mv $known.part $known
done
