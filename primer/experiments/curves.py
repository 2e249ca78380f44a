"""Learning curves of several models: validation loss by tokens and by time, as a PNG."""

# One color a model, in the order in which they come; readable in grey and for the color-blind.
COLORS = ("#4d4d4d", "#d95f02", "#1b6ca8", "#2a9d5c")
MARKERS = ("o", "s", "^", "D")


def draw(results, tokens_per_step, path):
    """Writes the figure.

    Args:
      results: dicts with "name" and "checkpoints", rows of step, seconds, nats_per_token.
      tokens_per_step: to turn steps into tokens.
      path: of the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    axes = (
        (panels[0], "training tokens (thousands)", lambda row: row["step"] * tokens_per_step / 1e3),
        (panels[1], "training time (seconds, after the first step)", lambda row: row["seconds"]),
    )
    for panel, label, position in axes:
        for result, color, marker in zip(results, COLORS, MARKERS):
            rows = [row for row in result["checkpoints"] if row["step"] > 0]
            panel.plot(
                [position(row) for row in rows],
                [row["nats_per_token"] for row in rows],
                color=color,
                marker=marker,
                label=result["name"],
            )
        panel.set_xlabel(label)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("validation nats per token")
    panels[1].legend(frameon=False)
    figure.suptitle(f"Whole {results[0]['task']} {results[0]['split']} split")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
