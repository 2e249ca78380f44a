"""Made-up results of models, as `demo.run_contender` returns them."""

import math


def result(name, losses, speed=1.0):
    rows = [
        {
            "step": 10 * n,
            "tokens_trained": 1000 * n,
            "seconds": 5.0 * n / speed,
            "nats_per_token": loss,
            "perplexity_per_token": math.exp(loss),
            "bits_per_byte": loss / 3,
            "perplexity_per_word": math.exp(1.3 * loss),
        }
        for n, loss in enumerate(losses, 1)
    ]
    return {
        "name": name,
        "label": name.title(),
        "parameters": 1234,
        "learning_rate": 0.02,
        "how": "Whole validation split: cut somehow.",
        "checkpoints": rows,
    }


BASE = result("transformer", [6.0, 5.0, 4.0])
