"""What the main calls share: arguments as they may come, and a plan that is checked and done."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from plugin_bridge.engine.batch import run_plan
from plugin_bridge.engine.contract import Workers
from plugin_bridge.errors import BridgeError, JobError, JobsFailedError, PresetError
from plugin_bridge.jobs.contract import Job, Result, Results, attempt, describe
from plugin_bridge.jobs.folder_lock import locked
from plugin_bridge.jobs.job import PresetText
from plugin_bridge.jobs.listening import PAGE, page_of
from plugin_bridge.jobs.not_done import NotDone
from plugin_bridge.jobs.plan import Planned, checked, preset_text
from plugin_bridge.jobs.progress import Callback, CallbackReporter, Cancelled, Reporter
from plugin_bridge.presets.preset import Preset
from separators.parameters import Value

if TYPE_CHECKING:
    import pedalboard

AnyPath = str | os.PathLike[str]
AnyPreset: TypeAlias = "str | os.PathLike[str] | Preset | pedalboard.Chain"


def run(
    planned: Sequence[Job],
    out: Path,
    preset: PresetText | None = None,
    project_of: Callable[[list[Result], Callable[[str], None]], Path | None] = lambda results, remark: None,
    page_in: Path | None = None,
    *,
    dry_run: bool,
    workers: Workers,
    progress: Callback | Reporter | None,
) -> Results:
    """Check the plan and do it; raises JobsFailedError, and whatever ``progress`` raises."""
    plan = checked(planned)
    if dry_run:
        return Results([planned_result(one) for one in plan])
    caution = preset.preset.caution if preset else ""
    notes = [f"preset {preset.name}: {caution}"] if preset and caution else []
    with locked(out):
        done, page = carry_out(plan, progress, workers, page_in)
        project = project_of(done, notes.append)
        if isinstance(page, Result):
            return unless_failed(Results([*done, page], project, notes))
        return unless_failed(Results(done, project, notes, page))


def carry_out(
    plan: Sequence[Planned],
    progress: Callback | Reporter | None,
    workers: Workers,
    page_in: Path | None = None,
) -> tuple[list[Result], Path | Result | None]:
    """Do the plan, and make the page if one is wanted; raises whatever ``progress`` raises.

    Where no page can be made, the failure stands in its place: the stems are there.
    """
    reporter = progress if isinstance(progress, Reporter) else CallbackReporter(progress or _ignore)
    try:
        done = run_plan(plan, reporter, workers)
        if page_in is None or not any(result.tracks for result in done):
            return done, None
        try:
            return done, page_of(page_in, reporter)
        except (BridgeError, OSError) as error:
            failed = Result(PAGE, "failed", error=describe(error))
            reporter.finish(PAGE, failed.outcome)
            return done, failed
    except Cancelled:
        assert isinstance(reporter, CallbackReporter)
        assert reporter.error is not None
        raise reporter.error from None


def unless_failed(results: Results) -> Results:
    """The results, if no job failed."""
    if results.failed:
        first = results.failed[0]
        many = f"{len(results.failed)} of {len(results.jobs)} jobs failed: " if len(results.jobs) > 1 else ""
        raise JobsFailedError(f"{many}{first.job}: {first.error}", results)
    return results


def planned_result(one: Planned) -> Result:
    """What a job will do; of one that says why nothing is done, that."""
    if isinstance(one.job, NotDone):
        return attempt(one.job, lambda stage, fraction: None)
    return Result(one.job.label, "planned", outputs=one.survey.outputs)


def _ignore(job: str, stage: str, fraction: float) -> None:
    pass


def preset_of(
    preset: AnyPreset,
    parameters: Mapping[str, Value] | None = None,
    device: str | None = None,
    tail_seconds: float | str | None = None,
) -> PresetText:
    """A preset in any of its forms as what jobs take; raises :class:`PresetError`."""
    if isinstance(preset, str | os.PathLike):
        preset = Preset.load(preset)
    elif not isinstance(preset, Preset):
        preset = Preset.from_board(preset, "Board")
    text = preset_text(preset)
    if parameters:
        text = text.with_parameters(**parameters)
    if tail_seconds is not None:
        text = text.with_tail(tail_seconds)
    return text if device is None else text.on_device(device)


def chain_of(preset: AnyPreset, tail_seconds: float | str | None = None) -> PresetText:
    """A preset that separates nothing; raises :class:`PresetError`."""
    text = preset_of(preset, tail_seconds=tail_seconds)
    if not text.preset.is_chain:
        raise PresetError(f"{text.source}: it separates; use separate, or a preset with [[chain]] alone")
    return text


def patterns_of(patterns: str | Sequence[str]) -> tuple[str, ...]:
    """One pattern or several."""
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def existing(path: AnyPath) -> Path:
    """``path``; raises :class:`JobError` where nothing is."""
    if not Path(path).exists():
        raise JobError(f"{os.fspath(path)}: there is no such file or folder")
    return Path(path)
