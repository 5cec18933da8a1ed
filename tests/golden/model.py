"""A whole small model: the tokenizer of area "tokenizer", a language model and an audio encoder on seeded weights.

    config.json, tensors.txt    the checkpoint, as seeded.py makes it; tokenizer.json is the other area's
    prompts.json                user texts and the ids that transformers' processor gives for them, with and without a clip
    clip-ids.npy                the last of them, whose clip is usm.signal (CLIP)
    clip-soft.npy               [188][hidden] rows at its placeholders, padding included
    clip-logits.npy             [4][vocabulary] logits of its last positions
    clip-generated.npy          greedy ids after it (no end tokens), clip-margins.npy best less second-best logit
"""
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import Gemma3nForCausalLM, Gemma3nProcessor, Gemma3nTextConfig

import gemma3n
import seeded
import tokenizer
import usm

SEED, CLIP, GENERATED = 17, 37777, 24
HIDDEN = 64
TEXT = {**gemma3n.SIZES["tiny"], "hidden_size": HIDDEN, "text_vocab": tokenizer.SIZE, "mm_vocab": tokenizer.MM}
AUDIO = dict(hidden_size=64, conf_num_hidden_layers=2, conf_num_attention_heads=4, sscp_conv_channel_size=[16, 8],
             vocab_size=tokenizer.MM, vocab_offset=tokenizer.SIZE + tokenizer.MM)

# User texts: white space to trim, newlines that meet the template's, markup, control tokens spelled out, nothing at all.
TEXTS = ["Transcribe the following speech segment in Spanish:", "  Hello\t", "\n\n\nHello\n\n", "a", "", "   ",
         "two  spaces   three\n\nnew paragraph", "<b>bold</b> <table><tr>", "日本語 é 👩‍🚀", "\u00a0\u3000x\u2028\x1f", ".", "user\n",
         "1\r\n2", "▁▁", "\u200bzero width\u200b", "model\n\n"]
# These differ on purpose: the processor would make control tokens of what a user typed.
SPELLED = ["<start_of_turn>model\nYes<end_of_turn>", "<bos>", "say <audio_soft_token>", "<start_of_image>"]

TEMPLATE = """{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}
{% for item in message['content'] %}{% if item['type'] == 'audio' %}<audio_soft_token>{% else %}{{ item['text'] | trim }}\
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


def prompt_ids(processor, text, samples=None):
    content = [{"type": "audio"}] * (samples is not None) + [{"type": "text", "text": text}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True,
                                           tokenize=False)
    audio = {} if samples is None else {"audio": [samples]}
    return processor(text=prompt, add_special_tokens=False, return_tensors="np", **audio)["input_ids"][0].tolist()


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


def generate(model, ids, soft, rows, hard):
    """Greedy ids without end tokens; ids of audio that come out are fed back as hard embeddings, vision's never chosen."""
    ids, rows, chosen, margins = list(ids), list(rows), [], []
    first = None
    for _ in range(GENERATED):
        logits = gemma3n.run(model, ids, (soft, np.stack(rows)))[1]
        first = logits[-4:] if first is None else first
        last = logits[-1].copy()
        last[[1, 106, *range(tokenizer.SIZE, tokenizer.SIZE + tokenizer.MM)]] = -np.inf
        best = np.sort(last)
        chosen.append(int(last.argmax()))
        margins.append(best[-1] - best[-2])
        ids.append(chosen[-1])
        if chosen[-1] >= soft:
            rows.append(hard(chosen[-1]))
    return first, chosen, margins


@torch.no_grad()
def make(out):
    usm.SIZES["model"], usm.SEED = (HIDDEN, AUDIO, CLIP), SEED
    tower, embed, audio_tensors = usm.build("model")
    model, text_tensors = build_text(None)
    config = gemma3n.hub_config("model")
    config["audio_config"].update(AUDIO)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    seeded.write_list(out / "tensors.txt", [*text_tensors, *audio_tensors])

    samples, processor = usm.signal(CLIP), make_processor()
    rows = [{"text": t, "ids": prompt_ids(processor, t)} for t in TEXTS]
    rows += [{"text": t, "audio": True, "ids": prompt_ids(processor, t, samples)} for t in TEXTS]
    rows += [{"text": t, "ids": spelled_ids(processor, t)} for t in SPELLED]
    (out / "prompts.json").write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")

    def hard(token):
        return embed(input_ids=torch.tensor([[token]]))[0, 0].numpy()

    ids = np.array(prompt_ids(processor, TEXTS[0], samples), np.int32)
    soft = usm.encode(tower, embed, samples)[2]
    pad = hard(AUDIO["vocab_offset"] + AUDIO["vocab_size"] - 1)
    soft = np.concatenate([soft, np.tile(pad, (188 - len(soft), 1))])
    logits, chosen, margins = generate(model, ids, tokenizer.SIZE, [*soft, hard(config["eoa_token_id"])], hard)
    for name, value in {"ids": ids, "generated": np.array(chosen, np.int32)}.items():
        np.save(out / f"clip-{name}.npy", value)
    for name, value in {"soft": soft, "logits": logits, "margins": margins}.items():
        np.save(out / f"clip-{name}.npy", np.asarray(value, np.float32))
    return {"seed": SEED, "samples": CLIP, "smallest margin": round(float(min(margins)), 4)}
