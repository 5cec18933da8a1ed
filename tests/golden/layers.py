"""Comparison layer by layer of what gemma-eval --layers wrote with a network of PyTorch that runs."""
import numpy as np


def relative_error(ours, theirs):
    """Norm of the difference over norm of the reference."""
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def watch(layers, path, pick=lambda state: state[0]):
    """The list returned gets, as the modules @layers run, the errors of our states in @path (number of the layer), which
    are [position][hidden] as @pick makes PyTorch's; we leave out positions behind the last that matters."""
    errors = []
    for i, layer in enumerate(layers):
        def hook(module, inputs, result, i=i):
            theirs = pick(result[0] if isinstance(result, tuple) else result).float().numpy()
            ours = np.load(path(i))
            errors.append(relative_error(ours, theirs[:len(ours)]))
        layer.register_forward_hook(hook)
    return errors
