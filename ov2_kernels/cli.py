"""``ov2-kernels``: tokenize videos, look into them, and check the installation."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .config import PRESETS, CodecConfig
from .errors import TargetExistsError
from .flags import flag_options
from .termination import ends_at_sigterm

if TYPE_CHECKING:
    from .many import Tokenized

EPILOG = """\
examples:
  ov2-kernels tokenize talk.mp4 -o talk_tokens
  ov2-kernels tokenize clips/*.mp4 -o tokens --preset dense --format png
  ov2-kernels tokenize talk.mp4 -o talk_tokens --start-time 60 --end-time 90 --target-canvas 16
  ov2-kernels view talk.mp4 -o talk.html
  ov2-kernels probe talk.mp4 --json
  ov2-kernels demo -o demo_out
"""


@ends_at_sigterm()
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0 done, 1 something failed, 2 wrong usage, 130 interrupted.

    Terminated, it raises ``SystemExit`` with 143.
    """
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        print("ov2-kernels: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        return _complain(error)


def _complain(error: object) -> int:
    print(_printable("ov2-kernels: " + " ".join(_told(error).split())), file=sys.stderr)
    return 1


def _told(error: object) -> str:
    """What an error says, in this command's words."""
    if isinstance(error, TargetExistsError):
        return f"{error.filename}: exists already; --overwrite replaces it"
    return str(error)


def _say(line: str) -> None:
    print(_printable(line), flush=True)


def _printable(line: str) -> str:
    """A line that any output takes: names of files need not be UTF-8."""
    return line.encode(errors="replace").decode()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ov2-kernels",
        description="Codec-stream tokenization: keeps the blocks of a video that changed.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ov2-kernels {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    tokenize = commands.add_parser(
        "tokenize",
        help="videos to asset directories",
        description="Writes, for each video, its canvases, src_patch_position.npy, frame_ids.npy and meta.json. Of one "
        "video DIR becomes the asset directory; of several each gets DIR/<name without suffix>. Of videos with "
        "the same name the second given gets DIR/<name>-2, and so on; with --overwrite all names must differ.",
    )
    tokenize.add_argument("videos", nargs="+", metavar="VIDEO")
    tokenize.add_argument("-o", "--output", required=True, metavar="DIR", help="where the assets go")
    tokenize.add_argument(
        "--format", choices=("jpg", "png", "npy"), default="jpg", help="of the canvases (default: jpg, quality 95)"
    )
    tokenize.add_argument(
        "--overwrite",
        action="store_true",
        help="replace asset directories that exist, unless they hold other files, too",
    )
    tokenize.add_argument(
        "--workers", type=int, metavar="N", help="videos worked on at a time (default: one a processor, at most 8)"
    )
    _add_backend(tokenize)
    tokenize.add_argument("--device", metavar="DEVICE", help="torch device for what follows decoding, such as cuda")
    _add_json(tokenize, "print one JSON object per video")
    _add_config(tokenize)
    tokenize.set_defaults(run=_tokenize)

    view = commands.add_parser(
        "view",
        help="look at what is kept of a video",
        description="Tokenizes a video and writes a page for a browser that shows what was kept and why; it needs no "
        "network. --png draws a contact sheet, --mask-video a video.",
    )
    view.add_argument("video", metavar="VIDEO")
    view.add_argument(
        "-o", "--output", metavar="HTML", help="the page (default: report.html, unless others are asked for)"
    )
    view.add_argument("--png", metavar="PNG", help="a contact sheet: canvases, frames and the blocks kept of them")
    view.add_argument(
        "--mask-video",
        metavar="MP4",
        help="sampled frames beside the blocks kept of them (needs the extra [reference])",
    )
    view.add_argument("--overwrite", action="store_true", help="replace files that exist")
    _add_backend(view)
    _add_config(view)
    view.set_defaults(run=_view)

    probe = commands.add_parser(
        "probe", help="what a container tells", description="Prints the facts of a video's stream, without decoding it."
    )
    probe.add_argument("video", metavar="VIDEO")
    probe.add_argument("--packets", action="store_true", help="also the packet table: frame, seconds, bytes, keyframe")
    _add_backend(probe)
    _add_json(probe, "print one JSON object")
    probe.set_defaults(run=_probe)

    demo = commands.add_parser(
        "demo",
        help="tokenize a short clip and draw the result",
        description="Tokenizes the clip that comes with the package, or one of yours, and draws a contact sheet: the "
        "canvases of each group, some of its frames, and which blocks of them were kept.",
    )
    demo.add_argument("video", nargs="?", metavar="VIDEO", help="a clip of yours instead")
    demo.add_argument("-o", "--output", default="demo_out", metavar="DIR", help="default: demo_out")
    demo.add_argument("--overwrite", action="store_true", help="replace what an earlier run left there")
    _add_backend(demo)
    demo.set_defaults(run=_demo)

    doctor = commands.add_parser(
        "doctor", help="check the installation", description="Prints versions, and which backends load or why not."
    )
    _add_json(doctor, "print one JSON object")
    doctor.set_defaults(run=_doctor)
    return parser


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=("auto", "native", "reference", "triton"), default="auto", help="default: auto"
    )


def _add_json(parser: argparse.ArgumentParser, help_: str) -> None:
    parser.add_argument("--json", action="store_true", help=help_)


def _add_config(parser: argparse.ArgumentParser) -> None:
    """One flag for each field of :class:`CodecConfig`."""
    group = parser.add_argument_group("settings")
    presets = "; ".join(f"{name}: {_preset_text(values)}" for name, values in PRESETS.items())
    group.add_argument(
        "--preset", choices=tuple(PRESETS), default="default", help=f"start from these settings ({presets})"
    )
    for field in dataclasses.fields(CodecConfig):
        group.add_argument("--" + field.name.replace("_", "-"), **flag_options(CodecConfig, field))


def _preset_text(values: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "as below"


def _config(args: argparse.Namespace) -> CodecConfig:
    names = {field.name for field in dataclasses.fields(CodecConfig)}
    return CodecConfig.preset(args.preset, **{name: value for name, value in vars(args).items() if name in names})


def output_directories(videos: Sequence[str], output: str | Path) -> list[Path]:
    """The asset directory of each video: ``output`` itself for one, ``output/<stem>`` for several, told apart."""
    if len(videos) == 1:
        return [Path(output)]
    taken: set[str] = set()
    directories = []
    for video in videos:
        stem = name = Path(video).stem
        number = 2
        while name in taken:
            name = f"{stem}-{number}"
            number += 1
        taken.add(name)
        directories.append(Path(output) / name)
    return directories


def _check_names(videos: Sequence[str]) -> None:
    """Raises where two videos would get the same asset directory, were they not told apart."""
    first: dict[str, str] = {}
    for video in videos:
        stem = Path(video).stem
        if stem in first:
            raise ValueError(f"{first[stem]} and {video} have the same name: with --overwrite all names must differ")
        first[stem] = video


def _tokenize(args: argparse.Namespace) -> int:
    from .assets import check_assets_target

    try:
        config = _config(args)
        if args.workers is not None and args.workers < 1:
            raise ValueError(f"--workers must be at least 1, got {args.workers}")
        if args.overwrite and len(args.videos) > 1:
            _check_names(args.videos)
    except ValueError as error:
        _complain(error)
        return 2
    status = 0

    def fail(video: str, error: Exception) -> None:
        nonlocal status
        text = _told(error) or type(error).__name__
        status = _complain(text if video in text else f"{video}: {text}")
        if args.json:
            print(json.dumps({"video": video, "error": _told(error)}), flush=True)

    jobs = []
    for video, directory in zip(args.videos, output_directories(args.videos, args.output), strict=True):
        try:
            check_assets_target(directory, overwrite=args.overwrite, source=video)
        except OSError as error:
            fail(video, error)
        else:
            jobs.append((video, directory))
    for result in _tokenized([video for video, _ in jobs], config, args):
        video, directory = jobs[result.index]
        try:
            tokens = result.unwrap()
            tokens.save(directory, format=args.format, overwrite=args.overwrite)
        except Exception as error:  # whatever it is, the other videos are still done
            fail(video, error)
            continue
        summary = {
            "video": video,
            "output": str(directory),
            "canvases": len(tokens.canvases),
            "canvas_hw": list(tokens.canvases.shape[1:3]),
            "groups": int(tokens.group_ids[-1]) + 1,
            "samples": len(tokens.frame_ids),
            "tokens": tokens.num_tokens,
            "motion_source": tokens.motion_source,
            "bits_source": tokens.bits_source,
            "exact_pictures": tokens.exact_pictures,
            "substituted_frames": len(tokens.substituted_frames),
            "missing_frames": tokens.missing_frames,
            "seconds": dict(tokens.timings),
        }
        if args.json:
            print(json.dumps(summary), flush=True)
        else:
            _say(
                f"{video}: {summary['canvases']} canvases of {tokens.canvases.shape[2]}x{tokens.canvases.shape[1]} in "
                f"{summary['groups']} groups from {summary['samples']} of {tokens.total_frames} frames, "
                f"{summary['tokens']} tokens, {tokens.timings['total']:.2f} s -> {directory}"
            )
    return status


def _tokenized(videos: Sequence[str], config: CodecConfig, args: argparse.Namespace) -> Iterator[Tokenized]:
    """One video with all processors and a bar of its frames, several side by side with a bar of videos."""
    from .many import Tokenized, tokenize_many
    from .progress import ProgressBar
    from .video import tokenize_video

    options = {"backend": args.backend, "device": args.device}
    if len(videos) > 1 and args.workers != 1:
        with ProgressBar("videos", unit="video") as bar:
            for done, result in enumerate(tokenize_many(videos, config, workers=args.workers, **options), start=1):
                bar("tokenize", done, len(videos))
                yield result
        return
    for index, video in enumerate(videos):
        try:
            with ProgressBar(Path(video).name) as bar:
                tokens = tokenize_video(video, config, progress=bar, **options)
        except Exception as error:  # whatever it is, the other videos are still done
            yield Tokenized(index, video, None, error)
        else:
            yield Tokenized(index, video, tokens, None)


def _view(args: argparse.Namespace) -> int:
    from .progress import ProgressBar
    from .view import view_video

    try:
        config = _config(args)
    except ValueError as error:
        _complain(error)
        return 2
    page = args.output or (None if args.png or args.mask_video else "report.html")
    with ProgressBar(Path(args.video).name) as bar:
        written = view_video(
            args.video,
            config,
            page=page,
            png=args.png,
            mask_video=args.mask_video,
            overwrite=args.overwrite,
            backend=args.backend,
            progress=bar,
        )
    for path in written:
        _say(f"{path}  ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def _probe(args: argparse.Namespace) -> int:
    from .ops import probe

    info = probe(args.video, backend=args.backend)
    facts = {
        "path": info.path,
        "container": info.container,
        "codec": info.codec,
        "frames": info.frames,
        "keyframes": int(info.is_key.sum()),
        "width": info.width,
        "height": info.height,
        "rotation": info.rotation,
        "mirrored": info.mirrored,
        "fps": info.fps,
        "time_base": str(info.time_base),
        "duration": info.duration,
        "bytes": int(info.size.sum()),
        "has_timestamps": info.has_timestamps,
    }
    rows = zip(info.times.tolist(), info.size.tolist(), info.is_key.tolist(), strict=True)
    if args.json:
        if args.packets:
            facts["packets"] = [{"seconds": s, "bytes": b, "keyframe": k} for s, b, k in rows]
        print(json.dumps(facts))
        return 0
    for name, value in facts.items():
        _say(f"{name:>14}  {value}")
    if args.packets:
        for t, (seconds, size, key) in enumerate(rows):
            print(f"{t:8d} {seconds:12.4f} {size:9d}{'  key' if key else ''}")
    return 0


def _demo(args: argparse.Namespace) -> int:
    from .demo import run_demo

    video = Path(args.video) if args.video else None
    sheet = run_demo(args.output, video=video, backend=args.backend, overwrite=args.overwrite)
    _say(f"contact sheet: {sheet}\nassets:        {sheet.parent / 'tokens'}")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from .doctor import diagnose

    report = diagnose()
    if args.json:
        print(json.dumps(report))
    else:
        for section, entries in report.items():
            print(section)
            for name, value in entries.items():
                print(f"  {name:<12} {value}")
    return 0 if report["backends"]["native"] == "available" else 1


if __name__ == "__main__":
    sys.exit(main())
