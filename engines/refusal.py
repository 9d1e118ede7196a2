"""What a library logs when it refuses a graph, made into one line: the node and the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .sizes import size_text

_PLACES = (
    re.compile(r"^\s*\S+\.(?:cpp|hpp|h|cu):\d+:?\s*(?!\))"),  # ModelImporter.cpp:151: ...
    re.compile(r"^\s*[A-Za-z_]\w*(?:::\w+)+:\s+"),  # IBuilder::buildSerializedNetworkToStream: ...
    re.compile(r"^\s*\[\S+::\d+\]\s*"),  # [checkMacros.cpp::catchCudaError::250] ...
    re.compile(r"^\s*ERROR:\s*"),
    re.compile(r"^\s*Error Code \d+:\s*[^(]*\((?=.*\)\s*$)"),  # Error Code 1: Myelin (...
    re.compile(r"^\s*\[[^\]]*\.(?:cpp|hpp|h|cu):\d+[^\]]*\]\s*"),  # [pass.cpp:337: check_turing]
    re.compile(r"^\s*In \w+ at \S+:\d+ \("),
    re.compile(r"^\s*\[\d+\]\s*"),
    re.compile(r"^\s*In function \w+:\s*"),
    re.compile(r"^\s*\(\w+\):\s*(?:[A-Z_]+:\s*)?"),
    re.compile(r"^\s*(?:UNSUPPORTED_\w+|INVALID_\w+|INTERNAL_ERROR|MODEL_\w+):\s*"),
)
_TAIL = re.compile(r"\.?\s*\(?In \w+ at \S+:\d+\)?\)?\s*$")
_NODE = re.compile(
    r"In node (-?\d+) with name:\s*(?P<name>.*?)\s*and operator:\s*(?P<operator>\S*)\s*\(\w+\):\s*"
)
_PARSED = re.compile(r"While parsing node number \d+ \[(?P<operator>\S+) -> \"(?P<output>[^\"]*)\"")
_NAMED = re.compile(r"Node name:\s*(\S+)")
_QUOTED = re.compile(r"^[\w.>()\s-]+&&\s*\"(?P<message>.*)\"$")  # creator && "Plugin not found"
_ASSERTED = re.compile(r"Assertion failed:\s*(?P<condition>.*?)(?::\s+(?P<message>.*))?$")
_ASKED = re.compile(r"OutOfMemory \(Requested size was (\d+) bytes")
_CONSEQUENCE = ("cudaError 35", "Failed to import initializer")
_FRAME = ("While parsing node number", "--- Begin node ---", "--- End node ---")
_LONGEST = 240


def reason(lines: Sequence[str]) -> str:
    """Return why a build failed, out of what was logged as errors, in one line without a full stop.

    The first line that is no mere consequence of another counts; where functions and files of the
    library's own sources lie is left out.
    """
    spoken = [line for line in lines if line.strip()]
    where = _parsed_node(spoken)
    spoken = [line for line in spoken if not any(word in line for word in _FRAME)]
    telling = [line for line in spoken if not any(word in line for word in _CONSEQUENCE)]
    for line in telling or spoken:
        if said := _clean(line):
            return f"{where}: {said}" if where else said
    return where or "no reason was given"


def _parsed_node(lines: Sequence[str]) -> str:
    """The node that the parser was at, "Conv 'layer0'", where it tells so in lines of its own."""
    for place, line in enumerate(lines):
        if found := _PARSED.search(line):
            named = next(filter(None, map(_NAMED.search, lines[place : place + 3])), None)
            return f"{found['operator']} {(named[1] if named else found['output'])!r}"
    return ""


def _clean(line: str) -> str:
    text = " ".join(line.split())
    if asked := _ASKED.search(text):
        size = size_text(int(asked[1]))
        return f"it asks for {size} of memory at these sizes; a smaller height or length may do"
    before = ""
    while text != before:  # one prefix may hide the next
        before = text
        for place in _PLACES:
            text = place.sub("", text, count=1)
        text = _TAIL.sub("", text)
    node = _NODE.search(text)
    where = ""
    if node:
        text = text[node.end() :]
        for place in _PLACES[-1:]:
            text = place.sub("", text)
        if node["name"] or node["operator"]:
            where = " ".join(filter(None, (node["operator"], repr(node["name"]))))
    if quoted := _QUOTED.search(text):
        text = quoted["message"]
    if asserted := _ASSERTED.search(text):
        text = asserted["message"] or asserted["condition"]
    text = re.sub(r"\(\s*\)", "", text).strip().rstrip(".:")
    if text.count(")") > text.count("("):
        text = text.rstrip(")").rstrip(".")
    if len(text) > _LONGEST:
        text = text[:_LONGEST].rsplit(" ", 1)[0] + " ..."
    return f"{text} (at {where})" if where and text else text
