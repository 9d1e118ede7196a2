"""A photo made ready to be filmed: an old one restored, one smaller than its film enlarged."""

from __future__ import annotations

import time
from dataclasses import replace

from ..engines.errors import EngineError
from .bundle import load_bundle
from .frame import frame_size
from .photo import Photo
from .placing import Place
from .settings import Settings
from .stages import OnNote, Stages


def prepare_photo(source: Photo, settings: Settings, place: Place, stages: Stages) -> Photo:
    """Restore and enlarge a photo as the settings ask; one that needs neither comes back as it is.

    Raises:
        BundleError: a network is missing or broken.
        EngineError: the device cannot run one, under `strict`.
    """
    if settings.restore != "off":
        with stages.stage("restore"):
            source = _restored(source, place)
    if settings.upscaling == "auto":
        source = _enlarged(source, settings, place, stages)
    return source


def tools_tell(place: Place, stages: Stages) -> OnNote:
    """What tools call before they go on in another way: a note, or under `strict` a refusal."""
    return _refused if place.placement.strict else stages.note


def _restored(source: Photo, place: Place) -> Photo:
    from .families.ember import find_photo_faces
    from .restoring.restore import restore_photo

    device = place.spot.device
    faces = find_photo_faces(load_bundle("ember"), source.pixels, device)
    pixels, told = restore_photo(source.pixels, faces, device)
    return replace(source, pixels=pixels, notes=(*source.notes, *told))


def _enlarged(source: Photo, settings: Settings, place: Place, stages: Stages) -> Photo:
    """Enlarged once, so that no frame has to be."""
    from .look.upscale import enlarge_photo

    tall, wide = source.pixels.shape[:2]
    frame = frame_size(settings.aspect, settings.height, (wide, tall))
    start = time.perf_counter()
    told = tools_tell(place, stages)
    pixels = enlarge_photo(source.pixels, frame, place.spot.device, on_note=told)
    if pixels is source.pixels:
        return source
    stages.add("enlarge", time.perf_counter() - start)
    note = f"the photo is smaller than the film: enlarged {len(pixels) / tall:.1f} times"
    return replace(source, pixels=pixels, notes=(*source.notes, note))


def _refused(why: str) -> None:
    raise EngineError(f"{why} (refused, as --strict asks)")
