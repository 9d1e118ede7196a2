from __future__ import annotations

import inspect

from reverie.engines import errors


def test_every_error_has_its_own_documented_exit_code() -> None:
    tree = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.ReverieError)
    ]
    codes = {kind.__name__: kind.exit_code for kind in tree}
    own = [k.exit_code for k in tree if k.__base__ in (Exception, errors.ReverieError)]
    assert sorted(own) == list(range(1, 10))  # kinds below those share their parent's
    for name, code in codes.items():
        line = next(line for line in (errors.__doc__ or "").splitlines() if name in line)
        assert f" {code} " in line
