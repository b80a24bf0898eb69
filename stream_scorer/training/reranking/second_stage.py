"""Trains a re-ranker behind trained towers, compares both stages on the held-out rows, and keeps it if not worse."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.chunks import ExampleSource
from stream_scorer.core.datasets.training_set import Places, TrainingSet, build_training_set
from stream_scorer.core.datasets.traits import HABITS_MIN
from stream_scorer.core.evaluation.figures import TwoStages
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.held_out.questions import accepted_pairs, ask
from stream_scorer.core.messages import Offer
from stream_scorer.core.releases.gate import reranker_faults
from stream_scorer.core.reranking.coding import plain_spec
from stream_scorer.core.reranking.network import NetworkReranker
from stream_scorer.core.reranking.pair_inputs import PairInputs
from stream_scorer.core.reranking.trees import TreesReranker
from stream_scorer.core.towers.model import Model, digest_model
from stream_scorer.core.two_stages.comparison import compare, ndcg_by_request
from stream_scorer.core.two_stages.pairs import (
    QUESTIONS_MAX,
    REQUESTS_MIN,
    RequestPairs,
    Towers,
    shortlist_pairs,
    shown_pairs,
)
from stream_scorer.training.joint import trained
from stream_scorer.training.lesson import Fitted, Lesson, tower_of
from stream_scorer.training.reranking.lifts import (
    CountedRows,
    Names,
    coding_of,
    counted_bags,
    crosses_of,
    differences_of,
    evidence_of,
    matches_of,
    names_of_crosses,
    strengths_of,
)
from stream_scorer.training.reranking.network_training import STEPS, NetworkSize, train_network
from stream_scorer.training.reranking.prepared import PreparedPairs, prepared
from stream_scorer.training.reranking.trees_training import lightgbm_fault, load_lightgbm, train_trees

RankerKind = Literal["auto", "network", "trees"]

_FEW_ROWS = 20_000
_MATCHES_MAX = 8
_FOLDS = 3
_CHOOSING = 0.2
_LATE_HABITS = 0.2
_TEACHING_MAX = 8_000  # of a log of habits: rare ones take as many requests to learn
_MEMBERS = 3

AnyReranker = NetworkReranker | TreesReranker
Train = Callable[[PreparedPairs], AnyReranker]
Parts = list[tuple[RequestPairs, PairInputs]]


@dataclass(frozen=True, slots=True)
class RerankOptions:
    """Which kinds to try, and whether to try several sizes of each (`tune`)."""

    kind: RankerKind
    tune: bool = False
    seed: int = 42
    steps: int = STEPS


@dataclass(frozen=True, slots=True)
class Reranked:
    """A model that has the re-ranker where that is not worse, and what it was judged by."""

    model: Model
    facts: dict[str, Any]


def with_reranker(model: Model, lesson: Lesson, fitted: Fitted, plain: TrainingSet, options: RerankOptions) -> Reranked:
    """Train a re-ranker on rows that the towers did not see, and judge it on the held-out rows.

    `plain` has the lesson's rows, encoded by `plain_specs`. Where too few requests have an accepted and another offer,
    the model stays as it is, and its facts say so: minutes of training the towers are not lost for it.
    """
    return _Stage(model, lesson, fitted, plain, options).run()


def second_stage(
    source: ExampleSource,
    offers: Sequence[Offer],
    rerank: RerankOptions,
    said: Callable[[str], None] = lambda sentence: None,
) -> Callable[[Model, Lesson, Fitted], Model]:
    """Return what trains a re-ranker from the labels that the lesson was read from.

    The labels are read again, as a re-ranker encodes them by specs of its own. `said` gets why a model has none, and
    that `auto` has only networks to try. Raises UsageError at once, not after the towers' training, where trees are
    asked for and LightGBM is missing.
    """
    if rerank.kind == "trees":
        load_lightgbm()
    if rerank.kind == "auto" and (fault := lightgbm_fault()):
        said(f"only networks are tried as re-rankers: {fault}")

    def train(model: Model, lesson: Lesson, fitted: Fitted) -> Model:
        plain = build_training_set(source, offers, *plain_specs(lesson))
        made = with_reranker(model, lesson, fitted, plain, rerank)
        if made.facts["reason"] is not None:
            said(f"the re-ranker is left out: {made.facts['reason']}")
        return made.model

    return train


class _Stage:
    """One training of a re-ranker: its rows, and what is counted from them."""

    def __init__(
        self, model: Model, lesson: Lesson, fitted: Fitted, plain: TrainingSet, options: RerankOptions
    ) -> None:
        self.model, self.lesson, self.fitted, self.plain, self.options = model, lesson, fitted, plain, options
        self.data, self.recipe = lesson.data, fitted.recipe
        self.choices = self.recipe.objective == "catalog"
        self.rows, self.held_out = lesson.split(self.recipe)
        self.few = len(self.rows) <= _FEW_ROWS
        # Of habits counts say most: they are counted from earlier rows alone, and of late rows, as in serving.
        self.habits = self.choices and lesson.traits.repeats >= HABITS_MIN
        mine, theirs = plain_specs(lesson)
        self.customers = coding_of(mine, plain.customers, plain.customer[self.rows])
        self.offers = coding_of(theirs, plain.offers, plain.offer[self.rows])
        self.counted = counted_bags(mine, plain.customers)
        names = names_of_crosses(self.customers, self.offers)
        self.strengths = strengths_of(self._evidence(self.rows), names, self.customers, self.offers)

    def run(self) -> Reranked:
        towers = self.fitted.measured or (self.model.user_tower, self.model.item_tower)
        judged = self._pairs(self.rows, self.held_out, towers, QUESTIONS_MAX)
        parts = self._parts()
        if reason := _reason_too_few([pairs for pairs, _ in parts]):
            return self._without({"kept": False, "reason": reason})
        data = self._prepared(parts)
        named, tried = self._chosen(data)
        reranker = self._trainings()[named](data)
        found = compare(judged, judged.scores(reranker)) if len(judged) else None
        reason = _reason_against(found)
        facts = {
            "kind": reranker.kind,
            "size": named,
            "tried": tried,
            "requests": data.pairs.groups,
            "pairs": len(data.pairs),
            "reads": list(data.inputs.names),
            "counts": data.inputs.counts,
            "judged": None if found is None else asdict(found),
            "kept": reason is None,
            "reason": reason,
        }
        if reason is not None:
            return self._without(facts)
        # The towers have learned from the latest rows, and so may the counts; those of half the rows stay as judged.
        if self.recipe.refit and (self.few or self.habits):
            reranker = replace(reranker, inputs=self._recounted(data.inputs))
        model_id = digest_model(self.model.user_tower, self.model.item_tower, reranker)
        made = {**self.model.facts, "reranker": facts}
        return Reranked(replace(self.model, model_id=model_id, facts=made, reranker=reranker), facts)

    def _without(self, facts: dict[str, Any]) -> Reranked:
        return Reranked(replace(self.model, facts={**self.model.facts, "reranker": facts}), facts)

    def _parts(self) -> Parts:
        """Return the pairs of each fold, scored by towers that did not see them, and the inputs counted without it."""
        most = _TEACHING_MAX if self.habits else QUESTIONS_MAX
        parts = [
            (self._pairs(learned, scored, self._towers(learned), most), self._inputs(learned))
            for learned, scored in self._folds()
        ]
        return [(pairs, inputs) for pairs, inputs in parts if len(pairs)]

    def _prepared(self, parts: Parts) -> PreparedPairs:
        # Lifts grow with the rows that they are counted from: of half of them, they stay as they were learned with.
        final = self._inputs(self.rows) if self.few or self.habits else parts[0][1]
        return prepared(parts, final, choices=self.choices)

    def _folds(self) -> Iterator[tuple[Places, Places]]:
        """Yield the rows that towers and counts learn from, and those that they then score, without a common request.

        Where rows are few, each stretch of time is scored by what was learned from the others; else the later half, and
        the latest fifth in a log of habits, which are new or over after half a log.
        """
        times = self.data.request_time_ms[self.rows]
        if times[0] == times[-1]:
            part = self.data.request[self.rows].astype(np.int64) % _FOLDS
        else:
            edges = times[(np.arange(1, _FOLDS) * len(times)) // _FOLDS]
            part = np.searchsorted(edges, times, side="right")
        if self.habits or not self.few:
            late = part == _FOLDS - 1 if times[0] == times[-1] else _latest(times, _LATE_HABITS if self.habits else 0.5)
            yield self.rows[~late], self.rows[late]
            return
        for number in range(_FOLDS):
            if (part == number).any() and self.data.accepted[self.rows[part != number]].sum() > 1:
                yield self.rows[part != number], self.rows[part == number]

    def _towers(self, rows: Places) -> Towers:
        # From nothing even where the towers go on from an earlier model, which has seen the rows that these then score.
        cold = replace(self.lesson, earlier=None)
        recipe = replace(self.recipe, members=1, spectral=False, refit=False)
        # the best epoch of a warm start, or the best form of a decomposition, is no number of epochs from nothing
        by_epochs = self.lesson.earlier is None and not self.recipe.spectral
        end = max(1, self.fitted.best) if by_epochs else recipe.epochs
        made = trained(cold, recipe, rows, rows[:0], lambda epoch: None, end=end)
        return tower_of(made.user), tower_of(made.item)

    def _pairs(self, learned: Places, rows: Places, towers: Towers, most: int) -> RequestPairs:
        if not self.choices:
            return shown_pairs(self.data, self.plain, rows, towers)
        questions = ask(self.data, accepted_pairs(self.data, learned), rows, apart=True)
        pairs = shortlist_pairs(self.data, self.plain, questions.sample(most, self.options.seed), towers)
        # a request whose accepted offers are all beyond the shortlist teaches nothing about its order
        reached = np.bincount(pairs.group, pairs.accepted) > 0
        return pairs.take(np.flatnonzero(reached[pairs.group]))

    def _inputs(self, rows: Places) -> PairInputs:
        return self._counted(rows, list(self.strengths))

    def _counted(self, rows: Places, names: Names) -> PairInputs:
        customers, offers = self.customers, self.offers
        crosses = crosses_of(self._evidence(rows), names, self.strengths, customers, offers)
        matches = matches_of(customers.spec, offers, self.counted)[:_MATCHES_MAX]
        return PairInputs(
            customers, offers, crosses, matches, self.choices, differences_of(customers.spec, offers.spec)
        )

    def _evidence(self, rows: Places) -> CountedRows:
        return evidence_of(self.plain, rows, self.customers, self.offers, catalog=self.choices)

    def _recounted(self, inputs: PairInputs) -> PairInputs:
        return self._counted(np.arange(len(self.data)), [(cross.customer, cross.offer) for cross in inputs.crosses])

    def _trainings(self) -> dict[str, Train]:
        """Return what may be tried, by name."""
        sizes = {"network linear": NetworkSize(1, 0, 0, 10.0), "network small": NetworkSize(4, 4, 16, 3.0)}
        if self.options.tune:
            sizes |= {
                "network linear, strong penalty": NetworkSize(1, 0, 0, 100.0),
                "network small, strong penalty": NetworkSize(4, 4, 16, 30.0),
                "network large": NetworkSize(8, 8, 32, 3.0),
            }
        seed = self.options.seed
        networks = {
            name: _of_size(replace(size, members=_MEMBERS if self.few else 1, steps=self.options.steps), seed)
            for name, size in sizes.items()
        }
        trees = {"trees of 8 leaves": _of_leaves(8, 100, seed)}
        if self.options.tune:
            rounds = 200 if self.habits else 100
            trees |= {"trees of 2 leaves": _of_leaves(2, 150, seed), "trees of 16 leaves": _of_leaves(16, rounds, seed)}
        match self.options.kind:
            case "network":
                return networks
            case "trees":
                return trees
        return networks if lightgbm_fault() else {**networks, **trees}

    def _chosen(self, data: PreparedPairs) -> tuple[str, dict[str, float]]:
        """Return the training that ranks the latest fifth of the pairs best, and the nDCG@10 of each."""
        trainings = self._trainings()
        if len(trainings) == 1:
            return next(iter(trainings)), {}
        groups = data.pairs.groups
        edge = int(groups * (1 - _CHOOSING))
        earlier, later = data.of_groups(0, edge), data.of_groups(edge, groups)
        found = {name: self._quality(train(earlier), later) for name, train in trainings.items()}
        return max(found, key=lambda name: found[name]), found

    def _quality(self, reranker: AnyReranker, later: PreparedPairs) -> float:
        pairs = later.pairs
        values = ndcg_by_request(pairs.group, later.scores(reranker), pairs.accepted)
        return float(values.mean()) if len(values) else 0.0


def _latest(times: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.bool_]:
    """Mark the latest share of sorted times, which are not all equal; neither part is empty."""
    edge = int(times[int(len(times) * (1 - share))])
    # A log's first load, all of one time, may be most of it.
    return np.asarray(times >= edge if edge > times[0] else times > edge)


def _reason_too_few(parts: Sequence[RequestPairs]) -> str | None:
    both = sum(len(ndcg_by_request(pairs.group, pairs.score, pairs.accepted)) for pairs in parts)
    if both >= REQUESTS_MIN:
        return None
    return f"it needs at least {REQUESTS_MIN} requests with an accepted and another offer, got {both}"


def _reason_against(found: TwoStages | None) -> str | None:
    if found is None:
        return "no held-out request has an accepted and another offer, so that nothing can judge it"
    return "; ".join(reranker_faults(asdict(found))) or None


def _of_size(size: NetworkSize, seed: int) -> Train:
    return lambda data: train_network(data, size, seed=seed)


def _of_leaves(leaves: int, rounds: int, seed: int) -> Train:
    return lambda data: train_trees(data, leaves=leaves, rounds=rounds, seed=seed)


def plain_specs(lesson: Lesson) -> tuple[FeatureSpec, FeatureSpec]:
    """Return the specs by which a re-ranker reads the lesson's rows."""
    return plain_spec(lesson.user_spec), plain_spec(lesson.item_spec)
