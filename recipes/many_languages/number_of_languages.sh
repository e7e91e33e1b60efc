#!/usr/bin/env bash
# Does the gain grow with the number of auxiliary languages? Amharic with 2, 4, 8 and all 15 others, in runs/many_languages/number/am.
#   recipes/many_languages/number_of_languages.sh      after compare.sh am, whose runs with all others it takes over
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${OUT:-runs/many_languages}

variants='all: {}' # the larger amounts of speech first, as somebody would choose who has time for few
left_out() { # NAME LANGUAGE...
  local changes='compare.arms: [pretrain_finetune]' name=$1 language
  shift
  for language; do changes+=", languages.$language: null"; done
  variants+=", $name: {$changes}"
}
left_out two en-CN nl zh-CN en be bg ca da el es fr ro ru
left_out four nl zh-CN be bg ca da el es fr ro ru
left_out eight be ca da es fr ro ru

mkdir -p "$out/number/am"
[ ! -d "$out/am/runs" ] || cp -r --update "$out/am/format.json" "$out/am/runs" "$out/number/am"
OUT=$out/number recipes/many_languages/compare.sh am 'compare.arms=[alone, pretrain_finetune]' "compare.variants={$variants}"
