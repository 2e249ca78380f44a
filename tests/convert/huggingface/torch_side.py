"""What transformers computes from an export: run by .venv-torch's Python, without this package.

    python torch_side.py FOLDER INPUT.json OUTPUT.npz

INPUT has "ids" (rows of token ids), "texts", and "prompt" with "new_tokens".
"""

import json
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(folder, given, output):
    """Writes logits, the ids of texts with their texts again, and a greedy continuation."""
    asked = json.loads(open(given, encoding="utf-8").read())
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=True
    ).eval()
    found = {}
    with torch.no_grad():
        if "ids" in asked:
            found["logits"] = model(torch.tensor(asked["ids"])).logits.numpy()
        if "prompt" in asked:
            prompt = torch.tensor([asked["prompt"]])
            greedy = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=asked["new_tokens"],
                do_sample=False,
                eos_token_id=None,
            )
            found["greedy"] = greedy.numpy()
    if "texts" in asked:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in asked["texts"]]
        found["token_ids"] = json.dumps(ids)
        found["decoded"] = json.dumps([tokenizer.decode(own) for own in ids])
    np.savez(output, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
