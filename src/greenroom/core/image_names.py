"""Names of images that MLflow's client made up to 2.22: `dogs%step%3%timestamp%1795284849371%k2f286e9-….png`.

`log_image(image, key="dogs", step=3)` builds them. What follows a `%` there reads as a percent-escape although none is
meant, and client and server of MLflow take it for one, except where it is that of a control character (`%17`). So an
image of step 41 is called `dogs%stepA…`, one of step 85 has U+FFFD there, one of step 3 keeps its name; the client asks
for these names when it reads. We keep the same ones. Nothing else in them can be decoded: no step spells `.` or `/`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_KEY = r"(?:^|(?<=/))[A-Za-z0-9_. ~-]*%step"
_REST = r"%timestamp%1[0-9]{12}%[0-9a-z][0-9a-f]{7}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:%compressed)?\.(?:png|webp)\Z"
_SENT = re.compile(f"({_KEY})(%[0-9]{{1,19}})({_REST})")
_KEPT = re.compile(f'{_KEY}(?:%(?:-?[0-9]|1[0-9]{{1,18}}|-[0-9]{{1,19}})|[ !"$-)0-9@-IP-Y`-ip-y\ufffd][0-9]*){_REST}')
_CONTROL = re.compile(r"[\x10-\x19]")


def split_image(path: str) -> tuple[str, str]:
    """Return what is before the name of such an image, and the name that is kept; all of `path` and '' without one."""
    sent = _SENT.search(path)
    plain = f"{path[: sent.start()]}{sent[1]}{_settled(sent[2])}{sent[3]}" if sent else path
    kept = _KEPT.search(plain)
    return (plain[: kept.start()], kept[0]) if kept else (path, "")


def without_image(path: str) -> str:
    """Return `path` without the name of such an image at its end, as it is kept."""
    return _KEPT.sub("", path)


def _settled(step: str) -> str:
    """Return `%41` as MLflow reads it, `A`, and the escape of a control character as it is."""
    while (plain := unquote(step, errors="replace")) != step:
        step = plain
    return _CONTROL.sub(lambda found: f"%{ord(found[0]):02x}", step)
