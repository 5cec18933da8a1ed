"""USM on seeded weights and a seeded signal, in float32, from transformers' Gemma3nAudioFeatureExtractor,
Gemma3nAudioEncoder and Gemma3nMultimodalEmbedder. Sizes: tiny, small, and e2b, two blocks at the widths of
google/gemma-3n-E2B (bfloat16 weights). For each size S:

    S/config.json   as on the Hub (only what the audio encoder needs)
    S/tensors.txt   list of seeded tensors (seeded.py)
    S/sscp.npy      [frames][H] after the subsampling, S/block0.npy, ... after each block but the last
                    (e2b: every 4th frame), S/tower.npy [tokens][H], S/soft.npy [tokens][text hidden]
    S/hard.npy      [2][text hidden] hard embeddings of the first and the last audio id

mel.npy is the front end's output for the signal's first MEL_SAMPLES, tone.npy for tone(). lengths.npy has samples, mel rows and valid tokens
of clips of many lengths, length-soft.npy their tokens (tiny) one after another. The signal is signal() below.
"""
import json

import numpy as np
import torch
from transformers import Gemma3nAudioFeatureExtractor
from transformers.models.gemma3n.configuration_gemma3n import Gemma3nAudioConfig, Gemma3nTextConfig
from transformers.models.gemma3n.modeling_gemma3n import Gemma3nAudioEncoder, Gemma3nMultimodalEmbedder

import seeded

SEED = 5
MEL_SAMPLES = 20000
SIZES = {   # name: (text hidden, audio config, samples of the clip)
    "tiny": (32, dict(hidden_size=64, conf_num_hidden_layers=2, conf_num_attention_heads=4,
                      sscp_conv_channel_size=[16, 8], vocab_size=16, vocab_offset=272), 80001),
    "small": (256, dict(hidden_size=256, conf_num_hidden_layers=4, conf_num_attention_heads=4,
                        sscp_conv_channel_size=[32, 16], vocab_size=16, vocab_offset=272), 20000),
    "e2b": (2048, dict(hidden_size=1536, conf_num_hidden_layers=2, conf_num_attention_heads=8,
                       sscp_conv_channel_size=[128, 32], vocab_size=128, vocab_offset=262272), 16000),
}
LENGTHS = sorted({*range(800, 48001, 1111), 513, 640, 641, 1152, 1153, 1280, 1281, 3072, 3073, 3200, 3201, 5632, 5633})


def signal(n, seed=SEED):
    """Noise and pulses of a voice's pitch under an envelope that changes every 50 ms; the same bits in tests/usm/."""
    i = np.arange(n)
    noise = seeded.fill("signal.noise", (n,), seed, 0., .1)
    envelope = seeded.fill("signal.envelope", (n // 800 + 1,), seed, 0., 1.)[i // 800]
    return (noise + np.float32(.5) * (i % 107 == 0).astype(np.float32)) * (envelope * envelope)


def tone():
    """A pure tone, beside which the other bands are nearly silent."""
    return (.9 * np.sin(2 * np.pi * 1000 * np.arange(4000) / 16000)).astype(np.float32)


def rule(name, shape):
    """Mean and standard deviation that keep activations near 1 and every path audible."""
    if name.endswith("per_dim_scale"):
        return 0., .3
    if name.endswith("embed_audio.embedding.weight"):
        return 0., 1.
    if len(shape) == 1:
        return 1., .1
    fan_in = int(np.prod(shape[1:]))
    return 0., (3. if "q_proj" in name else 1.) * fan_in ** -.5     # 3: the attention's soft cap shows


def tensors(modules):
    for prefix, module in modules.items():
        for key, value in sorted(module.state_dict().items()):
            name, shape = f"model.{prefix}.{key}", tuple(value.shape)
            yield (name, shape, *rule(name, shape))


def build(size):
    text, audio, _ = SIZES[size]
    config = Gemma3nAudioConfig(**audio)
    modules = {"audio_tower": Gemma3nAudioEncoder(config).eval().float(),
               "embed_audio": Gemma3nMultimodalEmbedder(config, Gemma3nTextConfig(hidden_size=text)).eval().float()}
    found = list(tensors(modules))
    for prefix, module in modules.items():
        module.load_state_dict({n.removeprefix(f"model.{prefix}."): torch.from_numpy(
            seeded.fill(n, shape, SEED, mean, std, bf16=size == "e2b"))
            for n, shape, mean, std in found if n.startswith(f"model.{prefix}.")})
    return modules["audio_tower"], modules["embed_audio"], found


def encode(tower, embed, samples):
    """Mel rows, tower output and soft tokens that are valid."""
    features = Gemma3nAudioFeatureExtractor()(samples, return_tensors="pt", truncation=False)
    mel, mask = features["input_features"], features["input_features_mask"]
    out = tower(mel, ~mask.bool())
    keep = ~out.audio_mel_mask[0]
    return mel[0].numpy(), out.last_hidden_state[0][keep].numpy(), embed(inputs_embeds=out.last_hidden_state)[0][keep].numpy()


def save_layers(out, size, tower, embed, samples):
    kept, step = {}, 4 if size == "e2b" else 1

    def keep(name):
        return lambda _m, _i, result: kept.__setitem__(name, result[0][::step].numpy().copy())

    hooks = [tower.subsample_conv_projection.register_forward_hook(keep("sscp"))]
    hooks += [b.register_forward_hook(keep(f"block{i}")) for i, b in enumerate(tower.conformer[:-1])]
    _, kept["tower"], kept["soft"] = encode(tower, embed, samples)
    for hook in hooks:
        hook.remove()
    for name, value in kept.items():
        np.save(out / f"{name}.npy", value)


def save_lengths(out, tower, embed):
    rows, soft = [], []
    for n in LENGTHS:
        mel, _, tokens = encode(tower, embed, signal(n))
        rows.append((n, len(mel), len(tokens)))
        soft.append(tokens)
    np.save(out / "lengths.npy", np.array(rows, np.int32))
    np.save(out / "length-soft.npy", np.concatenate(soft))


@torch.no_grad()
def make(out):
    for name, samples in ("mel", signal(MEL_SAMPLES)), ("tone", tone()):
        np.save(out / f"{name}.npy", Gemma3nAudioFeatureExtractor()(samples, return_tensors="np")["input_features"][0])
    for size, (text, audio, n) in SIZES.items():
        folder = out / size
        folder.mkdir(exist_ok=True)
        tower, embed, found = build(size)
        seeded.write_list(folder / "tensors.txt", found)
        (folder / "config.json").write_text(json.dumps({
            "architectures": ["Gemma3nForConditionalGeneration"], "model_type": "gemma3n",
            "text_config": {"model_type": "gemma3n_text", "hidden_size": text},
            "audio_config": {"model_type": "gemma3n_audio", **audio}}, indent=1) + "\n")
        save_layers(folder, size, tower, embed, signal(n))
        ids = torch.tensor([[audio["vocab_offset"], audio["vocab_offset"] + audio["vocab_size"] - 1]])
        np.save(folder / "hard.npy", embed(input_ids=ids)[0].numpy())
        if size == "tiny":
            save_lengths(out, tower, embed)
    return {"seed": SEED}
