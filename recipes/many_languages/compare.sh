#!/usr/bin/env bash
# Compares the arms for each target in turn, in runs/many_languages/TARGET; then tests the same networks by other speakers.
#   recipes/many_languages/compare.sh [TARGET...] [KEY=VALUE...]
# Run again to resume. All six targets if none is named; KEY=VALUE are settings of all, such as 'compare.arms=[alone, joint_ramp]'.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
out=${OUT:-runs/many_languages} data=data/many_languages

targets=() changes=()
for word; do
  case $word in *=*) changes+=("$word") ;; *) targets+=("$word") ;; esac
done
[ ${#targets[@]} -gt 0 ] || targets=(am cs en-CN nl de zh-CN)

compare() { # TARGET FOLDER KEY=VALUE...
  local target=$1 folder=$2 own=("languages.am.share=null" "languages.$1.share=0.4")
  shift 2
  [ "$target" != en-CN ] || own+=(languages.en=null) # English of another corpus is no other language
  [ "$target" != nl ] || own+=(encoder.upsampling=2) # fast dialogues: without, alone stays on the plateau (benchmarks/frame_step.md)
  speech-mtl compare recipes/many_languages target="$target" "${own[@]}" "${changes[@]}" "$@" --jobs "${JOBS:-2}" --out "$folder"
}

test_by() { # TARGET NAME MANIFEST: the networks of a finished comparison, tested on another manifest
  mkdir -p "$out/$1-$2"
  cp -r --update "$out/$1/format.json" "$out/$1/runs" "$out/$1-$2" # format.json marks it as a comparison's
  compare "$1" "$out/$1-$2" "languages.$1.manifests.test=$3"
}

for target in "${targets[@]}"; do
  compare "$target" "$out/$target"
  case $target in
    am | en-CN) test_by "$target" known_speakers "$data/$target/known_speakers.jsonl" ;;
    nl) test_by nl other_reader "$data/others/nl/test.jsonl" ;;
  esac
done
