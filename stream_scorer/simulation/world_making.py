"""Makes a simulated world: latent tastes and appeals, and features of every kind of the contract that show them.

The log-odds of an acceptance are an inner product `tastes[c] @ appeals[o]` of latent coordinates, listed in
`_coordinates`. Nobody sees the coordinates. Features show them with noise, so a model has to learn the map and never
reaches the truth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Features = dict[str, object]

LATENT = 6
SEGMENTS = ("student", "family", "traveller", "gamer", "retired", "professional")
REGIONS = ("north", "east", "south", "west", "islands")
CATEGORIES = ("books", "garden", "games", "fashion", "travel", "food", "sport", "home")
BRANDS = tuple(f"brand-{number}" for number in range(12))
TAGS = (
    ("indoor", "outdoor"),
    ("classic", "new"),
    ("shared", "solo"),
    ("quiet", "loud"),
    ("light", "sturdy"),
    ("plain", "fancy"),
)
VECTOR = 8
LATELY = 5
TASTE_STRENGTH = 2.4
POPULARITY_STRENGTH = 0.25
PRICE_STRENGTH = 0.6
EXCLUSIVE_STRENGTH = 0.9
NOISE = 0.3
MISSING = 0.05


@dataclass(frozen=True, slots=True)
class Population:
    """One side of the world: latent tastes or appeals (rows, LATENT), what else moves the odds, and features."""

    latent: Array
    money: Array
    flag: Array
    popularity: Array
    features: list[Features]


def customers(rng: np.random.Generator, count: int) -> Population:
    """Draw customers whose latent tastes depend on segment, region, age and a personal part."""
    segment, region = rng.integers(len(SEGMENTS), size=count), rng.integers(len(REGIONS), size=count)
    age = rng.uniform(18, 80, count)
    latent = _mixed(rng, count, ((segment, len(SEGMENTS), 0.7), (region, len(REGIONS), 0.35)))
    latent += 0.4 * np.outer((age - 49) / 18, rng.normal(size=LATENT))
    latent -= latent.mean(axis=0)  # a taste that all share would be popularity
    money, member = rng.normal(3.5, 0.6, count), rng.random(count) < 0.4
    shown = _shown_vector(rng, latent)
    missing = rng.random((count, 2)) < MISSING
    features: list[Features] = [
        {
            "age": None if missing[row, 0] else round(float(age[row])),
            "budget": None if missing[row, 1] else round(float(np.exp(money[row])), 2),
            "segment": SEGMENTS[segment[row]],
            "region": REGIONS[region[row]],
            "member": bool(member[row]),
            "interests": shown[row],
        }
        for row in range(count)
    ]
    return Population(latent, money, member.astype(float), np.zeros(count), features)


def offers(rng: np.random.Generator, count: int) -> Population:
    """Draw offers whose latent appeals depend on category, brand and a part of their own; some are popular with all."""
    category, brand = rng.integers(len(CATEGORIES), size=count), rng.integers(len(BRANDS), size=count)
    latent = _mixed(rng, count, ((category, len(CATEGORIES), 0.7), (brand, len(BRANDS), 0.35)))
    money, exclusive, popularity = rng.normal(3.5, 0.6, count), rng.random(count) < 0.25, rng.normal(size=count)
    rating = np.clip(3.5 + 0.6 * popularity + rng.normal(0, 0.4, count), 1, 5)
    shown, tagged = _shown_vector(rng, latent), latent + rng.normal(0, NOISE, latent.shape)
    features: list[Features] = [
        {
            "price": round(float(np.exp(money[row])), 2),
            "rating": round(float(rating[row]), 1),
            "category": CATEGORIES[category[row]],
            "brand": BRANDS[brand[row]],
            "exclusive": bool(exclusive[row]),
            "tags": [pair[int(value > 0)] for pair, value in zip(TAGS, tagged[row], strict=True) if abs(value) > 0.4],
            "description_vector": shown[row],
        }
        for row in range(count)
    ]
    return Population(latent, money, exclusive.astype(float), popularity, features)


def coordinates(customer: Population, offer: Population) -> tuple[Array, Array]:
    """Return tastes (C, q) and appeals (N, q) whose inner products are the log-odds of an acceptance, up to a constant.

    Summands: taste, popularity, the distance of the price from the budget (a square, written as an inner product), and
    members' liking for exclusive offers.
    """
    scale = TASTE_STRENGTH / float(np.std(customer.latent @ offer.latent.T))
    budget, price = customer.money - 3.5, offer.money - 3.5
    member = 2 * customer.flag - 1
    each_customer, each_offer = np.ones_like(budget), np.ones_like(price)
    # -(budget - price)^2 = 2 budget price - budget^2 - price^2 takes three coordinates
    tastes = [
        scale * customer.latent,
        each_customer,
        2 * PRICE_STRENGTH * budget,
        -PRICE_STRENGTH * budget**2,
        each_customer,
        EXCLUSIVE_STRENGTH * member,
    ]
    appeals = [
        offer.latent,
        POPULARITY_STRENGTH * offer.popularity,
        price,
        each_offer,
        -PRICE_STRENGTH * price**2,
        offer.flag,
    ]
    return np.column_stack(tastes), np.column_stack(appeals)


def with_lately(
    rng: np.random.Generator, features: list[Features], log_odds: Array, offer_ids: list[str]
) -> list[Features]:
    """Add to each customer a bag of recently taken offers, drawn by `log_odds` (C, N)."""
    count = min(LATELY, len(offer_ids))
    # Gumbel top-k: the largest sums are a draw without replacement by softmax (Kool et al., 2019, arXiv:1903.06059)
    taken = np.argsort(-(log_odds + rng.gumbel(size=log_odds.shape)), axis=1)[:, :count]
    return [
        {**known, "lately": [offer_ids[column] for column in columns]}
        for known, columns in zip(features, taken, strict=True)
    ]


def _mixed(rng: np.random.Generator, count: int, groups: tuple[tuple[NDArray[np.int64], int, float], ...]) -> Array:
    latent = 0.6 * rng.normal(size=(count, LATENT))
    for member_of, size, weight in groups:
        latent += weight * rng.normal(size=(size, LATENT))[member_of]
    return latent


def _shown_vector(rng: np.random.Generator, latent: Array) -> list[list[float]]:
    # a random projection, so that no number of the vector is a latent coordinate by itself
    projected = latent @ rng.normal(size=(LATENT, VECTOR)) / np.sqrt(LATENT)
    shown: list[list[float]] = np.round(projected + rng.normal(0, NOISE, projected.shape), 3).tolist()
    return shown
