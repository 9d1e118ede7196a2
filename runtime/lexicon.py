"""The words a prompt is understood by: plain tables, made to be read and extended.

A key is a word or a short phrase in lower case without accents; plurals and the forms in -ing
and -ed follow by themselves (`forms`). English first, with a few German, French and Spanish words.
"""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text."""
    return tuple(text.split())


# ---- camera -------------------------------------------------------------------------------------

CAMERA = words("camera cam shot lens viewpoint viewer kamera camara")
"""Words for the camera itself; a verb of motion beside one is a move of the camera."""

MOVES: dict[str, dict[str, str]] = {
    "zoom": {"": "push", "in": "push", "out": "pull"},
    "push": {"": "push", "in": "push", "out": "pull"},
    "dolly": {"": "push", "in": "push", "out": "pull", "left": "left", "right": "right"},
    "pull": {"in": "push", "out": "pull"},
    "pan": {"": "right", "left": "left", "right": "right", "up": "up", "down": "down"},
    "truck": {"left": "left", "right": "right"},
    "tilt": {"": "up", "up": "up", "down": "down"},
    "crane": {"": "up", "up": "up", "down": "down"},
    "pedestal": {"up": "up", "down": "down"},
    "orbit": {"": "orbit", "around": "orbit", "left": "orbit", "right": "orbit"},
}
"""Verbs of the camera, each with the move every direction after it makes ("" when none does)."""

CAMERA_TRAVEL = {
    **{"in": "push", "out": "pull", "left": "left", "right": "right"},
    **{"up": "up", "down": "down", "around": "orbit"},
}
"""What "the camera moves" in a direction makes."""

MOVE_PHRASES = {
    "ken burns": "push",
    "fly in": "push",
    "fly through": "push",
    "pull back": "pull",
    "pullback": "pull",
    "step back": "pull",
    "parallax": "orbit",
    "arc shot": "orbit",
    "circle around": "orbit",
    "rotate around": "orbit",
    "heranzoomen": "push",
    "herauszoomen": "pull",
    "zoom avant": "push",
    "zoom arriere": "pull",
}
"""Phrases that are a move of the camera wherever they stand."""

CAMERA_STILL = ("tripod", "locked off", "locked down", "fixed shot", "static shot", "still shot")
"""Phrases that hold the camera still."""

DIRECTIONS = {
    **dict.fromkeys(words("in inward inwards into closer forward forwards toward towards"), "in"),
    **dict.fromkeys(words("out outward outwards back backward backwards away wider"), "out"),
    **dict.fromkeys(words("left leftward leftwards links gauche izquierda"), "left"),
    **dict.fromkeys(words("right rightward rightwards rechts droite derecha"), "right"),
    **dict.fromkeys(words("up upward upwards"), "up"),
    **dict.fromkeys(words("down downward downwards"), "down"),
    **dict.fromkeys(words("around round"), "around"),
}

# ---- light --------------------------------------------------------------------------------------

LIGHT = words("light lighting glow illumination lamplight licht lumiere luz")
"""Words for light itself."""

LIGHTS = {
    "golden hour": "golden",
    "golden light": "golden",
    "goldene stunde": "golden",
    "heure doree": "golden",
    "lumiere doree": "golden",
    "hora dorada": "golden",
    "magic hour": "golden",
    "sunset": "golden",
    "sunrise": "golden",
    "sundown": "golden",
    "sonnenuntergang": "golden",
    "coucher de soleil": "golden",
    "atardecer": "golden",
    "setting sun": "golden",
    "low sun": "golden",
    "evening sun": "golden",
    "dawn": "golden",
    "dusk": "dusk",
    "twilight": "dusk",
    "nightfall": "dusk",
    "blue hour": "dusk",
    "moonlight": "moon",
    "moonlit": "moon",
    "moon": "moon",
    "starlight": "moon",
    "at night": "moon",
    "nighttime": "moon",
    "candlelight": "candle",
    "candle light": "candle",
    "candlelit": "candle",
    "firelight": "candle",
    "fire light": "candle",
    "overcast": "overcast",
    "daylight": "bright",
    "sunlight": "bright",
    "sunlit": "bright",
    "sunshine": "bright",
    "sun ray": "bright",
    "sunray": "bright",
    "sunbeam": "bright",
    "ray of light": "bright",
    "midday": "bright",
    "noon": "bright",
    "sun": "bright",
}
"""Names of a light, each with its kind."""

TINTS = {
    **dict.fromkeys(words("golden warm amber honey orange"), "golden"),
    **dict.fromkeys(words("evening dim dark darker night"), "dusk"),
    **dict.fromkeys(words("cool cold grey gray cloudy flat diffuse diffused"), "overcast"),
    **dict.fromkeys(words("bright brighter sunny morning day summer"), "bright"),
}
"""Words that colour a light, and say nothing of it beside a subject ("golden leaves")."""

GRAIN = (
    *words("grain grains grainy 8mm 16mm analog analogue vintage"),
    *("film grain", "grainy film", "film look", "35mm film", "8mm film", "16mm film", "super 8"),
    *("old film", "old movie", "analog film", "analogue film", "vintage film"),
    *("analog photo", "analogue photo", "vintage photo", "vintage photograph"),
)
"""Film grain, and the looks that have it."""

GRAIN_ADJECTIVES = words("analog analogue vintage")
"""Those among them that say nothing of film beside a thing ("vintage car")."""

CROP = words("grain grains")
"""Those that are a field of cereal where they sway."""

# ---- what moves ---------------------------------------------------------------------------------

SUBJECTS = {
    "plant": "leaf leaves leafs foliage tree grass flower branch petal plant bush reed wheat fern "
    "ivy vine blossom meadow forest twig tulip willow shrub hedge barley canopy dandelion bamboo "
    "fronds frond palm lavender stalk stem blatt blatter gras baum baume blume blumen feuille "
    "feuilles arbre arbres herbe fleur hoja hojas arbol arboles hierba flor flores",
    "water": "water sea ocean wave river lake stream ripple surf tide pond waterfall fountain "
    "creek brook rapids swell lagoon canal wasser meer welle wellen fluss eau mer "
    "riviere agua olas rio",
    "sky": "sky skies cloud smoke fog mist steam haze vapor vapour wolke wolken himmel rauch nebel "
    "nuage nuages ciel fumee brume nube nubes cielo humo niebla",
    "cloth": "flag curtain fabric cloth banner sail ribbon drape laundry textile pennant fahne "
    "vorhang drapeau rideau bandera cortina",
    "flame": "flame fire candle torch campfire bonfire fireplace ember flamme feuer kerze flammes "
    "feu bougie llama fuego vela",
}
"""Class to the words for what belongs to it."""

WORN = words(
    "hair ponytail fringe braid dress skirt shirt clothes clothing scarf veil coat cloak cape robe "
    "gown sari sleeve shawl haare haar kleid cheveux robe foulard pelo cabello vestido"
)
"""Hair and clothes: of class cloth, and a person who holds still unless asked."""

PEOPLE = words(
    "person people man woman men women girl boy child children kid baby face subject head body "
    "figure couple bride groom dancer he she dog cat bird horse animal shoulders"
)
"""Whoever holds still unless asked to move."""

STIRS = words(
    "motion movement move moving animate animation sway flutter rustle drift flow dance bob blow "
    "shimmer billow swirl float tremble quiver shake wave flicker sparkle stir breathe rise roll "
    "waving waved wobble undulate whisper lap splash crash bewegung bewegen "
    "mouvement bouger movimiento mover"
)
"""Words for moving, of whatever it may be."""

STIR_NOUNS = words("movement motion animation sway flutter rustle drift stir ripple shimmer")
"""The nouns among them: in "light movement" light is no lamp."""

STIR_OF = {
    "flicker": "flame",
    "rustle": "plant",
    "lap": "water",
    "splash": "water",
    "billow": "cloth",
}
"""What stirs when nothing else is named."""

ALSO_STIRS = words("wave waves ripple ripples rippling rippled")
"""Names of water that mean moving beside another subject ("grass waves")."""

ALL = words("everything all whole entire scene image picture photo photograph")
NOTHING = words("nothing")

WIND = {
    "wind": 1.0,
    "windy": 1.2,
    "breeze": 0.7,
    "breezy": 0.7,
    "draft": 0.5,
    "gust": 1.5,
    "gusty": 1.5,
    "storm": 2.0,
    "stormy": 2.0,
    "gale": 2.0,
    "hurricane": 2.0,
    "windstill": 0.0,
    "windless": 0.0,
    "vent": 1.0,
    "viento": 1.0,
    "brise": 0.7,
    "brisa": 0.7,
}
"""Wind, by strength."""

# ---- how ----------------------------------------------------------------------------------------

DEGREES: dict[str, tuple[float, float, str]] = {
    **dict.fromkeys(words("slight slightly leicht leichte legere ligero"), (0.5, 0.8, "slight")),
    **dict.fromkeys(words("subtle subtly faint faintly"), (0.4, 0.8, "subtle")),
    **dict.fromkeys(words("minimal minimally barely hardly tiny"), (0.25, 0.7, "barely")),
    **dict.fromkeys(words("soft softly"), (0.6, 0.8, "soft")),
    **dict.fromkeys(words("gentle gently mild mildly light lightly"), (0.6, 0.8, "gentle")),
    **dict.fromkeys(
        words("sanft sanfte doux douce doucement suave suavemente"), (0.6, 0.8, "gentle")
    ),
    **dict.fromkeys(words("delicate delicately tender tenderly"), (0.5, 0.8, "gentle")),
    **dict.fromkeys(words("little bit less small somewhat"), (0.5, 0.8, "a little")),
    **dict.fromkeys(words("calm calmly quiet quietly peaceful peacefully"), (0.4, 0.7, "calm")),
    "slow motion": (0.7, 0.5, "slow"),
    **dict.fromkeys(words("slow slowly slower langsam lent lentement lento"), (0.8, 0.5, "slow")),
    **dict.fromkeys(words("lentamente lazy lazily leisurely"), (0.8, 0.5, "slow")),
    **dict.fromkeys(words("smooth smoothly steady steadily"), (1.0, 0.8, "smooth")),
    **dict.fromkeys(words("moderate moderately medium normal natural naturally"), (1.0, 1.0, "")),
    **dict.fromkeys(words("more much lot lots"), (1.4, 1.2, "more")),
    **dict.fromkeys(words("strong strongly stronger stark fuerte"), (1.5, 1.2, "strong")),
    **dict.fromkeys(words("heavy heavily big bigger large hard"), (1.5, 1.2, "strong")),
    **dict.fromkeys(words("dramatic dramatically intense intensely"), (1.6, 1.2, "dramatic")),
    **dict.fromkeys(words("wild wildly violent violently rough choppy"), (1.8, 1.4, "wild")),
    **dict.fromkeys(words("fast faster quick quickly rapid rapidly"), (1.3, 1.6, "fast")),
    **dict.fromkeys(words("swift swiftly schnell rapide vite rapido"), (1.3, 1.6, "fast")),
}
"""Degree to (how much, how fast, its name for people); 1 is the default."""

VERY = words("very extremely really super ultra incredibly sehr tres muy")
TOO = words("too overly")
NOT = words(
    "no not never without none don't dont doesn't doesnt isn't isnt aren't arent won't "
    "shouldn't cannot can't stop stopped avoid zero kein keine nicht ohne pas sans"
)
STILL = words(
    "still static frozen freeze motionless unmoving fixed locked stationary immobile same "
    "unchanged constant"
)
BUT = words("but except besides excluding apart")
BREAKS = words("while whilst then with as when where plus mit avec con whereas")
AND = words("and & und et y")
OR = words("or nor")
PLACES = words(
    "on onto over across through in into inside under beneath behind beside near at above along "
    "during by before between against upon within auf im sur dans sobre en"
)

FILLER = words(
    "her him them they a an the this that these those it its his their our my your is are be "
    "been being was were "
    "of to for from some any just only also even there here please make makes made let lets have "
    "has had having get gets give gives add adds adding want should would could will can do does "
    "which who whose like if so too very such i we you me us one effect effects style feel look "
    "mood moods atmosphere "
    "looks looking feeling kind sort way keep keeps keeping kept hold holds holding held stay "
    "stays staying stayed remain remains remaining leave bit der die das den ein eine le la les un "
    "une el los las del de du des s t sich zu zum side"
)
"""Words that carry nothing here, and are never reported as unused."""

ORDINARY = words(
    "frame weather waiter plane plate planet glass house horse shape shore snore rider ground "
    "brand bread beach window winter wonder weaver flavor flesh floor class crowd crown closed "
    "stone store story steel stare state later letter latter mother brother mountain "
    "grins vantage analogy analogies black "
    "sand standing handheld parent patient painting printing pointing smile smiling father feather"
)
"""Ordinary words a slip of the keyboard must not be read into."""


MOVE_NAMES = {
    **{"push": "push in", "pull": "pull back", "left": "to the left", "right": "to the right"},
    **{"up": "up", "down": "down", "orbit": "orbit", "still": "still", "": "moving"},
}
LIGHT_NAMES = {
    **{"golden": "golden hour", "dusk": "dusk", "moon": "moonlight", "candle": "candlelight"},
    **{"overcast": "overcast", "bright": "daylight", "none": "as it is", "": ""},
}
"""What moves and lights are called when a person is told what was understood."""


def forms(word: str) -> list[str]:
    """Return the word with its plural and verb forms. Some are no words; no harm done."""
    if not word.isalpha() or len(word) < 3:
        return [word]
    stem = word[:-1] if word.endswith("e") else word
    found = [word, word + "s", stem + "ing", stem + "ed"]
    if word.endswith(("s", "x", "ch", "sh")):
        found.append(word + "es")
    if word.endswith("y"):
        found += [word[:-1] + "ies", word[:-1] + "ied"]
    if word[-1] not in "aeiouwxy" and word[-2] in "aeiou" and word[-3] not in "aeiou":
        found += [word + word[-1] + "ing", word + word[-1] + "ed"]
    return found
