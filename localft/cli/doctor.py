"""`localft doctor`: what this machine has, for you and for bug reports."""

from __future__ import annotations

from typing import Any

import click

from localft.cli.command import Command


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Show devices, memory, versions and where files live.

    \b
    Examples:
      localft doctor
      localft doctor --json > doctor.json    to attach to a bug report
    """
    from localft.cli.output import echo_labelled
    from localft.doctor import diagnose
    from localft.screen.border import put, say
    from localft.visible import Styled

    found = diagnose()
    if as_json:
        import json

        put(json.dumps(found, indent=1, ensure_ascii=False))
        return
    for title, lines in sections(found):
        say(Styled(title, bold=True), out=True)
        echo_labelled([(f"  {label}", text) for label, text in lines], (), 21, out=True)
        say(out=True)
    for problem in found["problems"]:
        say(Styled("problem", "yellow"), f": {problem}", out=True)
    if not found["problems"]:
        say(Styled("Everything is ready.", "green"), out=True)


def sections(found: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Titles with labelled lines."""
    system, cpu = found["system"], found["cpu"]
    features = cpu["features"] if isinstance(cpu["features"], list) else [cpu["features"]["error"]]
    machine = [
        ("system", f"{system['os']}, {system['machine']}"),
        ("processor", cpu["name"]),
        ("features", " ".join(features)),
        ("threads", f"{cpu['threads']} ({cpu['reason']})"),
        ("memory", f"{_size(found['memory']['free_bytes'])} free of {_size(found['memory']['total_bytes'])}"),
    ]
    python = [("localft", found["localft"]), ("python", f"{system['python']}, {system['executable']}")]
    return [
        ("Machine", machine),
        ("Devices", _devices(found["devices"])),
        ("Versions", [*python, *_engine(found["engine"]), *found["versions"].items()]),
        ("Places", _places(found["places"])),
    ]


def _devices(devices: Any) -> list[tuple[str, str]]:
    if isinstance(devices, dict):
        return [("none", devices["error"])]
    lines = []
    for each in devices:
        room = f"{_size(each['free_bytes'])} free of {_size(each['total_bytes'])}"
        lines.append((each["name"], f"{each['kind']}, {each['description']}, {room}"))
    return lines


def _engine(engine: dict[str, str]) -> list[tuple[str, str]]:
    return [("ggml", engine.get("ggml") or f"not loaded: {engine['error']}")]


def _places(places: dict[str, Any]) -> list[tuple[str, str]]:
    if "error" in places:
        return [("unknown", str(places["error"]))]
    lines = []
    for name, place in places.items():
        room = f", {_size(place['free_bytes'])} free" if place["free_bytes"] is not None else ""
        used = f", {_size(place['used_bytes'])} used" if place["used_bytes"] is not None else ""
        lines.append((name, f"{place['path']}{used}{room}"))
    return lines


def _size(n_bytes: int) -> str:
    from localft.units import size

    return size(n_bytes)
