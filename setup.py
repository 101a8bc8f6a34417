"""Finds the packages. Everything else about the distribution stands in ``pyproject.toml``.

The source tree keeps each package in a top-level folder of its own (``agent/``), while users import it from the
root package (``homeostat.agent``). Setuptools can't find packages under such a mapping by configuration alone.
"""

from setuptools import find_packages, setup

FOLDERS = ("agent", "alignment", "controllers", "envs", "nano", "sensors", "viewer")
"""Every folder that is a subpackage of ``homeostat``; ``homeostat/`` itself is the root package."""

packages = [name for name in find_packages() if name.partition(".")[0] == "homeostat"]
for folder in FOLDERS:
    packages += [f"homeostat.{folder}", *(f"homeostat.{folder}.{name}" for name in find_packages(folder))]

setup(packages=packages, package_dir={"homeostat": "homeostat", **{f"homeostat.{f}": f for f in FOLDERS}})
