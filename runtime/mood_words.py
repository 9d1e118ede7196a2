"""The words of a prompt for moods, softness, pauses and stutters; tables as in `lexicon.py`."""

from __future__ import annotations

from .lexicon import words

MOOD_WORDS = {
    **dict.fromkeys(words("tenderness loving lovingly affectionate intimate intimacy"), "tender"),
    **dict.fromkeys(words("zartlich zartlichkeit tendre tendresse ternura"), "tender"),
    **dict.fromkeys(("tender memory", "tender memories"), "tender"),
    **dict.fromkeys(("tender mood", "tender feeling", "tender atmosphere"), "tender"),
    **dict.fromkeys(words("wistful wistfully nostalgic nostalgia melancholy"), "wistful"),
    **dict.fromkeys(words("melancholic longing yearning bittersweet wehmutig"), "wistful"),
    **dict.fromkeys(words("melancholisch nostalgisch nostalgique nostalgico"), "wistful"),
    **dict.fromkeys(("faded memory", "distant memory", "faded memories"), "wistful"),
    **dict.fromkeys(words("radiant radiantly radiance joyful joyous blissful"), "radiant"),
    **dict.fromkeys(words("jubilant strahlend rayonnant radiante"), "radiant"),
    **dict.fromkeys(words("restless restlessly restlessness uneasy anxious"), "restless"),
    **dict.fromkeys(words("agitated unsettled unruhig rastlos inquieto"), "restless"),
    **dict.fromkeys(words("stillness serene serenity hushed contemplative"), "still"),
    **dict.fromkeys(("meditative", "still mood"), "still"),
}
"""Words for a mood, each with its name; see `look/mood.py`."""

MOOD_ALONE = {"tender": "tender", "tenderly": "tender"}
"""Words that are a mood where they stand alone, and a degree beside anything ("tender breeze")."""

MOOD_STIRS = {"restless": (1.4, 1.2, "restless"), "restlessly": (1.4, 1.2, "restless")}
"""Words for a mood that say how something moves where they stand before it ("restless sea")."""

BLUR = {
    **dict.fromkeys(words("dreamy dreamlike dreaming memory memories remembrance"), 0.6),
    **dict.fromkeys(("soft focus", "soft focused", "dream like", "out of focus"), 0.7),
    **dict.fromkeys(words("blur blurry hazily vertraumt reveur"), 0.7),
    **dict.fromkeys(("in focus", "sharp focus", "tack sharp", "deep focus"), 0.0),
    **dict.fromkeys(words("sharp crisp unblurred"), 0.0),
}
"""How soft the picture goes where feeling is highest; 0 keeps it sharp."""

PAUSE = (
    *words("pause linger hesitate pausieren"),
    *("hold its breath", "holds its breath", "held breath", "breath held", "catch its breath"),
)
"""Words for a camera that stops on its way."""

STUTTER = words("stutter jitter judder glitch hiccup")
"""A picture that catches for a moment, or is not to."""
