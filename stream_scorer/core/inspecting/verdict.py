"""Whether a model should be published: the judgement of the gate, or why labels cannot tell."""

from collections.abc import Mapping, Sequence
from typing import Any

from stream_scorer.core.evaluation.figures import Verdict
from stream_scorer.core.releases.gate import alike_cautions, cautions_of_facts
from stream_scorer.core.releases.release import figures_of


def verdict_of(faults: Sequence[str], facts: Mapping[str, Any], incomparable: str | None) -> Verdict:
    """Return `no` where the gate sees faults, and `cannot tell` where it could not compare with popularity.

    The `facts` are those by which the gate judged. `incomparable` says why these labels compare with nothing.
    """
    if faults:
        return Verdict("no", tuple(faults))
    if incomparable is not None:
        return Verdict("cannot tell", (incomparable,))
    alike = alike_cautions(facts)
    # that a model ranks alike for all is no lack of evidence: it may be the best model there is
    if doubts := [one for one in cautions_of_facts(facts) if one not in alike]:
        return Verdict("cannot tell", tuple(doubts))
    figures = figures_of(facts)
    compared = f"AUC within customer {figures.auc:.4f}, popularity's {figures.popularity_auc:.4f}"
    return Verdict("yes", (f"the gate sees no fault: {compared}, by {figures.customers:,} customers", *alike))
