"""Builds the forms of topics that are not plain JSON."""

from stream_scorer.core.forms.cloud_events import CloudEvents, Mode
from stream_scorer.core.forms.topic_forms import Form, TopicForms
from stream_scorer.settings import Settings
from stream_scorer.topic_settings import FORMED_TOPICS, FormedTopic


def topic_forms(settings: Settings, *, letters: bool = False) -> TopicForms | None:
    """Return the forms of the settings, None where all is plain JSON: then nothing looks at records at all.

    With `letters`, dead letters are read in the forms of their sources.
    """
    names = {topic: getattr(settings.topics, topic) for topic in FORMED_TOPICS}
    formed = {names[topic]: _form(settings, topic) for topic in FORMED_TOPICS if settings.wire.form_of(topic) != "json"}
    return TopicForms(formed, settings.topics.dead_letters if letters else None) if formed else None


def _form(settings: Settings, topic: FormedTopic) -> Form:
    wire = settings.wire
    mode: Mode = "binary" if wire.form_of(topic) == "cloudevents_binary" else "structured"
    return CloudEvents(wire.event_type(topic), wire.event_source, mode)
