"""The table and the plots of results/retrieval.json, and the table in the README between its markers.

Run by retrieval.py behind every measurement, in the peers' environment, which has matplotlib. Writes
results/retrieval.md, results/retrieval-SIZE.svg and the part of README.md between <!-- retrieval: begin --> and
<!-- retrieval: end -->. A figure that is not there is a dash; what did not finish says so.
"""

import json
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
BEGIN, END = "<!-- retrieval: begin -->", "<!-- retrieval: end -->"
SHOWN = {
    "ours": "**ours**",
    "floor": "FAISS PQ + tantivy + SQLite by hand (the floor)",
    "flat": "the same with FAISS Flat",
    "lancedb": "LanceDB",
    "txtai": "txtai",
    "chroma": "Chroma",
    "haystack": "Haystack, in memory",
    "llama_index": "LlamaIndex, in memory + BM25",
}
SHORT = {"ours": "ours", "floor": "floor: PQ", "flat": "floor: Flat"}
HEAD = (
    "system", "chunks/s in", "keyword p50 / p99", "vector p50 / p99", "recall@10", "hybrid p50 / p99",
    "hybrid, 50 % pass", "hybrid, 1 % pass", "recall@10 at 50 % / 1 %", "disk MB", "peak MB in / search",
    "delete 1,000, s",
)  # fmt: skip
Figures = dict[str, Any]


def main() -> None:
    found: Figures = json.loads((RESULTS / "retrieval.json").read_text())
    order = sorted(found["sizes"], key=lambda name: found["data"][name]["chunks"])
    parts = [table(found["sizes"][size], found["data"][size]) for size in order]
    notes = explained([figures for size in order for figures in found["sizes"][size].values()])
    text = "\n\n".join([*parts, notes])
    (RESULTS / "retrieval.md").write_text(f"# Storing and searching, beside the peers\n\n{text}\n", encoding="utf-8")
    for size in order:
        plots(found["sizes"][size], found["data"][size], RESULTS / f"retrieval-{size}.svg")
    images = [
        f"![{found['data'][size]['chunks']:,} chunks: latency, recall, intake](benchmarks/results/retrieval-{size}.svg)"
        for size in order
    ]
    into_readme("\n\n".join([text, *images[-1:]]))


def into_readme(text: str) -> None:
    """Put the tables between the markers; a README without them is left alone."""
    readme = README.read_text(encoding="utf-8")
    if BEGIN in readme and END in readme:
        before, after = readme.partition(BEGIN)[0], readme.partition(END)[2]
        README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def table(systems: dict[str, Figures], data: Figures) -> str:
    """One size as Markdown; times in milliseconds."""
    real = f"{data['real']:,} of them real" if data["real"] < data["chunks"] else "all real"
    lines = [
        f"**{data['chunks']:,} chunks** ({real}); times in ms",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|---" * len(HEAD) + "|",
    ]
    lines += ["| " + " | ".join([SHOWN[name], *row(systems[name])]) + " |" for name in SHOWN if name in systems]
    ratios = compared(systems)
    return "\n".join([*lines, *([""] if ratios else []), *ratios])


def row(figures: Figures) -> list[str]:
    taken, asked = figures.get("ingest"), figures.get("search")
    if taken is None:
        return [reason(figures), *["–"] * (len(HEAD) - 2)]
    if asked is None:
        return [f"{taken['chunks_per_s']:,.0f}", reason(figures), *["–"] * (len(HEAD) - 3)]
    arms = asked["arms"]
    recalls = [number(arms[f"vector {name}"], "recall", "{:.3f}") for name in ("half", "hundredth")]
    return [
        f"{taken['chunks_per_s']:,.0f}",
        both(arms["keyword"]),
        both(arms["vector"]),
        number(arms["vector"], "recall", "{:.3f}"),
        both(arms["hybrid"]),
        both(arms["hybrid half"]),
        both(arms["hybrid hundredth"]),
        " / ".join(recalls),
        f"{taken['disk_bytes'] / 2**20:,.0f}",
        f"{taken['peak_mb']:,.0f} / {asked['peak_mb']:,.0f}",
        deletion(asked),
    ]


def reason(figures: Figures) -> str:
    """Why there is no more, short."""
    said = str(figures.get("failed", "not measured"))
    return said if len(said) < 80 else said.partition(": ")[0] + ": failed (see the JSON)"


def both(arm: Figures | None) -> str:
    return "–" if arm is None else f"{arm['p50_ms']:.1f} / {arm['p99_ms']:.1f}"


def number(arm: Figures | None, name: str, form: str) -> str:
    return "–" if arm is None or name not in arm else form.format(arm[name])


def deletion(asked: Figures) -> str:
    if asked.get("delete_s") is None:
        return "–"
    still = ", but they are found" if asked["found_though_deleted"] else ""
    return f"{asked['delete_and_search_s']:.3f}{still}"


def compared(systems: dict[str, Figures]) -> list[str]:
    """Ours against the fastest hybrid peer and against the floor, in words: by the rounds in which they took turns."""
    rounds = {name: figures["turns"]["rounds_p50_ms"] for name, figures in systems.items() if "turns" in figures}
    if "ours" not in rounds:
        return []
    said = []
    rivals = {name: median(taken) for name, taken in rounds.items() if name not in ("ours", "floor", "flat")}
    if rivals:
        best = min(rivals, key=lambda name: rivals[name])
        shares = [own / other for own, other in zip(rounds["ours"], rounds[best], strict=True)]
        said.append(
            f"Taking turns in {len(shares)} rounds, hybrid p50 is {median(rounds['ours']):.1f} ms for ours and "
            f"{rivals[best]:.1f} ms for {SHOWN[best]}, the fastest hybrid peer: {median(shares):.2f} of it "
            f"({min(shares):.2f} to {max(shares):.2f} in single rounds)."
        )
    if "floor" in rounds:
        over = [own - other for own, other in zip(rounds["ours"], rounds["floor"], strict=True)]
        said.append(f"Over the floor it is {median(over):+.1f} ms ({min(over):+.1f} to {max(over):+.1f}).")
    return [" ".join(said)] if said else []


def explained(all_figures: list[Figures]) -> str:
    """What every reader of the tables must know."""
    machines = sorted({figures["machine"] for figures in all_figures if "machine" in figures})
    dates = sorted({figures["date"] for figures in all_figures if "date" in figures})
    commits = sorted({figures["commit"] for figures in all_figures if "commit" in figures})
    others = [
        figures[kind]["others_cores"] for figures in all_figures for kind in ("ingest", "search") if kind in figures
    ]
    busy = f" Other programs kept up to {max(others):.1f} cores busy meanwhile." if others else ""
    versions: dict[str, str] = {}
    for figures in all_figures:
        versions |= figures.get("ingest", {}).get("versions", {})
    numbers = sorted({figures["threads"] for figures in all_figures if "threads" in figures})
    threads = "one thread" if numbers == [1] else f"{' or '.join(map(str, numbers))} threads"
    return (
        "Vectors are given, nobody embeds; beyond the real chunks they are mixtures of real ones. Every system answers "
        "500 real questions one after another, 10 hits with their texts each (a slow one fewer, the JSON says how "
        f"many), with {threads} each. Recall@10 is that of the vector search against comparing all, "
        "among what passes the filter. Ours stores durably with deduplication and answers through `rag.search.search`, "
        "freshness and permissions included. Memory is the peak of each process, the harness's share included. "
        "Deleting includes the first search behind it.\n\n"
        f"Measured {' to '.join(dict.fromkeys([dates[0], dates[-1]])) if dates else '–'} at {', '.join(commits)} on "
        f"{'; '.join(machines)}.{busy} Versions: "
        + ", ".join(f"{name} {versions[name]}" for name in sorted(versions))
        + ". All figures: `benchmarks/results/retrieval.json`."
    )


def plots(systems: dict[str, Figures], data: Figures, file: Path) -> None:
    """Hybrid latency, recall against latency, and rate of intake, side by side."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "retrieval"
    from matplotlib import pyplot

    names = [name for name in SHOWN if "search" in systems.get(name, {})]
    labels = {name: SHORT.get(name, SHOWN[name].partition(",")[0]) for name in names}
    figure, (latency, recall, intake) = pyplot.subplots(1, 3, figsize=(15, 4), layout="constrained")
    hybrids = [name for name in names if systems[name]["search"]["arms"]["hybrid"]]
    places = range(len(hybrids))
    for offset, key, shade in ((-0.2, "p50_ms", "tab:blue"), (0.2, "p99_ms", "tab:orange")):
        values = [systems[name]["search"]["arms"]["hybrid"][key] for name in hybrids]
        latency.barh([place + offset for place in places], values, 0.4, color=shade, label=key.replace("_ms", ""))
    latency.set(xscale="log", xlabel="ms", title="hybrid search")
    latency.set_yticks(list(places), [labels[name] for name in hybrids])
    latency.invert_yaxis()
    latency.legend()
    for name in names:
        arm = systems[name]["search"]["arms"]["vector"]
        recall.scatter(arm["p50_ms"], arm["recall"], label=labels[name])
    recall.legend(fontsize="small")
    recall.set(xscale="log", xlabel="p50, ms", ylabel="recall@10", title="vector search")
    rates = [systems[name]["ingest"]["chunks_per_s"] for name in names]
    intake.barh([labels[name] for name in names], rates)
    intake.set(xlabel="chunks/s", title="storing and indexing, vectors given")
    intake.invert_yaxis()
    figure.suptitle(f"{data['chunks']:,} chunks, of which {data['real']:,} are real")
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
