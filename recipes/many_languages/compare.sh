#!/usr/bin/env bash
# Compares the arms for each target in turn, in runs/many_languages/TARGET. Run again to resume.
#   recipes/many_languages/compare.sh [TARGET...]
# English of another corpus helps no English target: it is left out there.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
out=${OUT:-runs/many_languages}

[ $# -gt 0 ] || set -- am cs en-CN nl de zh-CN
for target; do
  without=()
  [ "$target" = en-CN ] && without=(languages.en=null)
  speech-mtl compare recipes/many_languages target="$target" languages.am.share=null languages."$target".share=0.4 \
    "${without[@]}" --jobs "${JOBS:-2}" --out "$out/$target"
done
