"""docling: its pipeline of a vision model behind an API, for images and PDFs, without any parameters."""

import os
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # no model of its own is needed

from checks import BASE_URL, IMAGE, KEY, MODEL, run, said
from docling.datamodel.base_models import ConversionStatus, InputFormat
from docling.datamodel.pipeline_options import VlmConvertOptions, VlmPipelineOptions
from docling.datamodel.pipeline_options_vlm_model import ApiVlmOptions, ResponseFormat
from docling.datamodel.vlm_engine_options import ApiVlmEngineOptions
from docling.document_converter import DocumentConverter, ImageFormatOption, PdfFormatOption
from docling.pipeline.vlm_pipeline import VlmPipeline
from PIL import Image

URL, HEADERS = f"{BASE_URL}/chat/completions", {"Authorization": f"Bearer {KEY}"}


def options(**fields: Any) -> ApiVlmOptions:
    """The server, asked for Markdown."""
    return ApiVlmOptions(
        url=URL,
        headers=HEADERS,
        prompt="Convert this page to markdown.",
        response_format=ResponseFormat.MARKDOWN,
        **fields,
    )


def _convert(file: Path, vlm_options: ApiVlmOptions | VlmConvertOptions) -> str:
    pipeline = VlmPipelineOptions(enable_remote_services=True, vlm_options=vlm_options)
    converter = DocumentConverter(
        format_options={
            InputFormat.IMAGE: ImageFormatOption(pipeline_cls=VlmPipeline, pipeline_options=pipeline),
            InputFormat.PDF: PdfFormatOption(pipeline_cls=VlmPipeline, pipeline_options=pipeline),
        }
    )
    result = converter.convert(file)
    assert result.status is ConversionStatus.SUCCESS, (result.status, result.errors)
    return said(result.document.export_to_markdown())


def default() -> str:
    """A PDF of one page."""
    document = Path("page.pdf")
    Image.open(IMAGE).convert("RGB").save(document)
    return _convert(document, options())


def picture() -> str:
    """An image."""
    return _convert(IMAGE, options())


def preset() -> str:
    """One of its presets, by the API instead of its own model."""
    engine = ApiVlmEngineOptions(url=URL, headers=HEADERS, params={"model": MODEL})
    return _convert(IMAGE, VlmConvertOptions.from_preset("phi4", engine_options=engine))


run({"default": default, "picture": picture, "preset": preset})
