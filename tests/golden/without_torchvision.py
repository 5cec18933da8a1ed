"""Imports timm and transformers where torchvision is not installed: timm names a few of its parts at import, and the
networks used here call none. transformers must have looked for torchvision before there is a module of that name.
"""
import enum
import importlib.machinery
import importlib.util
import sys
import types

import transformers.utils.import_utils as import_utils


class Stub(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, type(name, (), {}))
        return self.__dict__[name]


import_utils.is_torchvision_available()
if importlib.util.find_spec("torchvision") is None:
    for name in ("torchvision", "torchvision.ops", "torchvision.ops.misc", "torchvision.transforms",
                 "torchvision.transforms.functional", "torchvision.models", "torchvision.models.feature_extraction",
                 "torchvision.datasets", "torchvision.utils"):
        module = sys.modules[name] = Stub(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], leaf, module)
    modes = enum.Enum("InterpolationMode", "NEAREST LANCZOS BILINEAR BICUBIC BOX HAMMING", start=0)
    for name in "torchvision.transforms", "torchvision.transforms.functional":
        sys.modules[name].InterpolationMode = modes
