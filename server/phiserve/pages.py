"""Conversations with PDFs -> the same with the pages of the PDFs, each an image.

A page is in its conversation what its picture would be: nothing is said beside it, but for the text that it
holds where the settings want that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from phiserve.chat.truncation import newest_turns
from phiserve.core import Conversation, DocumentPlaceholder, ImagePlaceholder, Part
from phiserve.errors import InvalidPdf, InvalidRequest
from phiserve.turns import Line
from phiserve.vision.documents import (
    Document,
    DocumentReader,
    FileOwner,
    PagePlaceholder,
    ReadImagePlaceholder,
)
from phiserve.vision.limits import ImageLimits, RequestMeter
from phiserve.vision.sizes import page_size

CountPages = Callable[[Sequence[int]], Awaitable[None]]
"""Is told how many images each image and file of a conversation stands for, and may raise."""


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Limits on pages. `max_images`: of a request, pages among them. `max_crops`: of one page."""

    images: ImageLimits
    max_images: int
    max_crops: int


class PageReader:
    """Puts pages where PDFs are."""

    def __init__(self, documents: DocumentReader, limits: PageLimits) -> None:
        self._documents = documents
        self._limits = limits

    async def with_pages(
        self,
        conversation: Conversation,
        cache_salt: str | None,
        line: Line,
        count_pages: CountPages | None = None,
    ) -> Conversation:
        """The conversation with pages in place of PDFs, and with images in place of files that are images.

        `count_pages` is told, for everything that is shown, how many images it stands for, as soon as that is
        known, and may raise. Raises InvalidPdf, InvalidRequest for too many images or a page that there is
        none of, or EngineFailure; if several PDFs are bad, the first is named.
        """
        owner = FileOwner(line, cache_salt, conversation.owner)
        if conversation.truncates:
            return await self._newest(conversation, owner, count_pages)
        return with_files(conversation, iter(await self.pages_of(conversation.shown, owner, count_pages)))

    async def _newest(
        self, conversation: Conversation, owner: FileOwner, count_pages: CountPages | None
    ) -> Conversation:
        """The same of the newest turns alone, as many as do not show too many images; the last one stays.

        Each file is read once, and none of a turn that is left out whatever its files hold.
        """
        limit, num_shown = self._limits.max_images, len(conversation.shown)
        conversation = newest_turns(conversation, limit, map(least_shown, conversation.shown))
        if not (files := _files_of(conversation.shown)):
            return conversation
        self._check_counts(conversation.shown, [*map(least_shown, files)])
        documents = await self._read(files, owner)
        counts = [_num_shown(*pair) for pair in zip(files, documents, strict=True)]
        conversation = newest_turns(conversation, limit, _all_counts(conversation.shown, counts))

        async def tell(counts: Sequence[int]) -> None:
            """Of what is left out too: it stands for nothing."""
            if count_pages is not None:
                await count_pages([*[0] * (num_shown - len(counts)), *counts])

        num_kept = len(_files_of(conversation.shown))
        kept = documents[len(documents) - num_kept :]
        return with_files(conversation, iter(await self._pages(conversation.shown, kept, owner.line, tell)))

    async def pages_of(
        self,
        shown: Sequence[ImagePlaceholder | DocumentPlaceholder],
        owner: FileOwner,
        count_pages: CountPages | None = None,
    ) -> list[tuple[Part, ...]]:
        """What stands in the place of each file of a request, which shows all of `shown`.

        Otherwise as `with_pages`.
        """
        if not (files := _files_of(shown)):
            return []
        self._check_counts(shown, [*map(least_shown, files)])
        return await self._pages(shown, await self._read(files, owner), owner.line, count_pages)

    async def _pages(
        self,
        shown: Sequence[ImagePlaceholder | DocumentPlaceholder],
        documents: Sequence[Document | bytes],
        line: Line,
        count_pages: CountPages | None,
    ) -> list[tuple[Part, ...]]:
        """What stands in the place of each file, all of which have been read."""
        files = _files_of(shown)
        counts = [_num_shown(*pair) for pair in zip(files, documents, strict=True)]
        self._check_counts(shown, counts)
        if count_pages is not None:
            await count_pages(_all_counts(shown, counts))
        return [
            await self._shown(placeholder, document, line)
            for placeholder, document in zip(files, documents, strict=True)
        ]

    async def _read(
        self, placeholders: Sequence[DocumentPlaceholder], owner: FileOwner
    ) -> list[Document | bytes]:
        """All files, at once. Raises what is wrong with the first that is bad."""
        meter, most = RequestMeter(self._limits.images), self._limits.max_images
        read = await asyncio.gather(
            *(self._documents.read(placeholder, most, meter, owner) for placeholder in placeholders),
            return_exceptions=True,
        )
        documents: list[Document | bytes] = []
        for result in read:
            if isinstance(result, BaseException):
                raise result
            documents.append(result)
        return documents

    def _check_counts(
        self, shown: Sequence[ImagePlaceholder | DocumentPlaceholder], counts: Sequence[int]
    ) -> None:
        """Check how many images the request has: its images, and for each file as many as `counts` says.

        Raises InvalidRequest, which names the file with which they are too many.
        """
        limit, files = self._limits.max_images, _files_of(shown)
        total = len(shown) - len(files)
        for placeholder, count in zip(files, counts, strict=True):
            total += count
            if total > limit:
                reason = (
                    f"{_counted(placeholder, count)}, and so the request has {total} images; "
                    f"the limit is {limit} (max_images){_remedy(placeholder, count)}"
                )
                raise InvalidRequest(reason, param=placeholder.param, code="too_many_images")

    async def _shown(
        self, placeholder: DocumentPlaceholder, document: Document | bytes, line: Line
    ) -> tuple[Part, ...]:
        """What stands in the place of one file. Raises InvalidPdf or EngineFailure."""
        if isinstance(document, bytes):
            detail, param = placeholder.detail, placeholder.param
            return (ReadImagePlaceholder(url="", detail=detail, param=param, content=document),)
        sizes = document.outline.sizes
        numbers = [page - 1 for page in placeholder.pages or range(1, len(sizes) + 1)]
        pages = [
            self._page(placeholder, document, *numbered) for numbered in zip(numbers, sizes, strict=True)
        ]
        if not self._documents.with_text:
            return _on_lines(pages)
        texts = await self._documents.texts(document, numbers, placeholder.param, line)
        return _on_lines(pages, texts)

    def _page(
        self, placeholder: DocumentPlaceholder, document: Document, page: int, points: tuple[float, float]
    ) -> PagePlaceholder:
        size = page_size(*points, self._limits.max_crops)
        most = self._limits.images.max_aspect_ratio
        if max(size) > most * min(size):
            limit = f"the limit is {most:g} to 1 (max_image_aspect_ratio)"
            width, height = points
            reason = f"page {page + 1} of the PDF, {width:g} x {height:g} points, is too thin; {limit}"
            raise InvalidPdf(reason, param=placeholder.param)
        return PagePlaceholder(
            url="",
            detail=placeholder.detail,
            param=placeholder.param,
            content=document.content,
            digest=document.digest,
            page=page,
            size=size,
        )


def least_shown(placeholder: ImagePlaceholder | DocumentPlaceholder) -> int:
    """How many images it stands for at least, as far as the request tells."""
    return len(placeholder.pages or (0,)) if isinstance(placeholder, DocumentPlaceholder) else 1


def _files_of(shown: Sequence[ImagePlaceholder | DocumentPlaceholder]) -> list[DocumentPlaceholder]:
    return [part for part in shown if isinstance(part, DocumentPlaceholder)]


def _all_counts(shown: Sequence[ImagePlaceholder | DocumentPlaceholder], counts: Sequence[int]) -> list[int]:
    """How many images everything shown stands for, given those of the files."""
    left = iter(counts)
    return [next(left) if isinstance(part, DocumentPlaceholder) else 1 for part in shown]


def _counted(placeholder: DocumentPlaceholder, count: int) -> str:
    """How many images a file stands for, in words."""
    if placeholder.pages is not None:
        return f"{count} pages of the PDF are asked for, each an image"
    return "the file is an image" if count == 1 else f"the PDF has {count} pages, each an image"


def _remedy(placeholder: DocumentPlaceholder, count: int) -> str:
    """What to do about too many pages."""
    return f". Name fewer pages in {placeholder.part}.pages" if count > 1 else ""


def _num_shown(placeholder: DocumentPlaceholder, document: Document | bytes) -> int:
    """How many images a file stands for. Raises InvalidRequest for a page that it does not have."""
    if isinstance(document, bytes):
        if placeholder.pages is not None:
            reason = "the file is an image, which has no pages"
            raise InvalidRequest(reason, param=f"{placeholder.part}.pages")
        return 1
    num_pages = document.outline.num_pages
    if placeholder.pages is None:
        return num_pages
    for page in placeholder.pages:
        if page > num_pages:
            reason = f"there is no page {page}: the PDF has {num_pages}"
            raise InvalidRequest(reason, param=f"{placeholder.part}.pages")
    return len(placeholder.pages)


def _on_lines(pages: Sequence[PagePlaceholder], texts: Sequence[str] = ()) -> tuple[Part, ...]:
    """Pages as `chat.joining` would join their pictures, each before its text. Nothing follows the last."""
    parts: list[Part] = []
    for index, page in enumerate(pages):
        text = texts[index] if texts else ""
        after = f"\nText of page {page.page + 1}:\n{text}" if text else ""
        is_last = index == len(pages) - 1
        after += "" if is_last else "\n"
        parts += [page, after] if after else [page]
    return tuple(parts)


def with_files(conversation: Conversation, shown: Iterator[tuple[Part, ...]]) -> Conversation:
    """The conversation with the next ones of `shown` in place of its files."""
    turns = conversation.turns
    return replace(
        conversation, turns=tuple(replace(turn, parts=parts_with_files(turn.parts, shown)) for turn in turns)
    )


def parts_with_files(parts: Sequence[Part], shown: Iterator[tuple[Part, ...]]) -> tuple[Part, ...]:
    """Parts with the next ones of `shown` in place of their files; texts that touch are joined."""
    spliced: list[Part] = []
    for part in parts:
        for new in next(shown) if isinstance(part, DocumentPlaceholder) else (part,):
            if isinstance(new, str) and spliced and isinstance(spliced[-1], str):
                spliced[-1] += new
            else:
                spliced.append(new)
    return tuple(spliced)
