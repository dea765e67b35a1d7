"""The part of the manual's page of the laboratory that is made from the table which plays scenarios."""

from collections.abc import Iterator

from muster.laboratory.scenario.primitives.forms import Kind, Lasts, Parameter, Primitive, Target
from muster.laboratory.scenario.primitives.table import SECTIONS

_WHOM = {
    Target.DEVICES: "devices",
    Target.SITE: "sites",
    Target.APNS: "`apns`",
    Target.ADE: "`ade`",
    Target.SERVER: "`server`",
}


def primitives_reference() -> str:
    """Each primitive with whom it befalls, its parameters and an example, by sections."""
    return "".join(
        f"\n### {title}\n" + "".join("\n" + "\n".join(_primitive(one)) + "\n" for one in primitives)
        for title, primitives in SECTIONS
    )


def _primitive(one: Primitive) -> Iterator[str]:
    yield f"#### `{one.name}`"
    yield ""
    befalls = " or ".join(_WHOM[target] for target in one.targets)
    lasts = "lasting" if one.lasts is Lasts.A_WHILE else "a moment"
    yield f"{one.help} (*{befalls}; {lasts}*)"
    yield ""
    if one.parameters:
        yield "| key | | is | default |"
        yield "|---|---|---|---|"
        yield from (_row(parameter) for parameter in one.parameters)
        yield ""
    yield "```toml"
    yield "[[event]]"
    yield f'do = "{one.name}"'
    yield one.example
    yield "```"


def _row(parameter: Parameter) -> str:
    kind = parameter.kind.value
    if parameter.kind is Kind.WORD:
        kind = " or ".join(f'`"{word}"`' for word in parameter.words)
    default = "none"
    if parameter.needed:
        default = "needed"
    elif parameter.default is not None:
        default = f"`{_toml(parameter.default)}`"
    return f"| `{parameter.name}` | {parameter.help} | {kind} | {default} |"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
