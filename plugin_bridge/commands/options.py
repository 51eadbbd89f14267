"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from plugin_bridge.audio.outputs import BIT_DEPTHS, FORMATS

if TYPE_CHECKING:
    from plugin_bridge.presets.preset import Preset
    from separators.parameters import Value

F = TypeVar("F", bound=Callable[..., Any])
FOLDER = click.Path(file_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def together(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, shown in the order given."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not names:
        raise click.BadParameter("name at least one stem")
    return names


def _preset(context: click.Context, parameter: click.Parameter, value: str) -> Preset:
    from plugin_bridge.errors import PresetError
    from plugin_bridge.presets.preset import Preset

    try:
        return Preset.load(value)
    except PresetError as error:
        raise click.BadParameter(str(error)) from None


def _assignments(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    found = {}
    for text in value:
        name, equals, said = (part.strip() for part in text.partition("="))
        if not (name and equals):
            raise click.BadParameter(f"{text!r} is not NAME=VALUE, such as speakers=3")
        found[name.replace("-", "_")] = said
    return found


def _tail(context: click.Context, parameter: click.Parameter, value: str | None) -> float | str | None:
    if value is None or value == "auto":
        return value
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither seconds nor auto") from None


def template(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check a name template."""
    from plugin_bridge.errors import JobError
    from plugin_bridge.naming import Template

    if value is not None:
        try:
            Template(value)
        except JobError as error:
            raise click.BadParameter(str(error)) from None
    return value


def _amount(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    from plugin_bridge.engine.memory import parse_bytes
    from plugin_bridge.errors import JobError

    if value is not None:
        try:
            parse_bytes(value)
        except JobError as error:
            raise click.BadParameter(str(error)) from None
    return value


preset_option = click.option(
    "--preset",
    "-p",
    required=True,
    callback=_preset,
    metavar="NAME|FILE",
    help="A preset by name (stembridge presets list), or the path of a .toml file.",
)


def _out_option(default: str) -> Callable[[F], F]:
    return click.option(
        "--out",
        "-o",
        type=FOLDER,
        default=Path(default),
        show_default=True,
        help="Folder for the results; made if it is missing.",
    )


out_option = _out_option("stems")
processed_option = _out_option("processed")
tail_option = click.option(
    "--tail",
    "tail_seconds",
    callback=_tail,
    metavar="SECONDS|auto",
    help="How much longer than the input results are; auto: until what rings on is 60 dB down.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
events_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print what happens, when it happens, as one JSON object a line, the last with all results "
    "(docs/operations.md); with --quiet that one alone.",
)
format_options = together(
    click.option(
        "--format",
        type=click.Choice(list(FORMATS)),
        help="File format; the preset's if not given, else wav.",
    ),
    click.option(
        "--bit-depth",
        type=click.Choice(list(BIT_DEPTHS)),
        help="Bit depth; if neither this nor the preset says one: 24 for integers, float32 for the rest and "
        "for stems that 24 bits cannot hold.",
    ),
)
name_option = click.option(
    "--name",
    callback=template,
    metavar="TEMPLATE",
    help="Names of the results, with {track} {stem} {preset} {separator} {index} {parent}; "
    "'{track}/{stem}' if neither this nor the preset says one.",
)
plugin_path_option = click.option(
    "--plugin-path",
    "plugin_paths",
    type=EXISTING,
    multiple=True,
    help="A folder to look for third-party plug-ins in, besides the system's; may be repeated.",
)
stem_options = together(
    click.option("--stems", callback=_names, metavar="NAME,...", help="Write these stems only."),
    click.option(
        "--layout",
        type=click.Choice(["files", "multichannel", "stem.mp4"]),
        help="A file for each stem, one with all stems in its channels, or the Stem file of DJ programs: "
        "the mix and four stems, in ALAC or (--format aac) AAC.",
    ),
    name_option,
    plugin_path_option,
)
processing_options = together(
    click.option(
        "--with-fx",
        is_flag=True,
        help="Through the effects on the tracks: installed VST3 plug-ins, with the states that the session "
        "holds.",
    ),
    click.option(
        "--approximate-fx",
        is_flag=True,
        help="A DAWproject's own equalizers, compressors, gates and limiters by the nearest built-ins, which "
        "sound otherwise.",
    ),
    click.option(
        "--instruments", is_flag=True, help="Play tracks of notes by their VST3 instruments, in the same way."
    ),
    click.option(
        "--soundfont",
        "sound_font",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A SoundFont that plays the notes of tracks whose instrument is missing (needs the extra "
        "`soundfont`).",
    ),
    click.option(
        "--bypass-broken",
        is_flag=True,
        help="Leave out a plug-in that crashes, hangs, eats memory or refuses the channels, instead of "
        "failing its track.",
    ),
)
together_option = click.option(
    "--together/--no-together",
    default=None,
    help="Take the files, or the channels of a single one, as the microphones of one recording, to remove "
    "bleed; the preset says it if this does not.",
)
score_option = click.option(
    "--score",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The MIDI file that says what sounds when, for presets that follow one; by default the one that is "
    "called like the audio file and lies beside it.",
)
align_option = click.option(
    "--align", is_flag=True, help="Shift the score to where it fits the audio best, by up to 10 seconds."
)
parameter_options = together(
    click.option(
        "--set",
        "assignments",
        multiple=True,
        callback=_assignments,
        metavar="NAME=VALUE",
        help="A parameter of the preset's separator, such as speakers=3 (separators show NAME lists them); "
        "may be repeated.",
    ),
    click.option(
        "--one-shots",
        type=EXISTING_FOLDER,
        help="A folder with a recording of each drum of your kit, for presets that take drums apart; the "
        "stems are called like them.",
    ),
)
device_option = click.option(
    "--device",
    metavar="auto|cpu|cuda|cuda:N|mps",
    help="Where networks run: auto is the first GPU that works, else the CPU; if not given, as the preset "
    "says, else auto. What is done already is not done again for another device.",
)
plots_option = click.option(
    "--plots",
    is_flag=True,
    help="Draw spectrograms of mixture and stems beside the stems, and what a factorization learned "
    "(needs the extra `plots`).",
)
report_option = click.option(
    "--report",
    is_flag=True,
    help="Make a page to listen to the stems, in the folder `report` of the results; it opens from disk.",
)


def _begin_loading(context: click.Context, parameter: click.Parameter, jobs: int) -> int:
    """Let what workers need be loaded while the rest of the command line is read and the jobs are planned."""
    if jobs > 1:
        from plugin_bridge.engine.template import prepare

        prepare()
    return jobs


jobs_option = together(
    click.option(
        "--jobs",
        "-j",
        type=click.IntRange(min=1),
        default=1,
        is_eager=True,
        callback=_begin_loading,
        help="Worker processes. [default: 1]",
    ),
    click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Have a Dask cluster do the jobs: tcp://host:8786, or `local` for an embedded one of so many "
        "workers as --jobs says (needs the extra `cluster`).",
    ),
    click.option(
        "--memory",
        metavar="AMOUNT",
        callback=_amount,
        help="What a job's worker may use, such as 4GB; a job that needs more fails alone.",
    ),
)
quiet_option = click.option(
    "--quiet", "-q", is_flag=True, help="No progress and no summary; warnings and errors are still shown."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be written, and do nothing.")
media_root_option = click.option(
    "--media-root",
    "media_roots",
    type=EXISTING_FOLDER,
    multiple=True,
    help="A folder outside the project that its audio may be read from; may be repeated.",
)
track_options = together(
    click.option(
        "--tracks",
        multiple=True,
        metavar="PATTERN",
        help="Only tracks whose name fits, with * and ?; may be repeated.",
    ),
    media_root_option,
)
work_options = together(
    jobs_option,
    click.option("--force", is_flag=True, help="Do again what is done already."),
    click.option("--strict", is_flag=True, help="Fail where something cannot be honoured or a method warns."),
    quiet_option,
)
run_options = together(
    work_options,
    dry_run_option,
    events_option,
)


def parameters(
    preset: Preset,
    assignments: dict[str, str] | None = None,
    one_shots: Path | None = None,
    score: Path | None = None,
    align: bool = False,
    device: str | None = None,
) -> dict[str, Value]:
    """The separator's parameters that the command line sets; wrong ones, and devices, are wrong usage."""
    from plugin_bridge.errors import PresetError
    from plugin_bridge.jobs.plan import preset_text
    from separators.errors import ParameterError
    from separators.score import Score

    values: dict[str, Value] = {
        key: _as_type(text, preset.parameter_type(key)) for key, text in (assignments or {}).items()
    }
    if one_shots is not None:
        if preset.parameter_type("one_shots") is None:
            raise click.UsageError(
                f"--one-shots needs a preset for drums, such as drum-kit; {preset.name} uses "
                f"{', '.join(preset.methods)}"
            )
        values["one_shots"] = str(one_shots.absolute())
        values.setdefault("drums", "")  # those of the folder, whatever the preset lists
    if (score is not None or align) and not preset.make_separator().follows_score:
        raise click.UsageError(
            f"{'--align' if score is None else '--score'} needs a preset that follows a score, such as "
            f"midi-stems; {preset.name} uses {', '.join(preset.methods)}"
        )
    if align:
        values["align"] = True
    if score is not None:
        try:
            Score.from_text(str(score))
        except ParameterError as error:
            raise click.BadParameter(str(error), param_hint="--score") from None
        values["score"] = str(score.absolute())
    if values:
        try:
            preset_text(preset).with_parameters(**values)
        except PresetError as error:
            raise click.BadParameter(str(error)) from None
    if device is not None:
        try:
            preset_text(preset).on_device(device)
        except PresetError as error:
            raise click.BadParameter(str(error), param_hint="--device") from None
    return values


def _as_type(text: str, kind: type | None) -> Value:
    """``text`` as a parameter's type; as it is if it cannot be, so that the parameter itself refuses it."""
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.casefold()]
        return kind(text) if kind in (int, float) else text
    except (KeyError, ValueError):
        return text
