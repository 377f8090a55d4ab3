"""From settings to what reads and decodes images, put together."""

from typing import TYPE_CHECKING

from phiserve.checkpoint.opened import Checkpoint
from phiserve.codecs import FORMATS, parse
from phiserve.config import Settings
from phiserve.errors import StartupError
from phiserve.media.connector import MediaConnector
from phiserve.media.content_budget import ContentBudget
from phiserve.media.folder import MediaFolder
from phiserve.media.url_gate import UrlGate
from phiserve.media.web import WebFetcher
from phiserve.sandbox.decoder import WorkerDecoder, can_start_workers
from phiserve.sandbox.limits import WorkerLimits
from phiserve.vision.decoding import Decoder, ThreadDecoder
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits

if TYPE_CHECKING:  # vLLM takes long to import
    from phiserve.engine.host import Host


def image_service(
    settings: Settings, checkpoint: Checkpoint, host: "Host", connector: MediaConnector
) -> tuple[ImageService, Decoder]:
    """What reads and decodes images, and what does the latter."""
    workers = num_image_workers(settings, checkpoint, host)
    decoder = _decoder(settings, checkpoint, workers)
    limits, with_text = _image_limits(settings), settings.pdf_text
    return ImageService(limits, workers, connector, decoder=decoder, with_page_text=with_text), decoder


def media_connector(settings: Settings) -> MediaConnector:
    """Where images may come from besides data URLs. Raises StartupError for hosts that no URL can name."""
    hosts, folder, timeout_s = settings.image_hosts, settings.image_folder, settings.image_fetch_timeout_s
    most, of_one = settings.max_fetched_bytes_in_flight, settings.max_request_image_bytes
    return MediaConnector(
        web=WebFetcher(UrlGate(hosts), timeout_s) if hosts else None,
        folder=MediaFolder(folder, timeout_s) if folder else None,
        budget=ContentBudget(most, of_one),
    )


def num_image_workers(settings: Settings, checkpoint: Checkpoint, host: "Host") -> int:
    """How many images are decoded at once.

    By default one a core, but no more than have room in a third of the free memory, each with the largest
    image.
    """
    room = host.ram_bytes // 3 // worker_limits(settings, checkpoint).all_bytes
    return settings.image_workers or max(1, min(host.cores, room))


def worker_limits(settings: Settings, checkpoint: Checkpoint) -> WorkerLimits:
    """What a process that decodes images is held to."""
    limits = _image_limits(settings)
    max_crops = settings.max_crops or checkpoint.max_crops
    return WorkerLimits(
        limits.max_bytes,
        limits.max_pixels,
        max_crops,
        limits.formats,
        max_pdf_bytes=limits.max_pdf_bytes,
    )


def _decoder(settings: Settings, checkpoint: Checkpoint, workers: int) -> Decoder:
    """What decodes images: worker processes, or threads where they are switched off or cannot be."""
    if settings.image_sandbox == "off" or not can_start_workers():
        if settings.image_sandbox == "required":
            raise StartupError("image_sandbox is required, and this system cannot close processes off")
        return ThreadDecoder(parse, _image_limits(settings).formats)
    is_required = settings.image_sandbox == "required"
    return WorkerDecoder(worker_limits(settings, checkpoint), workers, must_be_closed_off=is_required)


def _image_limits(settings: Settings) -> ImageLimits:
    return ImageLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        max_aspect_ratio=settings.max_image_aspect_ratio,
        max_request_bytes=settings.max_request_image_bytes,
        max_request_pixels=settings.max_request_image_pixels,
        formats=(*FORMATS, *settings.extra_image_formats),
        max_pdf_bytes=settings.max_pdf_bytes,
    )
