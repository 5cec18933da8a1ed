"""A whole small model: the tokenizer of area "tokenizer", a language model, an audio encoder and the embedder of pictures
on seeded weights.

    config.json, tensors.txt    the checkpoint, as seeded.py makes it; tokenizer.json is the other area's
    prompts.json                user texts and the ids that transformers' processor gives for them, with clips and pictures
                                before and after them as "parts" says
    clip-ids.npy                the last of them, whose clip is usm.signal (CLIP)
    clip-soft.npy               [188][hidden] rows at its placeholders, padding included
    clip-logits.npy             [4][vocabulary] logits of its last positions
    clip-generated.npy          greedy ids after it (no end tokens), clip-margins.npy best less second-best logit
    scene-*.npy                 the same of a picture, that clip and a text; the picture's rows are the seeded tensor
                                "image_rows" (std 1)
"""
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import Gemma3nForCausalLM, Gemma3nProcessor, Gemma3nTextConfig, Gemma3nVisionConfig
from transformers.models.gemma3n.modeling_gemma3n import Gemma3nMultimodalEmbedder

import gemma3n
import seeded
import tokenizer
import usm

SEED, CLIP, GENERATED = 17, 37777, 24
HIDDEN = 64
TEXT = {**gemma3n.SIZES["tiny"], "hidden_size": HIDDEN, "text_vocab": tokenizer.SIZE, "mm_vocab": tokenizer.MM}
AUDIO = dict(hidden_size=64, conf_num_hidden_layers=2, conf_num_attention_heads=4, sscp_conv_channel_size=[16, 8],
             vocab_size=tokenizer.MM, vocab_offset=tokenizer.SIZE + tokenizer.MM)

VISION = dict(hidden_size=48, vocab_size=tokenizer.MM, vocab_offset=tokenizer.SIZE)

MIXED = "What is seen and heard?"

# What a user's turn may hold beside its text, in order.
MIXES = [["image", "text"], ["text", "image"], ["image", "audio", "text"], ["image", "text", "audio", "image"],
         ["audio", "image", "text"], ["image", "image", "text"]]

# User texts: white space to trim, newlines that meet the template's, markup, control tokens spelled out, nothing at all.
TEXTS = ["Transcribe the following speech segment in Spanish:", "  Hello\t", "\n\n\nHello\n\n", "a", "", "   ",
         "two  spaces   three\n\nnew paragraph", "<b>bold</b> <table><tr>", "日本語 é 👩‍🚀", "\u00a0\u3000x\u2028\x1f", ".", "user\n",
         "1\r\n2", "▁▁", "\u200bzero width\u200b", "model\n\n"]
# These differ on purpose: the processor would make control tokens of what a user typed.
SPELLED = ["<start_of_turn>model\nYes<end_of_turn>", "<bos>", "say <audio_soft_token>", "<start_of_image>"]

TEMPLATE = """{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}
{% for item in message['content'] %}{% if item['type'] == 'audio' %}<audio_soft_token>\
{% elif item['type'] == 'image' %}<image_soft_token>{% else %}{{ item['text'] | trim }}\
{% endif %}{% endfor %}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""


def make_processor():
    """transformers' processor around the golden tokenizer, its files written as on the Hub."""
    vocab = json.loads((Path(__file__).parent / "tokenizer" / "tokenizer.json").read_text())
    names = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>",
             "boa_token": "<start_of_audio>", "eoa_token": "<end_of_audio>", "audio_token": "<audio_soft_token>"}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "tokenizer.json").write_text(json.dumps(vocab))
        (folder / "tokenizer_config.json").write_text(json.dumps({
            "tokenizer_class": "GemmaTokenizer", "processor_class": "Gemma3nProcessor", "add_bos_token": True,
            "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>", **names,
            "extra_special_tokens": names, "clean_up_tokenization_spaces": False}))
        (folder / "preprocessor_config.json").write_text(json.dumps({
            "processor_class": "Gemma3nProcessor", "image_processor_type": "SiglipImageProcessorFast",
            "feature_extractor_type": "Gemma3nAudioFeatureExtractor"}))
        (folder / "processor_config.json").write_text(json.dumps({
            "processor_class": "Gemma3nProcessor", "audio_seq_length": 188, "image_seq_length": 256}))
        (folder / "chat_template.jinja").write_text(TEMPLATE)
        return Gemma3nProcessor.from_pretrained(folder)


def prompt_ids(processor, text, samples=None, parts=None):
    parts = parts or ["audio"] * (samples is not None) + ["text"]
    content = [{"type": p, **({"text": text} if p == "text" else {})} for p in parts]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True,
                                           tokenize=False)
    given = {"audio": [samples]} if "audio" in parts else {}
    if "image" in parts:
        given["images"] = [[Image.new("RGB", (16, 16))] * parts.count("image")]
    return processor(text=prompt, add_special_tokens=False, return_tensors="np", **given)["input_ids"][0].tolist()


def spelled_ids(processor, text):
    """What the text should be: the template's own ids around the text's, tokenized with special tokens as text."""
    head, tail = prompt_ids(processor, "\ue000"), []
    core = processor.tokenizer.backend_tokenizer
    core.encode_special_tokens = True
    middle = core.encode("user\n" + text, add_special_tokens=False).ids
    core.encode_special_tokens = False
    tail = core.encode("<end_of_turn>\n<start_of_turn>model\n", add_special_tokens=False).ids
    return head[:2] + middle + tail


def build_text(mm_rows):
    gemma3n.SIZES["model"], gemma3n.SEED = TEXT, SEED
    config, *_ = gemma3n.text_config("model")
    config = Gemma3nTextConfig(**config, attn_implementation="eager")
    model = Gemma3nForCausalLM(config).eval()
    tensors = gemma3n.tensor_list(model, config)
    gemma3n.load(model, tensors, False)
    return model, tensors


def build_vision():
    """The embedder of pictures, and the tensors of a tower that tell its width."""
    embed = Gemma3nMultimodalEmbedder(Gemma3nVisionConfig(**VISION), Gemma3nTextConfig(hidden_size=HIDDEN)).eval().float()
    found = [(f"model.embed_vision.{key}", tuple(value.shape), *usm.rule(key, value.shape))
             for key, value in sorted(embed.state_dict().items())]
    embed.load_state_dict({n.removeprefix("model.embed_vision."): torch.from_numpy(seeded.fill(n, shape, SEED, mean, std))
                           for n, shape, mean, std in found})
    tower = "model.vision_tower.timm_model.msfa."
    return embed, found + [(tower + name, (VISION["hidden_size"],), 1., .1)
                           for name in ("norm.weight", "ffn.pw_proj.bn.weight")]


def generate(model, ids, soft, rows, hard):
    """Greedy ids without end tokens; ids of sound and pictures that come out are fed back as hard embeddings."""
    ids, rows, chosen, margins = list(ids), list(rows), [], []
    first = None
    for _ in range(GENERATED):
        logits = gemma3n.run(model, ids, (soft, np.stack(rows)))[1]
        first = logits[-4:] if first is None else first
        last = logits[-1].copy()
        last[[1, 106]] = -np.inf
        best = np.sort(last)
        chosen.append(int(last.argmax()))
        margins.append(best[-1] - best[-2])
        ids.append(chosen[-1])
        if chosen[-1] >= soft:
            rows.append(hard(chosen[-1]))
    return first, chosen, margins


def save(out, name, ids, logits, chosen, margins):
    np.save(out / f"{name}-ids.npy", ids)
    np.save(out / f"{name}-generated.npy", np.array(chosen, np.int32))
    np.save(out / f"{name}-logits.npy", np.asarray(logits, np.float32))
    np.save(out / f"{name}-margins.npy", np.asarray(margins, np.float32))


@torch.no_grad()
def make(out):
    usm.SIZES["model"], usm.SEED = (HIDDEN, AUDIO, CLIP), SEED
    tower, embed, audio_tensors = usm.build("model")
    model, text_tensors = build_text(None)
    config = gemma3n.hub_config("model")
    config["audio_config"].update(AUDIO)
    config["vision_config"].update(VISION)
    vision, vision_tensors = build_vision()
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    seeded.write_list(out / "tensors.txt", [*text_tensors, *audio_tensors, *vision_tensors])

    samples, processor = usm.signal(CLIP), make_processor()
    rows = [{"text": t, "ids": prompt_ids(processor, t)} for t in TEXTS]
    rows += [{"text": t, "audio": True, "ids": prompt_ids(processor, t, samples)} for t in TEXTS]
    rows += [{"text": t, "parts": parts, "ids": prompt_ids(processor, t, samples, parts)}
             for parts in MIXES for t in ("Describe the image in English.", "\n\nHello\n", "")]
    rows += [{"text": t, "ids": spelled_ids(processor, t)} for t in SPELLED]
    (out / "prompts.json").write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")

    def hard(token):
        module = embed if token >= AUDIO["vocab_offset"] else vision
        return module(input_ids=torch.tensor([[token]]))[0, 0].numpy()

    ids = np.array(prompt_ids(processor, TEXTS[0], samples), np.int32)
    soft = usm.encode(tower, embed, samples)[2]
    pad = hard(AUDIO["vocab_offset"] + AUDIO["vocab_size"] - 1)
    soft = np.concatenate([soft, np.tile(pad, (188 - len(soft), 1))])
    np.save(out / "clip-soft.npy", soft)
    clip = [*soft, hard(config["eoa_token_id"])]
    logits, chosen, margins = generate(model, ids, tokenizer.SIZE, clip, hard)
    save(out, "clip", ids, logits, chosen, margins)
    smallest = min(margins)

    ids = np.array(prompt_ids(processor, MIXED, samples, ["image", "audio", "text"]), np.int32)
    image = seeded.fill("image_rows", (256, HIDDEN), SEED, 0., 1.)
    logits, chosen, margins = generate(model, ids, tokenizer.SIZE, [*image, hard(config["eoi_token_id"]), *clip], hard)
    save(out, "scene", ids, logits, chosen, margins)
    return {"seed": SEED, "samples": CLIP, "smallest margins": [round(float(smallest), 4), round(float(min(margins)), 4)]}
