"""Films for people from a table of ratings: read it, train, list films that each person has not seen.

Run: python examples/recommend_films.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import graphrep as gr
from graphrep.methods import LightGCN

TASTES = {"space": ["Alien", "Dune", "Moon", "Solaris"], "family": ["Babe", "Coco", "Shrek", "Up"]}


def ratings() -> str:
    """Eight people of each taste; each has seen three of the four films of it, and disliked one of the other taste."""
    rows = ["person,film,stars"]
    for taste, films in TASTES.items():
        others = next(other for name, other in TASTES.items() if name != taste)
        for number in range(8):
            person = f"{taste}-{number}"
            rows += [f"{person},{film},5" for film in films if film != films[number % 4]]
            rows.append(f"{person},{others[number % 4]},1")
    return "\n".join(rows) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        path.write_text(ratings())
        liked = gr.read_interactions(path, min_rating=4)
    model = LightGCN(dim=16, epochs=30, batch_size=16, validation=None, seed=0).fit(liked)
    items, _ = model.recommend(k=1)  # (16, 1): of what a person has not seen
    for person, film in list(zip(liked.user_ids, liked.item_ids[items[:, 0]], strict=True))[::3]:
        print(f"{person}: {film}")
    newcomer = gr.Interactions([0], [0], num_users=1, num_items=1, item_ids=["Babe"])
    best = model.recommend_for(newcomer, k=2)[0][0].tolist()
    print(f"someone who liked Babe: {', '.join(str(liked.item_ids[item]) for item in best)}")


if __name__ == "__main__":
    main()
