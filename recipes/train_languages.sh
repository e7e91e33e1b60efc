# Sourced by each recipe's run.sh, after `prepare` is defined there: prepares, trains and evaluates one run for each
# language named on the command line, with the recipe's other languages as auxiliaries. Safe to repeat.
#
#   train_languages RECIPE "ALL LANGUAGES" [LANGUAGE ... | all]

train_languages() {
  local recipe=$1 known=$2 language run
  shift 2
  if [ $# -eq 0 ]; then
    echo "usage: recipes/$recipe/run.sh LANGUAGE...   or: recipes/$recipe/run.sh all   (languages: $known)" >&2
    exit 2
  fi
  if [ "$*" = all ]; then set -- $known; fi
  for language in "$@"; do
    case " $known " in
      *" $language "*) ;;
      *) echo "Error: recipes/$recipe has no language '$language'. Expected: one of $known" >&2; exit 2 ;;
    esac
  done
  prepare
  for language in "$@"; do
    run=runs/$recipe/$language
    echo "== $recipe: $language"
    speech-mtl train "recipes/$recipe" "target=$language" --out "$run"
    if [ -f "$run/evaluation.md" ]; then
      echo "$run is evaluated: skipped."
    else
      speech-mtl evaluate "$run" --language "$language"
    fi
  done
}
