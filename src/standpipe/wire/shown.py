"""How items read in any dialect: what a result, a note or an earlier answer is in words that a model is shown.

A piece of content stands between marks that carry a part of its own hash, so that no content can close them; its text is
untouched, so that it can be quoted word for word.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from standpipe.core.items import Answer, Citation, Claim, Data, Failure, Item, Passage, Text, ToolCall

NO_RESULT = "There is nothing to show for this call beyond what stands elsewhere in this conversation."
"""What stands for the result of a call that none of the items shown answers: it may have brought nothing, or nothing new, or
what may no longer be shown. It claims nothing about what happened."""
SPECIALIST = "agent:"
"""The origin of what a specialist answered begins with this; its name follows."""
_VERSION_CHARS = 12
_NAME_CHARS = 32


def plain(value: object) -> str:
    """Canonical JSON."""
    return msgspec.json.encode(value, order="deterministic").decode()


def evidence(item: Item) -> str:
    """An item that resulted from a call or was looked up."""
    step = {"step": item.step} if item.step else {}
    match item.body:
        case Passage() as body:
            place = {"source": body.source, "version": body.version[:_VERSION_CHARS]}
            under = {"under": " > ".join(body.heading)} if body.heading else {}
            return _marked("memory" if body.memory else "passage", item, {**place, **under, **step}, body.text)
        case Data() as body:
            return _marked("data", item, step, plain(body.value))
        case Failure() as body:
            return _marked("failure", item, {"code": body.code, **step}, body.text)
        case Text() as body:
            return _marked("text", item, step, body.text) if item.step else body.text
        case ToolCall() as body:
            return f"Looked up beforehand: {body.name} {plain(body.arguments)}"
        case Answer() as body:
            by = {"from": item.origin.removeprefix(SPECIALIST)[:_NAME_CHARS]} if item.origin.startswith(SPECIALIST) else {}
            return _marked("answer", item, {**by, **step}, _result(body))
        case _:
            return ""


def _marked(kind: str, item: Item, about: dict[str, str], text: str) -> str:
    mark = f"{kind} {item.hash[:8]}"
    head = "".join(f" {name}={plain(value)}" for name, value in about.items())
    return f"<{mark}{head}>\n{text}\n</{mark}>"


def answer(body: Answer) -> str:
    """An earlier answer: a line for each sentence with its sources, for each gap and each conflict."""
    return "\n".join(_lines(body, _sources) + _value(body))


def _result(body: Answer) -> str:
    """What a specialist found: also its claims, and every quote word for word, so that it can be cited further."""
    return "\n".join(_lines(body, _quotes) + [_claim(claim) for claim in body.claims] + _value(body))


def _lines(body: Answer, cited: Callable[[tuple[Citation, ...]], str]) -> list[str]:
    lines = [f"{s.text}{cited(s.citations)}" for s in body.sentences]
    lines += [f"Gap: {gap.text}" for gap in body.gaps]
    for conflict in body.conflicts:
        values = "; ".join(f"{v.value}{cited((v.citation,))}" for v in conflict.values)
        lines.append(f"Conflict: {conflict.about}: {values}")
    return lines


def _claim(claim: Claim) -> str:
    value = f"{claim.value} {claim.unit}".rstrip() + (f", {claim.time}" if claim.time else "")
    return f"Claim: {claim.subject}: {claim.predicate}: {value}{_quotes((claim.citation,))}"


def _value(body: Answer) -> list[str]:
    return [plain(body.value)] if body.value is not None else []


def _sources(citations: tuple[Citation, ...]) -> str:
    names = list(dict.fromkeys(c.source for c in citations))
    return f" [{', '.join(names)}]" if names else ""


def _quotes(citations: tuple[Citation, ...]) -> str:
    return "".join(f' [{c.source}: "{c.quote}"]' for c in citations)
