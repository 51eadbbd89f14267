"""What Pedalboard's own containers say when a Python plug-in stands in them.

They stop at its tripwire, but with "The same plugin instance is being used multiple times", which
helps nobody who put a separator into a ``Pedalboard``. Their C++ takes no other text, so their
``process`` is called through a function that changes nothing but this one error.
"""

from __future__ import annotations

from typing import Any

import pedalboard

_native = pedalboard.Plugin.process


def process(self: pedalboard.PluginContainer, *args: Any, **kwargs: Any) -> Any:
    """Run audio through the plug-ins of this container; see ``help(pedalboard.Plugin.process)``."""
    try:
        return _native(self, *args, **kwargs)
    except RuntimeError as error:
        if "same plugin instance" not in str(error):
            raise
        from plugin_bridge.plugins.containers import inside, python_in_native

        reasons = (python_in_native(plugin, container) for plugin, container in inside([self]))
        reason = next(filter(None, reasons), None)
        if reason is None:
            raise
    raise RuntimeError(reason)


def install() -> None:
    """Put the function in place."""
    pedalboard.PluginContainer.process = process  # type: ignore[assignment, method-assign]
    pedalboard.PluginContainer.__call__ = process  # type: ignore[assignment, method-assign]
