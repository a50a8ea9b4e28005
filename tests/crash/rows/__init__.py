"""The rows of the matrix, a module for each kind of fault: importing this puts all of them in."""

import importlib
import pkgutil

for _found in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
    importlib.import_module(f"{__name__}.{_found.name}")
