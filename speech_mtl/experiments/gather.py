"""What finished cells found: their rows, and what their models heard."""

import json
from collections.abc import Iterator, Sequence

from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.experiments.evaluate import hypotheses_path
from speech_mtl.experiments.plan import Cell, Plan
from speech_mtl.runs import Run
from speech_mtl.scoring.hypotheses import Model, TestSet
from speech_mtl.scoring.results import EvaluationRow, ResultRow


def evaluated_rows(run: Run) -> list[EvaluationRow]:
    """What `evaluate` wrote."""
    return json.loads((run.path / "evaluation.json").read_text(encoding="utf-8"))


def cell_rows(recipe_name: str, plan: Plan, cell: Cell) -> Iterator[ResultRow]:
    """The rows of a finished cell."""
    runs = [Run(plan.run_path(name)) for name in cell.stages]
    progress = [run.progress() for run in runs]
    for row in evaluated_rows(runs[-1]):
        yield {
            "recipe": recipe_name,
            "arm": cell.arm,
            "budget_s": cell.budget_s,
            "seed": cell.seed,
            "language": row["language"],
            "split": row["split"],
            "wer": row["wer"],
            "cer": row["cer"],
            "num_utterances": row["num_utterances"],
            "num_reference_words": row["num_reference_words"],
            "num_reference_characters": row["num_reference_characters"],
            "num_updates": sum(part.update for part in progress),
            "num_parameters": runs[-1].num_parameters(),
            "wall_time_s": round(sum(part.wall_time_s for part in progress), 1),
        }


def gather_test_sets(plan: Plan, cells: Sequence[Cell]) -> list[TestSet]:
    """What the models of the cells heard in their targets' test splits, one set for each target."""
    test_sets: dict[str, TestSet] = {}
    for cell in cells:
        run = Run(plan.run_path(cell.stages[-1]))
        path = hypotheses_path(run, cell.target, "test")
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        records = [record for record in lines if record["reference"] is not None]
        if cell.target not in test_sets:
            test_sets[cell.target] = _empty_test_set(run, cell.target, records)
        model = Model(cell.arm, cell.budget_s, cell.seed)
        ids, heard = ([record[key] for record in records] for key in ("id", "hypothesis"))
        test_sets[cell.target].add(model, ids, heard)
    return list(test_sets.values())


def _empty_test_set(run: Run, language: str, records: list[dict]) -> TestSet:
    manifest = manifest_path(run.recipe().data.dir, language, "test")
    speakers = {utterance.id: utterance.speaker for utterance in read_manifest(manifest)}
    return TestSet(
        language=language,
        spaced=run.tokenizers()[language].spaced,
        ids=[record["id"] for record in records],
        speakers=[speakers.get(record["id"]) for record in records],
        references=[record["reference"] for record in records],
    )
